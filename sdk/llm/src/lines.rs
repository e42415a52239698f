use memchr::memchr2;

/// Puts lines together from chunks that are cut anywhere. Lines end with LF, CR LF or CR.
#[derive(Debug)]
pub(crate) struct Lines {
    part: Vec<u8>,
    limit_bytes: usize,
    /// Whether the line being read is longer than the limit and is left out.
    skipping: bool,
    /// Whether the last byte was a CR, whose LF may follow.
    after_return: bool,
    /// How many lines were left out.
    pub(crate) skipped: u64,
}

impl Lines {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            part: Vec::new(),
            limit_bytes,
            skipping: false,
            after_return: false,
            skipped: 0,
        }
    }

    /// Takes a chunk and gives each line that it ends to `each`.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(&[u8])) {
        if self.after_return && !chunk.is_empty() {
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            self.after_return = false;
        }
        while let Some(end) = memchr2(b'\n', b'\r', chunk) {
            let (line, rest) = chunk.split_at(end);
            if self.part.is_empty() && !self.skipping && line.len() <= self.limit_bytes {
                each(line);
            } else {
                self.keep(line);
                self.end_line(&mut each);
            }
            chunk = match rest {
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => rest,
            };
            self.after_return = matches!(rest, [b'\r']);
        }
        self.keep(chunk);
    }

    /// Gives the last line, which nothing ended, to `each`.
    pub(crate) fn finish(&mut self, each: impl FnMut(&[u8])) {
        if !self.part.is_empty() {
            self.end_line(each);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skipping || self.part.len() + bytes.len() > self.limit_bytes {
            self.skipping = true;
            self.part.clear();
        } else {
            self.part.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, mut each: impl FnMut(&[u8])) {
        if std::mem::take(&mut self.skipping) {
            self.skipped += 1;
        } else {
            each(&self.part);
        }
        self.part.clear();
    }
}

/// The data of a line of a stream of events; nothing for other fields and comments.
///
/// Data of several lines is not joined: no model interface sends any.
pub(crate) fn event_data(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let data = line.strip_prefix(b"data:")?;
    Some(data.strip_prefix(b" ").unwrap_or(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]], limit: usize) -> (Vec<String>, u64) {
        let mut lines = Lines::new(limit);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, |line| {
                out.push(String::from_utf8_lossy(line).into_owned());
            });
        }
        lines.finish(|line| out.push(String::from_utf8_lossy(line).into_owned()));
        (out, lines.skipped)
    }

    #[test]
    fn cuts_anywhere_make_no_difference() {
        let text = b"data: a\r\n\r\ndata: b\n\ndata: c\rdata: d";
        let (whole, _) = lines(&[text], 100);
        assert_eq!(whole, ["data: a", "", "data: b", "", "data: c", "data: d"]);
        for cut in 0..text.len() {
            let (head, tail) = text.split_at(cut);
            assert_eq!(lines(&[head, tail], 100).0, whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&bytes, 100).0, whole);
    }

    #[test]
    fn a_long_line_is_left_out_and_counted() {
        let (rest, skipped) = lines(&[b"ok\n", &[b'x'; 50], &[b'x'; 50], b"\nfine\n"], 60);
        assert_eq!(
            (rest, skipped),
            (vec!["ok".to_owned(), "fine".to_owned()], 1)
        );
    }
}
