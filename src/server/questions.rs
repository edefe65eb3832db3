//! The threads that answer over HTTP: questions where a call goes, and how the server stands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::StartError;
use super::config::HttpConfig;
use super::worker::Order;
use crate::http::{Desk, HttpListener, Watched, metrics, questions};
use crate::observe::{CallLog, Feed, HttpCounters};
use crate::tables::TableStore;

/// An HTTP listener, while it serves.
#[derive(Debug)]
pub(super) struct HttpThread {
    pub(super) address: SocketAddr,
    pub(super) counters: Arc<HttpCounters>,
    /// Gone once its end has been waited for.
    pub(super) thread: Option<JoinHandle<()>>,
}

/// Answers questions until there is another order than to serve.
pub(super) fn answer_questions(
    config: &HttpConfig,
    store: Arc<TableStore>,
    (calls, feed): (CallLog, Option<Feed>),
    mut orders: watch::Receiver<Order>,
) -> Result<HttpThread, StartError> {
    let counters = Arc::new(HttpCounters::new());
    let desk = Desk::new(
        store,
        config.accounts.clone(),
        config.template.clone(),
        Arc::clone(&counters),
        calls,
    )
    .told_to(feed);
    let router = questions(Arc::new(desk));
    let end = async move {
        // A closed channel is an order to end.
        let _ = orders.wait_for(|order| *order != Order::Serve).await;
    };
    start("http", config.address, router, counters, end)
}

/// Says how the server stands until it has stopped.
pub(super) fn show_metrics(
    address: SocketAddr,
    watched: Watched,
    mut orders: watch::Receiver<Order>,
) -> Result<HttpThread, StartError> {
    let end = async move {
        let _ = orders.wait_for(|order| *order == Order::Stop).await;
    };
    let counters = Arc::new(HttpCounters::new());
    start("metrics", address, metrics(watched), counters, end)
}

fn start(
    name: &'static str,
    address: SocketAddr,
    router: axum::Router,
    counters: Arc<HttpCounters>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<HttpThread, StartError> {
    let listener = HttpListener::bind(address, router, Arc::clone(&counters))
        .map_err(|cause| StartError::Http { address, cause })?;
    let address = listener.local_addr().map_err(StartError::System)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(StartError::System)?;
    let thread = std::thread::Builder::new()
        .name(String::from(name))
        .spawn(move || {
            if let Err(cause) = runtime.block_on(listener.serve(end)) {
                tracing::error!("the {name} listener on {address} ended: {cause}");
            }
        })
        .map_err(StartError::System)?;
    Ok(HttpThread {
        address,
        counters,
        thread: Some(thread),
    })
}
