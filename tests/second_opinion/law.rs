//! What we accept, an independent parser reads to the same fields. Shared with the fuzz
//! target of that name.

#![allow(clippy::unwrap_used)] // What was written right and cannot be read has failed.

use rsip::headers::typed;
use rsip::prelude::*;
use trunkline::sip::{Message, NameAddr, Uri};

/// A reason to differ, and whether a message gives it.
type Difference = (&'static str, fn(&Message<'_>) -> bool);

/// Why the two may read a message differently: rsip 0.4 is wrong or knows less there.
const DIFFERENCES: &[Difference] = &[
    // It takes the value of a field as text up to the end of the line, and has no
    // compact names: it would look for fields that are there under another name.
    (
        "a compact name, a fold, a blank around a name or a value",
        |message| {
            let head = head(message);
            let blank = |at: &[u8]| at.iter().all(|byte| b" \t\r\n".contains(byte));
            head.split(|byte| *byte == b'\n').skip(1).any(|line| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
                let (name, value) = line.split_at(colon);
                name.len() == 1
                    || name.iter().any(|byte| b" \t".contains(byte))
                    || value.get(1..2).is_some_and(|first| !blank(first))
                    || value.get(2..3).is_some_and(blank)
                    || (value.last().is_some_and(|last| blank(&[*last])) && value.len() > 2)
            })
        },
    ),
    // It reads text, we read bytes.
    ("a byte that is not ASCII, or a control", |message| {
        let head = head(message);
        head.iter()
            .any(|byte| !byte.is_ascii() || (byte.is_ascii_control() && !b"\r\n".contains(byte)))
    }),
    // It takes a user part with a dot, and one with parameters, for a host; it keeps
    // passwords only where there is a user of letters and digits.
    ("a user part that is not letters and digits", |message| {
        let plain = |uri: &Uri<'_>| {
            uri.password.is_none()
                && (uri.user).is_none_or(|user| {
                    user.as_bytes()
                        .iter()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"+-_".contains(byte))
                })
        };
        !uris(message).iter().all(plain)
    }),
    // It has neither tel numbers nor IPv6 references nor other schemes.
    ("a URI that is not sip:, or a host of colons", |message| {
        let plain = |uri: &Uri<'_>| {
            matches!(
                uri.scheme,
                trunkline::sip::Scheme::Sip | trunkline::sip::Scheme::Sips
            ) && !uri.raw.contains(&b'[')
                && uri.raw.starts_with(b"sip")
        };
        !uris(message).iter().all(plain)
    }),
    // RFC 3261 §25.1 has octets of 1 to 3 digits; it takes `032` for a part of a name.
    ("an octet with a leading zero", |message| {
        let starts_zero = |octet: &[u8]| octet.len() > 1 && octet.starts_with(b"0");
        let written = head(message).split(|byte| !byte.is_ascii_digit());
        written.into_iter().any(starts_zero)
    }),
    // It reads separators without the blanks that RFC 3261 §25.1 allows around them.
    ("a blank beside a separator", |message| {
        let separator = |byte: u8| b";=/<>\"@,:".contains(&byte);
        let blank = |byte: u8| b" \t".contains(&byte);
        let fields = head(message).split(|byte| *byte == b'\n').skip(1);
        fields.into_iter().any(|field| {
            let value = field
                .iter()
                .position(|byte| *byte == b':')
                .map_or(0, |at| at + 2);
            let pairs = field
                .get(value..)
                .unwrap_or_default()
                .windows(2)
                .map(|pair| (pair[0], pair[1]));
            let mut pairs = pairs.filter(|pair| *pair != (b' ', b'<'));
            pairs.any(|(one, next)| {
                (separator(one) && blank(next)) || (blank(one) && separator(next))
            })
        })
    }),
    // Such a tag is there and empty for us, so that nobody puts another one beside it;
    // it has none.
    ("a tag or branch without a value", |message| {
        let empty = |value: Option<&[u8]>| value.is_some_and(<[u8]>::is_empty);
        [message.from(), message.to()]
            .iter()
            .flatten()
            .any(|address| empty(address.tag()))
            || message.top_via().is_ok_and(|via| empty(via.branch()))
    }),
    // It leaves what follows a `?` in the host or in a parameter.
    ("headers in a URI", |message| head(message).contains(&b'?')),
    // It ends a parameter at the first byte that is no token, and takes an `=` or a
    // quote in it for its end.
    ("a parameter that is not name=token", |message| {
        let token = |text: &[u8]| {
            text.iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte))
        };
        let plain = |segment: &[u8]| {
            let mut parts = segment.splitn(2, |byte| *byte == b'=');
            parts.all(|part| !part.is_empty() && token(part))
        };
        let lists = [message.from(), message.to()];
        let lists = lists
            .iter()
            .flatten()
            .flat_map(|address| [address.params, address.uri.params]);
        let lists = lists
            .chain(message.uri().map(|uri| uri.params))
            .chain(message.top_via().map(|via| via.params));
        lists
            .map(|list| list.as_bytes().to_vec())
            .any(|list| !list.split(|byte| *byte == b';').skip(1).all(plain))
    }),
    // It takes the first `<` for the bracket, in a quoted name too; and counts quotes
    // into the name.
    ("a quote or an escape in a display name", |message| {
        let strange = |address: &NameAddr<'_>| {
            address
                .display
                .is_some_and(|name| name.iter().any(|byte| b"\"\\<>".contains(byte)))
        };
        [message.from(), message.to()].iter().flatten().any(strange)
    }),
    // It reads one value of a list, or none.
    ("a comma", |message| head(message).contains(&b',')),
    // It has no parameter twice.
    ("a parameter twice", |message| {
        let twice = |list: trunkline::sip::Params<'_>| {
            let mut names: Vec<_> = list
                .iter()
                .map(|param| param.name.to_ascii_lowercase())
                .collect();
            names.sort();
            names.windows(2).any(|pair| pair[0] == pair[1])
        };
        [message.from(), message.to()]
            .iter()
            .flatten()
            .any(|address| twice(address.params))
            || message.top_via().is_ok_and(|via| twice(via.params))
    }),
    // It keeps leading zeros of numbers, and signs; and ignores Content-Length.
    ("a body that Content-Length does not fit", |message| {
        message
            .content_length()
            .is_ok_and(|length| length.is_none())
    }),
    // It knows the methods of 2009 only, and takes names of methods without case.
    ("an unknown method", |message| {
        message
            .method()
            .is_some_and(|method| matches!(method, trunkline::sip::Method::Other(_)))
    }),
    // It wants the version in capitals.
    ("a version in small letters", |message| {
        !head(message).windows(8).any(|part| part == b"SIP/2.0\r")
    }),
];

