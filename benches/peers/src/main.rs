//! The contestants in Rust: `peers SUBJECT MESSAGE ROUNDS` prints nanoseconds per
//! message, of the fastest hundred. With `peers list` it prints the subjects.
//!
//! Each reads what routing needs, as values where it has a type for them: Request-URI,
//! From, To, top Via, CSeq, Contact, Call-ID, P-Asserted-Identity, Max-Forwards,
//! Content-Length. What each does beyond that or leaves out is said beside it; "split"
//! and "message" are parts of the work, for comparison.

#[path = "../../subjects/mod.rs"]
#[allow(dead_code)] // The other benches use the rest.
mod subjects;

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use bytesstr::BytesStr;
use ezk_sip_types::header::typed::{
    CSeq, CallID, Contact, ContentLength, FromTo, MaxForwards, Via,
};
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse;
use ezk_sip_types::{Headers, Name};

type Work = fn(&[u8]);

const SUBJECTS: &[(&str, Work)] = &[
    ("trunkline", subjects::routing),
    ("httparse, split", subjects::httparse_split),
    ("rsip, message", subjects::rsip_message),
    ("rsip, typed", subjects::rsip_typed),
    ("ezk-sip-types", ezk),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [subject, file, rounds] = arguments.as_slice() else {
        for (name, _) in SUBJECTS {
            println!("{name}");
        }
        return Ok(());
    };
    let found = SUBJECTS.iter().find(|(name, _)| name == subject);
    let (name, work) = found.ok_or("no such subject")?;
    let mut bytes = std::fs::read(file)?;
    if name.starts_with("httparse") {
        let text = String::from_utf8(bytes)?;
        bytes = text.replacen("SIP/2.0", "HTTP/1.1", 1).into_bytes();
    } else if !reads(name, &bytes) {
        return Err(format!("{name} does not read {file}").into());
    }
    let rounds: u32 = rounds.parse()?;
    println!("{:.1}", fastest(|| work(&bytes), rounds));
    Ok(())
}

/// Messages timed together, as in `c/peer.h`: the first hundred of a process also load its
/// pages, and a long row is disturbed sooner.
const TIMED: u32 = 100;

/// Nanoseconds for one of the fastest hundred.
fn fastest(mut work: impl FnMut(), rounds: u32) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..rounds.div_ceil(TIMED) {
        let from = Instant::now();
        for _ in 0..TIMED {
            work();
        }
        fastest = fastest.min(from.elapsed().as_nanos() as f64 / f64::from(TIMED));
    }
    fastest
}

/// Whether the subject reads every field of the message that it claims to read.
fn reads(name: &str, bytes: &[u8]) -> bool {
    match name.split_once([',', '-']).map_or(name, |(name, _)| name) {
        "trunkline" => trunkline::sip::Message::parse_datagram(bytes).is_ok_and(|message| {
            message.read_request().is_ok()
                && message.contact().is_ok_and(|contact| contact.is_some())
                && message
                    .p_asserted_identity()
                    .next()
                    .is_some_and(|identity| identity.is_ok())
        }),
        "rsip" => rsip_reads(bytes),
        _ => ezk_fields(&Bytes::copy_from_slice(bytes)).is_some(),
    }
}

fn rsip_reads(bytes: &[u8]) -> bool {
    use rsip::prelude::{HeadersExt, ToTypedHeader};
    rsip::SipMessage::try_from(bytes).is_ok_and(|message| {
        message.from_header().is_ok_and(|from| from.typed().is_ok())
            && message.to_header().is_ok_and(|to| to.typed().is_ok())
            && message.via_header().is_ok_and(|via| via.typed().is_ok())
            && message.cseq_header().is_ok_and(|cseq| cseq.typed().is_ok())
            && message
                .contact_header()
                .is_ok_and(|contact| contact.typed().is_ok())
    })
}

/// The message and the typed headers a router needs, after the copy into `Bytes` that the
/// library asks for. P-Asserted-Identity is read as a From: the library has no type for it.
#[inline(never)]
fn ezk(bytes: &[u8]) {
    black_box(&ezk_fields(&Bytes::copy_from_slice(black_box(bytes))));
}

type EzkFields = (MessageLine, FromTo, FromTo, Via, CSeq, Contact, CallID);

fn ezk_fields(source: &Bytes) -> Option<EzkFields> {
    let mut parser = PullParser::new(source, 0);
    let first = std::str::from_utf8(parser.next()?.ok()?).ok()?;
    let (_, start) = MessageLine::parse(source)(first).ok()?;
    let mut headers = Headers::new();
    for line in parser {
        let line = std::str::from_utf8(line.ok()?).ok()?;
        let (_, line) = Line::parse(source, line).ok()?;
        headers.insert(line.name, line.value);
    }
    black_box(headers.get_named::<MaxForwards>().ok()?);
    black_box(headers.get_named::<ContentLength>().ok()?);
    black_box(
        headers.try_get::<FromTo>(Name::unknown(BytesStr::from_static("P-Asserted-Identity"))),
    );
    Some((
        start,
        headers.get(Name::FROM).ok()?,
        headers.get(Name::TO).ok()?,
        headers.get_named().ok()?,
        headers.get_named().ok()?,
        headers.get_named().ok()?,
        headers.get_named().ok()?,
    ))
}
