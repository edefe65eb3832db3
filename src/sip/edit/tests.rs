#![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const INVITE: &str = "INVITE sip:+442071838750@192.0.2.1 SIP/2.0\r\n\
    v:  SIP/2.0/UDP a.example;branch=z9hG4bKa;rport ,\r\n SIP/2.0/TCP b.example;branch=z9hG4bKb\r\n\
    Max-Forwards:  70 \r\n\
    Route: <sip:192.0.2.1;lr>,<sip:192.0.2.2;lr>\r\n\
    VIA : SIP/2.0/TLS c.example;branch=z9hG4bKc\r\n\
    Route: <sip:192.0.2.3;lr>\r\n\
    f: \"A\" <sip:+441632960001@h>;tag=f\r\n\
    To: <sip:+442071838750@h>\r\n\
    P-Asserted-Identity: <sip:1@h>, tel:2;phone-context=+44\r\n\
    X-One: 1\r\n\
    X-Two:\r\n\
    x-one: 2\r\n\
    l: 4\r\n\r\nbody";

/// The message that comes of the changes.
fn edited(text: &str, change: impl for<'a> Fn(&mut Edit<'a>) -> Result<(), EditError>) -> String {
    let message = Message::parse_datagram(text.as_bytes()).unwrap();
    let mut edit = Edit::new(&message);
    change(&mut edit).unwrap();
    let mut out = Vec::new();
    edit.write(&mut out);
    String::from_utf8(out).unwrap()
}

/// [`INVITE`] with one part of its text in the place of another.
fn with(old: &str, new: &str) -> String {
    assert_eq!(INVITE.matches(old).count(), 1, "{old}");
    INVITE.replace(old, new)
}

fn refused(
    text: &str,
    change: impl for<'a> Fn(&mut Edit<'a>) -> Result<(), EditError>,
) -> EditError {
    let message = Message::parse_datagram(text.as_bytes()).unwrap();
    change(&mut Edit::new(&message)).unwrap_err()
}

