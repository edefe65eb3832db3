//! Whatever comes is refused and counted, and whoever asks well never notices.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use trunkline::api::Role;

use crate::Administered;

/// Two dozen requests that mean no good.
#[test]
fn no_request_of_the_hostile_kind_gets_anything() {
    let server = Administered::open();
    let known = server.with(Role::Admin);
    let big = "x".repeat(5 << 20);
    let long = format!("/{}", "x".repeat(40_000));
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let many = format!("/table/routes?{}", "q=1&".repeat(1_000));
    let cases: &[(&str, &str, &str, &[u16])] = &[
        ("GET", "/../../etc/passwd", "", &[404]),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", "", &[404]),
        ("GET", "/generations/1/files/../ledger.json", "", &[404]),
        (
            "GET",
            "/generations/1/files/%2e%2e%2fledger.json",
            "",
            &[404],
        ),
        ("GET", "/generations/1/files//etc/passwd", "", &[404]),
        ("GET", "/generations/-1", "", &[400]),
        ("GET", "/generations/99999999999999999999", "", &[400]),
        ("GET", "/dids/%00", "", &[400]),
        ("GET", "/dids/+44%0d%0aX:1", "", &[400]),
        ("GET", &long, "", &[0, 404, 414, 431]),
        ("GET", &many, "", &[400]),
        ("GET", "/reload", "", &[405]),
        ("GET", "/generations/1/rollback", "", &[405]),
        ("HEAD", "/undo", "", &[405]),
        ("POST", "/status", "{}", &[405]),
        ("TRACE", "/status", "", &[405]),
        ("CONNECT", "/status", "", &[405, 400, 404]),
        ("POST", "/reload", "", &[415]),
        ("POST", "/reload", "reload", &[415]),
        ("POST", "/reload", "{", &[400]),
        (
            "POST",
            "/reload",
            "{\"force\": true, \"force\": true}",
            &[400],
        ),
        ("POST", "/reload", "{\"message\": \"\\u0000\"}", &[400]),
        ("POST", "/route", "[]", &[400]),
        // Members in their order are no object.
        ("POST", "/reload", "[]", &[400]),
        ("POST", "/undo", "[]", &[400]),
        ("POST", "/drafts", "[\"a word\"]", &[400]),
        (
            "POST",
            "/route:batch",
            "{\"calls\": [[\"+442071234567\", \"teams\"]]}",
            &[400],
        ),
        ("PUT", "/trunks/teams-1/state", "[\"drain\"]", &[400]),
        (
            "PUT",
            "/trunks/teams-1/state",
            "{\"state\": {\"drain\": null}}",
            &[400],
        ),
        ("POST", "/route", &deep, &[400]),
        ("POST", "/reload", &big, &[413]),
        (
            "PUT",
            "/trunks/%2e%2e%2f/state",
            "{\"state\": \"drain\"}",
            &[404],
        ),
        ("DELETE", "/drafts/..%2f..%2ftables", "", &[404]),
        ("PUT", "/drafts/0000000000000000/files/x.toml", "x", &[404]),
    ];
    for (method, path, body, allowed) in cases {
        let reply = known.send(method, path, body);
        let shown = path.get(..80.min(path.len())).unwrap();
        assert!(
            allowed.contains(&reply.status),
            "{method} {shown}: {} {}",
            reply.status,
            reply.text
        );
        assert!(!reply.text.contains("root:"), "{method} {shown}");
    }
    // Headers that say different things.
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Content-Length: -1\r\n",
        "Bad Header: x\r\n",
        "Authorization: Bearer x\r\n",
    ] {
        let request = format!(
            "POST /api/v1/reload HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{head}\r\n{{}}"
        );
        let status = server.bare().say(request.as_bytes()).status;
        assert!(matches!(status, 0 | 400 | 401), "{head}: {status}");
    }
    assert_eq!(server.get("/status")["generation"]["number"], 1);
    assert!(server.counted("malformed") > 15);
}

#[test]
fn whatever_path_is_asked_for_nothing_changes_and_nothing_breaks() {
    let server = Administered::open();
    let client = server.with(Role::Admin);
    let mut runner = TestRunner::new(Config::with_cases(400));
    let words = prop_oneof![
        "[!-~]{0,30}",
        "(status|table|routes|dids|generations|drafts|files|events|route:batch|reload|1|%2e%2e|%00|%ff|\\+44){1,2}",
    ];
    let paths = proptest::collection::vec(words, 0..5);
    let found = runner.run(&(paths, "[!-~]{0,40}"), |(parts, query)| {
        let path = format!("/{}?{query}", parts.join("/")).replace('#', "%23");
        let status = client.get(&path).status;
        prop_assert!(status < 500 || status == 503, "{path}: {status}");
        prop_assert!(status != 0, "{path}");
        Ok(())
    });
    found.unwrap();
    assert_eq!(
        server.get("/generations")["generations"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(server.get("/drafts")["drafts"], json!([]));
    assert_eq!(server.counted("failed"), 0);
    assert_eq!(server.counted("changed"), 0);
}

#[test]
fn whatever_body_is_sent_is_answered() {
    let server = Administered::open();
    let client = server.with(Role::Viewer);
    let mut runner = TestRunner::new(Config::with_cases(300));
    let values = prop_oneof![
        "[0-9a-z+]{0,12}",
        ".{0,20}",
        "\\{\"calls\":\\[.{0,20}\\]\\}"
    ];
    let found = runner.run(
        &(values, any::<u64>(), any::<bool>()),
        |(text, number, batch)| {
            let call = json!({"called": text, "from": "carrier-a", "generation": number % 3});
            let (path, body) = match batch {
                true => ("/route:batch", json!({"calls": [call]}).to_string()),
                false if number % 2 == 0 => ("/route", call.to_string()),
                false => ("/route", format!("{{{text}")),
            };
            let status = client.send("POST", path, &body).status;
            prop_assert!(matches!(status, 200 | 400 | 404), "{body}: {status}");
            Ok(())
        },
    );
    found.unwrap();
    assert_eq!(server.counted("failed"), 0);
}

#[test]
fn who_does_not_get_to_the_point_keeps_nobody_waiting() {
    let server = Administered::open();
    let connect = |text: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let token = crate::text(Role::Admin);
    let head =
        format!("POST /api/v1/reload HTTP/1.1\r\nAuthorization: Bearer {token}\r\nHost: h\r\n");
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| connect(""))
        .chain((0..100).map(|_| connect("GET /api/v1/sta")))
        .chain((0..100).map(|_| connect(&format!("{head}Content-Length: 9\r\n\r\n{{"))))
        .collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(server.with(Role::Viewer).get("/status").status, 200);
                    assert_eq!(server.local().get("/table").status, 200);
                }
            });
        }
    });
    // A body that never comes is told so.
    let mut late = String::new();
    let mut last = slow.into_iter().last().unwrap();
    let _ = std::io::Read::read_to_string(&mut last, &mut late);
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    assert_eq!(server.get("/status")["generation"]["number"], 1);
}
