//! Calls do not notice what is done to the listeners that speak HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use trunkline::api::{Role, Token, token_text};
use trunkline::http::{Account, Secret, Template};
use trunkline::limits::HTTP_CONNECTIONS_MAX;
use trunkline::server::{HttpConfig, ListenerConfig, Mode};

use crate::phone::{Phone, contacts};
use crate::proxy::{Trunk, in_dialog, trunks_toml};
use crate::{Rig, write};

const ANY: &str = "127.0.0.1:0";
const SECRET: &str = "the secret of the SBC";

/// Where the three of them are.
#[derive(Clone, Copy)]
struct Faces {
    http: SocketAddr,
    metrics: SocketAddr,
    api: SocketAddr,
}

impl Faces {
    fn all(self) -> [SocketAddr; 3] {
        [self.http, self.metrics, self.api]
    }
}

fn rig(trunk: &Trunk) -> (Rig, Faces) {
    let rig = Rig::with_tables(
        |folder| write(folder, "trunks.toml", &trunks_toml(&[trunk.address()])),
        &[ANY],
        2,
        |config| {
            let mut proxy = ListenerConfig::new(ANY.parse().unwrap());
            proxy.mode = Mode::Proxy;
            config.listeners.push(proxy);
            config.metrics = Some(ANY.parse().unwrap());
            config.http = Some(HttpConfig {
                address: ANY.parse().unwrap(),
                template: Template::parse("{trunk}", "barred").unwrap(),
                tls: None,
                accounts: vec![Account {
                    name: "sbc".to_owned(),
                    secret: Secret::of(SECRET.as_bytes()),
                    trunk_group: Some("pstn".to_owned()),
                }],
            });
            config.api.listen = Some(ANY.parse().unwrap());
            config.api.tokens = vec![Token {
                name: "ops".to_owned(),
                secret: Secret::of(token().as_bytes()),
                role: Role::Viewer,
                expires: None,
                networks: Vec::new(),
            }];
        },
    );
    let faces = Faces {
        http: rig.handle.http_addr().unwrap(),
        metrics: rig.handle.metrics_addr().unwrap(),
        api: rig.handle.api_addr().unwrap(),
    };
    (rig, faces)
}

fn token() -> String {
    token_text(&[7; 32])
}

/// Says something and tells the status of the answer; 0 without one.
fn status_of(to: SocketAddr, said: &[u8]) -> u16 {
    let Ok(mut stream) = TcpStream::connect(to) else {
        return 0;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    // Who is refused early need not be heard to the end.
    let _ = stream.write_all(said);
    let mut head = [0; 12];
    let status = stream.read_exact(&mut head).ok();
    let status = status.and_then(|()| std::str::from_utf8(&head[9..]).ok()?.parse().ok());
    status.unwrap_or(0)
}

fn request(line: &str, secret: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    text.into_bytes()
}

/// Something is done again and again until the end; what was answered to it.
struct Attack<'s> {
    name: &'static str,
    statuses: thread::ScopedJoinHandle<'s, BTreeSet<u16>>,
    allowed: &'static [u16],
}

/// What is said again and again to whom, its name, and what may be answered to it.
type Said = (&'static str, &'static [u16], Vec<(SocketAddr, Vec<u8>)>);

