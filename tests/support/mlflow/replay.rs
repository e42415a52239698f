use std::io::{self, BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Sends recorded requests to a server again and waits for every answer: in their order, each as
/// soon as one of so many connections is free, whether or not it builds on one under way.
pub fn replay(port: u16, requests: &[Vec<u8>], n_connections: usize) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..n_connections {
            scope.spawn(|| send(port, requests, &next).expect("the server answers"));
        }
    });
}

fn send(port: u16, requests: &[Vec<u8>], next: &AtomicUsize) -> io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(&stream);
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        (&stream).write_all(request)?;
        if read_message(&mut answers)?.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// A request or an answer, whole; nothing at the end of the connection.
pub(super) fn read_message(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut message)? == 0 {
            return if message.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
    let head = message.len();
    message.resize(head + content_length(&message), 0);
    from.read_exact(&mut message[head..])?;
    Ok(Some(message))
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    line.map_or(0, |length| length.trim().parse().expect("a length"))
}
