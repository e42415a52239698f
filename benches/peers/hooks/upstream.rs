//! A server on the loopback device that answers each call at once, plain or in a thousand chunks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Chunks of a streamed answer, beside the last.
pub(super) const CHUNKS: usize = 1_000;
const PLAIN: &str = "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":\
    {\"role\":\"assistant\",\"content\":\"four\"},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}";
const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Starts it; it ends with the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that went away ends its connection.
            std::thread::spawn(move || drop(converse(stream)));
        }
    });
    Ok(address)
}

fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let streamed = body.windows(13).any(|part| part == b"\"stream\":true");
        stream.write_all(if streamed { events() } else { plain() }.as_bytes())?;
    }
}

fn plain() -> String {
    let length = PLAIN.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{PLAIN}"
    )
}

fn events() -> String {
    let mut answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n"
        .to_owned();
    let chunk = format!("{:x}\r\n{EVENT}\r\n", EVENT.len());
    answer.push_str(&chunk.repeat(CHUNKS));
    let last = format!("{:x}\r\n{DONE}\r\n0\r\n\r\n", DONE.len());
    answer + &last
}
