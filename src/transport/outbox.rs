//! Answers on their way out.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use crate::limits::{DATAGRAM_BATCH_MAX, DATAGRAMS_IN_RUNS_MIN};
use crate::system::Letter;

/// The answers of one batch: each is written into a page of its own, and the pages are
/// used again for the next batch.
#[derive(Debug)]
pub struct Outbox {
    pages: Box<[Vec<u8>]>,
    posted: ArrayVec<(SocketAddr, Option<IpAddr>), DATAGRAM_BATCH_MAX>,
}

impl Outbox {
    /// Empty, with pages that grow as answers are written.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pages: vec![Vec::new(); DATAGRAM_BATCH_MAX].into(),
            posted: ArrayVec::new(),
        }
    }

    /// The page for the next answer, with whatever was last written on it. `None` when a
    /// whole batch waits to be sent.
    pub fn page(&mut self) -> Option<&mut Vec<u8>> {
        self.pages.get_mut(self.posted.len())
    }

    /// What was written on the page goes to `to`, and leaves from our address `from`
    /// (`None`: whichever the system chooses). The next answer gets the next page.
    pub fn post(&mut self, to: SocketAddr, from: Option<IpAddr>) {
        // A full outbox has no page, so nothing can have been written for this.
        let _ = self.posted.try_push((to, from));
    }

    /// Answers that wait to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.posted.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.posted.is_empty()
    }

    /// Forgets the answers and keeps the pages.
    pub fn clear(&mut self) {
        self.posted.clear();
    }

    /// The answers. Many at once stand in an order in which the system may take them
    /// together: those to one peer are neighbours, the longer ones first.
    pub(super) fn letters(&self) -> ArrayVec<Letter<'_>, DATAGRAM_BATCH_MAX> {
        let mut letters: ArrayVec<_, DATAGRAM_BATCH_MAX> = self
            .posted
            .iter()
            .zip(&self.pages)
            .map(|(&(to, from), bytes)| Letter { bytes, to, from })
            .collect();
        if letters.len() >= DATAGRAMS_IN_RUNS_MIN {
            letters.sort_unstable_by_key(|letter| {
                (letter.to, letter.from, Reverse(letter.bytes.len()))
            });
        }
        letters
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}
