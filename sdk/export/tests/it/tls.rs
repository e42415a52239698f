use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use spanlite_export::{ExportJob, RunEnd, RunOptions, Target, run};

use crate::fake::FakeServer;
use crate::fixtures::{mlflow_job, options, store_of};

/// An authority of its own, written to a file, and a server's setting with a certificate of it for
/// `localhost`.
fn authority(folder: &Path, name: &str) -> (PathBuf, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (file, Arc::new(config))
}

fn job(host: &str, port: u16, ca_file: Option<PathBuf>) -> ExportJob {
    let mut job = mlflow_job(format!("https://{host}:{port}"));
    if let Target::Mlflow(address) = &mut job.target {
        address.ca_file = ca_file;
    }
    job
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authority_that_is_named_and_by_no_other() {
    let (folder, store) = store_of(3);
    let (ours, config) = authority(folder.path(), "ours.pem");
    let (theirs, _) = authority(folder.path(), "theirs.pem");
    let server = FakeServer::start_tls(config);
    let hasty = || RunOptions {
        patience: Duration::from_millis(300),
        ..options()
    };
    for (host, ca_file) in [
        ("localhost", Some(theirs)),
        ("localhost", None),
        // The certificate is for another name.
        ("127.0.0.1", Some(ours.clone())),
    ] {
        let job = job(host, server.port(), ca_file);
        let report = run(&store, &job, hasty()).await.unwrap();
        assert_eq!((report.end, report.n_sent), (RunEnd::Unreachable, 0));
        let trouble = report.trouble.unwrap();
        assert!(trouble.contains("certificate"), "{trouble}");
    }
    assert!(server.contents.lock().unwrap().requests.is_empty());
    let job = job("localhost", server.port(), Some(ours));
    let report = run(&store, &job, options()).await.unwrap();
    assert!(report.is_complete() && report.n_sent == 3, "{report:?}");
}

#[tokio::test]
async fn an_answer_without_tls_is_said_to_be_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // What the client had sent meanwhile is read, so that the answer is not cut off.
        drop(stream.read(&mut [0; 4_096]));
    });
    let (_folder, store) = store_of(1);
    let options = RunOptions {
        patience: Duration::ZERO,
        ..options()
    };
    let job = job("127.0.0.1", port, None);
    let report = run(&store, &job, options).await.unwrap();
    let trouble = report.trouble.unwrap();
    assert!(trouble.contains("speaks no TLS"), "{trouble}");
    answering.join().unwrap();
}
