//! Headers, bytes and sizes.

use trunkline::sip::{HeaderName, Message};

use super::{Rig, invite, request};

#[test]
fn a04_single_headers_twice_in_any_spelling() {
    let mut rig = Rig::new(false);
    for field in [
        "To: <sip:+449060000000@h>",
        "t : <sip:+449060000000@h>",
        "T\t:\r\n <sip:x@h>",
        "From: <sip:a@trusted.example>;tag=2",
        "f: <sip:a@trusted.example>;tag=2",
        "Call-ID: other",
        "i:other",
        "CSeq: 2 INVITE",
        "CSEQ : 1 INVITE",
        "Max-Forwards: 1\r\nMax-Forwards: 2",
        "Max-Forwards: 70\r\nmax-forwards : 70",
    ] {
        assert_eq!(
            rig.status_of(&invite("+442071838750", &[field])),
            Some(400),
            "{field}"
        );
    }
    rig.is_healthy();
}

#[test]
fn a04_names_are_trimmed_where_they_are_compared() {
    for name in [
        "P-Asserted-Identity",
        "P-Asserted-Identity ",
        "p-asserted-identity\t",
        "P-ASSERTED-IDENTITY \t ",
    ] {
        let bytes = invite("+442071838750", &[&format!("{name}:<sip:+1@h>")]);
        let message = Message::parse_datagram(&bytes).unwrap();
        assert_eq!(
            message.all(HeaderName::PAssertedIdentity).count(),
            1,
            "{name:?}"
        );
        assert_eq!(message.by_name(name.as_bytes()).count(), 1);
        assert_eq!(message.by_name(b"P-Asserted-Identity").count(), 1);
    }
}

#[test]
fn a04_lines_end_in_crlf_and_nothing_else() {
    let mut rig = Rig::new(false);
    for field in [
        "X: a\nTo: <sip:evil@h>",
        "X: a\rTo: <sip:evil@h>",
        "X: a\n\nINVITE sip:evil SIP/2.0",
        "X: a\0b",
        "X\0: a",
        "X: a\r\r\nY: b",
        "\0",
        "X",
        "X a: b",
        ": b",
        "\u{b}X: b",
        "X: a\n b",
        "Content-Length: 0\n",
        "To\r\n : <sip:evil@h>",
    ] {
        let bytes = invite("+442071838750", &[field]);
        assert_eq!(rig.status_of(&bytes), Some(400), "{}", field.escape_debug());
    }
    let folded = invite("+442071838750", &["X:\r\n\ta\r\n b", "Y: \u{1}\u{7f}\u{b}"]);
    assert_eq!(
        rig.status_of(&folded),
        Some(302),
        "folds and odd bytes are no line ends"
    );
    let all_lf: Vec<u8> = invite("+442071838750", &[])
        .into_iter()
        .filter(|byte| *byte != b'\r')
        .collect();
    assert_eq!(rig.status_of(&all_lf), Some(400));
    rig.is_healthy();
}

#[test]
fn a04_what_is_refused_is_not_echoed_into_new_lines() {
    let mut rig = Rig::new(false);
    let bytes = String::from_utf8(invite("+442071838750", &[])).unwrap();
    for (from, to) in [
        ("abuse@192.0.2.9", "abuse\rInjected: 1"),
        ("abuse@192.0.2.9", "abuse\0Injected"),
        ("tag=1", "tag=1\nInjected: 1"),
        ("<sip:+442071838750@192.0.2.1>", "<sip:x@h>\r \nInjected: 1"),
        (";branch=z9hG4bK1", ";branch=z9hG4bK1\rInjected: 1"),
    ] {
        // The second test of the law: no CR, LF or NUL but at the ends of lines.
        let status = rig.status_of(bytes.replacen(from, to, 1).as_bytes());
        assert_eq!(status, Some(400), "{}", to.escape_debug());
        let answer = rig.hears(bytes.replacen(from, to, 1).as_bytes()).text;
        assert!(
            !answer.contains("\\r\\nInjected") && !answer.contains("\\x00"),
            "{answer}"
        );
    }
}

#[test]
fn a05_escapes_stay_escapes() {
    let mut rig = Rig::new(false);
    for user in [
        "+442071838750%0d%0aInjected:%201",
        "%0D%0A%0D%0AINVITE",
        "+442071838%00",
        "%00",
        "a%3e%3bq%3d1",
        "%22%3C%3E%2C",
        "+442071838750;ext=1%0d%0a2",
        "+442071838750;x=%3E%3B",
    ] {
        let answer = rig.hears(&request(
            &format!("INVITE sip:{user}@192.0.2.1 SIP/2.0"),
            &[],
        ));
        assert!(
            matches!(answer.status, Some(302 | 404)),
            "{user}: {}",
            answer.text
        );
        assert!(!answer.text.contains("\\r\\nInjected") && !answer.text.contains("\\x00"));
        for line in answer
            .text
            .split("\\r\\n")
            .filter(|line| line.starts_with("Contact"))
        {
            assert!(line.ends_with("@teams.route;user=phone>;q=1.0"), "{line}");
            assert_eq!(
                (line.matches('<').count(), line.matches('>').count()),
                (1, 1),
                "{line}"
            );
        }
    }
    rig.is_healthy();
}

