//! The thread that answers questions over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::StartError;
use super::config::HttpConfig;
use super::worker::Order;
use crate::http::{Desk, HttpListener, questions};
use crate::observe::{CallLog, HttpCounters};
use crate::tables::TableStore;

/// The listener of questions, while it serves.
#[derive(Debug)]
pub(super) struct Questions {
    pub(super) address: SocketAddr,
    pub(super) counters: Arc<HttpCounters>,
    pub(super) thread: Option<JoinHandle<()>>,
}

/// Binds the address and answers until there is another order than to serve.
pub(super) fn start(
    config: &HttpConfig,
    store: Arc<TableStore>,
    calls: CallLog,
    mut orders: watch::Receiver<Order>,
) -> Result<Questions, StartError> {
    let counters = Arc::new(HttpCounters::new());
    let desk = Desk::new(
        store,
        config.accounts.clone(),
        config.template.clone(),
        Arc::clone(&counters),
        calls,
    );
    let address = config.address;
    let router = questions(Arc::new(desk));
    let listener = HttpListener::bind(address, router, Arc::clone(&counters))
        .map_err(|cause| StartError::Http { address, cause })?;
    let address = listener.local_addr().map_err(StartError::System)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(StartError::System)?;
    let thread = std::thread::Builder::new()
        .name(String::from("http"))
        .spawn(move || {
            let end = async move {
                // A closed channel is an order to end.
                let _ = orders.wait_for(|order| *order != Order::Serve).await;
            };
            if let Err(cause) = runtime.block_on(listener.serve(end)) {
                tracing::error!("the HTTP listener ended: {cause}");
            }
        })
        .map_err(StartError::System)?;
    Ok(Questions {
        address,
        counters,
        thread: Some(thread),
    })
}
