//! Hooks with the client crates that they hook into, against a server on the loopback device.

#[cfg(test)]
mod examples;
#[cfg(test)]
mod genai;
#[cfg(test)]
mod http;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod server;

/// Names what secures connections, which `reqwest` leaves to the program here.
#[cfg(test)]
fn choose_tls() {
    // An error says that another test was first.
    drop(rustls::crypto::ring::default_provider().install_default());
}