#[test]
fn a06_long_tokens_fill_no_fixed_buffer() {
    let mut rig = Rig::new(false);
    let long = "a".repeat(10_000);
    let base = String::from_utf8(invite("+442071838750", &[])).unwrap();
    for (from, to, status) in [
        ("CSeq: 1 INVITE", format!("CSeq: 1 {long}"), 400),
        (
            "CSeq: 1 INVITE",
            format!("CSeq: {} INVITE", "1".repeat(10_000)),
            400,
        ),
        ("tag=1", format!("tag={long}"), 302),
        ("z9hG4bK1", format!("z9hG4bK{long}"), 302),
        ("abuse@192.0.2.9", long.clone(), 302),
        ("UDP 192.0.2.9", format!("UDP {long}.example"), 302),
        ("UDP 192.0.2.9", format!("{long} 192.0.2.9"), 302),
        (
            "<sip:192.0.2.9>",
            format!("<sip:{long}@192.0.2.9;{long}={long}>"),
            302,
        ),
        (
            "<sip:+441632960001@",
            format!("\"{long}\" <sip:{}@", "1".repeat(10_000)),
            302,
        ),
        (
            "INVITE sip:+442071838750@",
            format!("INVITE sip:+442071838750;x={}@", "1".repeat(1_900)),
            302,
        ),
        (
            "INVITE sip:+442071838750@",
            format!("INVITE sip:{}@", "1".repeat(1_900)),
            404,
        ),
        (
            "INVITE sip:+442071838750@",
            format!("INVITE sip:{}@", "1".repeat(2_100)),
            414,
        ),
    ] {
        assert_eq!(
            rig.status_of(base.replacen(from, &to, 1).as_bytes()),
            Some(status),
            "{from}"
        );
    }
    let method = request(&format!("{long} sip:h SIP/2.0"), &[]);
    assert_eq!(rig.status_of(&method), Some(405));
    let accepts = vec!["Accept: application/sdp"; 50];
    assert_eq!(rig.status_of(&invite("+442071838750", &accepts)), Some(302));
    rig.is_healthy();
}

/// Each is small enough for a datagram and large enough for minutes, if anything in it were
/// looked at as often as there are others beside it.
#[test]
fn a07_nothing_repeated_costs_more_than_its_length() {
    let mut rig = Rig::new(false);
    let many = |one: &str, count: usize| one.repeat(count);
    for (fields, status) in [
        (many("X-A: b\r\n", 1_000), 513),
        (many("Via: SIP/2.0/UDP h\r\n", 1_000), 513),
        (format!("Via: h{}", many(",SIP/2.0/UDP h", 4_000)), 302),
        (many("v:\r\n", 10_000), 513),
        (format!("Contact: <sip:h>{}", many(";p=v", 2_000)), 302),
        (format!("Contact: <sip:h{}>", many(";p=v", 10_000)), 302),
        (format!("Contact: <sip:h>{}", many(",", 3_000)), 302),
        (format!("Contact: {}", many("<", 30_000)), 302),
        (format!("Contact: {}", many("(", 30_000)), 302),
        (format!("Contact: \"{}\" <sip:h>", many("\\", 5_000)), 302),
        (format!("Contact: \"{}", many("\\", 5_001)), 302),
        (
            format!("P-Asserted-Identity: {}<sip:h>", many("<sip:a@h>,", 5_000)),
            302,
        ),
        (format!("Route: {}", many("<sip:h;lr>,", 5_000)), 302),
        (format!("Subject: x{}", many("\r\n ", 20_000)), 302),
        (format!("Accept: {}", many("a/b;q=0.1,", 5_000)), 302),
        (format!("X-A: {}", many("\\\"", 30_000)), 302),
    ] {
        let shown: String = fields.chars().take(30).collect();
        let bytes = invite("+442071838750", &[fields.trim_end_matches("\r\n")]);
        assert!(bytes.len() < 65_507, "{shown}");
        assert_eq!(rig.status_of(&bytes), Some(status), "{shown}");
    }
    rig.is_healthy();
}

