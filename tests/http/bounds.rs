//! What is wrong is refused and counted, and those who ask well never notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::Asked;

fn connect(asked: &Asked) -> TcpStream {
    let address = asked.base.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

/// All that comes until the server hangs up.
fn heard(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_question_that_cannot_be_read_is_refused_with_what_is_wrong() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    for (path, status, said) in [
        ("/v1/answer", 400, "called"),
        ("/v1/answer?called=", 400, "called is empty"),
        ("/v1/answer?called=1&caled=2", 400, "caled"),
        ("/v1/answer?called=1&explain=perhaps", 400, "explain"),
        (
            &format!("/v1/route?called={}", "1".repeat(2_000)),
            400,
            "longer than 1024 bytes",
        ),
        ("/v1/lcr", 405, "no such method"),
        ("/v2/answer?called=1", 404, "/v1/answer"),
        ("/", 404, "No such resource"),
    ] {
        let (found, text) = asked.get(path);
        assert_eq!(found, status, "{path}: {text}");
        assert!(text.contains(said), "{path}: {text}");
    }
    assert_eq!(
        (asked.counted("malformed"), asked.refused("nowhere")),
        (5, 3)
    );
}

#[test]
fn bodies_and_heads_have_their_bounds() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let post = |body: &str, kind: &str| {
        let mut stream = connect(&asked);
        let head = format!(
            "POST /v1/route HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
        heard(stream)
    };
    let json = "application/json";
    assert!(post("{\"called\": \"+4420\"}", json).starts_with("HTTP/1.1 200 "));
    for wrong in [
        "",
        "{",
        "[]",
        "[\"+4420\"]",
        "{\"called\": 7}",
        "{\"called\": \"1\", \"x\": 2}",
        "\0\u{ff}",
    ] {
        assert!(post(wrong, json).starts_with("HTTP/1.1 400 "), "{wrong}");
    }
    assert!(post("{\"called\": \"1\"}", "text/plain").starts_with("HTTP/1.1 400 "));
    assert!(
        post(&format!("{{\"called\": \"{}\"}}", "1".repeat(40_000)), json)
            .starts_with("HTTP/1.1 400 ")
    );
    let mut stream = connect(&asked);
    let _ = stream.write_all(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(40_000)).as_bytes());
    let answer = heard(stream);
    assert!(
        answer.starts_with("HTTP/1.1 4") || answer.is_empty(),
        "{answer}"
    );
    assert_eq!(asked.get("/v1/answer?called=%2B4420").0, 200);
}

/// As many as an SBC has calls in setup, each with several questions on one connection, while
/// others say nothing or half a word.
#[test]
fn hundreds_ask_at_once_beside_peers_who_do_not_get_to_the_point() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let silent: Vec<TcpStream> = (0..100).map(|_| connect(&asked)).collect();
    let halting: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&asked);
            stream.write_all(b"GET /v1/answer?called=").unwrap();
            stream
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut streams: Vec<TcpStream> = (0..40).map(|_| connect(&asked)).collect();
                for _ in 0..5 {
                    for stream in &mut streams {
                        stream
                            .write_all(b"GET /v1/answer?called=%2B4420 HTTP/1.1\r\nHost: h\r\n\r\n")
                            .unwrap();
                    }
                    for stream in &mut streams {
                        let mut answer = [0; 512];
                        let length = stream.read(&mut answer).unwrap();
                        let answer = String::from_utf8_lossy(&answer[..length]);
                        assert!(answer.ends_with("teams-1"), "{answer}");
                    }
                }
            });
        }
    });
    assert_eq!(asked.counted("routed"), 8 * 40 * 5);
    drop((silent, halting));
}

#[test]
fn beyond_the_connections_allowed_peers_are_hung_up_on_and_counted() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let streams: Vec<TcpStream> = (0..1_030).map(|_| connect(&asked)).collect();
    // The last ones hear the end at once.
    assert_eq!(heard(streams.last().unwrap().try_clone().unwrap()), "");
    assert_eq!(asked.refused("no-room"), 6);
    drop(streams);
    // Their places are free again, as soon as the server has heard that they are gone.
    let answered = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(50));
        let mut stream = connect(&asked);
        let request =
            b"GET /v1/answer?called=%2B4420 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        stream.write_all(request).is_ok() && heard(stream).ends_with("teams-1")
    });
    assert!(answered);
}

#[test]
fn wrong_secrets_wait_and_too_many_at_a_time_are_refused() {
    let accounts = vec![crate::account("sbc", None)];
    let asked = Asked::open(accounts, "{trunk}");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let guess = || asked.get_as("/v1/answer?called=1", "Bearer guess").0;
        let guesses: Vec<_> = (0..40).map(|_| scope.spawn(guess)).collect();
        guesses
            .into_iter()
            .map(|guess| guess.join().unwrap())
            .collect()
    });
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(count(401) + count(429), 40, "{statuses:?}");
    assert!(count(401) >= 16 && count(429) > 0, "{statuses:?}");
}