/// All that means no good and is over at once.
fn quick(faces: Faces) -> Vec<Said> {
    let (http, api) = (faces.http, faces.api);
    let long = "x".repeat(6 << 20);
    let head = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(40_000));
    let everywhere = |said: &[u8]| faces.all().map(|face| (face, said.to_vec())).to_vec();
    let oversized = vec![
        (http, request("POST /v1/route", SECRET, &long)),
        (api, request("POST /api/v1/route", &token(), &long)),
        (faces.metrics, request("POST /metrics", "", &long)),
    ];
    let guess = vec![(http, request("GET /v1/answer?called=1", "guess", ""))];
    let tokens = vec![
        (api, request("GET /api/v1/status", "tl_guess", "")),
        (api, request("GET /api/v1/status", "", "")),
    ];
    let nowhere = everywhere(&request("GET /../../etc/passwd?%00", SECRET, ""));
    let mut attacks = vec![
        ("too large", &[0, 400, 401, 405, 413][..], oversized),
        ("wrong tokens", &[0, 401, 429], tokens),
        (
            "long heads",
            &[0, 400, 414, 431],
            everywhere(head.as_bytes()),
        ),
        (
            "garbage",
            &[0, 400],
            everywhere(b"\0\xff\x16\x03\x01 no HTTP\r\n\r\n"),
        ),
        (
            "SIP",
            &[0, 400],
            everywhere(b"INVITE sip:a@b SIP/2.0\r\n\r\n"),
        ),
        ("random paths", &[0, 401, 404, 405], nowhere),
    ];
    // A wrong secret waits for its answer: only many at a time are too many.
    attacks.extend((0..30).map(|_| ("wrong secrets", &[0, 401, 429][..], guess.clone())));
    attacks
}

