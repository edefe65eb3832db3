//! Which worker has the connection a peer opened: requests for that peer go there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Connections that peers opened, of all workers. Read only where a worker has none of its
/// own, so calls between steady connections never meet here.
#[derive(Debug, Default)]
pub struct Directory(Mutex<HashMap<(u16, SocketAddr), u8>>);

impl Directory {
    /// Enters a connection of this listener and peer.
    pub(super) fn enter(&self, key: (u16, SocketAddr), worker: u8) {
        self.entries().insert(key, worker);
    }

    /// Strikes it out, if it is still that worker's.
    pub(super) fn strike(&self, key: (u16, SocketAddr), worker: u8) {
        let mut entries = self.entries();
        if entries.get(&key) == Some(&worker) {
            entries.remove(&key);
        }
    }

    /// The worker that has it.
    pub(super) fn worker(&self, key: (u16, SocketAddr)) -> Option<u8> {
        self.entries().get(&key).copied()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<(u16, SocketAddr), u8>> {
        // A map is whole after every one of its steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