/// A request written from `bytes` with a restricted grammar, then damaged where they say
/// so. Undamaged, both parsers read it, and alike; damaged, they read it alike if both
/// do, or one of [`DIFFERENCES`] says why not.
///
/// # Panics
/// When the law is broken.
pub(crate) fn fuzz_second_opinion(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let (mut request, body) = written(&mut dice);
    let sound = request.clone();
    for _ in 0..dice.below(3) {
        let at = usize::from(dice.byte()) << 8 | usize::from(dice.byte());
        let byte = *b" :;<>@\"=,.%[]?\\\r\n\t0aZ+"
            .get(dice.below(23))
            .unwrap_or(&dice.byte());
        let at = at % request.len();
        request[at] = byte;
    }
    request.extend_from_slice(&body);
    let damaged = !request.starts_with(&sound);
    let ours = Message::parse_datagram(&request)
        .and_then(|message| message.check_request().map(|()| message));
    let theirs = Theirs::read(&request);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            let differ = theirs.differ(&ours);
            let justified =
                differ.is_empty() || DIFFERENCES.iter().any(|(_, justifies)| justifies(&ours));
            assert!(
                justified && (damaged || differ.is_empty()),
                "{differ:?} of {}",
                request.escape_ascii()
            );
        }
        (ours, theirs) => assert!(
            damaged,
            "ours: {:?}, theirs: {:?} of {}",
            ours.err(),
            theirs.err(),
            request.escape_ascii()
        ),
    }
}

/// What rsip reads.
struct Theirs {
    request: rsip::Request,
    from: typed::From,
    to: typed::To,
    via: typed::Via,
    cseq: typed::CSeq,
}

