//! The least that something that stores spans has to do: the bytes of each span appended to a
//! buffer, which a thread writes to a file and syncs, in the rhythm of Spanlite's commits. No
//! threads of their own, no safety from a kill, no index, nothing to read it with.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Shape, Texts};

/// As [`spanlite::OpenOptions`] has them.
const COMMIT_INTERVAL: Duration = Duration::from_millis(250);
const COMMIT_BYTES: usize = 4 << 20;

/// A file that spans are appended to.
#[derive(Debug)]
pub struct Raw {
    buffer: Arc<Mutex<Vec<u8>>>,
    wake: Sender<Option<SyncSender<()>>>,
    next_id: u64,
}

impl Raw {
    /// A file in a folder, with a thread that writes it until this is dropped.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        let file = File::create(folder.join("raw"))?;
        let buffer = Arc::<Mutex<Vec<u8>>>::default();
        let (wake, woken) = channel();
        let written = Arc::clone(&buffer);
        std::thread::spawn(move || write(file, &written, &woken));
        Ok(Self {
            buffer,
            wake,
            next_id: 1,
        })
    }

    /// Makes `spans` spans.
    pub fn run(&mut self, shape: Shape, texts: &Texts, spans: u64) {
        for number in 0..spans {
            let start = now();
            self.next_id = self.next_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let end = now();
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            let before = buffer.len();
            for word in [0, 7, 7, self.next_id, 8, start, end] {
                buffer.extend_from_slice(&word.to_le_bytes());
            }
            let mut text = |text: &str| {
                buffer.extend_from_slice(&(text.len() as u32).to_le_bytes());
                buffer.extend_from_slice(text.as_bytes());
            };
            text("step");
            match shape {
                Shape::Bare => {}
                Shape::Attributes => {
                    let texts = ["model", &texts.model, "region", &texts.region, "attempt"];
                    texts.into_iter().for_each(&mut text);
                    buffer.extend_from_slice(&number.to_le_bytes());
                }
                Shape::Texts => {
                    let texts = ["inputs", &texts.kibibyte, "outputs", &texts.kibibyte];
                    texts.into_iter().for_each(&mut text);
                }
            }
            let full = before < COMMIT_BYTES && buffer.len() >= COMMIT_BYTES;
            black_box(&buffer);
            drop(buffer);
            if full {
                // Without the thread the flush fails.
                drop(self.wake.send(None));
            }
        }
    }

    /// Waits until everything is on disk.
    pub fn flush(&self) -> bool {
        let (done, is_done) = sync_channel(1);
        self.wake.send(Some(done)).is_ok() && is_done.recv().is_ok()
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

fn write(mut file: File, buffer: &Mutex<Vec<u8>>, woken: &Receiver<Option<SyncSender<()>>>) {
    let mut spare = Vec::new();
    loop {
        let asked = match woken.recv_timeout(COMMIT_INTERVAL) {
            Ok(asked) => asked,
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        std::mem::swap(
            &mut *buffer.lock().unwrap_or_else(PoisonError::into_inner),
            &mut spare,
        );
        if !spare.is_empty()
            && file
                .write_all(&spare)
                .and_then(|()| file.sync_data())
                .is_err()
        {
            // Whoever waits sees that this thread is gone.
            return;
        }
        spare.clear();
        if let Some(asked) = asked
            && asked.send(()).is_err()
        {
            return;
        }
    }
}
