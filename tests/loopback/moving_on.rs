//! How soon a call is at its next trunk when the first one is not there. Nothing here asks for a
//! time: `cargo test --release --test loopback moving_on -- --nocapture` tells it.

use std::time::{Duration, Instant};

use crate::Rig;
use crate::names::{NameServer, rig as named};
use crate::phone::Phone;
use crate::proxy::{Trunk, dead, trunks_toml};
use crate::tcp_proxy::{bridge_with, over_tcp};

const TIMES: usize = 20;

/// From the INVITE of the caller to that of the trunk behind the one that is not there, each
/// time with a server that does not know yet.
fn measured(what: &str, start: impl Fn(&Trunk) -> (Rig, Option<NameServer>)) {
    let mut took: Vec<Duration> = (0..TIMES)
        .map(|n| {
            let alive = Trunk::new();
            let (rig, _names) = start(&alive);
            let phone = Phone::new(rig.address());
            let invite = phone.invite("+442071838750", &format!("m{n}"));
            let begun = Instant::now();
            phone.send(invite.as_bytes());
            let arrived = alive.expect("INVITE ");
            let took = begun.elapsed();
            alive.answer(&arrived, 200);
            assert!(phone.receive().starts_with("SIP/2.0 100 "));
            assert!(phone.receive().starts_with("SIP/2.0 200 "));
            let totals = rig.handle.shutdown();
            assert_eq!(totals.proxied.trunk_errors, 1, "{what}: {totals}");
            took
        })
        .collect();
    took.sort_unstable();
    println!(
        "moves on from {what}: median {:.1?}, longest {:.1?} of {TIMES}",
        took[TIMES / 2],
        took[TIMES - 1]
    );
}

#[test]
fn from_an_address_where_nobody_listens() {
    measured("a port that is closed", |alive| {
        let trunks = [dead(), alive.address()];
        (bridge_with(&trunks_toml(&trunks), 1), None)
    });
}

#[test]
fn from_a_connection_that_is_refused() {
    measured("a connection that is refused", |alive| {
        let trunks = [over_tcp(dead()), alive.address().to_string()];
        (bridge_with(&trunks_toml(&trunks), 1), None)
    });
}

#[test]
fn from_a_dead_server_of_a_name() {
    measured("a dead server of a name", |alive| {
        let names = NameServer::with_two(dead(), alive.address());
        let rig = named("sip:example.test", dead(), &names);
        (rig, Some(names))
    });
}

#[test]
fn from_a_name_nobody_knows() {
    measured("a name nobody knows", |alive| {
        let names = NameServer::with_two(dead(), dead());
        let rig = named("sip:nobody.test", alive.address(), &names);
        (rig, Some(names))
    });
}
