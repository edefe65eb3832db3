//! Who may come in: the bounds on the connections of one listener, over all its workers.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Ended;
use crate::limits::{
    CONNECTIONS_LEAVING_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_SOURCE_MAX, FREED_AFTER_MS_MIN,
    STRANGER_CONNECTIONS_MAX, TLS_HANDSHAKES_MAX,
};
use crate::proxy::one_owner;

/// The gate of one listener: counts who is inside, in all, of each source, and of sources
/// that no table knows. When it is full, who came and has said nothing whole yet makes room
/// for who comes, the oldest first: silence keeps nobody out.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    strangers: usize,
    by_source: HashMap<IpAddr, u32>,
    numbers: u64,
    /// Connections that have brought no message yet.
    unproven: Queue,
    /// Of those asked to leave, how many are still there.
    leaving: usize,
    /// TLS handshakes in progress.
    handshakes: Queue,
}

/// Who can be asked to leave, the oldest first, and since when each is there.
type Queue = BTreeMap<u64, (Arc<Notify>, Instant)>;

/// The right of one connection to be there; given back when it is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    number: u64,
    leave: Arc<Notify>,
    is_proven: AtomicBool,
    source: IpAddr,
    is_known: bool,
}

/// The right to be in a TLS handshake.
#[derive(Debug)]
pub(super) struct Handshake<'g> {
    gate: &'g Gate,
    number: u64,
    leave: Arc<Notify>,
}

impl Gate {
    /// Lets a connection of `source` in, of which somebody has said whether a table knows
    /// it.
    ///
    /// # Errors
    /// The bound it would exceed.
    pub fn admit(self: &Arc<Self>, source: IpAddr, is_known: bool) -> Result<Pass, Ended> {
        let source = one_owner(source);
        let mut inside = self.inside();
        let of_source = inside.by_source.get(&source).copied().unwrap_or(0);
        if of_source >= CONNECTIONS_PER_SOURCE_MAX {
            return Err(Ended::FullOfSource);
        }
        if !is_known && inside.strangers >= STRANGER_CONNECTIONS_MAX {
            return Err(Ended::FullOfStrangers);
        }
        if inside.all - inside.leaving >= CONNECTIONS_MAX {
            inside.make_room()?;
        }
        inside.all += 1;
        inside.strangers += usize::from(!is_known);
        inside.by_source.insert(source, of_source + 1);
        let (number, leave) = inside.ticket();
        let since = Instant::now();
        inside.unproven.insert(number, (Arc::clone(&leave), since));
        Ok(Pass {
            gate: Arc::clone(self),
            number,
            leave,
            is_proven: AtomicBool::new(false),
            source,
            is_known,
        })
    }

    /// Room for one more TLS handshake, until it is dropped. Where there is none the oldest
    /// one has to leave: a handshake that goes on takes milliseconds.
    pub(super) fn handshake(&self) -> Handshake<'_> {
        let mut inside = self.inside();
        if inside.handshakes.len() >= TLS_HANDSHAKES_MAX
            && let Some((_, (oldest, _))) = inside.handshakes.pop_first()
        {
            oldest.notify_one();
        }
        let (number, leave) = inside.ticket();
        let since = Instant::now();
        inside
            .handshakes
            .insert(number, (Arc::clone(&leave), since));
        Handshake {
            gate: self,
            number,
            leave,
        }
    }

    /// Has so many that have brought nothing for a while leave, the oldest first: the system
    /// has no descriptor for another connection. Who has only just come may be about to speak,
    /// and of a listener that few come to it would be the oldest.
    pub(super) fn free(&self, count: usize, now: Instant) {
        const WHILE: Duration = Duration::from_millis(FREED_AFTER_MS_MIN);
        let mut inside = self.inside();
        for _ in 0..count {
            let oldest = inside.unproven.first_key_value();
            let is_silent = oldest
                .is_some_and(|(_, (_, since))| now.saturating_duration_since(*since) >= WHILE);
            if !is_silent || inside.make_room().is_err() {
                return;
            }
        }
    }

    /// How many are inside.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inside().all
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Counting cannot stop half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn ticket(&mut self) -> (u64, Arc<Notify>) {
        self.numbers += 1;
        (self.numbers, Arc::default())
    }

    fn make_room(&mut self) -> Result<(), Ended> {
        if self.leaving >= CONNECTIONS_LEAVING_MAX {
            return Err(Ended::Full);
        }
        let (_, (oldest, _)) = self.unproven.pop_first().ok_or(Ended::Full)?;
        oldest.notify_one();
        self.leaving += 1;
        Ok(())
    }
}

