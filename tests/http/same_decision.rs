//! The same facts, the same table: HTTP says what the redirect listener says.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use trunkline::http::{Desk, Template, questions};
use trunkline::observe::{CallLog, HttpCounters, LogFormat, MaskNumbers};
use trunkline::proxy::{Datagram, Fate, Now, RedirectServer, RedirectSettings};
use trunkline::sip::{HeaderName, Message};
use trunkline::tables::TableStore;

const SOURCE: &str = "10.20.0.11:5060";

static STORE: LazyLock<Arc<TableStore>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing-tables/example");
    Arc::new(TableStore::open(&folder).unwrap().0)
});

/// What is asked.
#[derive(Debug, Clone)]
struct Call {
    from: &'static str,
    called: String,
    calling: Option<String>,
    call_id: String,
}

fn by_sip(call: &Call) -> (u16, Vec<String>) {
    let from = match &call.calling {
        Some(number) => format!("<sip:{number}@sbc.example>"),
        None => String::from("<sip:anonymous@anonymous.invalid>"),
    };
    let invite = format!(
        "INVITE sip:{}@10.20.0.50 SIP/2.0\r\nVia: SIP/2.0/UDP 10.20.0.11;branch=z9hG4bK1\r\n\
         From: {from};tag=1\r\nTo: <sip:x@y>\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\nX-Trunk-Group: {}\r\nContent-Length: 0\r\n\r\n",
        call.called, call.call_id, call.from
    );
    let mut server = RedirectServer::new(RedirectSettings {
        tag_key: RandomState::new(),
        stateful: false,
        server_header: None,
    });
    let datagram = Datagram {
        bytes: invite.as_bytes(),
        source: SOURCE.parse().unwrap(),
        asked: None,
        listener: "",
    };
    let now = Now {
        instant: Instant::now(),
        wall: Timestamp::now(),
    };
    let mut out = Vec::new();
    let fate = server.handle(now, &datagram, &STORE.snapshot(), &mut out);
    let Fate::Answer { status, .. } = fate else {
        panic!("{fate:?}\n{invite}")
    };
    let answer = Message::parse_datagram(&out).unwrap();
    let targets = answer.values(HeaderName::Contact).map(|contact| {
        let text = std::str::from_utf8(contact).unwrap();
        let (uri, _) = text.strip_prefix('<').unwrap().split_once(">;q=").unwrap();
        uri.to_owned()
    });
    (status.code(), targets.collect())
}

/// Status and body of the answer to a request of an SBC, by the example table.
pub(crate) fn answered(mut request: Request<Body>) -> (u16, Vec<u8>) {
    let desk = Desk::new(
        Arc::clone(&STORE),
        Vec::new(),
        Template::parse("{trunk_group}", "reject").unwrap(),
        Arc::new(HttpCounters::new()),
        CallLog {
            enabled: true,
            format: LogFormat::Text,
            mask: MaskNumbers::None,
        },
    );
    let source: SocketAddr = SOURCE.parse().unwrap();
    request.extensions_mut().insert(source);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let response = questions(Arc::new(desk)).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .into(),
        )
    })
}

fn by_http(call: &Call) -> (u16, Vec<String>) {
    let mut question = json!({
        "from": call.from, "called": call.called, "call_id": call.call_id, "host": "10.20.0.50",
    });
    if let Some(number) = &call.calling {
        question["calling"] = json!(number);
    }
    let request = Request::post("/v1/route")
        .header("Content-Type", "application/json")
        .body(Body::from(question.to_string()))
        .unwrap();
    let answer: Value = serde_json::from_slice(&answered(request).1).unwrap();
    let status = match answer["outcome"].as_str().unwrap() {
        "route" => 302,
        _ => answer["status"].as_u64().unwrap(),
    };
    let targets = answer["routes"].as_array().unwrap().iter();
    let targets = targets.map(|route| route["request_uri"].as_str().unwrap().to_owned());
    (u16::try_from(status).unwrap(), targets.collect())
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u32..1_000).prop_map(|n| format!("+44207946{n:04}")),
        (0_u32..1_000).prop_map(|n| format!("02079460{n:03}")),
        (0_u32..1_000).prop_map(|n| format!("+493023125{n:03}")),
        "[0-9]{2,6}",
        "\\+[1-9][0-9]{5,14}",
        Just(String::from("999")),
        Just(String::from("alice")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn http_and_sip_route_alike(
        from in prop::sample::select(vec!["carrier-a", "carrier-b"]),
        called in numbers(), calling in proptest::option::of(numbers()), call_id in "[a-z0-9]{1,20}",
    ) {
        let call = Call { from, called, calling, call_id };
        prop_assert_eq!(by_http(&call), by_sip(&call));
    }
}
