use std::io::{self, BufReader, Read as _, Write as _};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::replay::read_message;

const IDLE: Duration = Duration::from_millis(20);
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// What the network does to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Carries everything.
    Pass,
    /// Carries everything and keeps the requests.
    Record,
    /// Carries everything, each piece later.
    Delay(Duration),
    /// Hangs up after the first bytes of the request.
    Drop,
    /// Carries the request whole, and the beginning of the answer: the sender does not know.
    Truncate,
    /// Answers every request itself, with status 500 and a page.
    Fail,
}

/// A network between a job and a server that can be made bad.
#[derive(Debug)]
pub struct BadProxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server_port: u16,
    mode: Mutex<Mode>,
    open: Mutex<Vec<TcpStream>>,
    recorded: Mutex<Vec<Vec<u8>>>,
    ended: AtomicBool,
    n_bytes_sent: AtomicU64,
}

impl BadProxy {
    /// Stands before a server on the loopback interface.
    pub fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            server_port,
            mode: Mutex::new(Mode::Pass),
            open: Mutex::default(),
            recorded: Mutex::default(),
            ended: AtomicBool::new(false),
            n_bytes_sent: AtomicU64::new(0),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if shared.ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        // A connection that breaks is what the proxy is for.
                        let _broken: io::Result<()> = shared.carry(&stream);
                    });
                }
            })
        };
        Self {
            port,
            shared,
            accepting: Some(accepting),
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what the network does. Connections that are open are broken.
    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().expect("mode") = mode;
        self.shared.hang_up();
    }

    /// Takes the requests that went to the server while recording, in the order of their coming.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        mem::take(&mut *self.shared.recorded.lock().expect("recorded"))
    }

    /// How many bytes were carried to the server.
    pub fn n_bytes_sent(&self) -> u64 {
        self.shared.n_bytes_sent.load(Ordering::Relaxed)
    }
}

impl Drop for BadProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.hang_up();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the proxy did not panic");
        }
    }
}

impl Shared {
    fn hang_up(&self) {
        for stream in self.open.lock().expect("open").drain(..) {
            let _gone: io::Result<()> = stream.shutdown(Shutdown::Both);
        }
    }

    fn carry(&self, client: &TcpStream) -> io::Result<()> {
        let mode = *self.mode.lock().expect("mode");
        self.open.lock().expect("open").push(client.try_clone()?);
        match mode {
            Mode::Drop => {
                (&mut &*client).read_exact(&mut [0; 16])?;
                client.shutdown(Shutdown::Both)
            }
            Mode::Fail => fail(client),
            Mode::Pass => self.copy(client, Duration::ZERO, None),
            Mode::Delay(by) => self.copy(client, by, None),
            Mode::Truncate => self.copy(client, Duration::ZERO, Some(40)),
            Mode::Record => self.record(client),
        }
    }

    fn connect(&self, client: &TcpStream) -> io::Result<TcpStream> {
        let server = TcpStream::connect(("127.0.0.1", self.server_port))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        self.open.lock().expect("open").push(server.try_clone()?);
        Ok(server)
    }

    fn record(&self, mut client: &TcpStream) -> io::Result<()> {
        let mut server = &self.connect(client)?;
        let (mut requests, mut answers) = (BufReader::new(client), BufReader::new(server));
        while let Some(request) = read_message(&mut requests)? {
            server.write_all(&request)?;
            self.n_bytes_sent
                .fetch_add(request.len() as u64, Ordering::Relaxed);
            self.recorded.lock().expect("recorded").push(request);
            let Some(answer) = read_message(&mut answers)? else {
                break;
            };
            client.write_all(&answer)?;
        }
        client.shutdown(Shutdown::Both)
    }

    fn copy(
        &self,
        client: &TcpStream,
        delay: Duration,
        answer_bytes: Option<u64>,
    ) -> io::Result<()> {
        let server = self.connect(client)?;
        let up = Pump {
            delay,
            limit: None,
            carried: Some(&self.n_bytes_sent),
        };
        let down = Pump {
            delay,
            limit: answer_bytes,
            carried: None,
        };
        thread::scope(|scope| {
            let up = scope.spawn(|| up.run(client, &server));
            let down = down.run(&server, client);
            client.shutdown(Shutdown::Both).and(down).and_then(|()| {
                up.join()
                    .unwrap_or_else(|_| Err(io::Error::other("the pump panicked")))
            })
        })
    }
}

/// Carries bytes one way.
struct Pump<'a> {
    delay: Duration,
    limit: Option<u64>,
    carried: Option<&'a AtomicU64>,
}

impl Pump<'_> {
    fn run(self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            thread::sleep(self.delay);
            let n = n.min(usize::try_from(left).unwrap_or(usize::MAX));
            to.write_all(&buffer[..n])?;
            left -= n as u64;
            if let Some(carried) = self.carried {
                carried.fetch_add(n as u64, Ordering::Relaxed);
            }
        }
        to.shutdown(Shutdown::Both)
    }
}

/// Reads what comes until it pauses, then answers with an error page.
fn fail(mut client: &TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(LONGEST_REQUEST))?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => client.set_read_timeout(Some(IDLE))?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let page = "<html>broken gateway</html>";
    write!(
        client,
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
        page.len()
    )?;
    client.shutdown(Shutdown::Write)
}
