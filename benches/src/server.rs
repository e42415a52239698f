//! What stands at the other end of a benchmark: as little of HTTP/1.1 as clients need.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Makes a whole answer, head and body, of the body of a request.
pub type Answer = fn(&mut dyn Read) -> io::Result<Vec<u8>>;

/// Starts a server on the loopback device, with a thread a connection. It ends with the process.
pub fn serve(answer: Answer) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that went away ends its connection.
            thread::spawn(move || drop(converse(stream, answer)));
        }
    });
    Ok(address)
}

fn converse(mut stream: TcpStream, answer: Answer) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(body_bytes) = read_head(&mut reader)? {
        let mut body = (&mut reader).take(body_bytes);
        let answered = answer(&mut body)?;
        io::copy(&mut body, &mut io::sink())?;
        stream.write_all(&answered)?;
    }
    Ok(())
}

/// The length of the body of the next request; nothing if there is none.
fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<u64>> {
    let mut body_bytes = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            return Ok(Some(body_bytes));
        }
        if let Some(length) = line.strip_prefix("content-length:") {
            body_bytes = length.trim().parse().map_err(io::Error::other)?;
        }
    }
}
