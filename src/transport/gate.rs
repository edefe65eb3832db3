//! Who may come in: the bounds on the connections of one listener, over all its workers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Ended;
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_SOURCE_MAX, STRANGER_CONNECTIONS_MAX, TLS_HANDSHAKES_MAX,
};
use crate::proxy::one_owner;

/// The gate of one listener: counts who is inside, in all, of each source, and of sources
/// that no table knows.
#[derive(Debug)]
pub struct Gate {
    inside: Mutex<Inside>,
    /// Room for TLS handshakes in progress.
    handshakes: Semaphore,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    strangers: usize,
    by_source: HashMap<IpAddr, u32>,
}

/// The right of one connection to be there; given back when it is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    source: IpAddr,
    is_known: bool,
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
        if inside.all >= CONNECTIONS_MAX {
            return Err(Ended::Full);
        }
        if of_source >= CONNECTIONS_PER_SOURCE_MAX {
            return Err(Ended::FullOfSource);
        }
        if !is_known && inside.strangers >= STRANGER_CONNECTIONS_MAX {
            return Err(Ended::FullOfStrangers);
        }
        inside.all += 1;
        inside.strangers += usize::from(!is_known);
        inside.by_source.insert(source, of_source + 1);
        Ok(Pass {
            gate: Arc::clone(self),
            source,
            is_known,
        })
    }

    /// Room for one more TLS handshake, until it is dropped.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn handshake(&self) -> Result<SemaphorePermit<'_>, Ended> {
        let permit = self.handshakes.try_acquire();
        permit.map_err(|_| Ended::HandshakesFull)
    }

    /// How many are inside.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inside().all
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Counting cannot stop half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            inside: Mutex::default(),
            handshakes: Semaphore::new(TLS_HANDSHAKES_MAX),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.all = inside.all.saturating_sub(1);
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
        let refused = gate.admit(ip("10.0.0.1"), true).unwrap_err();
        assert_eq!(refused, Ended::Full);
        drop((strangers, known));
        assert!(gate.admit(ip("10.0.0.1"), false).is_ok());
    }
}
