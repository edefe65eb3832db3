//! What must hold for any datagram that reaches the redirect server.

use super::event::{Answer, DropReason, Fate};
use super::facts::is_answerable;
use super::redirect::{Datagram, Now, RedirectServer};
use crate::limits::{HEADERS_MAX, MESSAGE_BYTES_MAX, ROUTES_MAX, UNKNOWN_SOURCE_GAIN_BYTES_MAX};
use crate::routing::{Snapshot, is_known_source};
use crate::sip::{HeaderName, Message, NameAddr, ParseErrorKind, StatusCode};

/// Whatever comes, what is sent is a response that parses, echoes Via, From, To, Call-ID
/// and CSeq, goes to one host and is no amplifier; a redirect has Contacts that parse, with
/// falling q, and a datagram that comes again gets the same bytes again, foreseen or not.
///
/// Answers the status, if there was an answer.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_redirect(
    server: &mut RedirectServer,
    now: Now,
    datagram: &Datagram<'_>,
    snapshot: &Snapshot,
) -> Option<StatusCode> {
    let mut out = vec![0xff; 3];
    // One alone is not looked at ahead.
    server.foresee(&[*datagram, *datagram], snapshot);
    let fate = server.handle(now, datagram, snapshot, &mut out);
    let (to, status) = match fate {
        Fate::Answer {
            to, status, answer, ..
        } => {
            if let Answer::Call(event) = &answer {
                assert_eq!(event.status, status.code());
                let _ = (event.called, event.calling, event.outcome.clone());
            }
            (to, status)
        }
        // What repeats an earlier answer need not fit a datagram that reuses its branch.
        Fate::Repeat { .. } | Fate::Absorbed(_) | Fate::Dropped(_) => return None,
    };
    assert!(is_answerable(to) && to.is_ipv4() == datagram.source.is_ipv4());
    let gain = out.len().saturating_sub(datagram.bytes.len());
    if !is_known_source(&snapshot.table, datagram.source.ip()) {
        assert!(
            gain <= UNKNOWN_SOURCE_GAIN_BYTES_MAX,
            "{gain} bytes more for a stranger"
        );
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    assert_eq!(is_an_answer(&out, datagram.bytes), status);
    is_answered_again(server, now, datagram, snapshot, &out);
    Some(status)
}

/// The status of an answer that is as it must be.
fn is_an_answer(out: &[u8], asked: &[u8]) -> StatusCode {
    assert!(out.len() <= 2 * MESSAGE_BYTES_MAX);
    let sound = Message::parse_datagram(asked).ok();
    let sound = sound.filter(|request| request.check_request().is_ok());
    let is_sound = sound.is_some();
    let Some(request) = sound.or_else(|| Message::salvage(asked)) else {
        panic!("an answer to {}", asked.escape_ascii());
    };
    let status = status_of(out);
    assert_eq!(memchr::memmem::find_iter(out, b"\r\n\r\n").count(), 1);
    assert!(
        out.ends_with(b"Content-Length: 0\r\n\r\n"),
        "an answer has no body"
    );
    let answer = match Message::parse_datagram(out) {
        Ok(answer) => answer,
        // All its Vias come back, and Contacts beside them.
        Err(error) if error.kind == ParseErrorKind::TooManyHeaders => {
            assert!(request.headers().count() + 2 * ROUTES_MAX >= HEADERS_MAX);
            return status;
        }
        // Out of a damaged request come damaged fields: their lines are clean, no more.
        Err(error) => {
            assert!(!is_sound, "{error}: {}", out.escape_ascii());
            return status;
        }
    };
    assert_eq!(answer.status(), Some(status));
    assert_eq!(
        answer.all(HeaderName::Via).count(),
        request.all(HeaderName::Via).count()
    );
    for name in [HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        assert_eq!(
            answer.first(name).map(words),
            request.first(name).map(words)
        );
    }
    if is_sound {
        let to = answer.to();
        assert!(
            to.is_ok_and(|to| to.tag().is_some()),
            "every answer has a To tag"
        );
    }
    let contacts: Vec<NameAddr<'_>> = answer.contacts().filter_map(Result::ok).collect();
    assert_eq!(contacts.len(), answer.contacts().count());
    let q = contacts
        .iter()
        .map(|contact| contact.param(b"q").unwrap_or_default());
    assert!(q.is_sorted_by(|one, next| one > next));
    assert_eq!(
        status.code() / 100 == 3,
        !contacts.is_empty(),
        "{status} and its Contacts"
    );
    status
}

fn is_answered_again(
    server: &mut RedirectServer,
    now: Now,
    datagram: &Datagram<'_>,
    snapshot: &Snapshot,
    first: &[u8],
) {
    let mut again = Vec::new();
    match server.handle(now, datagram, snapshot, &mut again) {
        Fate::Answer { .. } | Fate::Repeat { .. } => {
            assert_eq!(
                again.escape_ascii().to_string(),
                first.escape_ascii().to_string()
            );
        }
        // Strangers are answered so many times a second.
        Fate::Dropped(DropReason::Flood) => {}
        other => panic!("answered once, and then {other:?}"),
    }
}

/// The words of a value: folds and what else had to become a space do not count.
fn words(value: &[u8]) -> Vec<&[u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0);
    value.split(blank).filter(|word| !word.is_empty()).collect()
}

fn status_of(out: &[u8]) -> StatusCode {
    let code = out.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.get(..3));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    match code.and_then(StatusCode::new) {
        Some(status) => status,
        None => panic!("no status in {}", out.escape_ascii()),
    }
}
