//! Every arrow of RFC 3261 figures 5 to 8, as RFC 6026 and RFC 4320 amend them, the
//! times of their timers, and laws for any history.
#![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use trunkline::sip::{Message, StatusCode};
use trunkline::transaction::{
    Action, Actions, ClientInvite, ClientNonInvite, Event, ServerInvite, ServerNonInvite,
    StateName, TimerName, Timers, Transaction, Transport,
};

/// One arrow a line: the transport, what happened before, what happens now, what is
/// done and the state it leads to. A word of what happens is a timer that is due, a
/// response that arrives (`183`), one that the user gives (`answer-183`), a request
/// that arrives, a `failure` of the transport, or that the user will `abandon` it.
const FIGURE_5: &str = "
    # INVITE client: §17.1.1, RFC 6026 §7.2, §8.4
    any | | 1xx          | Deliver                         | Proceeding
    any | | 2xx          | Deliver                         | Accepted
    udp | | 3xx          | send-ACK Deliver                | Completed
    tcp | | 3xx          | send-ACK Deliver Terminate      | Terminated
    udp | | timer-A      | send-INVITE                     | Calling
    udp | timer-A | timer-A | send-INVITE                  | Calling
    tcp | | timer-B      | Timeout Terminate               | Terminated
    udp | timer-A timer-A timer-A timer-A timer-A timer-A | timer-B | Timeout Terminate | Terminated
    any | | failure      | TransportFailed Terminate       | Terminated
    any | | abandon      | Terminate                       | Terminated
    any | 1xx | 1xx      | Deliver                         | Proceeding
    any | 1xx | 2xx      | Deliver                         | Accepted
    udp | 1xx | 3xx      | send-ACK Deliver                | Completed
    tcp | 1xx | 3xx      | send-ACK Deliver Terminate      | Terminated
    any | 1xx | early    |                                 | Proceeding
    any | 1xx | failure  |                                 | Proceeding
    any | 1xx | abandon  | Terminate                       | Terminated
    any | 2xx | 2xx      | Deliver                         | Accepted
    any | 2xx | 1xx      |                                 | Accepted
    any | 2xx | 3xx      |                                 | Accepted
    any | 2xx | failure  |                                 | Accepted
    any | 2xx | timer-M  | Terminate                       | Terminated
    any | 1xx 2xx | timer-M | Terminate                    | Terminated
    any | 2xx | abandon  | Terminate                       | Terminated
    udp | 3xx | 3xx      | send-ACK                        | Completed
    udp | 3xx | 6xx      | send-ACK                        | Completed
    udp | 3xx | 1xx      |                                 | Completed
    udp | 3xx | 2xx      |                                 | Completed
    udp | 3xx | failure  | TransportFailed Terminate       | Terminated
    udp | 3xx | timer-D  | Terminate                       | Terminated
    udp | 3xx | abandon  | Terminate                       | Terminated
    any | abandon | 2xx  |                                 | Terminated
    any | abandon | failure |                              | Terminated
    any | abandon | abandon |                              | Terminated";

const FIGURE_6: &str = "
    # Non-INVITE client: §17.1.2
    any | | 1xx          | Deliver                         | Proceeding
    udp | | 2xx          | Deliver                         | Completed
    udp | | 6xx          | Deliver                         | Completed
    tcp | | 2xx          | Deliver Terminate               | Terminated
    udp | | timer-E      | send-OPTIONS                    | Trying
    tcp | | timer-F      | Timeout Terminate               | Terminated
    any | | failure      | TransportFailed Terminate       | Terminated
    any | | abandon      | Terminate                       | Terminated
    any | 1xx | 1xx      | Deliver                         | Proceeding
    udp | 1xx | timer-E  | send-OPTIONS                    | Proceeding
    tcp | 1xx | timer-F  | Timeout Terminate               | Terminated
    udp | 1xx | 3xx      | Deliver                         | Completed
    tcp | 1xx | 3xx      | Deliver Terminate               | Terminated
    any | 1xx | failure  | TransportFailed Terminate       | Terminated
    any | 1xx | abandon  | Terminate                       | Terminated
    udp | 2xx | 2xx      |                                 | Completed
    udp | 2xx | 1xx      |                                 | Completed
    udp | 2xx | failure  |                                 | Completed
    udp | 2xx | timer-K  | Terminate                       | Terminated
    udp | 2xx | abandon  | Terminate                       | Terminated
    any | abandon | 2xx  |                                 | Terminated";

