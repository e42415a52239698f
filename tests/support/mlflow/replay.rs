use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Sends recorded requests to a server again and waits for every answer: each connection's on one
/// of its own, of which so many are open at once.
pub fn replay(port: u16, recorded: &[Vec<u8>], n_connections: usize) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..n_connections {
            scope.spawn(|| {
                while let Some(bytes) = recorded.get(next.fetch_add(1, Ordering::Relaxed)) {
                    send(port, bytes).expect("the server answers");
                }
            });
        }
    });
}

fn send(port: u16, mut bytes: &[u8]) -> io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(&stream);
    while !bytes.is_empty() {
        let head = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map_or(bytes.len(), |at| at + 4);
        let length = head + content_length(&bytes[..head]);
        let (request, rest) = bytes.split_at(length.min(bytes.len()));
        (&stream).write_all(request)?;
        bytes = rest;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if answers.read_until(b'\n', &mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut body = vec![0; content_length(&head)];
        answers.read_exact(&mut body)?;
    }
    Ok(())
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    line.map_or(0, |length| length.trim().parse().expect("a length"))
}
