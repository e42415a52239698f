//! Hooks with the client crates that they hook into, against a server on the loopback device.

#[cfg(test)]
mod http;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod server;
