//! The workers of a server: what each of them runs, and its start.

use std::io;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::config::Mode;
use super::post::Post;
use super::proxying::{Door, ProxyTask};
use super::shared::{Shared, call_log};
use super::sockets::Bound;
use super::streams::StreamTask;
use super::worker::{ListenerTask, Order, Worker};
use super::{ServerHandle, locating};
use crate::observe::Counters;
use crate::proxy::{RedirectServer, RedirectSettings};
use crate::routing;
use crate::transport::{Connections, IsKnown, UdpListener};

impl ServerHandle {
    /// Has the names of trunks looked after from now on.
    pub(super) fn locate(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let spoken = shared.proxy_listeners.iter();
        let spoken = spoken.map(|listener| listener.transport).collect();
        let (store, orders) = (Arc::clone(&self.store), self.orders.subscribe());
        let servers = &shared.config.dns_servers;
        let peers = Arc::clone(&shared.certificates.peers);
        let (locations, thread) = locating::start(store, servers, spoken, peers, orders)?;
        shared.locations = locations;
        self.locating = Some(thread);
        Ok(())
    }

    pub(super) fn start_worker(
        &mut self,
        post: Post,
        sockets: Vec<Bound>,
        shared: &Shared<'_>,
        orders: &watch::Receiver<Order>,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let config = shared.config;
        let counters = Arc::new(Counters::new(Arc::clone(&self.roster)));
        let worker = Worker {
            store: Arc::clone(&self.store),
            counters: Arc::clone(&counters),
            errors: Arc::clone(&self.errors),
            calls: call_log(config),
            feed: shared.feed.clone(),
            orders: orders.clone(),
            drain_timeout: config.drain_timeout,
            capture: shared.capture.clone(),
        };
        let mut tasks = Tasks::default();
        let number = post.number();
        let (mut doors, mut connections) = (
            Vec::new(),
            Connections::new(
                number,
                Arc::clone(&shared.directory),
                Arc::clone(&shared.certificates.peers),
            ),
        );
        let _inside = runtime.enter();
        let redirect = |stateful| {
            RedirectServer::new(RedirectSettings {
                tag_key: shared.key.clone(),
                stateful,
                server_header: config.server_header.clone(),
            })
        };
        let rest = shared.gates.iter().zip(&shared.certificates.listeners);
        let all = config.listeners.iter().zip(rest);
        for (socket, (listener, (gate, tls))) in sockets.into_iter().zip(all) {
            let gates = (Arc::clone(gate), Arc::clone(&shared.gates));
            let tls = tls.clone();
            let local = socket.local_addr()?;
            match (listener.mode, socket) {
                (Mode::Proxy, Bound::Datagrams(socket)) => {
                    doors.push(Door::new(UdpListener::new(socket)?, &listener.name, local)?);
                }
                (Mode::Proxy, Bound::Streams(socket)) => {
                    let place = u16::try_from(doors.len()).unwrap_or(u16::MAX);
                    connections.listen(place, socket, gates, tls, self.is_known())?;
                    if listener.alias {
                        connections.reuse(place);
                    }
                    doors.push(Door::of_streams(&listener.name, local));
                }
                (Mode::Redirect, Bound::Datagrams(socket)) => tasks.datagrams.push(ListenerTask {
                    listener: UdpListener::new(socket)?,
                    name: listener.name.as_str().into(),
                    local,
                    engine: redirect(listener.stateful),
                    worker: worker.clone(),
                    told: (0, 0),
                }),
                (Mode::Redirect, Bound::Streams(socket)) => {
                    // One listener, which answers only: nobody looks for its connections.
                    let peers = Arc::clone(&shared.certificates.peers);
                    let mut connections = Connections::new(number, Arc::default(), peers);
                    connections.listen(0, socket, gates, tls, self.is_known())?;
                    tasks.streams.push(StreamTask {
                        connections,
                        is_known: self.is_known(),
                        name: listener.name.as_str().into(),
                        engine: redirect(false),
                        worker: worker.clone(),
                    });
                }
            }
        }
        drop(_inside);
        tasks.proxy = (!doors.is_empty()).then(|| ProxyTask {
            doors,
            connections,
            engine: shared.engine(number, &self.store.snapshot()),
            post,
            unanswered: shared.unanswered.clone(),
            locations: Arc::clone(&shared.locations),
            worker,
            told: (0, 0),
        });
        let ended = Arc::clone(&self.ended);
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        self.threads
            .push(thread.spawn(move || tasks.run(&runtime, &ended))?);
        self.counters.push(counters);
        Ok(())
    }

    /// Whether the table of the moment knows a source.
    fn is_known(&self) -> IsKnown {
        let store = Arc::clone(&self.store);
        Arc::new(move |source| routing::is_known_source(&store.snapshot().table, source))
    }
}

/// All that one worker runs.
#[derive(Default)]
struct Tasks {
    datagrams: Vec<ListenerTask>,
    streams: Vec<StreamTask>,
    proxy: Option<ProxyTask>,
}

impl Tasks {
    /// Serves until the last of them ends.
    fn run(self, runtime: &Runtime, ended: &Notify) {
        runtime.block_on(async {
            let mut running = JoinSet::new();
            if let Some(proxy) = self.proxy {
                running.spawn(proxy.run());
            }
            for task in self.datagrams {
                running.spawn(task.run());
            }
            for task in self.streams {
                running.spawn(task.run());
            }
            while let Some(result) = running.join_next().await {
                if let Err(error) = result {
                    tracing::error!("a listener ended: {error}");
                    ended.notify_one();
                }
            }
        });
    }
}
