//! Generated requests: what was written is what is read, however it is spelled.

#![allow(clippy::unwrap_used)] // A generated request that cannot be read has failed its test.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{HeaderName, Message, Method, NameAddr, Parsed, Uri};

/// A request in parts, and how to spell it.
#[derive(Debug, Clone)]
struct Written {
    user: String,
    parameters: Vec<(String, Option<String>)>,
    host: String,
    port: Option<u16>,
    display: String,
    tag: String,
    branches: Vec<String>,
    call_id: String,
    sequence: u32,
    hops: u8,
    body: Vec<u8>,
    spelling: Vec<u8>,
    order: Vec<usize>,
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z][a-z0-9]{0,6}){0,3}",
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]")),
    ]
}

fn parameters() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    vec(
        (
            "[a-z][a-z0-9-]{0,6}",
            proptest::option::of("[A-Za-z0-9+:/.%]{0,6}[a-z0-9]"),
        ),
        0..4,
    )
    .prop_map(|list| {
        list.into_iter()
            .filter(|(_, value)| !value.as_ref().is_some_and(|v| v.contains('%')))
            .collect()
    })
}

fn written() -> impl Strategy<Value = Written> {
    let uri = (
        "[A-Za-z0-9+.*#!~'()&$,;?/_-]{1,20}",
        parameters(),
        host(),
        proptest::option::of(any::<u16>()),
    );
    let from = (
        "([^\"\\\\\\p{C}]|\\\\[\"\\\\ a-z]){0,12}",
        "[a-zA-Z0-9.!%*_+`'~-]{1,12}",
    );
    let fields = (
        vec("[a-zA-Z0-9.]{1,12}", 1..5),
        "[!-~]{1,20}",
        0_u32..1 << 31,
        any::<u8>(),
    );
    let rest = (
        vec(any::<u8>(), 0..20),
        vec(any::<u8>(), 8),
        Just((0..7).collect::<Vec<_>>()).prop_shuffle(),
    );
    (uri, from, fields, rest).prop_map(|(uri, from, fields, rest)| Written {
        user: uri.0,
        parameters: uri.1,
        host: uri.2,
        port: uri.3,
        display: from.0,
        tag: from.1,
        branches: fields.0,
        call_id: fields.1,
        sequence: fields.2,
        hops: fields.3,
        body: rest.0,
        spelling: rest.1,
        order: rest.2,
    })
}

impl Written {
    fn uri(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let parameters: String = self
            .parameters
            .iter()
            .map(|(name, value)| match value {
                Some(value) => format!(";{name}={value}"),
                None => format!(";{name}"),
            })
            .collect();
        format!("sip:{}@{}{port}{parameters}", self.user, self.host)
    }

    fn bytes(&self) -> Vec<u8> {
        let separator = [", ", ",", " ,\r\n "][usize::from(self.spelling[7]) % 3];
        let vias: Vec<_> = self
            .branches
            .iter()
            .map(|branch| format!("SIP/2.0/UDP h.example;branch=z9hG4bK{branch}"))
            .collect();
        let fields = [
            (HeaderName::Via, vias.join(separator)),
            (
                HeaderName::From,
                format!("\"{}\" <{}>;tag={}", self.display, self.uri(), self.tag),
            ),
            (HeaderName::To, format!("<{}>", self.uri())),
            (HeaderName::CallId, self.call_id.clone()),
            (HeaderName::CSeq, format!("{} INVITE", self.sequence)),
            (HeaderName::MaxForwards, self.hops.to_string()),
            (HeaderName::ContentLength, self.body.len().to_string()),
        ];
        let mut bytes = format!("INVITE {} SIP/2.0\r\n", self.uri()).into_bytes();
        for field in &self.order {
            let (name, value) = &fields[*field];
            bytes.extend_from_slice(
                format!("{}{value}\r\n", spelled(*name, self.spelling[*field])).as_bytes(),
            );
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The name with its colon, in one of its spellings.
fn spelled(name: HeaderName, how: u8) -> String {
    let long = name.as_str();
    let name = match (how % 4, name.compact()) {
        (0, Some(letter)) => letter.to_string(),
        (1, Some(letter)) => letter.to_ascii_uppercase().to_string(),
        (2, _) => long.to_uppercase(),
        _ => long.to_owned(),
    };
    let colon = [":", ": ", " :", "\t: \t", ":\r\n ", " :  \r\n\t"][usize::from(how / 4) % 6];
    format!("{name}{colon}")
}

fn same_address(address: &NameAddr<'_>, uri: &str) -> bool {
    address.uri.raw == uri.as_bytes() && Uri::parse(uri.as_bytes()) == Ok(address.uri)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_was_written_is_read(written in written(), noise in vec(any::<u8>(), 0..5)) {
        let bytes = written.bytes();
        let datagram = [&bytes[..], &noise].concat();
        let message = Message::parse_datagram(&datagram).unwrap();
        prop_assert_eq!(message.check_request(), Ok(()));
        prop_assert_eq!(message.bytes(), &bytes[..]);
        prop_assert_eq!(message.body(), &written.body[..]);
        prop_assert_eq!(message.method(), Some(Method::Invite));

        let uri = message.uri().unwrap();
        prop_assert_eq!(uri.user.unwrap().as_bytes(), written.user.as_bytes());
        prop_assert_eq!(uri.host.to_string(), written.host.as_str());
        prop_assert_eq!(uri.port, written.port);
        let parameters: Vec<_> = uri.params.iter().map(|p| (p.name.to_vec(), p.value.map(<[u8]>::to_vec))).collect();
        let expected: Vec<_> = written.parameters.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().map(String::into_bytes))).collect();
        prop_assert_eq!(parameters, expected);

        let from = message.from().unwrap();
        prop_assert!(same_address(&from, &written.uri()) && same_address(&message.to().unwrap(), &written.uri()));
        prop_assert_eq!(from.display, Some(written.display.as_bytes()));
        prop_assert_eq!((from.tag(), message.to().unwrap().tag()), (Some(written.tag.as_bytes()), None));
        let branches: Vec<_> = message.vias().map(|via| via.unwrap().branch().unwrap()[7..].to_vec()).collect();
        prop_assert_eq!(branches, written.branches.iter().map(|b| b.clone().into_bytes()).collect::<Vec<_>>());
        prop_assert_eq!(message.call_id(), Ok(written.call_id.as_bytes()));
        prop_assert_eq!(message.cseq().unwrap().number, written.sequence);
        prop_assert_eq!(message.max_forwards(), Ok(Some(written.hops)));

        let streamed = Message::parse_stream(&datagram).unwrap();
        prop_assert!(matches!(streamed, Parsed::Complete(ref message) if message.bytes() == bytes));
    }
}
