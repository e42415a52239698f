use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::error::ServeError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A provider, under the name that begins the paths of its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    name: String,
    base: Url,
}

/// Providers whose addresses are known.
const KNOWN: [(&str, &str); 4] = [
    ("openai", "https://api.openai.com"),
    ("anthropic", "https://api.anthropic.com"),
    ("gemini", "https://generativelanguage.googleapis.com"),
    ("ollama", "http://127.0.0.1:11434"),
];

impl Upstream {
    /// `http://PROXY/name/rest` goes to `base/rest`.
    pub fn new(name: &str, base: &str) -> Result<Self, ServeError> {
        let parsed = Url::parse(base).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.has_host()
        });
        let base = parsed.ok_or_else(|| ServeError::Upstream {
            url: without_user(base),
        })?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(ServeError::PasswordInAddress);
        }
        Ok(Self {
            name: name.to_owned(),
            base,
        })
    }

    /// `OpenAI`, Anthropic, Gemini, and an Ollama on this machine.
    pub fn known() -> Vec<Self> {
        let known = KNOWN.into_iter();
        known
            .filter_map(|(name, base)| Self::new(name, base).ok())
            .collect()
    }

    /// The name that begins the paths of its calls.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the calls go.
    pub fn base(&self) -> &str {
        self.base.as_str()
    }

    /// The address of what is asked for behind the name.
    pub(super) fn address(&self, rest: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        let before = url.path().trim_end_matches('/');
        let path = format!("{before}/{rest}");
        url.set_path(&path);
        url.set_query(query);
        url
    }
}

/// An address without what may be a password.
fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

/// The client that calls all providers. It follows no redirects and unpacks nothing: what comes
/// is the caller's.
pub(super) fn client() -> Result<reqwest::Client, ServeError> {
    // The provider is named here so that the process-wide choice is left alone.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| ServeError::Tls(error.into()))?
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .build()
        .map_err(|error| ServeError::Client(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_put_behind_the_base() {
        let plain = Upstream::new("local", "http://127.0.0.1:8000").unwrap();
        assert_eq!(
            plain.address("v1/models", Some("a=b%20c")).as_str(),
            "http://127.0.0.1:8000/v1/models?a=b%20c"
        );
        let deep = Upstream::new("azure", "https://x.example/openai/").unwrap();
        assert_eq!(
            deep.address("v1/chat%2Fx", None).as_str(),
            "https://x.example/openai/v1/chat%2Fx"
        );
        let colon = Upstream::known().remove(2);
        assert_eq!(
            colon
                .address("v1beta/models/g:generateContent", None)
                .path(),
            "/v1beta/models/g:generateContent"
        );
    }

    #[test]
    fn wrong_bases_are_refused_without_their_secrets() {
        for wrong in ["", "ftp://x", "127.0.0.1:80", "http://x/?key=1"] {
            assert!(Upstream::new("x", wrong).is_err(), "{wrong}");
        }
        let error = Upstream::new("x", "ftp://user:secret@host/").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        let error = Upstream::new("x", "http://user:secret@host/").unwrap_err();
        assert!(matches!(error, ServeError::PasswordInAddress));
    }
}
