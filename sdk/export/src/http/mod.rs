//! Requests to a server that may be slow, away, or answer nonsense.

mod auth;
mod circuit;
mod client;
mod error;
mod sender;
mod tls;

pub use auth::{AuthError, Credentials};
pub(crate) use circuit::{Circuit, GaveUp};
pub use client::ConnectError;
pub(crate) use client::{Body, Client, Connection, Reply, Request};
pub use error::{Answer, RequestError};
pub(crate) use sender::{Sender, Unsent, Verdict};
pub use tls::TlsError;