const FIGURE_7: &str = "
    # INVITE server: §17.2.1, RFC 6026 §7.1, §8.7
    any | | INVITE                    |                           | Proceeding
    any | | answer-1xx                | send-1xx                  | Proceeding
    any | answer-1xx | INVITE         | send-1xx                  | Proceeding
    any | answer-1xx | answer-1xx     | send-1xx                  | Proceeding
    any | | answer-2xx                | send-2xx                  | Accepted
    any | | answer-3xx                | send-3xx                  | Completed
    any | answer-1xx | answer-2xx     | send-2xx                  | Accepted
    any | answer-1xx | answer-6xx     | send-6xx                  | Completed
    any | | failure                   | TransportFailed           | Proceeding
    any | | ACK                       |                           | Proceeding
    any | | abandon                   | Terminate                 | Terminated
    any | answer-2xx | INVITE         |                           | Accepted
    any | answer-2xx | ACK            | Deliver                   | Accepted
    any | answer-2xx | answer-2xx     | send-2xx                  | Accepted
    any | answer-2xx | answer-3xx     |                           | Accepted
    any | answer-2xx | answer-1xx     |                           | Accepted
    any | answer-2xx | failure        | TransportFailed           | Accepted
    any | answer-2xx | timer-L        | Terminate                 | Terminated
    any | answer-2xx | abandon        | Terminate                 | Terminated
    any | answer-3xx | INVITE         | send-3xx                  | Completed
    udp | answer-3xx | timer-G        | send-3xx                  | Completed
    udp | answer-1xx answer-3xx timer-G | timer-G | send-3xx      | Completed
    any | answer-3xx | answer-2xx     |                           | Completed
    any | answer-3xx | answer-6xx     |                           | Completed
    any | answer-3xx | failure        | TransportFailed           | Completed
    tcp | answer-3xx | timer-H        | Timeout Terminate         | Terminated
    udp | answer-3xx | ACK            |                           | Confirmed
    tcp | answer-3xx | ACK            | Terminate                 | Terminated
    any | answer-3xx | abandon        | Terminate                 | Terminated
    udp | answer-3xx ACK | ACK        |                           | Confirmed
    udp | answer-3xx ACK | INVITE     |                           | Confirmed
    udp | answer-3xx ACK | failure    |                           | Confirmed
    udp | answer-3xx ACK | timer-I    | Terminate                 | Terminated
    udp | answer-3xx ACK | abandon    | Terminate                 | Terminated
    any | abandon | INVITE            |                           | Terminated
    any | abandon | answer-2xx        |                           | Terminated";