#[test]
fn a07_ten_thousand_vias_are_refused_with_the_ones_that_fit() {
    let mut rig = Rig::new(false);
    let vias = "v:SIP/2.0/UDP h\r\n".repeat(3_000);
    let mut bytes = b"INVITE sip:+442071838750@192.0.2.1 SIP/2.0\r\n".to_vec();
    bytes.extend_from_slice(vias.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    let answer = rig.hears(&bytes);
    assert_eq!(answer.status, Some(513));
    assert!(answer.text.matches("Via: ").count() <= trunkline::limits::HEADERS_MAX);
    let empty = "v:\r\n".repeat(10_000);
    let answer = rig.hears(&request(
        &format!("INVITE sip:h SIP/2.0\r\n{}", empty.trim_end()),
        &[],
    ));
    assert!(
        answer.status.is_none_or(|status| status >= 400),
        "{}",
        answer.text.len()
    );
    rig.is_healthy();
}

#[test]
fn a08_bodies_are_not_read() {
    let mut rig = Rig::new(false);
    for body in [
        &b"v=0\r\nm=audio 99999999999999999999 RTP/AVP\r\n"[..],
        b"--\r\n--x\r\n----\r\n--x--\r\nContent-Type: multipart/mixed;boundary=x",
        b"\0\xff\xfe\r\n\r\n\r\n",
    ] {
        let length = format!("Content-Length: {}", body.len());
        for kind in [
            "application/sdp",
            "multipart/mixed;boundary=\"",
            "multipart/mixed;boundary=x",
            ";;;",
        ] {
            let head = invite(
                "+442071838750",
                &[&format!("Content-Type: {kind}"), &length],
            );
            assert_eq!(
                rig.status_of(&[&head[..], body].concat()),
                Some(302),
                "{kind}"
            );
        }
    }
}

#[test]
fn a09_credentials_are_not_read() {
    let mut rig = Rig::new(false);
    for field in [
        "Authorization: Digest",
        "Authorization: Digest username=\"",
        "Proxy-Authorization: ,,,,=\"\\",
        "Authorization:",
        "Authorization: Digest nonce=\"%n%n%n\", response=\u{1}",
    ] {
        assert_eq!(
            rig.status_of(&invite("+442071838750", &[field])),
            Some(302),
            "{field}"
        );
    }
}

#[test]
fn a27_numbers_are_read_in_one_way() {
    let mut rig = Rig::new(false);
    for (uri, status) in [
        ("sip:+442071838750@192.0.2.1", 302),
        ("sip:%2b442071838750@192.0.2.1", 302),
        ("sip:%2B44207183875%30@192.0.2.1", 302),
        ("sip:+44-20-7183-8750@192.0.2.1;user=phone", 302),
        ("tel:+44-20-7183-8750", 302),
        ("sips:+442071838750@evil.example", 302),
        // Decoded once: what is an escape then is a name, and no number.
        ("sip:%252b442071838750@192.0.2.1", 404),
        // Digits of other scripts, separators that are none, and things behind the number.
        ("sip:+44２071838750@192.0.2.1", 404),
        ("sip:+442071838750%20@192.0.2.1", 302),
        ("sip:+442071838750%00@192.0.2.1", 404),
        ("sip:+442071838750%0d@192.0.2.1", 404),
        ("sip:++442071838750@192.0.2.1", 404),
        ("sip:442071838750+@192.0.2.1", 404),
        ("sip:+449060000000@evil.example;phone-context=+44", 404),
        ("sips%3A+442071838750@192.0.2.1", 400),
        ("sip:+442071838750@evil@192.0.2.1", 400),
        ("javascript:alert(1)", 416),
        ("http://192.0.2.1/", 416),
    ] {
        let answer = rig.hears(&request(&format!("INVITE {uri} SIP/2.0"), &[]));
        assert_eq!(answer.status, Some(status), "{uri}: {}", answer.text);
    }
}

#[test]
fn a29_methods_have_a_case_and_no_escapes() {
    let mut rig = Rig::new(false);
    for (start, status) in [
        ("invite sip:+442071838750@192.0.2.1 SIP/2.0", 405),
        ("INV%49TE sip:+442071838750@192.0.2.1 SIP/2.0", 405),
        ("RE%47ISTER sip:192.0.2.1 SIP/2.0", 405),
        ("REGISTER sip:192.0.2.1 SIP/2.0", 405),
        ("OPTIONS sip:192.0.2.1 SIP/2.0", 200),
    ] {
        assert_eq!(
            rig.hears(&request(start, &[])).status,
            Some(status),
            "{start}"
        );
    }
    let base = String::from_utf8(invite("+442071838750", &[])).unwrap();
    for cseq in [
        "1 OPTIONS",
        "1 invite",
        "1 INVITE x",
        "1 INV%49TE",
        "1INVITE",
        "1",
        "INVITE",
        "-1 INVITE",
        "2147483648 INVITE",
    ] {
        let bytes = base.replace("CSeq: 1 INVITE", &format!("CSeq: {cseq}"));
        assert_eq!(rig.status_of(bytes.as_bytes()), Some(400), "{cseq}");
    }
    rig.is_healthy();
}
