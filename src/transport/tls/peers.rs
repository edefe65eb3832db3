//! Whom we open TLS connections to: which name its certificate must have, and which
//! certificate we show.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::facts::CertificateFacts;
use super::files::{self, TlsFileError};
use super::{explained, failure, names, provider};
use crate::limits::TLS_HANDSHAKE_MS_MAX;

/// How one peer is met over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTls {
    /// Where it is.
    pub at: PeerAt,
    /// The name its certificate must be for; asked for by it, too (SNI).
    pub name: ServerName<'static>,
    /// Whose word is believed.
    pub authority: Authority,
    /// The files of our certificate chain and its key, for a peer that asks for one.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Whether a wildcard in its certificate is believed: RFC 5922 §7.2 says no.
    pub wildcards: bool,
}

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAt {
    /// At an address; at any port of it without one.
    Address(IpAddr, Option<u16>),
    /// Wherever DNS says that this host is; in small letters. RFC 5922 §4: its certificate has
    /// to be for the host that was asked for, not for the server that DNS names.
    Host(Box<str>),
}

/// Whose word is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// That of the CAs the system believes.
    System,
    /// That of the CAs in this file (PEM), and of nobody else.
    File(PathBuf),
}

/// All peers we meet over TLS, as their files were read last.
#[derive(Debug, Default)]
pub struct TlsPeers {
    files: Vec<PeerTls>,
    current: ArcSwap<Vec<Peer>>,
    /// Where the hosts are, with their places among the peers.
    located: ArcSwap<Vec<(SocketAddr, usize)>>,
}

#[derive(Debug)]
struct Peer {
    at: PeerAt,
    name: ServerName<'static>,
    wildcards: bool,
    config: Arc<ClientConfig>,
    /// The file of what is shown, and until when that is valid.
    own_until: Option<(PathBuf, i64)>,
}

impl TlsPeers {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(files: Vec<PeerTls>) -> Result<Self, TlsFileError> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Self {
            files,
            current,
            located: ArcSwap::default(),
        })
    }

    /// The hosts are now where `places` says. An address that several have is the first one's.
    pub fn locate<P: IntoIterator<Item = SocketAddr>>(&self, places: impl Fn(&str) -> P) {
        let hosts = (self.files.iter().enumerate()).filter_map(|(place, peer)| match &peer.at {
            PeerAt::Host(host) => Some((host, place)),
            PeerAt::Address(..) => None,
        });
        let located = hosts.flat_map(|(host, place)| {
            places(host)
                .into_iter()
                .map(move |address| (address, place))
        });
        self.located.store(Arc::new(located.collect()));
    }

    /// Reads the files again, for connections that are opened from now on.
    ///
    /// # Errors
    /// The first file that cannot be used; all stays as it was.
    pub fn reload(&self) -> Result<(), TlsFileError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files of the certificates that are shown now, and the first second since 1970 in
    /// which each is not valid any more.
    #[must_use]
    pub fn valid_until(&self) -> Vec<(PathBuf, i64)> {
        let all = self.current.load();
        (all.iter())
            .filter_map(|peer| peer.own_until.clone())
            .collect()
    }

    /// Whether a certificate, whose chain was checked, is for the name this address must have.
    pub(in crate::transport) fn is_named(
        &self,
        peer: SocketAddr,
        certificate: &CertificateDer<'_>,
    ) -> bool {
        let all = self.current.load();
        self.of(&all, peer)
            .is_some_and(|peer| names::check(certificate, &peer.name, peer.wildcards).is_ok())
    }

    /// Connects to an address and shakes hands with it, as for a call. What is wrong with it
    /// is a sentence. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// Nobody is there, it is not believed, or it takes longer than a handshake may.
    pub async fn meet(
        &self,
        peer: SocketAddr,
    ) -> Result<(TlsStream<TcpStream>, Vec<CertificateFacts>), String> {
        let Some((connector, name)) = self.connector(peer) else {
            return Err(String::from("no [[tls_peer]] has its address"));
        };
        let handshake = async {
            let stream = TcpStream::connect(peer).await;
            let stream = stream.map_err(|error| error.to_string())?;
            let met = connector.connect(name, stream).await;
            met.map_err(|error| {
                let (why, detail) = failure(&error);
                detail.map_or_else(|| why.as_str().to_owned(), String::from)
            })
        };
        let patience = Duration::from_millis(TLS_HANDSHAKE_MS_MAX);
        let met = tokio::time::timeout(patience, handshake).await;
        let stream = met.map_err(|_| String::from("no TLS handshake in time"))??;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let facts = chain.iter().filter_map(CertificateFacts::of).collect();
        Ok((stream, facts))
    }

    /// How to meet this address.
    pub(in crate::transport) fn connector(
        &self,
        peer: SocketAddr,
    ) -> Option<(TlsConnector, ServerName<'static>)> {
        let all = self.current.load();
        let found = self.of(&all, peer)?;
        let connector = TlsConnector::from(Arc::clone(&found.config));
        Some((connector, found.name.clone()))
    }

    /// An entry with its port before one without, and both before a host.
    fn of<'p>(&self, all: &'p [Peer], peer: SocketAddr) -> Option<&'p Peer> {
        let with = |port| {
            let at = PeerAt::Address(peer.ip(), port);
            all.iter().find(move |p| p.at == at)
        };
        with(Some(peer.port())).or_else(|| with(None)).or_else(|| {
            let located = self.located.load();
            let (_, place) = located.iter().find(|(address, _)| *address == peer)?;
            all.get(*place)
        })
    }
}

fn read(files: &[PeerTls]) -> Result<Vec<Peer>, TlsFileError> {
    files.iter().map(peer).collect()
}

fn peer(files: &PeerTls) -> Result<Peer, TlsFileError> {
    let roots = match &files.authority {
        Authority::System => files::system_authorities()?,
        Authority::File(path) => files::authorities(path)?,
    };
    let provider = provider();
    let verifier = Arc::new(SipServer {
        roots,
        wildcards: files.wildcards,
        algorithms: provider.signature_verification_algorithms,
    });
    let shown = files.own.as_ref().map(|(certificate, _)| certificate);
    let path = shown.cloned().unwrap_or_default();
    let unusable = |error: Error| TlsFileError::new(&path, explained(&error));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut own_until = None;
    let config = match &files.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let (chain, key) = files::identity(certificate, key)?;
            own_until = files::valid_until_s(&chain).map(|end| (certificate.clone(), end));
            builder
                .with_client_auth_cert(chain, key)
                .map_err(unusable)?
        }
    };
    Ok(Peer {
        at: files.at.clone(),
        name: files.name.clone(),
        wildcards: files.wildcards,
        config: Arc::new(config),
        own_until,
    })
}

/// Believes a server whose chain leads to one of the roots and whose certificate has the
/// name, by the rules of RFC 5922 §7.3.
#[derive(Debug)]
struct SipServer {
    roots: RootCertStore,
    wildcards: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for SipServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        names::check(end_entity, server_name, self.wildcards)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