const FIGURE_8: &str = "
    # Non-INVITE server: §17.2.2, RFC 4320 §4
    any | | OPTIONS                   |                           | Trying
    udp | | answer-2xx                | send-2xx                  | Completed
    tcp | | answer-2xx                | send-2xx Terminate        | Terminated
    udp | | answer-6xx                | send-6xx                  | Completed
    udp | | answer-100                |                           | Trying
    tcp | | answer-100                | send-100                  | Proceeding
    any | | answer-1xx                |                           | Trying
    udp | | answer-408                |                           | Completed
    tcp | | answer-408                | Terminate                 | Terminated
    any | | timer-Trying              | SendTrying                | Trying
    any | timer-Trying | answer-100   | send-100                  | Proceeding
    any | timer-Trying | answer-1xx   |                           | Trying
    any | timer-Trying | timer-F      | Timeout Terminate         | Terminated
    any | | failure                   |                           | Trying
    any | | abandon                   | Terminate                 | Terminated
    any | timer-Trying answer-100 | OPTIONS | send-100            | Proceeding
    any | timer-Trying answer-100 | answer-100 | send-100         | Proceeding
    any | timer-Trying answer-100 | answer-1xx |                  | Proceeding
    udp | timer-Trying answer-100 | answer-2xx | send-2xx         | Completed
    tcp | timer-Trying answer-100 | answer-2xx | send-2xx Terminate | Terminated
    udp | timer-Trying answer-100 | answer-408 |                  | Completed
    any | timer-Trying answer-100 | timer-F | Timeout Terminate   | Terminated
    any | timer-Trying answer-100 | failure | TransportFailed Terminate | Terminated
    udp | answer-2xx | OPTIONS        | send-2xx                  | Completed
    udp | answer-408 | OPTIONS        |                           | Completed
    udp | answer-2xx | answer-6xx     |                           | Completed
    udp | answer-2xx | answer-100     |                           | Completed
    udp | answer-2xx | failure        | TransportFailed Terminate | Terminated
    udp | answer-2xx | timer-J        | Terminate                 | Terminated
    udp | answer-2xx | abandon        | Terminate                 | Terminated
    any | abandon | OPTIONS           |                           | Terminated";

const INVITE: &str = "INVITE sip:+442071838750@192.0.2.9 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK0\r\n\
    Route: <sip:192.0.2.9;lr>\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\nCall-ID: c\r\n\
    CSeq: 7 INVITE\r\nMax-Forwards: 69\r\n\r\n";
const OPTIONS: &str = "OPTIONS sip:192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
    From: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\nCall-ID: c\r\nCSeq: 7 OPTIONS\r\n\r\n";

/// What can happen to any machine, without the lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    Request,
    Ack,
    Answer(u16),
    Response(u16),
    Timer,
    /// [`Event::TimerDue`] before its time.
    Early,
    Failure,
    Abandon,
}

/// A machine and its time.
struct Stage {
    now: Instant,
    machine: Transaction,
}

impl Stage {
    fn new(figure: u8, transport: Transport, timers: &Timers) -> Self {
        let now = Instant::now();
        let invite = Bytes::from_static(INVITE.as_bytes());
        let options = Bytes::from_static(OPTIONS.as_bytes());
        let machine = match figure {
            5 => ClientInvite::new(now, invite, transport, timers).into(),
            6 => ClientNonInvite::new(now, options, transport, timers).into(),
            7 => ServerInvite::new(transport, timers).into(),
            _ => ServerNonInvite::new(now, transport, timers).into(),
        };
        Self { now, machine }
    }

    fn happens(&mut self, what: Happening) -> Actions {
        let response = |code: u16| {
            format!("SIP/2.0 {code} X\r\nTo: <sip:c@d>;tag=t{code}\r\nCSeq: 7 X\r\n\r\n")
        };
        match what {
            Happening::Request => self.machine.step(self.now, Event::Request),
            Happening::Ack => self.machine.step(self.now, Event::Ack),
            Happening::Answer(code) => {
                let event = Event::Respond(StatusCode::new(code).unwrap(), response(code).into());
                self.machine.step(self.now, event)
            }
            Happening::Response(code) => {
                let text = response(code);
                let message = Message::parse_datagram(text.as_bytes()).unwrap();
                self.machine.step(self.now, Event::Response(&message))
            }
            Happening::Timer => {
                let due = self.machine.deadline().map_or(self.now, |(at, _)| at);
                self.now = self.now.max(due);
                self.machine.step(self.now, Event::TimerDue)
            }
            Happening::Early => self.machine.step(self.now, Event::TimerDue),
            Happening::Failure => self.machine.step(self.now, Event::SendFailed),
            Happening::Abandon => self.machine.step(self.now, Event::Abandon),
        }
    }

