use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    InvalidHeaderName, InvalidHeaderValue, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

use super::error::Answer;
use super::{AuthError, Credentials, RequestError, TlsError, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that takes in a request of fifty thousand spans needs most of a minute.
const READ_TIMEOUT: Duration = Duration::from_secs(180);
/// Answers that are larger are cut; none that is read here comes near.
const ANSWER_LIMIT_BYTES: usize = 64 << 20;
/// Below this a body is sent as it is: packing it would cost more than it saves.
const PACK_FROM_BYTES: usize = 1_024;
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(900);

/// How a server is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    pub(crate) url: String,
    pub(crate) credentials: Credentials,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) headers: Vec<(String, String)>,
}

/// No connection can be made as the job says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none, or neither `http` nor `https`.
    #[error("`{url}` is not an http or https address")]
    Address {
        /// The address.
        url: String,
    },
    /// The address holds a user or a password, which would be kept in the store.
    #[error("the address must not hold a password; name a variable or a file")]
    PasswordInAddress,
    /// The name of an extra header cannot be sent.
    #[error("`{name}` is no name of a header")]
    HeaderName {
        /// The name.
        name: String,
        /// Why not.
        #[source]
        source: InvalidHeaderName,
    },
    /// The value of an extra header cannot be sent.
    #[error("the value of the header `{name}` cannot be sent")]
    HeaderValue {
        /// The header.
        name: String,
        /// Why not.
        #[source]
        source: InvalidHeaderValue,
    },
    /// The secret cannot be had.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The connection cannot be secured.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

/// A request, apart from its server.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// What it is, for messages.
    pub(crate) what: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Body>,
}

/// The body of a request, packed once however often it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    content_type: &'static str,
    packed: bool,
    bytes: bytes::Bytes,
}

impl Body {
    /// Packs a body, apart from the threads that wait for the network.
    pub(crate) async fn pack(content_type: &'static str, bytes: Vec<u8>) -> Self {
        if bytes.len() < PACK_FROM_BYTES {
            return Self::plain(content_type, bytes);
        }
        let bytes = bytes::Bytes::from(bytes);
        let plain = bytes.clone();
        match tokio::task::spawn_blocking(move || gzip(&plain)).await {
            Ok(Ok(packed)) => Self {
                content_type,
                packed: true,
                bytes: packed.into(),
            },
            // Writing into memory does not fail; if it did, the plain bytes say the same.
            Ok(Err(_)) | Err(_) => Self {
                content_type,
                packed: false,
                bytes,
            },
        }
    }

    /// A body that is sent as it is.
    pub(crate) fn plain(content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            content_type,
            packed: false,
            bytes: bytes.into(),
        }
    }

    /// How many bytes go over the wire.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

impl Request {
    pub(crate) fn get(what: &'static str, path: impl Into<String>) -> Self {
        Self {
            what,
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
        }
    }

    pub(crate) fn post(what: &'static str, path: impl Into<String>, body: Body) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(what, path)
        }
    }
}

/// A whole answer that says yes.
#[derive(Debug)]
pub(crate) struct Reply {
    what: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, RequestError> {
        serde_json::from_slice(&self.body).map_err(|source| RequestError::Unreadable {
            what: self.what,
            source,
        })
    }
}

impl Connection {
    /// Finds out whether the address and the extra headers can be used.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        self.base()?;
        self.extra_headers()?;
        Ok(())
    }

    fn base(&self) -> Result<Url, ConnectError> {
        let address = || ConnectError::Address {
            url: self.url.clone(),
        };
        let mut base = Url::parse(&self.url).map_err(|_| address())?;
        if !matches!(base.scheme(), "https" | "http") {
            return Err(address());
        }
        if base.password().is_some() || !base.username().is_empty() {
            return Err(ConnectError::PasswordInAddress);
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(base)
    }

    fn extra_headers(&self) -> Result<HeaderMap, ConnectError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let key =
                HeaderName::try_from(name.as_str()).map_err(|source| ConnectError::HeaderName {
                    name: name.clone(),
                    source,
                })?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|source| {
                ConnectError::HeaderValue {
                    name: name.clone(),
                    source,
                }
            })?;
            headers.insert(key, value);
        }
        Ok(headers)
    }
}

impl Client {
    pub(crate) fn new(connection: &Connection) -> Result<Self, ConnectError> {
        let base = connection.base()?;
        let https = base.scheme() == "https";
        let mut headers = connection.extra_headers()?;
        if let Some(secret) = connection.credentials.resolve()? {
            headers.insert(AUTHORIZATION, secret);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("spanlite/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls::config(https, connection.ca_file.as_deref())?)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .default_headers(headers)
            .build()
            .map_err(|error| ConnectError::Client(Box::new(error)))?;
        Ok(Self { http, base })
    }

    /// Sends a request once and waits for the whole answer.
    pub(crate) async fn send(&self, request: &Request) -> Result<Reply, RequestError> {
        let what = request.what;
        let no_answer = |source| RequestError::no_answer(what, source);
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path(), request.path));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut builder = self
            .http
            .request(request.method.clone(), url)
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            builder = builder
                .header(CONTENT_TYPE, body.content_type)
                .body(body.bytes.clone());
            if body.packed {
                builder = builder.header(CONTENT_ENCODING, "gzip");
            }
        }
        let mut response = builder.send().await.map_err(no_answer)?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?.trim()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_LIMIT_BYTES {
                break;
            }
        }
        if status.is_success() {
            return Ok(Reply { what, body });
        }
        Err(RequestError::Refused {
            what,
            answer: Answer::new(status.as_u16(), &body, retry_after),
        })
    }
}

/// Seconds, or a date that is compared with this machine's clock. A clock that is wrong by hours
/// must not stop a job for hours.
fn retry_after(text: &str) -> Option<Duration> {
    let asked = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = DateTime::parse_from_rfc2822(text).ok()?;
        let until = date.signed_duration_since(Utc::now());
        until.to_std().unwrap_or_default()
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("999999999"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(
            retry_after("Fri, 01 Jan 2100 00:00:00 GMT"),
            Some(LONGEST_RETRY_AFTER)
        );
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn addresses_with_passwords_or_other_schemes_are_refused() {
        let connect = |url: &str| {
            Client::new(&Connection {
                url: url.to_owned(),
                credentials: Credentials::None,
                ..Connection::default()
            })
        };
        for url in ["ftp://host", "host:5000", ""] {
            assert!(
                matches!(connect(url), Err(ConnectError::Address { .. })),
                "{url}"
            );
        }
        assert!(matches!(
            connect("http://u:p@host"),
            Err(ConnectError::PasswordInAddress)
        ));
        assert!(connect("http://host/mlflow").is_ok());
    }
}