/// Connections that take long: halves of heads and bodies, a byte at a time, and some that
/// ask for more and more and read nothing.
fn slow(faces: Faces, ends: &AtomicBool) {
    let whole = request("POST /api/v1/route", &token(), &"x".repeat(1_000));
    let question = request("POST /v1/route", SECRET, &"x".repeat(1_000));
    let begins = |to: SocketAddr, said: &[u8], but: usize| {
        let mut stream = TcpStream::connect(to).unwrap();
        let _ = stream.write_all(&said[..said.len() - but]);
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut streams: Vec<_> = (0..30)
        .flat_map(|n| {
            [
                begins(faces.api, &whole, 900 - n),
                begins(faces.http, &question, 900 - n),
                begins(faces.api, &whole, 1_020 + n),
                begins(faces.http, &question, 1_020 + n),
                begins(faces.metrics, b"GET /metrics HT", 0),
            ]
        })
        .collect();
    let pages = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".repeat(500);
    let mut deaf: Vec<_> = (0..20).map(|_| begins(faces.metrics, b"", 0)).collect();
    while !ends.load(Ordering::Relaxed) {
        for stream in &mut streams {
            let _ = stream.write(b"x");
        }
        for stream in &mut deaf {
            let _ = stream.write(&pages);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// A caller as callers are: it repeats until it hears the final answer to its request.
fn final_answer(phone: &Phone, request: &str, call_id: &str) -> String {
    let wait = Some(Duration::from_secs(2));
    phone.socket.set_read_timeout(wait).unwrap();
    let cseq = request
        .lines()
        .find(|line| line.starts_with("CSeq: "))
        .unwrap();
    for _ in 0..10 {
        phone.send(request.as_bytes());
        let mut room = [0; 65_536];
        loop {
            let heard = match phone.socket.recv_from(&mut room) {
                Ok((length, _)) => String::from_utf8_lossy(&room[..length]).into_owned(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            };
            let is_mine = heard.contains(&format!("Call-ID: {call_id}\r\n"));
            if is_mine && heard.contains(cseq) && !heard.starts_with("SIP/2.0 1") {
                return heard;
            }
        }
    }
    panic!("no answer to {request}");
}

/// A call that is sent elsewhere, one that is barred, and one that is carried, answered and
/// hung up.
fn calls(phones: &[Phone; 2], trunk: SocketAddr, turn: usize) {
    let [asking, calling] = phones;
    let ask = |number: &str, id: &str| final_answer(asking, &asking.invite(number, id), id);
    let moved = ask("+442071838750", &format!("r{turn}"));
    assert!(moved.starts_with("SIP/2.0 302 "), "{moved}");
    let first = format!("<sip:+442071838750@{trunk}>");
    assert!(contacts(&moved)[0].starts_with(&first), "{moved}");
    let barred = ask("+449061234567", &format!("b{turn}"));
    assert!(barred.starts_with("SIP/2.0 403 Premium"), "{barred}");
    let id = format!("p{turn}");
    let answer = final_answer(calling, &calling.invite("+442071838750", &id), &id);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let me = calling.socket.local_addr().unwrap();
    calling.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
    let over = final_answer(calling, &in_dialog(&answer, "BYE", 2, me), &id);
    assert!(over.starts_with("SIP/2.0 200 "), "{over}");
}

/// What every attack has to show for itself: which counter, by how much at least.
fn shown(rig: &Rig) -> BTreeMap<&'static str, bool> {
    let totals = rig.handle.totals();
    let refused = |face, reason| totals.http_refusals.get(&(face, reason)).copied();
    let everywhere = |reason| {
        let mut faces = ["http", "metrics", "api"].iter();
        faces.all(|face| refused(*face, reason) > Some(20))
    };
    BTreeMap::from([
        ("nowhere", everywhere("nowhere")),
        ("unreadable", everywhere("unreadable")),
        ("no room", refused("metrics", "no-room") > Some(20)),
        (
            "questions too large",
            totals.http.get("malformed") > Some(&5),
        ),
        ("slow questions", totals.http.get("too-slow") > Some(&20)),
        ("wrong secrets", totals.http.get("refused") > Some(&100)),
        (
            "requests too large or slow",
            totals.api.get("malformed") > Some(&30),
        ),
        ("no tokens", totals.api.get("unproven") > Some(&20)),
        ("guesses", totals.api.get("guessing") > Some(&100)),
    ])
}

#[test]
fn no_call_notices_what_is_done_to_http() {
    let trunk = Trunk::new();
    let address = trunk.address();
    let (rig, faces) = rig(&trunk);
    let [asked, carried] = rig.handle.local_addrs() else {
        panic!("two listeners")
    };
    let phones = [Phone::new(*asked), Phone::new(*carried)];
    let ends = AtomicBool::new(false);
    let mut made = 0;
    thread::scope(|scope| {
        scope.spawn(|| trunk.answer_all(&ends));
        scope.spawn(|| slow(faces, &ends));
        let attacks: Vec<_> = quick(faces)
            .into_iter()
            .map(|(name, allowed, said)| Attack {
                name,
                allowed,
                statuses: scope.spawn(|| {
                    let said = said;
                    let again = || said.iter().map(|(to, said)| status_of(*to, said));
                    let mut statuses = BTreeSet::new();
                    while !ends.load(Ordering::Relaxed) {
                        statuses.extend(again());
                        // Other tests run beside this one.
                        thread::sleep(Duration::from_millis(5));
                    }
                    statuses
                }),
            })
            .collect();
        // More than may be open, all at once.
        let crowd: Vec<_> = (0..HTTP_CONNECTIONS_MAX + 30)
            .filter_map(|_| TcpStream::connect(faces.metrics).ok())
            .collect();
        let guard = EndsAll(&ends);
        let begun = Instant::now();
        loop {
            calls(&phones, address, made);
            made += 1;
            let shown = shown(&rig);
            if made >= 100 && shown.values().all(|is_shown| *is_shown) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{shown:?}");
        }
        // Who may ask is answered all the while.
        let question = request("GET /v1/answer?called=%2B442071838750", SECRET, "");
        assert_eq!(status_of(faces.http, &question), 200);
        let question = request("GET /api/v1/status", &token(), "");
        assert_eq!(status_of(faces.api, &question), 200);
        drop((crowd, guard));
        for attack in attacks {
            let statuses = attack.statuses.join().unwrap();
            let is_refused = statuses
                .iter()
                .all(|status| attack.allowed.contains(status));
            assert!(is_refused, "{}: {statuses:?}", attack.name);
        }
    });
    let page = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(50));
        status_of(faces.metrics, &request("GET /metrics", "", "")) == 200
    });
    assert!(page, "the crowd has gone");
    let totals = rig.handle.shutdown();
    assert_eq!(totals.replies[&302], totals.replies[&403], "{totals}");
    assert!(totals.replies[&302] >= made as u64, "{totals}");
    assert_eq!(totals.proxied.calls, made as u64, "{totals}");
    assert_eq!(totals.proxied.failovers, 0, "{totals}");
    assert!(
        totals.drops.is_empty() && totals.refusals.is_empty(),
        "{totals}"
    );
}

/// Also of a test that fails, or its threads would never end.
struct EndsAll<'e>(&'e AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
