//! The threads on which the admin API is answered.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::StartError;
use super::certificates::Certificates;
use super::config::ApiConfig;
use super::desk::ServerDesk;
use super::questions::{HttpThread, start};
use super::worker::Order;
use crate::api::{Audit, CallStream, Parts, open};
use crate::control::LocalDoor;
use crate::http::{HttpListener, Watched};
use crate::observe::{FaceRefusals, MaskNumbers};

/// The admin API, while it is answered.
#[derive(Debug)]
pub(super) struct Admin {
    /// One for the local socket, one for TCP.
    pub(super) threads: Vec<HttpThread>,
    pub(super) audit: Arc<Audit>,
}

/// What it takes to answer.
pub(super) struct Staff {
    pub(super) desk: Arc<ServerDesk>,
    pub(super) watched: Watched,
    pub(super) mask: MaskNumbers,
    pub(super) refusals: FaceRefusals,
    /// What calls do.
    pub(super) calls: Option<CallStream>,
}

impl Admin {
    /// Answers wherever the configuration says, until the server has stopped.
    pub(super) fn start(
        config: &ApiConfig,
        staff: Staff,
        certificates: &Certificates,
        orders: &watch::Receiver<Order>,
    ) -> Result<Self, StartError> {
        let audit = Audit::open(config.audit.as_deref()).map_err(|cause| StartError::Audit {
            file: config.audit.clone().unwrap_or_default(),
            cause,
        })?;
        let audit = Arc::new(audit);
        let mut admin = Self {
            threads: Vec::new(),
            audit: Arc::clone(&audit),
        };
        if config.socket.is_none() && config.listen.is_none() {
            return Ok(admin);
        }
        let events = staff.desk.bench.events.clone();
        let refusals = staff.refusals;
        let (router, attendant) = open(Parts {
            generations: Arc::clone(&staff.desk.bench.generations),
            drafts: (staff.desk.state.as_deref()).map(|state| state.join("drafts")),
            desk: staff.desk,
            watched: staff.watched,
            tokens: config.tokens.clone(),
            mask: staff.mask,
            events,
            calls: staff.calls,
            audit,
        });
        // Goes with the first of the listeners.
        let mut attendant = Some(attendant);
        let mut end = || {
            let (mut orders, attendant) = (orders.clone(), attendant.take());
            async move {
                let stop = orders.wait_for(|order| *order == Order::Stop);
                match attendant {
                    Some(attendant) => tokio::select! {
                        () = attendant.attend() => {}
                        _ = stop => {}
                    },
                    None => drop(stop.await),
                }
            }
        };
        if let Some(path) = &config.socket {
            let door = LocalDoor::bind(path).map_err(StartError::Socket)?;
            let listener = HttpListener::local(door, router.clone(), refusals.clone());
            let thread = start("api", &at(path), listener, end())?;
            admin.threads.push(thread);
        }
        if let Some(address) = config.listen {
            let tls = certificates.api.clone();
            let listener = HttpListener::bind(address, tls, router, refusals)
                .map_err(|cause| StartError::Http { address, cause })?;
            let shown = address.to_string();
            let thread = start("api", &shown, listener, end())?;
            admin.threads.push(thread);
        }
        Ok(admin)
    }

    /// Where it listens over TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.threads.iter().find_map(|thread| thread.address)
    }
}

fn at(path: &Path) -> String {
    path.display().to_string()
}
