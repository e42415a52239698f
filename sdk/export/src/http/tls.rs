use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// A connection cannot be secured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of the certificate authority cannot be read.
    #[error("cannot read the certificates in `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds no certificate that can be trusted.
    #[error("`{}` holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate is malformed, or the system's own cannot be read.
    #[error("the certificates cannot be used")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
}

impl TlsError {
    /// Returns whether the file is simply not there.
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// How certificates are checked: against those of `ca_file` alone where there is one, else against
/// the system's. An address without TLS trusts none.
pub(super) fn config(https: bool, ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    // The provider is named here so that the application's process-wide choice is left alone.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?;
    let config = match ca_file {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None if https => builder.with_platform_verifier().map_err(unusable)?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(config.with_no_client_auth())
}

fn unusable(error: rustls::Error) -> TlsError {
    TlsError::Unusable(Box::new(error))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let unreadable = |error| TlsError::Unreadable {
        path: path.to_owned(),
        source: match error {
            pem::Error::Io(source) => source,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        },
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_file_must_hold_a_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(config(true, Some(&path)).unwrap_err().is_missing_file());
        std::fs::write(&path, "no certificate\n").unwrap();
        assert!(matches!(
            config(true, Some(&path)),
            Err(TlsError::NoCertificate { .. })
        ));
        assert!(config(false, None).is_ok());
    }
}
