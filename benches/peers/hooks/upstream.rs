//! A server on the loopback device that answers each call at once, plain or in a thousand chunks.

use std::io::{self, Read};
use std::net::SocketAddr;

use spanlite_benches::serve;

/// Chunks of a streamed answer, beside the last.
pub(super) const CHUNKS: usize = 1_000;
const PLAIN: &str = "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":\
    {\"role\":\"assistant\",\"content\":\"four\"},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}";
const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Starts it; it ends with the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    serve(answer)
}

fn answer(body: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    body.read_to_end(&mut request)?;
    let streamed = request.windows(13).any(|part| part == b"\"stream\":true");
    Ok(if streamed { events() } else { plain() }.into_bytes())
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
