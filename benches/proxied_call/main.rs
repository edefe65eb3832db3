//! Instructions of one proxied call, message by message: `cargo bench --bench proxied_call`.
//!
//! Runs itself under valgrind and counts only what the engine does with the messages of one
//! kind, sockets and table loading left out. Counts do not depend on what else the machine
//! does. `FOLLOWED=1` in the environment has the engine follow calls to their end, as it does
//! where records are written.

#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the user agents of the tests, of which this needs a few words"
)]
#[path = "../../tests/proxy/bench.rs"]
mod bench;
#[path = "../valgrind/mod.rs"]
mod valgrind;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use bench::{Bench, CALLER, Dialog, LON, Sent, invite, respond};
use trunkline::proxy::{Flow, FlowTransport, Input, Output};
use valgrind::instructions;

/// Calls that go before, so that no first time is counted, and calls that are counted.
const WARM: usize = 64;
const CALLS: usize = 512;

/// The datagrams of a call in order, and what runs besides: timers.
const KINDS: [&str; 7] = [
    "INVITE",
    "180",
    "200 (INVITE)",
    "ACK",
    "BYE",
    "200 (BYE)",
    "timers",
];

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    if words.next().as_deref() == Some("work") {
        let text = words.next().unwrap_or_default();
        work(text.parse().expect("a kind"));
        return ExitCode::SUCCESS;
    }
    let mut sum = 0.0;
    println!("| datagram | instructions |\n|---|---|");
    for (kind, name) in KINDS.iter().enumerate() {
        match instructions(Some("*measured_step*"), &["work", &kind.to_string()]) {
            Ok(counted) => {
                let one = counted as f64 / CALLS as f64;
                sum += one;
                println!("| {name} | {one:.0} |");
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("| the whole call | {sum:.0} |");
    ExitCode::SUCCESS
}

fn work(kind: usize) {
    let mut site = Site {
        bench: Bench::new(),
        kind,
        counts: false,
    };
    if env::var_os("FOLLOWED").is_some() {
        site.bench.engine.follow_calls();
    }
    for id in 0..WARM + CALLS {
        site.counts = id >= WARM;
        site.call(&id.to_string());
    }
}

struct Site {
    bench: Bench,
    /// The kind that is counted.
    kind: usize,
    counts: bool,
}

impl Site {
    fn call(&mut self, id: &str) {
        let invite = invite("+441", id);
        let sent = self.step(0, CALLER, &invite);
        let invited = to(&sent, LON);
        self.step(1, LON, &respond(&invited, 180, ""));
        let sent = self.step(2, LON, &respond(&invited, 200, ""));
        let dialog = Dialog::of(&invite, &to(&sent, CALLER));
        self.step(3, CALLER, &dialog.by_caller("ACK", 1));
        let bye = dialog.by_caller("BYE", 2);
        let bye = bye.replace("z9hG4bKBYE2x", &format!("z9hG4bKBYE{id}x"));
        let sent = self.step(4, CALLER, &bye);
        let hung_up = &sent.first().expect("a BYE").text;
        self.step(5, LON, &respond(hung_up, 200, ""));
        // 10 calls a second, so that timers of earlier ones run between.
        self.bench.now.instant += Duration::from_millis(100);
        self.due();
    }

    fn step(&mut self, kind: usize, from: &str, text: &str) -> Vec<Sent> {
        let (peer, local) = (from.parse().expect("an address"), bench::PROXY);
        let flow = Flow {
            listener: 0,
            transport: FlowTransport::Udp,
            local: local.parse().expect("an address"),
            peer,
        };
        let bytes = text.as_bytes();
        self.take(kind, Input::Received { flow, bytes })
    }

    fn due(&mut self) {
        let due = self.bench.engine.poll_timeout();
        if due.is_some_and(|due| due <= self.bench.now.instant) {
            self.take(KINDS.len() - 1, Input::TimerDue);
        }
    }

    fn take(&mut self, kind: usize, input: Input<'_>) -> Vec<Sent> {
        let outputs = if self.counts && kind == self.kind {
            measured_step(&mut self.bench, input)
        } else {
            step(&mut self.bench, input)
        };
        let mut sent = Vec::new();
        for output in outputs {
            if let Output::Transmit { flow, bytes } = output {
                sent.push(Sent {
                    to: flow.peer.to_string(),
                    listener: flow.listener,
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                });
            }
        }
        sent
    }
}

/// The name by which valgrind knows what to count.
#[inline(never)]
fn measured_step(bench: &mut Bench, input: Input<'_>) -> Vec<Output> {
    step(bench, input)
}

#[inline(always)]
fn step(bench: &mut Bench, input: Input<'_>) -> Vec<Output> {
    let mut outputs = Vec::with_capacity(8);
    bench.engine.handle(bench.now, input, &bench.snapshot);
    while let Some(output) = bench.engine.poll_output() {
        outputs.push(output);
    }
    outputs
}

fn to(sent: &[Sent], peer: &str) -> String {
    let mut sent = sent.iter().filter(|sent| sent.to == peer);
    sent.next().expect("something for the peer").text.clone()
}
