//! Certificate and key of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::limits;
use crate::sys::fs;

/// A server's identity, ready to use.
pub struct Tls(Arc<ServerConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One could not be read, or others may read the key.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The file holds no certificate.
    #[error("{path}: {why}", path = path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file holds no private key.
    #[error("{path}: {why}", path = path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; says nothing of the key.
        why: String,
    },
    /// The key is not the certificate's, or of a kind that is not used for TLS.
    #[error("{certificate} and {key} do not go together: {why}", certificate = certificate.display(), key = key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// In the words of the TLS library.
        why: String,
    },
}

impl Tls {
    /// Reads a PEM file of certificates (the server's first, then those that vouch for it) and one with the key.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let wrong = |why: String| TlsError::Certificate { path: certificate.to_owned(), why };
        let pem = fs::read_limited(certificate, limits::HAND_WRITTEN_BYTES)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(format!("it is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(wrong("it holds no certificate".to_owned()));
        }
        let pem = fs::read_private(key, limits::KEY_BYTES)?;
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::Key {
            path: key.to_owned(),
            why: "it holds no private key without a passphrase".to_owned(),
        })?;
        let pair = |error: rustls::Error| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            why: error.to_string(),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(self) -> TlsAcceptor {
        TlsAcceptor::from(self.0)
    }
}
