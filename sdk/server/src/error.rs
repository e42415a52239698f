use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address that others can reach was asked for, without a token.
    #[error("{address} can be reached from other machines, and there is no token")]
    NeedsToken {
        /// The address.
        address: SocketAddr,
    },
    /// The token is too short, or no header can carry it.
    #[error("a token has at least 16 characters, all printable ASCII without spaces")]
    Token,
    /// The file of the token cannot be read.
    #[error("the token file `{}` cannot be read", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address of an upstream is none, or neither `http` nor `https`.
    #[error("`{url}` is not an http or https address")]
    Upstream {
        /// What was given, without what may be a secret.
        url: String,
    },
    /// The address of an upstream holds a user or a password; keys are sent by clients.
    #[error("the address of an upstream must not hold a password")]
    PasswordInAddress,
    /// Connections to upstreams cannot be secured.
    #[error("the system's certificates cannot be used")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// The writing thread does not start.
    #[error("the writing thread does not start")]
    Thread(#[source] io::Error),
}