#[test]
fn a_request_goes_on_with_what_a_proxy_changes() {
    let out = edited(INVITE, |edit| {
        edit.set_request_uri(b"sip:2@192.0.2.9")?;
        edit.decrement_max_forwards()?;
        edit.pop_route()?;
        edit.push_record_route(b"<sip:192.0.2.1;lr>")?;
        edit.mark_source("192.0.2.77:5066".parse().unwrap())?;
        edit.push_via(b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnew")
    });
    let expected = INVITE
        .replace("sip:+442071838750@192.0.2.1 SIP", "sip:2@192.0.2.9 SIP")
        .replace(
            "v:  SIP/2.0/UDP a.example;branch=z9hG4bKa;rport ,",
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnew\r\n\
             v:  SIP/2.0/UDP a.example;branch=z9hG4bKa;rport=5066;received=192.0.2.77 ,",
        )
        .replace(":  70 ", ":  69 ")
        .replace(
            "<sip:192.0.2.1;lr>,<sip:192.0.2.2;lr>",
            "<sip:192.0.2.2;lr>",
        )
        .replace("\r\n\r\n", "\r\nRecord-Route: <sip:192.0.2.1;lr>\r\n\r\n");
    assert_eq!(out, expected);
}

#[test]
fn values_are_popped_from_the_top_out_of_lists_and_lines() {
    let lists = ["v:  SIP/2.0/TCP b.example;branch=z9hG4bKb\r\n", "", ""];
    for (pops, list) in (1..).zip(lists) {
        let out = edited(INVITE, |edit| (0..pops).try_for_each(|_| edit.pop_via()));
        let first = "v:  SIP/2.0/UDP a.example;branch=z9hG4bKa;rport ,\r\n SIP/2.0/TCP b.example;branch=z9hG4bKb\r\n";
        let expected = with(first, list);
        let last = "VIA : SIP/2.0/TLS c.example;branch=z9hG4bKc\r\n";
        let expected = if pops == 3 {
            expected.replace(last, "")
        } else {
            expected
        };
        assert_eq!(out, expected, "{pops} pops");
    }
    assert_eq!(
        refused(INVITE, |edit| (0..4).try_for_each(|_| edit.pop_via())),
        EditError::Missing
    );
}

#[test]
fn what_is_pushed_stands_above_what_was_popped() {
    let out = edited(INVITE, |edit| {
        edit.pop_route()?;
        edit.push_route(b"<sip:one;lr>")?;
        edit.push_route(b"<sip:two;lr>")?;
        (0..2).try_for_each(|_| edit.pop_route())
    });
    let expected = with(
        "Route: <sip:192.0.2.1;lr>,<sip:192.0.2.2;lr>\r\n",
        "Route: <sip:two;lr>\r\nRoute: <sip:one;lr>\r\n",
    )
    .replace("Route: <sip:192.0.2.3;lr>\r\n", "");
    assert_eq!(out, expected);
}

#[test]
fn fields_are_set_removed_and_added() {
    let removed = with("X-One: 1\r\n", "").replace("x-one: 2\r\n", "");
    assert_eq!(edited(INVITE, |edit| edit.remove(b"X-ONE")), removed);
    assert_eq!(edited(INVITE, |edit| edit.remove(b"X-None")), INVITE);
    assert_eq!(
        edited(INVITE, |edit| {
            edit.remove(b"X-One")?;
            edit.push_header(b"X-One", b"3")
        }),
        with("X-One: 1\r\n", "X-One: 3\r\n").replace("x-one: 2\r\n", "")
    );
    let set = with("X-One: 1\r\n", "X-One: 9\r\n").replace("x-one: 2\r\n", "");
    assert_eq!(edited(INVITE, |edit| edit.set_header(b"x-one", b"9")), set);
    assert_eq!(
        edited(INVITE, |edit| {
            edit.remove(b"x-one")?;
            edit.set_header(b"X-One", b"9")
        }),
        set,
        "the later word counts"
    );
    assert_eq!(
        edited(INVITE, |edit| edit.set_header(b"X-Two", b"new")),
        with("X-Two:", "X-Two:new")
    );
    assert_eq!(
        edited(INVITE, |edit| edit.set_header(b"Reason", b"Q.850;cause=16")),
        with("\r\n\r\n", "\r\nReason: Q.850;cause=16\r\n\r\n")
    );
    assert_eq!(
        edited(INVITE, |edit| {
            edit.set_user(HeaderName::To, 0, b"t")?;
            edit.set_header(b"To", b"<sip:x@y>")
        }),
        with("<sip:+442071838750@h>", "<sip:x@y>"),
        "a field that is set takes changes inside it along"
    );
}

#[test]
fn numbers_change_inside_addresses() {
    for (name, nth, user, old, new) in [
        (HeaderName::From, 0, "1", "sip:+441632960001@h", "sip:1@h"),
        (
            HeaderName::PAssertedIdentity,
            0,
            "+33;npdi",
            "sip:1@h",
            "sip:+33;npdi@h",
        ),
        (
            HeaderName::PAssertedIdentity,
            1,
            "+44",
            "tel:2;phone",
            "tel:+44;phone",
        ),
    ] {
        let out = edited(INVITE, |edit| edit.set_user(name, nth, user.as_bytes()));
        assert_eq!(out, with(old, new));
    }
    let without = INVITE.replace("\"A\" <sip:+441632960001@h>", "sip:h");
    assert_eq!(
        edited(&without, |edit| edit.set_user(HeaderName::From, 0, b"1")),
        without.replace("sip:h;", "sip:1@h;")
    );
    let open = |edit: &mut Edit<'_>| edit.set_user(HeaderName::From, 0, b"1;x");
    assert_eq!(
        refused(&without, open),
        EditError::Text,
        "a parameter of the field"
    );
    for wrong in ["", "a b", "a@b", "a>", "%4", "a:b"] {
        let message = Message::parse_datagram(INVITE.as_bytes()).unwrap();
        let mut edit = Edit::new(&message);
        assert_eq!(
            edit.set_user(HeaderName::From, 0, wrong.as_bytes()),
            Err(EditError::Text),
            "{wrong}"
        );
    }
    assert_eq!(
        refused(INVITE, |edit| edit.set_user(
            HeaderName::PAssertedIdentity,
            2,
            b"1"
        )),
        EditError::Missing
    );
    let foreign = INVITE.replace("<sip:+441632960001@h>", "<urn:x:y>");
    assert_eq!(
        refused(&foreign, |edit| edit.set_user(HeaderName::From, 0, b"1")),
        EditError::Missing
    );
}

#[test]
fn one_value_of_a_list_is_replaced() {
    assert_eq!(
        edited(INVITE, |edit| edit.replace_value(
            HeaderName::Route,
            1,
            b"<sip:x;lr>"
        )),
        with("<sip:192.0.2.2;lr>", "<sip:x;lr>")
    );
    assert_eq!(
        edited(INVITE, |edit| {
            edit.replace_value(HeaderName::Route, 2, b"gone")?;
            edit.replace_value(HeaderName::Route, 2, b"<sip:x;lr>")
        }),
        with("<sip:192.0.2.3;lr>", "<sip:x;lr>")
    );
    assert_eq!(
        refused(INVITE, |edit| edit.replace_value(
            HeaderName::Route,
            3,
            b"x"
        )),
        EditError::Missing
    );
}

#[test]
fn hops_are_counted_down_to_nothing() {
    let none = INVITE.replace("Max-Forwards:  70 \r\n", "");
    assert_eq!(
        edited(&none, |edit| {
            edit.decrement_max_forwards()?;
            edit.decrement_max_forwards()
        }),
        none.replace("\r\n\r\n", "\r\nMax-Forwards: 70\r\n\r\n")
    );
    let last = with(":  70 ", ": 0");
    assert_eq!(
        refused(&last, |edit| edit.decrement_max_forwards()),
        EditError::NoHopsLeft
    );
    let wrong = with(":  70 ", ": 256");
    assert!(matches!(
        refused(&wrong, |edit| edit.decrement_max_forwards()),
        EditError::Unreadable(_)
    ));
}

#[test]
fn a_stream_gets_the_length_it_needs() {
    assert_eq!(edited(INVITE, |edit| edit.ensure_content_length()), INVITE);
    let none = with("l: 4\r\n", "");
    assert_eq!(
        edited(&none, |edit| edit.ensure_content_length()),
        with("l: 4\r\n", "Content-Length: 4\r\n")
    );
}

#[test]
fn a_message_without_fields_gets_its_first_ones() {
    let out = edited("OPTIONS sip:h SIP/2.0\r\n\r\n", |edit| {
        edit.decrement_max_forwards()?;
        edit.push_via(b"SIP/2.0/UDP one")?;
        edit.push_via(b"SIP/2.0/UDP two")
    });
    assert_eq!(
        out,
        "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP two\r\nVia: SIP/2.0/UDP one\r\nMax-Forwards: 70\r\n\r\n"
    );
}

#[test]
fn no_text_breaks_its_line() {
    for wrong in [&b"a\r\nEvil: yes"[..], b"a\nb", b"a\rb", b"a\0b"] {
        let message = Message::parse_datagram(INVITE.as_bytes()).unwrap();
        let mut edit = Edit::new(&message);
        assert_eq!(edit.push_via(wrong), Err(EditError::Text));
        assert_eq!(edit.set_header(b"X", wrong), Err(EditError::Text));
        assert_eq!(
            edit.replace_value(HeaderName::Route, 0, wrong),
            Err(EditError::Text)
        );
        assert_eq!(edit.set_request_uri(wrong), Err(EditError::Text));
        assert_eq!(
            edit.set_user(HeaderName::From, 0, wrong),
            Err(EditError::Text)
        );
        assert_eq!(edit.push_header(wrong, b"x"), Err(EditError::Text));
        assert_eq!(edit.remove(wrong), Err(EditError::Text));
    }
    assert_eq!(
        refused(INVITE, |edit| edit.set_request_uri(b"sip:a b")),
        EditError::Text
    );
    assert_eq!(
        refused(INVITE, |edit| edit.push_header(b"X:", b"1")),
        EditError::Text
    );
    let response = "SIP/2.0 200 OK\r\n\r\n";
    assert_eq!(
        refused(response, |edit| edit.set_request_uri(b"sip:a")),
        EditError::Missing
    );
}

#[test]
fn changes_have_a_bound() {
    let error = refused(INVITE, |edit| {
        (0..=EDITS_MAX).try_for_each(|_| edit.push_header(b"X", b"1"))
    });
    assert_eq!(error, EditError::Full);
}

#[test]
fn fields_of_one_name_may_be_many_and_are_removed_with_one_change() {
    let many = INVITE.replace("X-Two:\r\n", &"X-Two: 1\r\nx-TWO: 2\r\n".repeat(50));
    let none = INVITE.replace("X-Two:\r\n", "");
    assert_eq!(edited(&many, |edit| edit.remove(b"x-two")), none);
}

/// Messages that parse, strange ones among them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "Via: SIP/2.0/UDP 192.0.2.77:5066;branch=z9hG4bK1;rport;received=1.2.3.4\r\n",
        "v : SIP / 2.0 / TCP [2001:db8::9] ; branch = z9 , SIP/2.0/UDP h;branch=2\r\n",
        "VIA:SIP/2.0/TLS a,\r\n SIP/2.0/TLS b;x=\",\",,SIP/2.0/TLS c\r\n",
        "Via:\r\n",
        "Route: <sip:a;lr>, \"x, y\" <sip:b,c;lr>\r\n",
        "route:<sip:d;lr>\r\n",
        "Record-Route: <sip:a;lr>,<sip:b;lr>\r\n",
        "From: \"A \\\" B\" <sip:a@b;x=y?h=v>;tag=1\r\n",
        "f: sip:b;tag=2\r\n",
        "From: <tel:+1;phone-context=+44>;tag=1\r\n",
        "From: <urn:x:y>;tag=1\r\n",
        "To: <sip:c@d>\r\n",
        "t: sip:d;x=\"tag=1\"\r\n",
        "T\t: Caller <sip:c@d> ; Tag = old ;y \r\n",
        "To:\r\n",
        "Max-Forwards: 70\r\n",
        "Max-Forwards: 007\r\n",
        "Max-Forwards: 0\r\n",
        "Max-Forwards: many\r\n",
        "Subject: a\r\n  b\r\n",
        "s:\r\n",
        "Contact: *, <sip:a@b>;q=0.5\r\n",
        "m: <sip:a@b>\r\n",
        "X-Own : 5\r\n",
        "x-own:\r\n \r\n",
        "X-Other: ,\"\r\n",
        "Via: SIP/2.0/UDP h;x= (a, b), c (d\r\n",
    ]);
    let start = prop::sample::select(vec![
        "INVITE sip:+442071838750@192.0.2.1 SIP/2.0\r\n",
        "SIP/2.0 200 OK\r\n",
        "OPTIONS tel:112 SIP/2.0\r\n",
    ]);
    let body = prop::sample::select(vec![
        "\r\n",
        "\r\nbody",
        "l: 4\r\n\r\nbody",
        "Content-Length : 2\r\n\r\nbody",
    ]);
    (start, vec(line, 0..10), body)
        .prop_map(|(start, lines, body)| [start, &lines.concat(), body].concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_not_changed_leaves_as_it_came(bytes in message(), choices in vec(any::<u8>(), 0..12)) {
        fuzz_edit(&bytes, &choices);
    }

    #[test]
    fn any_bytes_are_edited_or_refused(bytes in vec(any::<u8>(), 0..60), lines in message(), at in 0_usize..200, choices in vec(any::<u8>(), 0..12)) {
        let mut damaged = lines;
        let at = at.min(damaged.len());
        damaged.splice(at..(at + 2).min(damaged.len()), bytes);
        fuzz_edit(&damaged, &choices);
    }
}

#[test]
fn the_torture_messages_leave_as_they_came() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let mut read = 0;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(path).unwrap();
            fuzz_edit(&bytes, &[]);
            (0..=255).for_each(|choice| fuzz_edit(&bytes, &[choice, choice / 15]));
            read += 1;
        }
    }
    assert!(read > 130, "{read} messages");
}
