//! Contexts that travel: W3C `traceparent`, `tracestate` and `baggage` in headers, maps and the
//! environment.
//!
//! <https://www.w3.org/TR/trace-context/> and <https://www.w3.org/TR/baggage/>.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::process::Command;

use http::{HeaderMap, HeaderName, HeaderValue};
use spanlite_model::{SpanId, TraceId};

use crate::config::environment;
use crate::context::{Context, REMOTE, SAMPLED};
use crate::scope;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// Baggage beyond this is left behind, as W3C allows.
const BAGGAGE_BYTES: usize = 8_192;
const BAGGAGE_ENTRIES: usize = 64;

/// W3C's most members of a trace state. Of its bytes 512 have to be sent on.
const TRACESTATE_BYTES: usize = 8_192;
const TRACESTATE_ENTRIES: usize = 32;

/// Something that a context can be written into.
pub trait Inject {
    /// Sets a field; its name is in lower case.
    fn set(&mut self, name: &'static str, value: String);
}

/// Something that a context can be read from.
pub trait Extract {
    /// A field; its name is in lower case, and compared without case.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Inject for HeaderMap {
    fn set(&mut self, name: &'static str, value: String) {
        // What we write is visible ASCII.
        if let Ok(value) = HeaderValue::try_from(value) {
            self.insert(HeaderName::from_static(name), value);
        }
    }
}

impl Extract for HeaderMap {
    fn get(&self, name: &str) -> Option<&str> {
        Self::get(self, name)?.to_str().ok()
    }
}

impl<S: std::hash::BuildHasher> Inject for HashMap<String, String, S> {
    fn set(&mut self, name: &'static str, value: String) {
        self.insert(name.to_owned(), value);
    }
}

impl<S: std::hash::BuildHasher> Extract for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Inject for BTreeMap<String, String> {
    fn set(&mut self, name: &'static str, value: String) {
        self.insert(name.to_owned(), value);
    }
}

impl Extract for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Inject for Command {
    /// Sets the variable of the environment with the name in capitals.
    fn set(&mut self, name: &'static str, value: String) {
        self.env(name.to_ascii_uppercase(), value);
    }
}

/// Writes the place where the calling code stands into headers, a map or the environment of a
/// command. Writes nothing where no span is open.
///
/// ```
/// let mut headers = http::HeaderMap::new();
/// spanlite::inject(&mut headers);
/// ```
pub fn inject(into: &mut impl Inject) {
    let context = Context::current();
    let Some(traceparent) = context.traceparent() else {
        return;
    };
    into.set(TRACEPARENT, traceparent);
    let Some(carried) = scope::carried(context.scope()) else {
        return;
    };
    if let Some(tracestate) = carried.tracestate {
        into.set(TRACESTATE, tracestate);
    }
    if !carried.baggage.is_empty() {
        into.set(BAGGAGE, write_baggage(&carried.baggage));
    }
}

/// Reads the place where the caller stands from headers or a map. Nothing where there is no
/// `traceparent`, or a wrong one. Spans that are made there are children of the caller's, with
/// its `tracestate`; its baggage goes along, and `session.id` and `user.id` in it become session
/// and user of the trace.
///
/// Of a `tracestate` the first 32 members are taken, of a `baggage` the first 64, and of each
/// 8,192 bytes; members beyond are left behind whole.
///
/// ```
/// # let headers = http::HeaderMap::new();
/// let caller = spanlite::extract(&headers).unwrap_or_default();
/// let _attached = caller.attach();
/// ```
pub fn extract(from: &impl Extract) -> Option<Context> {
    let context = Context::from_traceparent(from.get(TRACEPARENT)?)?;
    let tracestate = from
        .get(TRACESTATE)
        .map(|state| members_within(state, TRACESTATE_BYTES, TRACESTATE_ENTRIES))
        .filter(|state| !state.is_empty());
    let baggage = from.get(BAGGAGE).map(read_baggage).unwrap_or_default();
    Some(context.with_carried(tracestate.map(str::to_owned), baggage))
}

/// Reads the place where the process that started this one stood, from `TRACEPARENT`,
/// `TRACESTATE` and `BAGGAGE`.
pub fn extract_environment() -> Option<Context> {
    let names = [TRACEPARENT, TRACESTATE, BAGGAGE];
    let fields = names.iter().filter_map(|name| {
        let value = environment(&name.to_ascii_uppercase())?;
        Some(((*name).to_owned(), value.into_string().ok()?))
    });
    extract(&fields.collect::<BTreeMap<_, _>>())
}

/// The value of a key of the baggage that came with the calling code's context.
pub fn baggage(key: &str) -> Option<String> {
    scope::carried(crate::context::get().scope())?
        .baggage
        .remove(key)
}

impl Context {
    /// The place as W3C's `traceparent`; nothing where no span is open.
    pub fn traceparent(&self) -> Option<String> {
        let (trace_id, span_id) = (self.trace_id()?, self.span_id()?);
        let flags = u8::from(self.is(SAMPLED));
        Some(format!("00-{}-{span_id}-{flags:02x}", trace_id.to_hex()))
    }

