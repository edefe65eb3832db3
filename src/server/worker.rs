//! One listener on one worker: receive, handle, answer, sleep until the next timer.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use crate::limits::{DRAIN_BATCHES_MAX, MESSAGE_BYTES_MAX, RECEIVE_BATCH_MAX, SEND_WAIT_MS_MAX};
use crate::observe::{CallLine, Counters, LogFormat, MaskNumbers, PeerErrors};
use crate::proxy::{Answer, Datagram, DropReason, Fate, Now, RedirectServer};
use crate::routing::Snapshot;
use crate::tables::TableStore;

/// What a worker is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Serve.
    Serve,
    /// Answer what is queued, wait for ACKs, end.
    Drain,
    /// End.
    Stop,
}

/// What a listener needs to serve.
pub(super) struct ListenerTask {
    pub(super) socket: UdpSocket,
    pub(super) name: Arc<str>,
    pub(super) engine: RedirectServer,
    pub(super) store: Arc<TableStore>,
    pub(super) counters: Arc<Counters>,
    pub(super) errors: Arc<PeerErrors>,
    pub(super) calls: CallLog,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) drain_timeout: Duration,
}

/// Whether and how decisions are logged.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLog {
    pub(super) enabled: bool,
    pub(super) format: LogFormat,
    pub(super) mask: MaskNumbers,
}

/// A queue is empty when nothing has come out of it for so long.
const QUIET: Duration = Duration::from_millis(10);

impl ListenerTask {
    /// Serves until told to end.
    pub(super) async fn run(mut self) {
        // One byte more than we read, so that a longer datagram is seen to be longer.
        let mut room = vec![0; MESSAGE_BYTES_MAX + 1];
        let mut out = Vec::with_capacity(MESSAGE_BYTES_MAX);
        while *self.orders.borrow() == Order::Serve && self.orders.has_changed().is_ok() {
            self.serve_once(&mut room, &mut out, None).await;
        }
        self.drain(&mut room, &mut out).await;
    }

    /// Waits for a datagram, a timer, an order or `until`, and does what is due.
    /// A closed channel of orders is an order to end: nobody could ever give one.
    async fn serve_once(&mut self, room: &mut [u8], out: &mut Vec<u8>, until: Option<Instant>) {
        let due = [self.engine.deadline(), until].into_iter().flatten().min();
        tokio::select! {
            biased;
            _ = self.orders.changed() => return,
            ready = self.socket.readable() => match ready {
                Ok(()) => {
                    if self.batch(room, out).await == RECEIVE_BATCH_MAX {
                        tokio::task::yield_now().await;
                    }
                }
                Err(_) => self.counters.receive_error(),
            },
            () = at(due) => {}
        }
        self.run_timers(out).await;
    }

    /// Takes what is queued, at most one batch, with one snapshot of the table. Returns
    /// how many datagrams there were.
    async fn batch(&mut self, room: &mut [u8], out: &mut Vec<u8>) -> usize {
        let snapshot = self.store.snapshot();
        for taken in 0..RECEIVE_BATCH_MAX {
            match self.socket.try_recv_from(room) {
                Ok((length, source)) => {
                    let bytes = room.get(..length).unwrap_or_default();
                    self.datagram(bytes, source, &snapshot, out).await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return taken,
                Err(_) => self.counters.receive_error(),
            }
        }
        RECEIVE_BATCH_MAX
    }

    async fn datagram(
        &mut self,
        bytes: &[u8],
        source: SocketAddr,
        snapshot: &Snapshot,
        out: &mut Vec<u8>,
    ) {
        let now = Now {
            instant: Instant::now(),
            wall: Timestamp::now(),
        };
        let name = Arc::clone(&self.name);
        let datagram = Datagram {
            bytes,
            source,
            listener: &name,
        };
        // A defect met by one datagram must not end the calls of everybody else. The
        // engine empties its buffers at the start of each call, so none is left behind.
        let handle = || self.engine.handle(now, &datagram, snapshot, out);
        let fate =
            catch_unwind(AssertUnwindSafe(handle)).unwrap_or(Fate::Dropped(DropReason::Defect));
        self.counters.stateless(self.engine.take_unkept());
        match fate {
            Fate::Answer {
                to,
                status,
                method,
                answer,
            } => {
                self.send(to, out).await;
                self.counters.request(method);
                self.counters.reply(status.code());
                match answer {
                    Answer::Call(event) => self.calls.line(&CallLine {
                        event: &event,
                        table: &snapshot.table,
                        took: now.instant.elapsed(),
                        mask: self.calls.mask,
                    }),
                    Answer::Refused(refused) => {
                        self.counters.refusal(refused.why);
                        self.errors
                            .refused(now.instant, refused, status.code(), method, source);
                    }
                    Answer::Served => {}
                }
            }
            Fate::Repeat { to } => self.repeat(to, out).await,
            Fate::Absorbed(method) => self.counters.request(method),
            Fate::Dropped(reason) => {
                self.counters.dropped(reason);
                self.errors
                    .dropped(now.instant, reason, bytes.len(), source);
            }
        }
    }

    /// Runs the timers that are due, at most a batch of them.
    async fn run_timers(&mut self, out: &mut Vec<u8>) {
        let now = Instant::now();
        for _ in 0..RECEIVE_BATCH_MAX {
            match self.engine.poll_timer(now, out) {
                Some(to) => self.repeat(to, out).await,
                None => return,
            }
        }
    }

    async fn repeat(&self, to: SocketAddr, bytes: &[u8]) {
        self.counters.repeat();
        self.send(to, bytes).await;
    }

    /// Sends; waits a moment when the system's buffer is full.
    async fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let sent = match self.socket.try_send_to(bytes, to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let wait = Duration::from_millis(SEND_WAIT_MS_MAX);
                timeout(wait, self.socket.send_to(bytes, to))
                    .await
                    .is_ok_and(|sent| sent.is_ok())
            }
            sent => sent.is_ok(),
        };
        if !sent {
            self.counters.send_error();
        }
    }

    /// Answers what is queued, then repeats answers until they are acknowledged, for as
    /// long as a stop may take.
    async fn drain(&mut self, room: &mut [u8], out: &mut Vec<u8>) {
        let until = Instant::now() + self.drain_timeout;
        for _ in 0..DRAIN_BATCHES_MAX {
            let queued = timeout(QUIET, self.socket.readable()).await;
            if queued.is_err() || *self.orders.borrow() == Order::Stop {
                break;
            }
            self.batch(room, out).await;
        }
        self.engine.drain();
        while self.engine.awaiting_ack() > 0
            && *self.orders.borrow() == Order::Drain
            && self.orders.has_changed().is_ok()
            && Instant::now() < until
        {
            self.serve_once(room, out, Some(until)).await;
        }
    }
}

impl CallLog {
    fn line(&self, line: &CallLine<'_>) {
        if self.enabled {
            line.log(self.format);
        }
    }
}

/// Sleeps until `due`; for ever without one.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
