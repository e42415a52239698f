//! A server on the loopback device that answers as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

/// An answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// Sent one by one, each in a chunk of HTTP.
    pub(crate) chunks: Vec<String>,
    /// Whether the connection breaks off after the last chunk.
    pub(crate) cut: bool,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            chunks: vec![body.to_string()],
            cut: false,
        }
    }

    pub(crate) fn events(chunks: &[&str]) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream",
            chunks: chunks.iter().map(|&chunk| chunk.to_owned()).collect(),
            cut: false,
        }
    }
}

/// A server that gives these answers in order, and what was asked of it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Receiver<String>,
}

impl Server {
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let body = read_request(&stream);
                sender.send(body).unwrap();
                // The client may be gone, which is what some tests are about.
                drop(write_answer(stream, &answer));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn write_answer(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {} X\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n",
        answer.status, answer.content_type
    )?;
    for chunk in &answer.chunks {
        write!(stream, "{:x}\r\n{chunk}\r\n", chunk.len())?;
        stream.flush()?;
    }
    if !answer.cut {
        write!(stream, "0\r\n\r\n")?;
    }
    stream.flush()
}
