//! All that is read from files of certificates, and read again at a reload.

use std::sync::Arc;

use super::{Config, ListenerConfig};
use crate::observe::CertificateEnd;
use crate::proxy::FlowTransport;
use crate::transport::{ListenerTls, TlsFileError, TlsListener, TlsPeers};

/// The certificates of all listeners, and what is known of TLS peers.
#[derive(Debug)]
pub(super) struct Certificates {
    /// In the order of the configuration; `None` where a listener is without TLS.
    pub(super) listeners: Vec<Option<Arc<TlsListener>>>,
    pub(super) peers: Arc<TlsPeers>,
    /// Those of the listeners for HTTP, of metrics and of the admin API.
    pub(super) http: Option<Arc<TlsListener>>,
    pub(super) metrics: Option<Arc<TlsListener>>,
    pub(super) api: Option<Arc<TlsListener>>,
}

impl Certificates {
    /// Reads all files.
    pub(super) fn open(config: &Config) -> Result<Self, TlsFileError> {
        let open = |listener: &ListenerConfig| match (listener.transport, &listener.tls) {
            (FlowTransport::Tls, Some(files)) => {
                TlsListener::open(files.clone()).map(|opened| Some(Arc::new(opened)))
            }
            // The file of the configuration cannot say this; who makes one by hand can.
            (FlowTransport::Tls, None) => Err(TlsFileError::unnamed(listener.address)),
            _ => Ok(None),
        };
        let listeners = config.listeners.iter().map(open);
        let open_http = |files: Option<&ListenerTls>| match files {
            Some(files) => TlsListener::open(files.clone()).map(|opened| Some(Arc::new(opened))),
            None => Ok(None),
        };
        Ok(Self {
            listeners: listeners.collect::<Result<_, _>>()?,
            peers: Arc::new(TlsPeers::open(config.tls_peers.clone())?),
            http: open_http(config.http.as_ref().and_then(|http| http.tls.as_ref()))?,
            metrics: open_http(config.metrics_tls.as_ref())?,
            api: open_http(config.api.tls.as_ref())?,
        })
    }

    /// Until when those that are shown now are valid, each file once.
    pub(super) fn ends(&self) -> Vec<CertificateEnd> {
        let listeners = self.listeners.iter().flatten();
        let listeners = listeners.filter_map(|listener| listener.valid_until());
        let mut ends: Vec<_> = listeners
            .chain(self.peers.valid_until())
            .map(|(file, not_after_s)| CertificateEnd {
                file: file.display().to_string(),
                not_after_s,
            })
            .collect();
        ends.sort_by(|one, other| one.file.cmp(&other.file));
        ends.dedup_by(|one, other| one.file == other.file);
        ends
    }

    /// Reads them again for connections that come from now on, and logs how it went. What
    /// cannot be used changes nothing: the certificates from before are shown and believed.
    pub(super) fn reload(&self) {
        let others = [&self.http, &self.metrics, &self.api];
        let listeners = self.listeners.iter().chain(others).flatten();
        let mut read: Vec<_> = listeners.map(|listener| listener.reload()).collect();
        if !self.peers.is_empty() {
            read.push(self.peers.reload());
        }
        if read.is_empty() {
            return;
        }
        let mut is_whole = true;
        for error in read.into_iter().filter_map(Result::err) {
            is_whole = false;
            tracing::error!("certificates kept as they were: {error}");
        }
        if is_whole {
            tracing::info!("certificates read again");
        }
    }
}
