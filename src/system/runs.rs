//! Datagrams on their way out, and which of them the system may carry as one.

#![forbid(unsafe_code)] // Beside the module that may.

use std::net::{IpAddr, SocketAddr};

use crate::limits::{DATAGRAM_RUN_MIN, SEGMENT_BYTES_MAX};

/// One datagram to send.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'l> {
    /// Its bytes.
    pub bytes: &'l [u8],
    /// Where it goes.
    pub to: SocketAddr,
    /// Which of our addresses it leaves from; `None` leaves that to the system.
    pub from: Option<IpAddr>,
}

/// How a batch is handed to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// Each letter for itself.
    OneByOne,
    /// Neighbours to one peer, of one length but for a shorter last one, as one piece that is
    /// cut into datagrams at the end of its way through the system (`UDP_SEGMENT`). Of what
    /// does not arrive, the network may then tell only once.
    InRuns,
}

/// The letters in pieces that are sent as one: runs of at least `limits::DATAGRAM_RUN_MIN`, or
/// single letters.
pub(super) fn runs<'a, 'l>(
    letters: &'a [Letter<'l>],
    sending: Sending,
) -> impl Iterator<Item = &'a [Letter<'l>]> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let length = match sending {
            Sending::OneByOne => 1,
            Sending::InRuns => run_length(rest),
        };
        let (run, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(run)
    })
}

/// How many letters at the beginning are sent as one; at least one.
fn run_length(letters: &[Letter<'_>]) -> usize {
    let Some((first, others)) = letters.split_first() else {
        return 1;
    };
    let longest = first.bytes.len();
    if longest == 0 || longest > SEGMENT_BYTES_MAX {
        return 1;
    }
    let is_alike = |other: &Letter<'_>| (other.to, other.from) == (first.to, first.from);
    let full = others
        .iter()
        .take_while(|other| is_alike(other) && other.bytes.len() == longest)
        .count();
    let shorter = (others.get(full))
        .is_some_and(|last| is_alike(last) && (1..longest).contains(&last.bytes.len()));
    match 1 + full + usize::from(shorter) {
        length @ DATAGRAM_RUN_MIN.. => length,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    const TEXT: [u8; SEGMENT_BYTES_MAX + 1] = [b'x'; SEGMENT_BYTES_MAX + 1];

    fn lengths_of_runs(letters: &[(usize, u16)]) -> Vec<usize> {
        let letters: Vec<_> = letters
            .iter()
            .map(|&(length, port)| Letter {
                bytes: &TEXT[..length],
                to: ([192, 0, 2, 1], port).into(),
                from: None,
            })
            .collect();
        let pieces = |sending| runs(&letters, sending).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(pieces(Sending::OneByOne), vec![1; letters.len()]);
        pieces(Sending::InRuns)
    }

    #[test]
    fn a_run_is_of_one_length_and_one_peer() {
        let long = SEGMENT_BYTES_MAX;
        for (letters, expected) in [
            (vec![], vec![]),
            (vec![(5, 1)], vec![1]),
            (vec![(5, 1); 4], vec![4]),
            (vec![(5, 1), (5, 1), (5, 1), (4, 1), (5, 1)], vec![4, 1]),
            (
                vec![(5, 1), (5, 1), (6, 1), (6, 1), (6, 1), (6, 1)],
                vec![1, 1, 4],
            ),
            (vec![(5, 1), (5, 2), (5, 1), (5, 2)], vec![1; 4]),
            (vec![(0, 1); 5], vec![1; 5]),
            (vec![(5, 1), (5, 1), (5, 1), (5, 1), (0, 1)], vec![4, 1]),
            (vec![(long, 1); 6], vec![6]),
            (vec![(long + 1, 1); 6], vec![1; 6]),
        ] {
            assert_eq!(lengths_of_runs(&letters), expected, "{letters:?}");
        }
    }
}
