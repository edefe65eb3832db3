//! The sockets of all listeners, before they go to their workers.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::{Config, ListenerConfig, StartError};
use crate::transport::{tcp, udp};

/// One worker's socket of one listener.
pub(super) enum Bound {
    /// It receives datagrams.
    Datagrams(UdpSocket),
    /// It accepts connections.
    Streams(TcpListener),
}

impl Bound {
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Datagrams(socket) => socket.local_addr(),
            Self::Streams(socket) => socket.local_addr(),
        }
    }
}

/// One set of sockets per listener, one socket of each per worker.
pub(super) fn bind_all(config: &Config) -> Result<Vec<Vec<Bound>>, StartError> {
    let bind = |listener: &ListenerConfig| {
        let address = listener.address;
        let sockets = if listener.transport.is_reliable() {
            tcp::bind(address, config.workers)
                .map(|sockets| sockets.into_iter().map(Bound::Streams).collect())
        } else {
            udp::bind(address, config.workers)
                .map(|sockets| sockets.into_iter().map(Bound::Datagrams).collect())
        };
        sockets.map_err(|cause| StartError::Bind {
            address,
            transport: listener.transport,
            cause,
        })
    };
    config.listeners.iter().map(bind).collect()
}

/// Whether each address can be had, over what; all are let go again.
pub(super) fn check(config: &Config) -> Vec<(SocketAddr, &'static str, Result<(), StartError>)> {
    let alone = |listener: &ListenerConfig| {
        let mut config = Config::new("", vec![listener.clone()]);
        config.workers = 1;
        let over = listener.transport.as_str();
        (listener.address, over, bind_all(&config).map(|_| ()))
    };
    let http = config.http.iter().map(|http| (http.address, "http"));
    let metrics = config.metrics.map(|address| (address, "metrics"));
    let web = http.chain(metrics).map(|(address, over)| {
        let bound = TcpListener::bind(address);
        let bound = bound.map_err(|cause| StartError::Http { address, cause });
        (address, over, bound.map(|_| ()))
    });
    config.listeners.iter().map(alone).chain(web).collect()
}

/// Turns the sockets of each listener into the sockets of each worker.
pub(super) fn by_worker(mut bound: Vec<Vec<Bound>>) -> Vec<Vec<Bound>> {
    let workers = bound.iter().map(Vec::len).min().unwrap_or(0);
    (0..workers)
        .map(|_| bound.iter_mut().filter_map(Vec::pop).collect())
        .collect()
}
