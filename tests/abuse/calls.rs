//! Who is answered, how often, and where the answer goes.

use std::net::SocketAddr;
use std::time::Duration;

use trunkline::limits::{
    REDIRECT_TRANSACTIONS_MAX, STRANGER_ANSWERS_PER_SECOND_MAX, UNKNOWN_SOURCE_GAIN_BYTES_MAX,
};
use trunkline::proxy::DropReason;

use super::{Rig, SBC, invite, request};

const STRANGER: &str = "198.51.100.66:5060";

/// The INVITE with another top Via.
fn with_via(via: &str) -> Vec<u8> {
    let text = String::from_utf8(invite("+442071838750", &[])).unwrap();
    text.replace("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1", via)
        .into_bytes()
}

#[test]
fn a10_responses_are_reflected_to_nobody() {
    let mut rig = Rig::new(true);
    for via in ["192.0.2.9", "198.51.100.1", "255.255.255.255"] {
        for status in [
            "100 Trying",
            "200 OK",
            "302 Moved",
            "407 Proxy Authentication Required",
            "200",
        ] {
            let text = format!(
                "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
                 Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            );
            let outcome = rig.hears(text.as_bytes());
            assert_eq!(
                (outcome.dropped, outcome.to),
                (Some(DropReason::Response), None)
            );
        }
    }
    rig.is_healthy();
}

#[test]
fn a11_nothing_is_sent_to_crowds_or_nowhere() {
    let mut rig = Rig::new(false);
    let source: SocketAddr = SBC.parse().unwrap();
    for via in [
        "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK2",
        "SIP/2.0/UDP h;maddr=255.255.255.255;branch=z9hG4bK2",
        "SIP/2.0/UDP h;maddr=224.0.1.75;ttl=255;branch=z9hG4bK2",
        "SIP/2.0/UDP h;maddr=0.0.0.0;branch=z9hG4bK2",
        "SIP/2.0/UDP h;maddr=127.0.0.1;branch=z9hG4bK2",
        "SIP/2.0/UDP h;maddr=ff02::1;branch=z9hG4bK2",
        "SIP/2.0/UDP h;maddr=::ffff:255.255.255.255;branch=z9hG4bK2",
        "SIP/2.0/UDP 0.0.0.0:0;branch=z9hG4bK2",
        "SIP/2.0/UDP h:0;received=255.255.255.255;branch=z9hG4bK2",
    ] {
        let to = rig.hears(&with_via(via)).to.unwrap();
        assert_eq!((to.ip(), to.port()), (source.ip(), 5060), "{via}");
    }
    for source in [
        "0.0.0.0:5060",
        "255.255.255.255:5060",
        "224.0.1.75:5060",
        "192.0.2.9:0",
        "[ff02::1]:5060",
        "[::]:5060",
    ] {
        let outcome = rig.hears_from(source, &invite("+442071838750", &[]));
        assert_eq!(outcome.dropped, Some(DropReason::Unanswerable), "{source}");
    }
}

#[test]
fn a12_forged_received_and_rport_are_overwritten() {
    let mut rig = Rig::new(false);
    for via in [
        "SIP/2.0/UDP 192.0.2.9;received=203.0.113.5;branch=z9hG4bK1;rport=9",
        "SIP/2.0/UDP evil.example;rport=9;RECEIVED=203.0.113.5;received=203.0.113.6;branch=z9hG4bK1",
    ] {
        let outcome = rig.hears_from("192.0.2.9:7777", &with_via(via));
        assert_eq!(outcome.to.unwrap().to_string(), "192.0.2.9:7777");
        assert!(
            outcome.text.contains("rport=7777") && !outcome.text.contains("203.0.113"),
            "{}",
            outcome.text
        );
        assert!(outcome.text.contains("received=192.0.2.9") && !outcome.text.contains("rport=9"));
    }
}

