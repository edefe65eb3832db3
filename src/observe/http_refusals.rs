//! What was refused over HTTP before anybody looked at what was asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::proxy::counted;

counted! {
    /// A listener that speaks HTTP, by its table in the configuration.
    HttpFace {
        /// Questions where calls go.
        Questions = "http",
        /// How the server stands.
        Metrics = "metrics",
        /// The admin API, at its socket and over TCP.
        Api = "api",
    }
}

counted! {
    /// Why a connection for HTTP was hung up on, or a request led nowhere.
    HttpRefusal {
        /// As many connections as allowed were open.
        NoRoom = "no-room",
        /// No TLS came about, or not in time.
        Handshake = "handshake",
        /// No whole head of a request came in time; also of a connection kept open, and unused.
        Silent = "silent",
        /// What came was no HTTP, or had too long a head.
        Unreadable = "unreadable",
        /// What was answered was not read in time.
        Unread = "unread",
        /// There is no such resource, or it has no such method.
        Nowhere = "nowhere",
    }
}

/// Counters of all listeners that speak HTTP.
#[derive(Debug)]
pub struct HttpRefusals([[AtomicU64; HttpRefusal::ALL.len()]; HttpFace::ALL.len()]);

/// The counters of one of them.
#[derive(Debug, Clone)]
pub struct FaceRefusals {
    all: Arc<HttpRefusals>,
    face: HttpFace,
}

impl HttpRefusals {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self(std::array::from_fn(|_| zeros()))
    }

    /// Those of one listener.
    #[must_use]
    pub fn of(self: &Arc<Self>, face: HttpFace) -> FaceRefusals {
        FaceRefusals {
            all: Arc::clone(self),
            face,
        }
    }

    /// Those that are not zero, by the names of listener and refusal.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let faces = HttpFace::ALL.iter().zip(&self.0);
        let all = faces.flat_map(|(face, counters)| {
            let counters = HttpRefusal::ALL.iter().zip(counters);
            counters.map(|(refusal, counter)| {
                let key = (face.as_str(), refusal.as_str());
                (key, counter.load(Ordering::Relaxed))
            })
        });
        all.filter(|(_, count)| *count > 0).collect()
    }
}

impl Default for HttpRefusals {
    fn default() -> Self {
        Self::new()
    }
}

impl FaceRefusals {
    /// Counts one.
    pub fn count(&self, refusal: HttpRefusal) {
        let counters = self.all.0.get(self.face.index());
        if let Some(counter) = counters.and_then(|counters| counters.get(refusal.index())) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}
