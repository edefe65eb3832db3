//! Asks DNS where the trunks' names are, ahead of the calls: no call waits for an answer, and
//! a name server that is slow, silent or lying delays nobody.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::worker::Order;
use crate::limits::{
    DNS_ANSWER_MS_MAX, DNS_QUESTIONS_AT_ONCE_MAX, DNS_RETRY_MS, DNS_TTL_MS_MAX, DNS_TTL_MS_MIN,
};
use crate::proxy::{FlowTransport, Location, Locations, NameQuery};
use crate::routing::RoutingTable;
use crate::tables::TableStore;
use crate::transport::TlsPeers;
use crate::transport::resolver::{Found, NotFound, Resolver};

/// What is known of names, as workers read it.
pub(super) type Published = Arc<ArcSwap<Locations>>;

/// How often it is looked whether another table serves.
const LOOK: Duration = Duration::from_millis(200);

/// The names of the table that serves, and when each is asked for again.
struct Locating {
    resolver: Arc<Resolver>,
    store: Arc<TableStore>,
    published: Published,
    peers: Arc<TlsPeers>,
    table: Option<Arc<RoutingTable>>,
    names: BTreeMap<NameQuery, Name>,
    asked: JoinSet<(NameQuery, Result<Found, NotFound>)>,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    due: Instant,
    /// A question is on its way, or waits for one to end.
    is_asked: bool,
    /// Whether it has been told that there is no answer.
    is_told: bool,
}

/// Starts the thread that asks, and tells the peers over TLS where they are. Returns when every
/// name of the table has been asked for once, or after as long as one question may take: then
/// the calls need not wait for the others.
/// Without `servers` those of the system are asked.
pub(super) fn start(
    store: Arc<TableStore>,
    servers: &[SocketAddr],
    spoken: Vec<FlowTransport>,
    peers: Arc<TlsPeers>,
    orders: watch::Receiver<Order>,
) -> io::Result<(Published, std::thread::JoinHandle<()>)> {
    let published = Published::default();
    let resolver = Arc::new(Resolver::new(servers, spoken)?);
    let (told, first) = sync_channel::<()>(1);
    let locating = Locating {
        resolver,
        store,
        published: Arc::clone(&published),
        peers,
        table: None,
        names: BTreeMap::new(),
        asked: JoinSet::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let thread = std::thread::Builder::new()
        .name(String::from("names"))
        .spawn(move || {
            runtime.block_on(locating.run(orders, || {
                // Told before: nobody waits any more.
                let _ = told.try_send(());
            }));
        })?;
    // Late, or the thread is gone: calls to names fail over until there is an answer.
    let _ = first.recv_timeout(Duration::from_millis(DNS_ANSWER_MS_MAX));
    Ok((published, thread))
}

impl Locating {
    async fn run(mut self, mut orders: watch::Receiver<Order>, first_round_done: impl Fn()) {
        while *orders.borrow() != Order::Stop {
            self.notice_table();
            self.ask();
            if self.asked.is_empty() {
                first_round_done();
            }
            let next = self.names.values().filter(|name| !name.is_asked);
            let next = next.map(|name| name.due).min();
            let look = Instant::now() + LOOK;
            let wake = next.map_or(look, |next| next.min(look));
            tokio::select! {
                Some(heard) = self.asked.join_next(), if !self.asked.is_empty() => {
                    if let Ok((name, found)) = heard {
                        self.heard(&name, found);
                    }
                }
                () = sleep_until(wake.into()) => {}
                changed = orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Asks for the names of another table too, and forgets those nobody names any more.
    fn notice_table(&mut self) {
        let table = self.store.current();
        if (self.table.as_ref()).is_some_and(|known| Arc::ptr_eq(known, &table)) {
            return;
        }
        let wanted = Locations::names_of(&table);
        self.table = Some(table);
        self.names
            .retain(|name, _| wanted.binary_search(name).is_ok());
        let new = Name {
            due: Instant::now(),
            is_asked: false,
            is_told: false,
        };
        for name in &wanted {
            self.names.entry(name.clone()).or_insert(new);
        }
        self.publish(|locations| locations.retain(&wanted));
    }

    /// Asks for what is due, so many at a time.
    fn ask(&mut self) {
        let now = Instant::now();
        for (query, name) in &mut self.names {
            if self.asked.len() >= DNS_QUESTIONS_AT_ONCE_MAX {
                return;
            }
            if name.is_asked || name.due > now {
                continue;
            }
            name.is_asked = true;
            let (resolver, query) = (Arc::clone(&self.resolver), query.clone());
            self.asked.spawn(async move {
                let found = resolver.find(&query).await;
                (query, found)
            });
        }
    }

    fn heard(&mut self, query: &NameQuery, found: Result<Found, NotFound>) {
        let now = Instant::now();
        let Some(name) = self.names.get_mut(query) else {
            return;
        };
        name.is_asked = false;
        match found {
            Ok(found) => {
                let left = found.valid_until.saturating_duration_since(now);
                let (least, most) = (ms(DNS_TTL_MS_MIN), ms(DNS_TTL_MS_MAX));
                name.due = now + left.clamp(least, most);
                name.is_told = false;
                self.is_at(query, &found.locations);
            }
            Err(why) => {
                name.due = now + ms(DNS_RETRY_MS);
                let known = !self.published.load().get(query).is_empty();
                if !std::mem::replace(&mut name.is_told, true) {
                    let kept = match (known, why.is_certain()) {
                        (true, true) => "; its trunks are nowhere now",
                        (true, false) => "; what was known of it holds",
                        (false, _) => "; its trunks are nowhere until there is one",
                    };
                    tracing::warn!("no address for {}: {why}{kept}", query.host);
                }
                if known && why.is_certain() {
                    self.is_at(query, &[]);
                }
            }
        }
    }

    fn is_at(&self, query: &NameQuery, found: &[Location]) {
        if !self.publish(|locations| locations.set(query.clone(), found)) {
            return;
        }
        let places: Vec<String> = (self.published.load().get(query).iter())
            .map(|place| format!("{} {}", place.transport.as_str(), place.address))
            .collect();
        if !places.is_empty() {
            tracing::info!("{} is at {}", query.host, places.join(", "));
        }
    }

    /// Whether the change changed something.
    fn publish(&self, change: impl FnOnce(&mut Locations)) -> bool {
        let before = self.published.load_full();
        let mut after = (*before).clone();
        change(&mut after);
        let is_changed = after != *before;
        if is_changed {
            // Before any call goes there.
            self.peers
                .locate(|host| after.of_host(host).collect::<Vec<_>>());
            self.published.store(Arc::new(after));
        }
        is_changed
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
