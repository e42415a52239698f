use super::Spot;

/// The last event that brought a piece of text, apart from the text.
///
/// The events of a stream mostly repeat each other byte by byte but for their text: such a one is
/// known by comparing it, without reading its JSON.
#[derive(Debug, Default)]
pub(super) struct Echo {
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where its text went; nothing while there is none to remember.
    spot: Option<Spot>,
}

impl Echo {
    /// Remembers an event and the text in it, if the text stands there as it is, which one with
    /// escapes does not.
    pub(super) fn remember(&mut self, event: &[u8], text: &str, spot: Spot) {
        self.spot = None;
        let start = (text.as_ptr() as usize).checked_sub(event.as_ptr() as usize);
        let Some((before, rest)) = start.and_then(|start| event.split_at_checked(start)) else {
            return;
        };
        let after = rest.strip_prefix(text.as_bytes()).unwrap_or_default();
        if text.is_empty() || !before.ends_with(b"\"") || !after.starts_with(b"\"") {
            return;
        }
        self.before.clear();
        self.before.extend_from_slice(before);
        self.after.clear();
        self.after.extend_from_slice(after);
        self.spot = Some(spot);
    }

    /// The text of an event that differs from the remembered one in nothing else, and where it
    /// belongs. Texts with escapes are left to those who read JSON, and so is what is no text of
    /// JSON.
    pub(super) fn text<'e>(&self, event: &'e [u8]) -> Option<(&'e str, Spot)> {
        let spot = self.spot?;
        let rest = event.strip_prefix(self.before.as_slice())?;
        let text = rest.strip_suffix(self.after.as_slice())?;
        let is_plain = |byte: &u8| *byte >= 0x20 && !matches!(byte, b'"' | b'\\');
        if text.is_empty() || !text.iter().all(is_plain) {
            return None;
        }
        Some((std::str::from_utf8(text).ok()?, spot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot = Spot {
        place: 0,
        field: "text",
    };

    #[test]
    fn an_event_is_known_by_all_but_its_text() {
        let event = br#"{"i":1,"t":"ab","z":2}"#;
        let text = std::str::from_utf8(&event[12..14]).unwrap();
        let mut echo = Echo::default();
        assert_eq!(echo.text(event), None, "nothing is remembered");
        echo.remember(event, text, SPOT);
        for (same, text) in [
            (r#"{"i":1,"t":"c","z":2}"#, "c"),
            (r#"{"i":1,"t":" é","z":2}"#, " é"),
        ] {
            assert_eq!(echo.text(same.as_bytes()), Some((text, SPOT)));
        }
        for other in [
            br#"{"i":1,"t":"","z":2}"#.as_slice(),
            br#"{"i":2,"t":"c","z":2}"#,
            br#"{"i":1,"t":"c","z":3}"#,
            br#"{"i":1,"t":"c\n","z":2}"#,
            br#"{"i":1,"t":"c","t":"d","z":2}"#,
            b"{\"i\":1,\"t\":\"c\n\",\"z\":2}",
            b"{\"i\":1,\"t\":\"\xff\",\"z\":2}",
            br#"{"i":1,"t":"","#,
            br#"{"i":1,"t":""#,
            b"",
        ] {
            assert_eq!(echo.text(other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn a_text_from_elsewhere_is_not_remembered() {
        let event = br#"{"t":"ab"}"#;
        let key = std::str::from_utf8(&event[1..4]).unwrap();
        for text in ["ab", key, ""] {
            let mut echo = Echo::default();
            echo.remember(event, text, SPOT);
            assert_eq!(echo.text(event), None, "{text}");
        }
    }
}
