use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use spanlite_model::TraceId;

use super::look::Look;

/// Where ids and paths lead when they are clicked, in terminals that have such links.
///
/// A link is written as OSC 8: <https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hyperlinks {
    /// Where a trace is seen in a browser, with `{trace_id}` in it; empty for nowhere.
    pub(crate) trace_url: String,
    /// The folder that relative paths are meant from.
    pub(crate) current_dir: PathBuf,
}

impl Look {
    /// What the id of a trace leads to.
    pub(crate) fn trace_link(&self, trace_id: TraceId) -> Option<String> {
        let template = &self.hyperlinks.as_ref()?.trace_url;
        let url = template.replace("{trace_id}", &trace_id.to_string());
        (!url.is_empty()).then(|| encoded(url.as_bytes(), is_url_byte))
    }

    /// What the path of a file leads to.
    pub(crate) fn file_link(&self, path: &Path) -> Option<String> {
        let path = self.hyperlinks.as_ref()?.current_dir.join(path);
        let bytes = path.as_os_str().as_encoded_bytes();
        Some(format!("file://{}", encoded(bytes, is_path_byte)))
    }
}

/// Every other byte would end the address, or be taken by the terminal.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte)
}

fn encoded(bytes: &[u8], is_kept: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if is_kept(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::look::Zone;
    use super::*;

    #[test]
    fn nothing_ends_an_address_early() {
        let mut look = Look {
            width: 80,
            color: false,
            hyperlinks: Some(Hyperlinks {
                trace_url: "http://h/#/{trace_id}?\x1b\\\u{202e} x".to_owned(),
                current_dir: PathBuf::from("/tmp/a b"),
            }),
            ascii: false,
            zone: Zone::Utc,
        };
        let id = TraceId::from_bytes([0xab; 16]);
        let link = look.trace_link(id).unwrap();
        assert_eq!(link, format!("http://h/#/{id}?%1B\\%E2%80%AE%20x"));
        let link = look.file_link(Path::new("ü;%.html")).unwrap();
        assert_eq!(link, "file:///tmp/a%20b/%C3%BC%3B%25.html");
        let link = look.file_link(Path::new("/x.html")).unwrap();
        assert_eq!(link, "file:///x.html");
        look.hyperlinks = None;
        assert_eq!(look.trace_link(id), None);
    }
}