#[test]
fn a14_strangers_gain_no_amplifier() {
    let mut rig = Rig::new(false);
    let long_name = format!("Subject: {}", "x".repeat(2_000));
    for request in [
        &b"OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP a\r\n\r\n"[..],
        b"INVITE sip:a SIP/2.0\nv:SIP/2.0/UDP a",
        &invite("+442071838750", &[&long_name]),
    ] {
        let outcome = rig.hears_from(STRANGER, request);
        // Escaped, it is longer than it was sent.
        assert!(outcome.text.len() <= request.len() + UNKNOWN_SOURCE_GAIN_BYTES_MAX + 100);
        assert_eq!(outcome.status, Some(403), "{}", outcome.text);
        assert!(outcome.text.ends_with("Content-Length: 0\\r\\n\\r\\n"));
    }
}

#[test]
fn a15_a_flood_of_strangers_is_answered_so_often_and_keeps_nobody_waiting() {
    let mut rig = Rig::new(true);
    let mut answered = 0;
    for n in 0..5_000_u32 {
        let source = format!("203.0.{}.{}:5060", n % 250, n % 199 + 1);
        answered += u32::from(
            rig.hears_from(&source, &invite("+442071838750", &[]))
                .status
                .is_some(),
        );
        if n % 100 == 0 {
            rig.is_healthy();
        }
    }
    assert_eq!(answered, STRANGER_ANSWERS_PER_SECOND_MAX);
    rig.wait(Duration::from_secs(1));
    assert_eq!(
        rig.hears_from(STRANGER, &invite("+442071838750", &[]))
            .status,
        Some(403)
    );
}

#[test]
fn a17_calls_that_are_never_acknowledged_end() {
    let mut rig = Rig::new(true);
    let mut more = 0;
    for n in 0..REDIRECT_TRANSACTIONS_MAX + 1_000 {
        let via = format!("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{n}");
        assert_eq!(rig.hears(&with_via(&via)).status, Some(302));
        more += rig.server.take_unkept();
    }
    assert_eq!(
        (rig.server.awaiting_ack(), more),
        (REDIRECT_TRANSACTIONS_MAX, 1_000)
    );
    let mut out = Vec::new();
    let mut repeated = 0_usize;
    // Timer H is 64 * T1 = 32 s; a step of a second is enough to meet every deadline.
    for _ in 0..40 {
        rig.wait(Duration::from_secs(1));
        while rig.server.poll_timer(rig.now.instant, &mut out).is_some() {
            repeated += 1;
        }
    }
    assert_eq!(
        (rig.server.awaiting_ack(), rig.server.deadline()),
        (0, None)
    );
    assert!(repeated > REDIRECT_TRANSACTIONS_MAX, "{repeated}");
    rig.is_healthy();
}

#[test]
fn a18_a_storm_of_one_invite_is_one_call() {
    let mut rig = Rig::new(true);
    let first = rig.hears(&invite("+442071838750", &[]));
    for _ in 0..1_000 {
        let again = rig.hears(&invite("+442071838750", &[]));
        assert_eq!(again.text, first.text);
    }
    assert_eq!(rig.server.awaiting_ack(), 1);
    let mut stateless = Rig::new(false);
    let first = stateless.hears(&invite("+442071838750", &[])).text;
    assert_eq!(stateless.hears(&invite("+442071838750", &[])).text, first);
}

#[test]
fn a19_a_request_that_has_gone_round_ends() {
    let mut rig = Rig::new(false);
    for (hops, status) in [
        ("0", 483),
        ("00", 483),
        ("1", 302),
        ("255", 302),
        ("256", 400),
        ("-1", 400),
        ("+1", 400),
    ] {
        let bytes = invite("+442071838750", &[&format!("Max-Forwards: {hops}")]);
        assert_eq!(rig.status_of(&bytes), Some(status), "{hops}");
    }
    // The only route of an emergency call leads where the request came from.
    let back = request("INVITE sip:112@192.0.2.1 SIP/2.0", &[]);
    assert_eq!(rig.status_of(&back), Some(482));
}

