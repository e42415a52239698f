use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Bytes that are kept together once one of them is written.
const PAGE_BYTES: u64 = 4096;
/// What redb changes of a file when it is opened for writing, and at each commit.
const HEADER_BYTES: usize = 320;

/// A file that is only read, with writes kept in memory: lets redb repair a file that a killed
/// writer left unclean without changing it.
///
/// It takes no locks. It is used where redb reported an unclean file, which it does only while no
/// writer has it open. A writer that comes later first changes the header, to repair the file and
/// at each commit, and writes over pages of an earlier commit only after that: what was read
/// before the header is seen unchanged is what was there at the beginning. After that every read
/// fails with [`ChangedUnderneath`].
#[derive(Debug)]
pub(crate) struct Overlay {
    file: File,
    /// redb's header as it was at the beginning.
    header: [u8; HEADER_BYTES],
    state: Mutex<State>,
}

/// A writer has opened a file that is read without locks.
#[derive(Debug, thiserror::Error)]
#[error("a writer has opened the file meanwhile")]
pub(crate) struct ChangedUnderneath;

#[derive(Debug)]
struct State {
    length: u64,
    file_length: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self {
            header: read_header(&file)?,
            file,
            state: Mutex::new(State {
                length,
                file_length: length,
                pages: BTreeMap::new(),
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page as it is: written, from the file, or zero behind the file's end.
    fn page(&self, state: &State, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = state.pages.get(&number) {
            return Ok(page.clone());
        }
        let start = number * PAGE_BYTES;
        let mut page = vec![0; PAGE_BYTES as usize];
        let in_file = state.file_length.saturating_sub(start).min(PAGE_BYTES) as usize;
        read_exact_at(&self.file, start, &mut page[..in_file])?;
        Ok(page)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let end = offset.saturating_add(out.len() as u64);
        if end > state.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        while at < end {
            let number = at / PAGE_BYTES;
            let next = ((number + 1) * PAGE_BYTES).min(end);
            let page = self.page(&state, number)?;
            let from = (at % PAGE_BYTES) as usize;
            let length = (next - at) as usize;
            let target = (at - offset) as usize;
            out[target..target + length].copy_from_slice(&page[from..from + length]);
            at = next;
        }
        if read_header(&self.file)? != self.header {
            return Err(io::Error::other(ChangedUnderneath));
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if length < state.length {
            // What is cut off reads as zero if the storage grows again.
            state.pages.retain(|number, _| number * PAGE_BYTES < length);
            let number = length / PAGE_BYTES;
            let mut page = self.page(&state, number)?;
            page[(length % PAGE_BYTES) as usize..].fill(0);
            state.file_length = state.file_length.min(length);
            state.pages.insert(number, page);
        }
        state.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let end = offset + data.len() as u64;
        let mut at = offset;
        while at < end {
            let number = at / PAGE_BYTES;
            let next = ((number + 1) * PAGE_BYTES).min(end);
            let mut page = self.page(&state, number)?;
            let into = (at % PAGE_BYTES) as usize;
            let length = (next - at) as usize;
            let source = (at - offset) as usize;
            page[into..into + length].copy_from_slice(&data[source..source + length]);
            state.pages.insert(number, page);
            at = next;
        }
        state.length = state.length.max(end);
        Ok(())
    }
}

/// The header; zeros where the file is shorter.
fn read_header(file: &File) -> io::Result<[u8; HEADER_BYTES]> {
    let mut header = [0; HEADER_BYTES];
    let length = file.metadata()?.len().min(HEADER_BYTES as u64) as usize;
    read_exact_at(file, 0, &mut header[..length])?;
    Ok(header)
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    file.read_exact_at(out, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    let mut done = 0;
    while done < out.len() {
        match file.seek_read(&mut out[done..], offset + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLength(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (
                0..20_000u64,
                proptest::collection::vec(any::<u8>(), 0..9_000)
            )
                .prop_map(|(at, data)| Step::Write(at, data)),
            (0..30_000u64).prop_map(Step::SetLength),
        ];
        proptest::collection::vec(step, 0..12)
    }

    #[test]
    fn a_writer_that_comes_is_noticed_before_anything_it_changed_is_used() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 9_000]).unwrap();
        let overlay = Overlay::new(file.reopen().unwrap()).unwrap();
        overlay.write(5_000, &[8; 10]).unwrap();
        let mut read = [0; 20];
        overlay.read(4_995, &mut read).unwrap();
        assert_eq!(read, [[7; 5], [8; 5], [8; 5], [7; 5]].concat()[..]);
        file.as_file_mut().seek(SeekFrom::Start(9)).unwrap();
        file.write_all(&[1]).unwrap();
        let error = overlay.read(4_995, &mut read).unwrap_err();
        let path = file.path();
        let error = crate::StorageError::redb("read", path, redb::Error::Io(error));
        assert!(
            matches!(error, crate::StorageError::Changed { .. }),
            "{error}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn behaves_like_a_vector_and_leaves_the_file_alone(
            original in proptest::collection::vec(any::<u8>(), 0..15_000),
            steps in steps(),
        ) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&original).unwrap();
            let overlay = Overlay::new(file.reopen().unwrap()).unwrap();
            let mut model = original.clone();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        // redb grows its file before it writes behind the end.
                        let end = at as usize + data.len();
                        if model.len() < end {
                            model.resize(end, 0);
                            overlay.set_len(end as u64).unwrap();
                        }
                        overlay.write(at, &data).unwrap();
                        model[at as usize..end].copy_from_slice(&data);
                    }
                    Step::SetLength(length) => {
                        overlay.set_len(length).unwrap();
                        model.resize(length as usize, 0);
                    }
                }
                let mut read = vec![1; model.len()];
                overlay.read(0, &mut read).unwrap();
                prop_assert!(read == model);
                prop_assert!(overlay.read(1, &mut read).is_err() || model.is_empty());
            }
            prop_assert_eq!(std::fs::read(file.path()).unwrap(), original);
        }
    }
}
