//! Listens on this machine: takes spans of other programs into a store, and records calls of
//! models on their way to the provider.
//!
//! [`Receiver`] is what `spanlite receive` runs and [`Proxy`] what `spanlite proxy` runs. Both
//! listen on the loopback device unless told otherwise, and elsewhere only with a [`Token`]. They
//! speak no TLS: what reaches them from other machines passes in the clear, unless a server in
//! front of them encrypts it.

mod budget;
mod error;
mod gate;
mod intake;
mod listen;
mod proxy;
mod receive;
mod refusal;

pub use error::ServeError;
pub use gate::Token;
pub use intake::Totals;
pub use proxy::{Proxy, ProxyOptions, ProxyTotals, Upstream};
pub use receive::{ReceiveOptions, Receiver};