    /// Reads W3C's `traceparent`. Fields that a later version adds are ignored.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = hex_byte(parts.next()?)?;
        let trace_id = lower_hex(parts.next()?)?.parse::<TraceId>().ok()?;
        let span_id = lower_hex(parts.next()?)?.parse::<SpanId>().ok()?;
        let flags = hex_byte(parts.next()?)?;
        let more = parts.next().is_some();
        if version == 0xff || version == 0 && more || trace_id.is_zero() || span_id.is_zero() {
            return None;
        }
        Some(Self::at(trace_id, span_id, REMOTE | flags & SAMPLED))
    }
}

fn lower_hex(text: &str) -> Option<&str> {
    let is_lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.bytes().all(is_lower).then_some(text)
}

fn hex_byte(text: &str) -> Option<u8> {
    let text = lower_hex(text).filter(|text| text.len() == 2)?;
    u8::from_str_radix(text, 16).ok()
}

/// The first members of a list that is parted by commas, as many as are whole within the limits.
fn members_within(list: &str, limit_bytes: usize, entries: usize) -> &str {
    let commas = list.match_indices(',').map(|(at, _)| at);
    let ends = commas.chain([list.len()]).take(entries);
    let end = ends.take_while(|end| *end <= limit_bytes).last();
    list.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Reads the members of a `baggage` header; properties are left out.
fn read_baggage(header: &str) -> BTreeMap<String, String> {
    let header = members_within(header, BAGGAGE_BYTES, BAGGAGE_ENTRIES);
    let members = header.split(',').filter_map(|member| {
        let (key, value) = member.split(';').next()?.split_once('=')?;
        Some((key.trim().to_owned(), percent_decode(value.trim())?))
    });
    members.filter(|(key, _)| is_token(key)).collect()
}

/// Returns whether a text may be a key: a `token` of RFC 7230.
fn is_token(key: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !key.is_empty() && key.bytes().all(is_part)
}

fn write_baggage(baggage: &BTreeMap<String, String>) -> String {
    let mut header = String::new();
    let sendable = baggage.iter().filter(|(key, _)| is_token(key));
    for (key, value) in sendable.take(BAGGAGE_ENTRIES) {
        let before = header.len();
        if before > 0 {
            header.push(',');
        }
        header.push_str(key);
        header.push('=');
        percent_encode(value, &mut header);
        if header.len() > BAGGAGE_BYTES {
            header.truncate(before);
            break;
        }
    }
    header
}

fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\",;\\%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a `String` cannot fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = Context::from_traceparent(PARENT).unwrap();
        assert!(context.is(REMOTE) && context.is_sampled());
        assert_eq!(context.traceparent().as_deref(), Some(PARENT));
        let unsampled = Context::from_traceparent(&PARENT.replace("-01", "-00")).unwrap();
        assert!(!unsampled.is_sampled());
        let later = PARENT.replacen("00-", "01-", 1) + "-more";
        assert_eq!(Context::from_traceparent(&later), Some(context));
    }

    #[test]
    fn wrong_traceparents_are_refused() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
            "00-é-b7ad6b7169203331-01",
        ] {
            assert_eq!(Context::from_traceparent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn baggage_is_percent_encoded_and_bounded() {
        let baggage = read_baggage("a=1, session.id=s%201;prop=x ,bad, =v, é%=x");
        let expected = [("a", "1"), ("session.id", "s 1")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(baggage, BTreeMap::from(expected));
        assert_eq!(write_baggage(&baggage), "a=1,session.id=s%201");
        let large = BTreeMap::from([
            ("a".to_owned(), "x".to_owned()),
            ("b".to_owned(), "%".repeat(BAGGAGE_BYTES)),
        ]);
        assert_eq!(write_baggage(&large), "a=x");
    }

    #[test]
    fn a_long_header_is_cut_between_members() {
        // The limit lies inside of the second value, and inside of a character.
        let long = format!("a=1,b={}é{},c=3", "x".repeat(8_185), "y".repeat(9_000));
        assert!(!long.is_char_boundary(BAGGAGE_BYTES));
        let only = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(read_baggage(&long), only);
        assert_eq!(read_baggage(&long.replace('é', "z")), only);
        assert_eq!(members_within("a,b", 3, 9), "a,b");
        assert_eq!(members_within("a,b", 2, 9), "a");
        assert_eq!(members_within("abc", 2, 9), "");
        assert_eq!(members_within("a,b,c", 9, 2), "a,b");
    }

    #[test]
    fn a_long_tracestate_is_cut_between_members() {
        let long = format!("a=1,b={}", "x".repeat(1 << 20));
        let mut headers = BTreeMap::from([(TRACEPARENT.to_owned(), PARENT.to_owned())]);
        headers.insert(TRACESTATE.to_owned(), long);
        let context = extract(&headers).unwrap();
        let carried = scope::carried(context.scope()).unwrap();
        assert_eq!(carried.tracestate.as_deref(), Some("a=1"));
    }
}