impl Theirs {
    fn read(bytes: &[u8]) -> Result<Self, rsip::Error> {
        let request = rsip::Request::try_from(bytes)?;
        Ok(Self {
            from: request.from_header()?.typed()?,
            to: request.to_header()?.typed()?,
            via: request.via_header()?.typed()?,
            cseq: request.cseq_header()?.typed()?,
            request,
        })
    }

    /// The fields that we read otherwise, and how both read them.
    fn differ(&self, ours: &Message<'_>) -> Vec<(&'static str, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut differ = Vec::new();
        let mut compare = |what, ours: String, theirs: String| {
            if ours != theirs {
                differ.push((what, ours, theirs));
            }
        };
        let uri = ours.uri().unwrap();
        compare(
            "method",
            text(ours.method().unwrap().as_bytes()),
            self.request.method.to_string(),
        );
        compare("Request-URI", said(&uri), their_uri(&self.request.uri));
        let (from, to) = (ours.from().unwrap(), ours.to().unwrap());
        compare("From", said(&from.uri), their_uri(&self.from.uri));
        compare("To", said(&to.uri), their_uri(&self.to.uri));
        let tag = |address: &NameAddr<'_>| format!("{:?}", address.tag().map(text));
        compare(
            "From tag",
            tag(&from),
            format!("{:?}", self.from.tag().map(|tag| tag.value().to_owned())),
        );
        compare(
            "To tag",
            tag(&to),
            format!("{:?}", self.to.tag().map(|tag| tag.value().to_owned())),
        );
        let display = |name: Option<&[u8]>| {
            text(name.unwrap_or_default())
                .trim_matches([' ', '"'])
                .to_owned()
        };
        let shown = |name: &Option<String>| {
            name.clone()
                .unwrap_or_default()
                .trim_matches([' ', '"'])
                .to_owned()
        };
        compare(
            "From name",
            display(from.display),
            shown(&self.from.display_name),
        );
        let call_id = self
            .request
            .call_id_header()
            .map(|id| id.value().to_owned());
        compare(
            "Call-ID",
            text(ours.call_id().unwrap()),
            call_id.unwrap_or_default(),
        );
        let cseq = ours.cseq().unwrap();
        compare(
            "CSeq",
            format!("{} {}", cseq.number, text(cseq.method.as_bytes())),
            self.cseq.to_string(),
        );
        let via = ours.top_via().unwrap();
        compare(
            "Via transport",
            text(via.transport.as_bytes()),
            self.via.transport.to_string(),
        );
        compare(
            "Via branch",
            format!("{:?}", via.branch().map(text)),
            format!(
                "{:?}",
                self.via.branch().map(|branch| branch.value().to_owned())
            ),
        );
        let sent_by = format!(
            "{}{}",
            via.host,
            via.port.map(|port| format!(":{port}")).unwrap_or_default()
        );
        compare(
            "Via sent-by",
            sent_by,
            self.via.uri.host_with_port.to_string(),
        );
        let hops = self
            .request
            .max_forwards_header()
            .ok()
            .map(|hops| hops.value().to_owned());
        let ours_hops = ours.max_forwards().unwrap().map(|hops| hops.to_string());
        compare(
            "Max-Forwards",
            format!("{ours_hops:?}"),
            format!(
                "{:?}",
                hops.map(|hops| hops.trim_start_matches('0').to_owned())
                    .map(|hops| if hops.is_empty() {
                        "0".to_owned()
                    } else {
                        hops
                    })
            ),
        );
        compare(
            "headers",
            ours.headers().count().to_string(),
            self.request.headers.iter().count().to_string(),
        );
        let length = ours.body().len();
        compare(
            "body",
            text(ours.body()),
            text(
                self.request
                    .body
                    .get(..length)
                    .unwrap_or(&self.request.body),
            ),
        );
        differ
    }
}

fn said(uri: &Uri<'_>) -> String {
    let user = uri
        .user
        .map(|user| String::from_utf8_lossy(user.as_bytes()).into_owned());
    let count = uri.params.iter().count();
    format!("{user:?} {} {:?} {count}", uri.host, uri.port)
}

fn their_uri(uri: &rsip::Uri) -> String {
    let port = uri.port().map(|port| *port.value());
    let user = uri.user().map(str::to_owned);
    format!("{user:?} {} {port:?} {}", uri.host(), uri.params.len())
}