    fn timer(&self) -> Option<TimerName> {
        self.machine.deadline().map(|(_, name)| name)
    }
}

/// What a word of a table stands for. `1xx` to `6xx` are one status of that class.
fn happening(word: &str, stage: &Stage) -> Happening {
    let status = |text: &str| match text {
        "1xx" => 183,
        "2xx" => 200,
        "3xx" => 302,
        "6xx" => 603,
        number => number
            .parse()
            .unwrap_or_else(|_| panic!("no such word: {word}")),
    };
    match word {
        "INVITE" | "OPTIONS" => Happening::Request,
        "ACK" => Happening::Ack,
        "failure" => Happening::Failure,
        "abandon" => Happening::Abandon,
        "early" => Happening::Early,
        _ => match (word.strip_prefix("timer-"), word.strip_prefix("answer-")) {
            (Some(letter), _) => {
                let running = stage.timer().map(|name| name.to_string());
                assert_eq!(running.as_deref(), Some(letter), "the next timer");
                Happening::Timer
            }
            (_, Some(answer)) => Happening::Answer(status(answer)),
            _ => Happening::Response(status(word)),
        },
    }
}

/// The actions in the words of the tables.
fn words(actions: &Actions) -> String {
    let sent = |bytes: &Bytes| {
        let message = Message::parse_datagram(bytes).unwrap();
        match (message.method(), message.status().map(StatusCode::code)) {
            (Some(method), _) => format!("send-{method}"),
            (_, Some(code @ (100 | 408))) => format!("send-{code}"),
            (_, code) => format!("send-{}xx", code.unwrap() / 100),
        }
    };
    let words: Vec<String> = actions
        .iter()
        .map(|action| match action {
            Action::SendRequest(bytes) | Action::SendResponse(bytes) => sent(bytes),
            action => format!("{action:?}"),
        })
        .collect();
    words.join(" ")
}

fn check(figure: u8, table: &str, arrows_expected: usize) {
    let mut arrows = 0;
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [transport, history, event, actions, state] = columns[..] else {
            panic!("not five columns: {line}");
        };
        let transports: &[Transport] = match transport {
            "udp" => &[Transport::Unreliable],
            "tcp" => &[Transport::Reliable],
            "any" => &[Transport::Unreliable, Transport::Reliable],
            other => panic!("no such transport: {other}"),
        };
        for transport in transports {
            let mut stage = Stage::new(figure, *transport, &Timers::RFC_3261);
            for word in history.split_whitespace() {
                stage.happens(happening(word, &stage));
            }
            let done = words(&stage.happens(happening(event, &stage)));
            let reached = format!("{:?}", stage.machine.state());
            assert_eq!(
                (done.as_str(), reached.as_str()),
                (actions, state),
                "{transport:?}: {line}"
            );
            arrows += 1;
        }
    }
    assert_eq!(arrows, arrows_expected, "arrows of figure {figure}");
}

#[test]
fn the_arrows_of_figure_5() {
    check(5, FIGURE_5, 53);
}

#[test]
fn the_arrows_of_figure_6() {
    check(6, FIGURE_6, 28);
}

#[test]
fn the_arrows_of_figure_7() {
    check(7, FIGURE_7, 62);
}

#[test]
fn the_arrows_of_figure_8() {
    check(8, FIGURE_8, 45);
}

/// Milliseconds from the beginning at which something is sent by timers, and when and
/// how it ends, after `history`.
fn schedule(figure: u8, transport: Transport, history: &[Happening]) -> (Vec<u128>, u128, String) {
    let mut stage = Stage::new(figure, transport, &Timers::RFC_3261);
    let begun = stage.now;
    for what in history {
        stage.happens(*what);
    }
    let (mut sent_ms, mut end) = (Vec::new(), String::new());
    while stage.timer().is_some() {
        let actions = stage.happens(Happening::Timer);
        let now_ms = (stage.now - begun).as_millis();
        match words(&actions) {
            text if text.starts_with("send-") => sent_ms.push(now_ms),
            text if text.ends_with("Terminate") => end = text,
            _ => {}
        }
    }
    (sent_ms, (stage.now - begun).as_millis(), end)
}

