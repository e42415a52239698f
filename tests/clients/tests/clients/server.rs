//! A server on the loopback device that answers as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// An answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// Sent one by one, each in a chunk of HTTP.
    pub(crate) chunks: Vec<String>,
    /// Whether the connection breaks off after the last chunk.
    pub(crate) cut: bool,
    /// Where a word is waited for before each chunk but the first.
    pub(crate) gate: Option<Arc<Mutex<Receiver<()>>>>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            chunks: vec![body.to_string()],
            cut: false,
            gate: None,
        }
    }

    pub(crate) fn events(chunks: &[&str]) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream",
            chunks: chunks.iter().map(|&chunk| chunk.to_owned()).collect(),
            cut: false,
            gate: None,
        }
    }
}

impl Answer {
    /// Lets each chunk but the first wait for a word of the sender that is given back.
    pub(crate) fn gated(mut self) -> (Self, Sender<()>) {
        let (sender, receiver) = channel();
        self.gate = Some(Arc::new(Mutex::new(receiver)));
        (self, sender)
    }
}

/// An event of a stream of `OpenAI`'s that brings a piece of text.
pub(crate) fn piece(text: &str) -> String {
    let delta = serde_json::json!({"content": text});
    let event = serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
    format!("data: {event}\n\n")
}

/// A server that gives these answers in order, and what was asked of it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Bodies.
    pub(crate) requests: Receiver<String>,
    /// Heads, in small letters.
    pub(crate) heads: Receiver<String>,
}

impl Server {
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let (head_sender, heads) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let (head, body) = read_request(&stream);
                // Tests that do not look have dropped the receivers.
                drop(head_sender.send(head));
                drop(sender.send(body));
                // The client may be gone, which is what some tests are about.
                drop(write_answer(stream, &answer));
            }
        });
        Self {
            address,
            requests,
            heads,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn read_request(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut head = String::new();
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
        head.push_str(&line);
        head.push('\n');
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn write_answer(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {} X\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n",
        answer.status, answer.content_type
    )?;
    for (n, chunk) in answer.chunks.iter().enumerate() {
        if let Some(gate) = answer.gate.as_ref().filter(|_| n > 0) {
            // An error says that nobody will give the word.
            let _ended = gate.lock().unwrap().recv();
        }
        write!(stream, "{:x}\r\n{chunk}\r\n", chunk.len())?;
        stream.flush()?;
    }
    if !answer.cut {
        write!(stream, "0\r\n\r\n")?;
    }
    stream.flush()
}
