//! TLS around connections: whose certificates are shown and believed, read from files again
//! and again. RFC 5922 for the names.

mod facts;
mod files;
mod names;
mod peers;

pub use facts::CertificateFacts;
pub use files::TlsFileError;
pub use peers::{Authority, PeerAt, PeerTls, TlsPeers};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    Error, OtherError, PeerIncompatible, ServerConfig, SignatureScheme,
};

use super::Ended;

/// What a TLS listener shows, and what it asks of who comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// The file of its certificate chain, its own first (PEM).
    pub certificate: PathBuf,
    /// The file of its key (PEM).
    pub key: PathBuf,
    /// What is asked of clients.
    pub clients: Clients,
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// None is asked for.
    Unasked,
    /// One is asked for, and has to be good.
    Asked {
        /// The file of the CAs that are believed (PEM).
        authorities: PathBuf,
        /// Whether who has none is let in all the same.
        is_optional: bool,
        /// A certificate has to be for one of these; for any where there are none.
        names: Vec<ServerName<'static>>,
    },
}

/// The certificates of one listener as they were read last.
#[derive(Debug)]
pub struct TlsListener {
    files: ListenerTls,
    current: ArcSwap<Shown>,
}

/// What is shown now.
#[derive(Debug)]
struct Shown {
    config: Arc<ServerConfig>,
    valid_until_s: Option<i64>,
}

impl TlsListener {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(files: ListenerTls) -> Result<Self, TlsFileError> {
        let current = ArcSwap::from_pointee(shown(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again, for connections that come from now on. Those that are there
    /// keep what they have.
    ///
    /// # Errors
    /// The first file that cannot be used; all stays as it was.
    pub fn reload(&self) -> Result<(), TlsFileError> {
        self.current.store(Arc::new(shown(&self.files)?));
        Ok(())
    }

    /// What the next handshake uses.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }

    /// The file of the certificate that is shown now, and the first second since 1970 in
    /// which it, or one of its chain, is not valid any more.
    #[must_use]
    pub fn valid_until(&self) -> Option<(PathBuf, i64)> {
        let valid_until_s = self.current.load().valid_until_s?;
        Some((self.files.certificate.clone(), valid_until_s))
    }
}

fn shown(files: &ListenerTls) -> Result<Shown, TlsFileError> {
    let provider = provider();
    let unusable = |error: Error| TlsFileError::new(&files.certificate, explained(&error));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.clients {
        Clients::Unasked => builder.with_no_client_auth(),
        Clients::Asked {
            authorities,
            is_optional,
            names,
        } => {
            let roots = Arc::new(files::authorities(authorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = if *is_optional {
                verifier.allow_unauthenticated()
            } else {
                verifier
            };
            let chains = verifier
                .build()
                .map_err(|error| TlsFileError::new(authorities, error))?;
            builder.with_client_cert_verifier(Arc::new(NamedClients {
                chains,
                names: names.as_slice().into(),
            }))
        }
    };
    let (chain, key) = files::identity(&files.certificate, &files.key)?;
    let valid_until_s = files::valid_until_s(&chain);
    let config = builder.with_single_cert(chain, key).map_err(unusable)?;
    Ok(Shown {
        config: Arc::new(config),
        valid_until_s,
    })
}

/// What is believed of who takes what we tell: any certificate of these CAs that is for its
/// name.
pub(super) fn client(authority: &Authority) -> Result<Arc<ClientConfig>, TlsFileError> {
    let (roots, path) = match authority {
        Authority::System => (files::system_authorities()?, Path::new("the system")),
        Authority::File(path) => (files::authorities(path)?, path.as_path()),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFileError::new(path, explained(&error)))?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// The cryptography of all TLS here.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Believes clients whose certificate is for one of the names. RFC 5922 §7.2.
#[derive(Debug)]
struct NamedClients {
    chains: Arc<dyn ClientCertVerifier>,
    names: Box<[ServerName<'static>]>,
}

impl ClientCertVerifier for NamedClients {
    fn offer_client_auth(&self) -> bool {
        self.chains.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chains.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = (self.chains).verify_client_cert(end_entity, intermediates, now)?;
        let is_for = |name: &ServerName<'_>| names::check(end_entity, name, false).is_ok();
        if self.names.is_empty() || self.names.iter().any(is_for) {
            return Ok(verified);
        }
        Err(CertificateError::NotValidForName.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Why a handshake failed, and what to tell of it.
pub(super) fn failure(error: &io::Error) -> (Ended, Option<Box<str>>) {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(tls) = tls else {
        return (Ended::Handshake, Some(error.to_string().into()));
    };
    let why = match tls {
        Error::InvalidMessage(_) => Ended::NotTls,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Ended::Certificate,
        _ => Ended::Handshake,
    };
    (why, Some(explained(tls).into()))
}

fn is_of_a_ca(error: &OtherError) -> bool {
    let what = error.0.downcast_ref();
    matches!(what, Some(webpki::Error::CaUsedAsEndEntity))
}

/// What is wrong, for who runs a telephone exchange.
fn explained(error: &Error) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext,
        NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, Other,
        UnknownIssuer,
    };
    use PeerIncompatible::{
        ServerDoesNotSupportTls12Or13, SignatureAlgorithmsExtensionRequired,
        SupportedVersionsExtensionRequired, Tls12NotOffered, Tls12NotOfferedOrEnabled,
    };
    let text = match error {
        Error::NoCertificatesPresented => "it showed no certificate",
        Error::InvalidCertificate(what) => match what {
            Expired | ExpiredContext { .. } => "its certificate has expired",
            NotValidYet | NotValidYetContext { .. } => "its certificate is not valid yet",
            UnknownIssuer => "its certificate is of a CA that is not believed",
            NotValidForName | NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            InvalidPurpose | InvalidPurposeContext { .. } => {
                "its certificate is for another purpose"
            }
            BadSignature => "its certificate was tampered with",
            Other(other) if is_of_a_ca(other) => {
                "its certificate is that of a CA, as one that is signed by itself often is"
            }
            _ => return format!("its certificate cannot be used: {what}"),
        },
        Error::InvalidMessage(_) => "it does not speak TLS",
        Error::PeerIncompatible(
            ServerDoesNotSupportTls12Or13
            // TLS 1.2 may leave that out, and nobody who speaks it does.
            | SignatureAlgorithmsExtensionRequired
            | SupportedVersionsExtensionRequired
            | Tls12NotOffered
            | Tls12NotOfferedOrEnabled,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "it speaks neither TLS 1.2 nor 1.3"
        }
        Error::AlertReceived(alert) => return format!("it ended the handshake: {alert:?}"),
        Error::InconsistentKeys(_) => "the key belongs to another certificate",
        _ => return error.to_string(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log names the reason: the commonest self-signed certificate is one of a CA.
    #[test]
    fn a_certificate_of_a_ca_is_told_from_a_damaged_one() {
        let other = |error: webpki::Error| {
            let other = OtherError(Arc::new(error));
            explained(&Error::InvalidCertificate(CertificateError::Other(other)))
        };
        assert!(other(webpki::Error::CaUsedAsEndEntity).contains("that of a CA"));
        assert!(other(webpki::Error::BadDer).contains("cannot be used"));
    }
}
