use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use subtle::ConstantTimeEq as _;

use crate::error::ServeError;
use crate::refusal::Refusal;

/// The header that carries the token to the proxy, whose `authorization` is the provider's.
pub(crate) const PROXY_TOKEN: &str = "x-spanlite-token";
const SHORTEST_TOKEN_BYTES: usize = 16;

/// A secret that senders must know.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Takes a token, white space around it left out. It must have 16 characters at least, all of
    /// them printable ASCII, so that a header can carry it.
    pub fn new(text: &str) -> Result<Self, ServeError> {
        let text = text.trim();
        let fits = text.len() >= SHORTEST_TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
        if !fits {
            return Err(ServeError::Token);
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads a token from a file.
    pub fn from_file(path: &Path) -> Result<Self, ServeError> {
        let text = std::fs::read_to_string(path).map_err(|source| ServeError::TokenFile {
            path: path.to_owned(),
            source,
        })?;
        Self::new(&text)
    }

    fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }
}

/// Who is let in.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    token: Option<Token>,
}

impl Gate {
    /// Without a token only addresses of this machine may be listened on.
    pub(crate) fn new(token: Option<Token>, addresses: &[SocketAddr]) -> Result<Self, ServeError> {
        let open = addresses.iter().find(|address| !address.ip().is_loopback());
        match (open, &token) {
            (Some(address), None) => Err(ServeError::NeedsToken { address: *address }),
            _ => Ok(Self { token }),
        }
    }

    /// Lets a sender in that gives the token as `authorization: Bearer …`.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        self.check(headers, given.and_then(after_bearer))
    }

    /// Lets a sender in that gives the token in the proxy's own header.
    pub(crate) fn own_header(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(PROXY_TOKEN).map(http::HeaderValue::as_bytes);
        self.check(headers, given)
    }

    fn check(&self, headers: &HeaderMap, given: Option<&[u8]>) -> Result<(), Refusal> {
        match &self.token {
            Some(token) if given.is_some_and(|given| token.is(given)) => Ok(()),
            Some(_) => Err(Refusal::Token),
            // A page in a browser can reach the loopback device: as `Origin` tells, or by a name of
            // its own that it lets point there, which shows as the host.
            None if headers.contains_key(ORIGIN) || !host_is_near(headers) => Err(Refusal::Host),
            None => Ok(()),
        }
    }
}

fn after_bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// Returns whether the host that the sender named is an address or this machine. HTTP/2 has the
/// host in its address, where no page can choose it without having chosen the protocol.
fn host_is_near(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn other_addresses_need_a_token() {
        let far = ["0.0.0.0:4318".parse().unwrap()];
        let near = [
            "127.0.0.1:4318".parse().unwrap(),
            "[::1]:1".parse().unwrap(),
        ];
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        assert!(matches!(
            Gate::new(None, &far),
            Err(ServeError::NeedsToken { .. })
        ));
        assert!(Gate::new(None, &near).is_ok());
        assert!(Gate::new(Some(token), &far).is_ok());
        assert!(Token::new("short").is_err());
        assert!(Token::new("0123456789 abcdef").is_err());
    }

    #[test]
    fn a_token_is_asked_for_where_there_is_one() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        let gate = Gate::new(Some(token), &[]).unwrap();
        let bearer = |value: &str| gate.bearer(&headers(&[("authorization", value)]));
        assert!(bearer("Bearer 0123456789abcdef").is_ok());
        assert!(bearer("bearer 0123456789abcdef").is_ok());
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "0123456789abcdef", ""] {
            assert!(matches!(bearer(wrong), Err(Refusal::Token)), "{wrong}");
        }
        let own = headers(&[("x-spanlite-token", "0123456789abcdef")]);
        assert!(gate.own_header(&own).is_ok());
        assert!(gate.bearer(&own).is_err());
    }

    #[test]
    fn pages_in_a_browser_are_refused() {
        let gate = Gate::new(None, &[]).unwrap();
        let page = headers(&[
            ("host", "localhost:4318"),
            ("origin", "https://evil.example"),
        ]);
        assert!(matches!(gate.bearer(&page), Err(Refusal::Host)));
        for host in ["127.0.0.1:4318", "localhost", "LOCALHOST:1", "[::1]:4318"] {
            assert!(gate.bearer(&headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:4318",
            "127.0.0.1.nip.io",
        ] {
            let refused = gate.bearer(&headers(&[("host", host)]));
            assert!(matches!(refused, Err(Refusal::Host)), "{host}");
        }
    }
}
