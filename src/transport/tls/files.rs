//! Certificates and keys from PEM files.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A file of certificates or keys that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFileError {
    path: PathBuf,
    what: String,
}

impl TlsFileError {
    pub(super) fn new(path: &Path, what: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }

    /// There is no file for the TLS listener at this address.
    #[must_use]
    pub fn unnamed(listener: SocketAddr) -> Self {
        let what = format_args!("no certificate is named for {listener} (tls)");
        Self::new(Path::new("the configuration"), what)
    }

    fn of_pem(path: &Path, error: Error) -> Self {
        match error {
            Error::Io(error) => Self::new(path, error),
            Error::NoItemsFound => Self::new(path, "holds no private key in PEM"),
            other => Self::new(path, format_args!("is no PEM: {other}")),
        }
    }
}

impl fmt::Display for TlsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for TlsFileError {}

/// A chain and its key.
pub(super) fn identity(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsFileError> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsFileError::of_pem(key, e))?;
    Ok((chain, key))
}

/// The first second since 1970 in which one of a chain is not valid any more; `None` where
/// none of them can be read.
pub(super) fn valid_until_s(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let ends = chain.iter().filter_map(|certificate| {
        let (_, read) = X509Certificate::from_der(certificate).ok()?;
        Some(read.validity().not_after.timestamp().saturating_add(1))
    });
    ends.min()
}

/// The CAs of a file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsFileError::new(path, super::explained(&error)))?;
    }
    Ok(roots)
}

/// The CAs the system believes.
pub(super) fn system_authorities() -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let what = "there is no CA: install ca-certificates, or name a file";
        return Err(TlsFileError::new(Path::new("the system"), what));
    }
    Ok(roots)
}

/// The certificates of a file, in its order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let found =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| TlsFileError::of_pem(path, error))?;
    if found.is_empty() {
        return Err(TlsFileError::new(path, "holds no certificate in PEM"));
    }
    Ok(found)
}