fn head<'a>(message: &Message<'a>) -> &'a [u8] {
    let bytes = message.bytes();
    bytes.get(..bytes.len() - message.body().len()).unwrap()
}

fn uris<'a>(message: &Message<'a>) -> Vec<Uri<'a>> {
    let addresses = [message.from(), message.to()];
    let addresses = addresses.into_iter().flatten().map(|address| address.uri);
    message.uri().into_iter().chain(addresses).collect()
}

/// A request and its body. What both parsers must read: long names, one value a field,
/// users of letters and digits, names and IPv4 addresses, parameters of tokens.
fn written(dice: &mut Dice<'_>) -> (Vec<u8>, Vec<u8>) {
    let method = *dice.of(&[
        "INVITE",
        "OPTIONS",
        "BYE",
        "REGISTER",
        "MESSAGE",
        "SUBSCRIBE",
    ]);
    let body = dice.word(b"v=0abc \r\n", 12);
    let (request_uri, from, to) = (uri(dice), uri(dice), uri(dice));
    let from_name = name(dice);
    let to_name = name(dice);
    let tag = token(dice);
    let to_tag = if dice.below(2) == 0 {
        String::new()
    } else {
        format!(";tag={}", token(dice))
    };
    let via_host = hostport(dice);
    let transport = *dice.of(&["UDP", "TCP", "TLS", "SCTP", "WS"]);
    let (branch, call_id, other) = (token(dice), token(dice), token(dice));
    let (sequence, hops) = (
        u32::from(dice.byte()) << 20 | u32::from(dice.byte()),
        dice.byte(),
    );
    let mut fields = [
        format!("Via: SIP/2.0/{transport} {via_host};branch=z9hG4bK{branch}"),
        format!("From: {from_name}<{from}>;tag={tag}"),
        format!("To: {to_name}<{to}>{to_tag}"),
        format!("Call-ID: {call_id}"),
        format!("CSeq: {sequence} {method}"),
        format!("Max-Forwards: {hops}"),
        format!("X-{other}: {other}"),
        format!("Content-Length: {}", body.len()),
    ];
    let turn = dice.below(fields.len());
    fields.rotate_left(turn);
    let head = format!(
        "{method} {request_uri} SIP/2.0\r\n{}\r\n\r\n",
        fields.join("\r\n")
    );
    (head.into_bytes(), body.into_bytes())
}

fn uri(dice: &mut Dice<'_>) -> String {
    let scheme = *dice.of(&["sip", "sip", "sips"]);
    let user = dice.word(b"abcXYZ0123456789-_+", 12);
    let user = if user.is_empty() {
        user
    } else {
        format!("{user}@")
    };
    let params: String = (0..dice.below(3))
        .map(|index| match dice.below(3) {
            0 => format!(";p{index}"),
            1 => format!(";p{index}={}", token(dice)),
            _ => {
                if index == 0 {
                    ";user=phone".to_owned()
                } else {
                    String::new()
                }
            }
        })
        .collect();
    format!("{scheme}:{user}{}{params}", hostport(dice))
}

fn hostport(dice: &mut Dice<'_>) -> String {
    let host = match dice.below(3) {
        0 => format!("{}.{}.0.{}", dice.byte(), dice.byte(), dice.byte()),
        1 => format!("a{}.example", dice.word(b"abc123", 5)),
        _ => "sbc.example.net".to_owned(),
    };
    match dice.below(2) {
        0 => host,
        _ => format!("{host}:{}", 1024 + u16::from(dice.byte())),
    }
}

fn name(dice: &mut Dice<'_>) -> String {
    match dice.below(3) {
        0 => String::new(),
        1 => format!("{} ", token(dice)),
        _ => format!("\"A {}\" ", dice.word(b"abc XYZ", 8).trim_end()),
    }
}

fn token(dice: &mut Dice<'_>) -> String {
    format!("t{}", dice.word(b"abcXYZ0123456789-_", 10))
}

/// Chances, taken from the input: zero when it has run out.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self
            .0
            .split_first()
            .map_or((0, &[][..]), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn of<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.below(list.len())]
    }

    fn word(&mut self, alphabet: &[u8], longest: usize) -> String {
        let length = self.below(longest + 1);
        (0..length)
            .map(|_| char::from(*self.of(alphabet)))
            .collect()
    }
}