#[test]
fn a24_mapped_addresses_are_what_they_map() {
    let mut rig = Rig::new(false);
    for source in [
        "[::ffff:192.0.2.9]:5060",
        "[::ffff:127.0.0.1]:5060",
        "[::ffff:198.51.100.66]:5060",
    ] {
        let outcome = rig.hears_from(source, &invite("+442071838750", &[]));
        assert_eq!(
            outcome.dropped,
            Some(DropReason::Unanswerable),
            "{source}: {}",
            outcome.text
        );
    }
    assert_eq!(
        rig.hears_from("[2001:db8::9]:5060", &invite("+442071838750", &[]))
            .status,
        Some(302)
    );
}

#[test]
fn a25_strangers_learn_no_numbers() {
    let mut rig = Rig::new(false);
    let mut answers = Vec::new();
    for number in [
        "+442071838750",
        "+447777777777",
        "999",
        "112",
        "100",
        "admin",
    ] {
        rig.wait(Duration::from_secs(1));
        let answer = rig.hears_from(STRANGER, &invite(number, &[]));
        assert_eq!(answer.status, Some(403));
        // The tag is drawn from what was sent; nothing else may tell numbers apart.
        let (before, tagged) = answer.text.split_once(";tag=1\\r\\nTo: ").unwrap();
        let (to, after) = tagged.split_once(";tag=").unwrap();
        answers.push(
            [
                before,
                to,
                after.trim_start_matches(|c: char| c.is_ascii_hexdigit()),
            ]
            .concat(),
        );
    }
    for method in ["OPTIONS", "REGISTER", "CANCEL"] {
        let answer = rig.hears_from(
            STRANGER,
            &request(&format!("{method} sip:192.0.2.1 SIP/2.0"), &[]),
        );
        assert_eq!(answer.status, Some(403), "{method}");
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:#?}"
    );
}

#[test]
fn a26_headers_widen_no_trust() {
    let mut rig = Rig::new(false);
    let text = String::from_utf8(invite("+442071838750", &[])).unwrap();
    let forged = text
        .replace("<sip:+441632960001@192.0.2.9>", "<sip:+441632960001@trusted.example>")
        .replace("\r\n\r\n", "\r\nP-Asserted-Identity: <sip:a@trusted.example>\r\nDiversion: <sip:a@trusted.example>\r\n\r\n")
        .into_bytes();
    for source in [STRANGER, "198.51.100.1:5060"] {
        assert_eq!(rig.hears_from(source, &forged).status, Some(403));
    }
    // From a carrier it arrives on the carrier's group, whatever its From says.
    let carrier = rig.hears(&forged);
    assert!(carrier.text.contains("teams.route") && !carrier.text.contains("inside.route"));
    let trusted = rig.hears_from("192.0.2.250:5060", &forged);
    assert!(trusted.text.contains("inside.route"), "{}", trusted.text);
}

#[test]
fn a28_a_cancel_or_re_invite_of_nothing_is_481() {
    let mut rig = Rig::new(true);
    let cancel = request("CANCEL sip:+442071838750@192.0.2.1 SIP/2.0", &[]);
    assert_eq!(rig.hears(&cancel).status, Some(481));
    assert_eq!(rig.hears(&invite("+442071838750", &[])).status, Some(302));
    assert_eq!(
        rig.hears(&cancel).status,
        Some(200),
        "its own transaction is there"
    );
    let text = String::from_utf8(invite("+442071838750", &[])).unwrap();
    let in_dialog = text
        .replace("bK1", "bK2")
        .replace("@192.0.2.1>\r\nCall", "@192.0.2.1>;tag=forged\r\nCall");
    assert_eq!(rig.hears(in_dialog.as_bytes()).status, Some(481));
    let bye = request("BYE sip:+442071838750@192.0.2.1 SIP/2.0", &[]);
    assert_eq!(rig.hears(&bye).status, Some(405));
}