/// Figure, transport, history; when something is sent, when and how it ends.
type Case<'a> = (u8, Transport, &'a [Happening], &'a [u128], u128, &'a str);

#[test]
fn the_times_of_the_timers() {
    use Happening::{Ack, Answer, Response, Timer};
    use Transport::{Reliable, Unreliable};
    let lost = "Timeout Terminate";
    let over = "Terminate";
    let a = [500, 1_500, 3_500, 7_500, 15_500, 31_500];
    let e = [
        500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let after_1xx = [500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500];
    #[rustfmt::skip]
    let cases: &[Case<'_>] = &[
        (5, Unreliable, &[], &a, 32_000, lost),
        (5, Reliable, &[], &[], 32_000, lost),
        (5, Unreliable, &[Response(302)], &[], 32_000, over),
        (5, Unreliable, &[Response(200)], &[], 32_000, over),
        (5, Reliable, &[Response(200)], &[], 32_000, over),
        (5, Unreliable, &[Response(100)], &[], 0, ""),
        (6, Unreliable, &[], &e, 32_000, lost),
        (6, Reliable, &[], &[], 32_000, lost),
        (6, Unreliable, &[Response(100)], &after_1xx, 32_000, lost),
        (6, Unreliable, &[Timer, Response(200)], &[], 5_500, over),
        (7, Unreliable, &[Answer(302)], &e, 32_000, lost),
        (7, Reliable, &[Answer(302)], &[], 32_000, lost),
        (7, Unreliable, &[Answer(302), Ack], &[], 5_000, over),
        (7, Unreliable, &[Answer(200)], &[], 32_000, over),
        (7, Reliable, &[Answer(200)], &[], 32_000, over),
        (8, Unreliable, &[Answer(200)], &[], 32_000, over),
        (8, Unreliable, &[Timer, Answer(100)], &[], 32_000, lost),
        (8, Unreliable, &[], &[], 32_000, lost),
    ];
    for (figure, transport, history, sent_ms, end_ms, end) in cases {
        let what = format!("figure {figure}, {transport:?}, {history:?}");
        let expected = (sent_ms.to_vec(), *end_ms, (*end).to_owned());
        assert_eq!(schedule(*figure, *transport, history), expected, "{what}");
    }
}

#[test]
fn the_hundred_of_rfc_4320_comes_when_timer_e_reaches_t2() {
    let mut stage = Stage::new(8, Transport::Unreliable, &Timers::RFC_3261);
    let begun = stage.now;
    assert_eq!(words(&stage.happens(Happening::Timer)), "SendTrying");
    assert_eq!(stage.now - begun, Duration::from_millis(3_500));
}

#[test]
fn the_ack_is_made_of_the_invite_and_the_to_of_its_response() {
    let mut stage = Stage::new(5, Transport::Unreliable, &Timers::RFC_3261);
    let actions = stage.happens(Happening::Response(486));
    let Some(Action::SendRequest(ack)) = actions.first() else {
        panic!("no ACK");
    };
    assert_eq!(
        std::str::from_utf8(ack).unwrap(),
        "ACK sip:+442071838750@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         Route: <sip:192.0.2.9;lr>\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>;tag=t486\r\nCall-ID: c\r\n\
         CSeq: 7 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    let again = stage.happens(Happening::Response(486));
    assert_eq!(
        again.as_slice(),
        [Action::SendRequest(ack.clone())],
        "the same bytes"
    );
}

#[test]
fn the_invite_is_there_for_a_cancel_until_it_is_answered() {
    let timers = Timers::RFC_3261;
    let invite = Bytes::from_static(INVITE.as_bytes());
    let mut machine =
        ClientInvite::new(Instant::now(), invite.clone(), Transport::Reliable, &timers);
    assert_eq!(machine.pending_invite(), Some(&invite));
    let ok = Message::parse_datagram(b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    machine.step(Instant::now(), Event::Response(&ok));
    assert_eq!(machine.pending_invite(), None);
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Request),
        2 => Just(Happening::Ack),
        3 => (100..700_u16).prop_map(Happening::Answer),
        1 => Just(Happening::Answer(100)),
        3 => (100..700_u16).prop_map(Happening::Response),
        4 => Just(Happening::Timer),
        1 => Just(Happening::Early),
        1 => Just(Happening::Failure),
        // Rare, so that histories get long.
    ]
}

fn timers() -> impl Strategy<Value = Timers> {
    let value = || prop_oneof![Just(0), Just(500), 0..10_000_u32, any::<u32>()];
    (value(), value(), value(), value()).prop_map(|(t1_ms, t2_ms, t4_ms, b_ms)| Timers {
        b_ms,
        ..Timers::from_estimates(t1_ms, t2_ms, t4_ms)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever happens in whatever order: a machine ends once and says so last; after
    /// its end it is silent; it says one final answer up, or down; a timer that has
    /// fired lies behind; and left alone it ends, unless an INVITE is proceeding.
    #[test]
    fn any_history_has_one_end(
        figure in 5..9_u8,
        reliable: bool,
        timers in timers(),
        history in vec((any_happening(), 0..9_000_u64), 0..60),
    ) {
        let transport = if reliable { Transport::Reliable } else { Transport::Unreliable };
        let mut stage = Stage::new(figure, transport, &timers);
        let (mut ends, mut finals) = (0, Vec::new());
        for (what, wait_ms) in history {
            stage.now += Duration::from_millis(wait_ms);
            let over = stage.machine.is_terminated();
            let actions = stage.happens(what);
            prop_assert!(!over || actions.is_empty(), "{what:?} after the end: {actions:?}");
            let terminates = actions.iter().filter(|action| **action == Action::Terminate).count();
            prop_assert!(terminates == 0 || actions.last() == Some(&Action::Terminate));
            ends += terminates;
            prop_assert_eq!(ends > 0, stage.machine.is_terminated());
            match what {
                Happening::Answer(code @ 200..) => {
                    finals.extend(actions.iter().any(|action| matches!(action, Action::SendResponse(_))).then_some(code));
                }
                Happening::Response(code @ 200..) => {
                    finals.extend(actions.contains(&Action::Deliver).then_some(code));
                }
                Happening::Timer => {
                    let next = stage.machine.deadline();
                    prop_assert!(next.is_none_or(|(at, _)| at > stage.now), "{next:?}");
                }
                _ => {}
            }
        }
        // 2xx to INVITE may be many: forks and retransmissions (RFC 6026).
        let all_2xx = figure % 2 == 1 && finals.iter().all(|code| (200..300).contains(code));
        prop_assert!(finals.len() <= 1 || all_2xx, "{finals:?}");
        // However small T1 is, repeating takes at least a millisecond: count, but not for ever.
        let mut steps = 0_u32;
        while let Some((due, _)) = stage.machine.deadline() {
            stage.now = stage.now.max(due);
            let actions = stage.machine.step(stage.now, Event::TimerDue);
            ends += actions.iter().filter(|action| **action == Action::Terminate).count();
            steps += 1;
            if steps > 200 {
                stage.now += Duration::from_secs(1 << 33);
            }
            prop_assert!(steps < 205, "timers for ever");
        }
        let proceeding = figure % 2 == 1 && stage.machine.state() == StateName::Proceeding;
        if proceeding {
            let actions = stage.happens(Happening::Abandon);
            prop_assert_eq!(actions.as_slice(), [Action::Terminate]);
            ends += 1;
        }
        prop_assert_eq!(ends, 1);
    }
}
