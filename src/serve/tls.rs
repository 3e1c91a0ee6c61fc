//! Certificates and key. Whatever is wrong with them stops the start: nothing is ever served in clear for want of them.

use std::path::Path;
use std::sync::Arc;

use pgwire::tokio::TlsAcceptor;
use pgwire::tokio::tokio_rustls::rustls::crypto::ring;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use pgwire::tokio::tokio_rustls::rustls::{DEFAULT_VERSIONS, ServerConfig};

use super::ServeError;

/// Name under which clients that begin with TLS at once ask for the protocol (PostgreSQL 17 documentation, 54.2.11, "SSL
/// Session Encryption").
const ALPN: &[u8] = b"postgresql";

/// What accepts TLS with the certificates and the key of these files.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, ServeError> {
    let wrong = |name: &'static str, path: &Path, reason: String| ServeError::Tls {
        key: name,
        path: path.to_owned(),
        reason,
    };
    let unreadable = |error| wrong("tls_certificate", certificate, format!("{error}"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(unreadable)?;
    if chain.is_empty() {
        let reason = "it holds no certificate".to_owned();
        return Err(wrong("tls_certificate", certificate, reason));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong("tls_key", key, format!("{error}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)
        .map(|config| config.with_no_client_auth())
        .and_then(|config| config.with_single_cert(chain, private))
        .map_err(|error| wrong("tls_key", key, format!("{error}")))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
