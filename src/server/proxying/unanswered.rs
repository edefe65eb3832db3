//! How many requests the workers together owe an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many requests without a final answer each worker has: who stops waits for all, for
/// the kernel spreads datagrams over the sockets there are, and calls would lose theirs.
#[derive(Debug, Clone)]
pub(in crate::server) struct Unanswered(Arc<[AtomicUsize]>);

impl Unanswered {
    pub(in crate::server) fn new(workers: usize) -> Self {
        Self(
            // Until it has told, a worker may have some.
            std::iter::repeat_with(|| AtomicUsize::new(1))
                .take(workers)
                .collect(),
        )
    }

    pub(super) fn tell(&self, worker: u8, count: usize) {
        if let Some(place) = self.0.get(usize::from(worker)) {
            place.store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn is_any(&self) -> bool {
        self.0.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }
}