impl Pass {
    /// A whole message came: it is not asked to leave any more.
    pub(super) fn prove(&self) {
        if self.gate.inside().unproven.remove(&self.number).is_some() {
            self.is_proven.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until it has to leave.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Handshake<'_> {
    /// Waits until it has to leave.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.gate.inside().handshakes.remove(&self.number);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.all = inside.all.saturating_sub(1);
        let was_asked = inside.unproven.remove(&self.number).is_none();
        if was_asked && !self.is_proven.load(Ordering::Relaxed) {
            inside.leaving = inside.leaving.saturating_sub(1);
        }
        if !self.is_known {
            inside.strangers = inside.strangers.saturating_sub(1);
        }
        if let Some(count) = inside.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                inside.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn numbered(n: usize) -> IpAddr {
        IpAddr::from(u32::try_from(n).unwrap().to_be_bytes())
    }

    #[test]
    fn no_source_takes_the_places_of_all() {
        let gate = Arc::new(Gate::default());
        let admit = |source: &str| gate.admit(ip(source), true);
        let mut passes: Vec<Pass> = (0..CONNECTIONS_PER_SOURCE_MAX)
            .map(|n| admit(&format!("2001:db8::{n:x}")).unwrap())
            .collect();
        assert_eq!(admit("2001:db8::ffff").unwrap_err(), Ended::FullOfSource);
        assert!(admit("2001:db8:0:1::").is_ok() && admit("10.0.0.1").is_ok());
        passes.pop();
        assert!(admit("2001:db8::ffff").is_ok(), "one place was given back");
        drop(passes);
        assert_eq!(gate.count(), 0);
        assert!(gate.inside().by_source.is_empty());
    }

    #[test]
    fn strangers_never_keep_out_who_is_known() {
        let gate = Arc::new(Gate::default());
        let strangers: Vec<_> = (0..STRANGER_CONNECTIONS_MAX)
            .map(|n| gate.admit(numbered(n), false).unwrap())
            .collect();
        let refused = gate.admit(ip("10.0.0.1"), false).unwrap_err();
        assert_eq!(refused, Ended::FullOfStrangers);
        let known: Vec<_> = (STRANGER_CONNECTIONS_MAX..CONNECTIONS_MAX)
            .map(|n| gate.admit(numbered(n), true).unwrap())
            .collect();
        strangers.iter().chain(&known).for_each(Pass::prove);
        let refused = gate.admit(ip("10.0.0.1"), true).unwrap_err();
        assert_eq!(refused, Ended::Full);
        drop((strangers, known));
        assert!(gate.admit(ip("10.0.0.1"), false).is_ok());
    }

    /// Whether the one with this pass was asked to leave.
    fn has_to_leave(asked: impl Future<Output = ()>) -> bool {
        let mut asked = std::pin::pin!(asked);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        asked.as_mut().poll(&mut context).is_ready()
    }

    /// A flood on one listener took all descriptors, and the only caller of another one, in its
    /// handshake, was sent away as that one's oldest.
    #[test]
    fn who_has_only_just_come_gives_no_descriptor_back() {
        let gate = Arc::new(Gate::default());
        let passes = [0, 1, 2].map(|n| gate.admit(numbered(n), true).unwrap());
        passes[0].prove();
        let now = Instant::now();
        gate.free(8, now);
        assert!(
            !passes
                .iter()
                .any(|pass| has_to_leave(pass.asked_to_leave()))
        );
        gate.free(1, now + Duration::from_millis(FREED_AFTER_MS_MIN));
        let leaving = passes
            .each_ref()
            .map(|pass| has_to_leave(pass.asked_to_leave()));
        assert_eq!(leaving, [false, true, false]);
    }

    #[test]
    fn who_has_said_nothing_makes_room_for_who_comes() {
        let gate = Arc::new(Gate::default());
        let mut inside: Vec<Pass> = (0..CONNECTIONS_MAX)
            .map(|n| gate.admit(numbered(n), true).unwrap())
            .collect();
        inside[0].prove();
        let newcomer = gate.admit(ip("10.0.0.1"), true).unwrap();
        let leaving: Vec<usize> = (0..CONNECTIONS_MAX)
            .filter(|n| has_to_leave(inside[*n].asked_to_leave()))
            .collect();
        assert_eq!(leaving, [1], "the oldest that is not proven");
        drop(inside.remove(1));
        assert_eq!(gate.count(), CONNECTIONS_MAX);
        // However slowly they leave, their number is bounded.
        let more: Vec<Pass> = (0..CONNECTIONS_LEAVING_MAX)
            .map(|_| gate.admit(ip("10.0.0.1"), true).unwrap())
            .collect();
        assert_eq!(gate.admit(ip("10.0.0.2"), true).unwrap_err(), Ended::Full);
        drop((newcomer, inside, more));
        let inside = gate.inside();
        assert_eq!((inside.all, inside.leaving), (0, 0));
        assert!(inside.unproven.is_empty() && inside.by_source.is_empty());
    }

    #[test]
    fn the_oldest_handshake_makes_room_for_the_next() {
        let gate = Gate::default();
        let begun: Vec<Handshake<'_>> =
            (0..=TLS_HANDSHAKES_MAX).map(|_| gate.handshake()).collect();
        assert!(has_to_leave(begun[0].asked_to_leave()));
        assert!(!has_to_leave(begun[1].asked_to_leave()));
        drop(begun);
        assert!(gate.inside().handshakes.is_empty());
    }
}
