//! The threads that answer over HTTP: questions where a call goes, and how the server stands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::StartError;
use super::config::HttpConfig;
use super::worker::Order;
use crate::http::{Desk, HttpListener, Watched, metrics, questions};
use crate::observe::{CallLog, FaceRefusals, Feed, HttpCounters};
use crate::system;
use crate::tables::TableStore;
use crate::transport::TlsListener;

/// An HTTP listener, while it serves.
#[derive(Debug)]
pub(super) struct HttpThread {
    /// `None` at a local socket.
    pub(super) address: Option<SocketAddr>,
    /// Gone once its end has been waited for.
    pub(super) thread: Option<JoinHandle<()>>,
}

/// Answers questions until there is another order than to serve.
pub(super) fn answer_questions(
    config: &HttpConfig,
    tls: Option<Arc<TlsListener>>,
    store: Arc<TableStore>,
    (calls, feed): (CallLog, Option<Feed>),
    (counters, refusals): (Arc<HttpCounters>, FaceRefusals),
    mut orders: watch::Receiver<Order>,
) -> Result<HttpThread, StartError> {
    let desk = Desk::new(
        store,
        config.accounts.clone(),
        config.template.clone(),
        counters,
        calls,
    )
    .told_to(feed);
    let router = questions(Arc::new(desk));
    let end = async move {
        // A closed channel is an order to end.
        let _ = orders.wait_for(|order| *order != Order::Serve).await;
    };
    let listener = bound(config.address, tls, router, refusals)?;
    start("http", &config.address.to_string(), listener, end)
}

/// Says how the server stands until it has stopped.
pub(super) fn show_metrics(
    address: SocketAddr,
    tls: Option<Arc<TlsListener>>,
    watched: Watched,
    refusals: FaceRefusals,
    mut orders: watch::Receiver<Order>,
) -> Result<HttpThread, StartError> {
    let end = async move {
        let _ = orders.wait_for(|order| *order == Order::Stop).await;
    };
    let listener = bound(address, tls, metrics(watched), refusals)?;
    start("metrics", &address.to_string(), listener, end)
}

/// Answers on a thread of its own until `end` comes. `place` is for the log.
pub(super) fn start(
    name: &'static str,
    place: &str,
    listener: HttpListener,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<HttpThread, StartError> {
    let address = listener.local_addr().map_err(StartError::System)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Those that read tables.
        .on_thread_start(system::give_way_to_calls)
        .build()
        .map_err(StartError::System)?;
    let place = place.to_owned();
    let thread = std::thread::Builder::new()
        .name(String::from(name))
        .spawn(move || {
            if let Err(cause) = runtime.block_on(listener.serve(end)) {
                tracing::error!("the {name} listener on {place} ended: {cause}");
            }
        })
        .map_err(StartError::System)?;
    Ok(HttpThread {
        address,
        thread: Some(thread),
    })
}

fn bound(
    address: SocketAddr,
    tls: Option<Arc<TlsListener>>,
    router: axum::Router,
    refusals: FaceRefusals,
) -> Result<HttpListener, StartError> {
    HttpListener::bind(address, tls, router, refusals)
        .map_err(|cause| StartError::Http { address, cause })
}
