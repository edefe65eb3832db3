//! What is in the rows.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::program::{Program, json_lines, until};
use crate::words::{in_dialog, lines, response};

const SINKS: &str = "[[records.sink]]\nname = \"json\"\nfile = \"calls.ndjson\"\n\
    [[records.sink]]\nname = \"csv\"\nfile = \"calls.csv\"\nformat = \"csv\"\nmask_numbers = \"last4\"\n\
    [[records.sink]]\nname = \"sbc\"\nfile = \"calls.cdr\"\nformat = \"pipe\"\n\
    [[records.sink]]\nname = \"few\"\nfile = \"few.ndjson\"\nattempts = false\n";

struct Trunk(UdpSocket);

impl Trunk {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next request that begins so; others are let by.
    fn expect(&self, begins: &str) -> (String, SocketAddr) {
        let mut room = [0; 65_536];
        loop {
            let (length, from) = self.0.recv_from(&mut room).unwrap();
            let text = String::from_utf8(room[..length].to_vec()).unwrap();
            if text.starts_with(begins) {
                return (text, from);
            }
        }
    }

    fn answer(&self, request: &(String, SocketAddr), status: u16, more: &str) {
        let text = response(&request.0, status, self.address());
        let text = text.replace("Content-Length", &format!("{more}Content-Length"));
        self.0.send_to(text.as_bytes(), request.1).unwrap();
    }
}

/// A final answer, after whatever comes before it.
fn finally(phone: &Phone) -> String {
    loop {
        let answer = phone.receive();
        if !answer.starts_with("SIP/2.0 1") {
            return answer;
        }
    }
}

#[test]
fn a_proxied_call_is_a_row_for_each_attempt_and_one_for_the_call() {
    let (full, free) = (Trunk::new(), Trunk::new());
    let mut server = Program::run("proxy", &[full.address(), free.address()], SINKS);
    let phone = Phone::new(server.address);
    let me = phone.socket.local_addr().unwrap();
    let session = "ab30317f1a784dc48ff824d0d3715d86;remote=0000";
    let invite = phone.invite("+442071838750", "c|1");
    let invite = invite.replace(
        "Content-Length",
        &format!("Session-ID: {session}\r\nContent-Length"),
    );
    phone.send(invite.as_bytes());
    let request = full.expect("INVITE ");
    full.answer(&request, 503, "Reason: Q.850;cause=34\r\n");
    let request = free.expect("INVITE ");
    free.answer(&request, 180, "");
    free.answer(&request, 200, "");
    let ok = finally(&phone);
    phone.send(in_dialog(&ok, "ACK", 1, me).as_bytes());
    free.expect("ACK ");

    // It is up: attempts are told, and whoever asks sees it.
    let path = server.path("calls.ndjson");
    until("the attempts", || json_lines(&path).len() == 2);
    let shown = server.command(&["calls", "--group", "carriers"]);
    assert!(shown.starts_with("1 call is up\n"), "{shown}");
    assert!(
        shown.contains("sbc  carriers/t1  +447700900123 -> +442071838750"),
        "{shown}"
    );
    let shown = server.command(&["calls", "--mask"]);
    assert!(shown.contains("*********0123 -> *********8750"), "{shown}");
    let shown = server.command(&["calls", "--group", "nobody"]);
    assert!(shown.starts_with("0 calls are up\n"), "{shown}");
    assert_eq!(server.metric("trunkline_live_calls"), 1);

    let bye = in_dialog(&ok, "BYE", 2, me);
    let reason = "Reason: Q.850;cause=16;text=\"all|said\"\r\nContent-Length";
    phone.send(bye.replace("Content-Length", reason).as_bytes());
    let request = free.expect("BYE ");
    free.answer(&request, 200, "");
    assert!(finally(&phone).starts_with("SIP/2.0 200 "));
    until("the call", || json_lines(&path).len() == 3);
    assert!(server.command(&["calls"]).starts_with("0 calls are up\n"));
    server.stop();

    let rows = json_lines(&path);
    let part = |row: &Value, keys: &[&str]| -> Vec<Value> {
        keys.iter().map(|key| row[key].clone()).collect()
    };
    let keys = [
        "event",
        "attempt",
        "trunk_group",
        "trunk",
        "cause",
        "sip_code",
        "q850",
        "to_out",
    ];
    let number = json!("02071838750");
    assert_eq!(
        part(&rows[0], &keys),
        [
            json!("attempt"),
            json!(1),
            json!("carriers"),
            json!("t0"),
            json!("status"),
            json!(503),
            json!(34),
            number.clone()
        ]
    );
    assert_eq!(
        part(&rows[1], &keys),
        [
            json!("attempt"),
            json!(2),
            json!("carriers"),
            json!("t1"),
            json!("status"),
            json!(200),
            Value::Null,
            number.clone()
        ]
    );
    let call = &rows[2];
    for (key, value) in [
        ("event", json!("end")),
        ("call_id", json!("c|1")),
        ("session_id", json!(session)),
        ("answered_by", json!("proxy")),
        ("listener", json!("inside")),
        ("transport", json!("udp")),
        ("src_ip", json!("127.0.0.1")),
        ("src_port", json!(me.port())),
        ("from_group", json!("sbc")),
        ("to_in", json!("+442071838750")),
        ("called", json!("+442071838750")),
        ("to_out", number),
        ("from_in", json!("+447700900123")),
        ("emergency", json!(false)),
        ("decision", json!("route")),
        ("rule", json!("London | \"calls\"")),
        ("table_gen", json!(1)),
        ("routes", json!("carriers/t0,carriers/t1")),
        ("attempts", json!(2)),
        ("trunk", json!("t1")),
        ("dst_port", json!(free.address().port())),
        ("sip_code", json!(200)),
        ("q850", json!(16)),
        ("answer_by", json!("answer")),
        ("end_by", json!("caller")),
        ("reason_text", json!("all|said")),
        ("start", json!("seen")),
    ] {
        assert_eq!(call[key], value, "{key} of {call}");
    }
    assert_eq!(rows[0]["call"], call["call"]);
    assert_eq!(
        rows[1]["record_id"],
        json!(format!("{}.2", call["call"].as_str().unwrap()))
    );
    let stamps: Vec<_> = ["t_setup", "t_progress", "t_answer", "t_end"]
        .map(|key| call[key].as_str().unwrap().to_owned())
        .into();
    assert!(
        stamps.is_sorted() && stamps.iter().all(|s| s.ends_with('Z') && s.len() == 24),
        "{stamps:?}"
    );
    assert!(call["duration_ms"].is_u64());
    assert_eq!(
        json_lines(&server.path("few.ndjson")),
        std::slice::from_ref(call),
        "calls only"
    );

    let csv = fs::read_to_string(server.path("calls.csv")).unwrap();
    let table: Vec<_> = csv::Reader::from_reader(csv.as_bytes())
        .into_records()
        .map(Result::unwrap)
        .collect();
    assert_eq!((table.len(), csv.lines().count()), (3, 4));
    assert_eq!(
        csv.lines().next().unwrap(),
        trunkline::records::COLUMNS.join(",")
    );
    let place = |name: &str| {
        trunkline::records::COLUMNS
            .iter()
            .position(|c| *c == name)
            .unwrap()
    };
    assert_eq!(&table[2][place("to_in")], "*********8750");
    assert_eq!(&table[2][place("rule")], "London | \"calls\"");

    let sbc = fs::read_to_string(server.path("calls.cdr")).unwrap();
    let cells: Vec<_> = sbc.lines().next().unwrap().split('|').skip(1).collect();
    assert_eq!(
        (sbc.lines().count(), cells.len()),
        (1, trunkline::records::PIPE_COLUMNS.len())
    );
    assert_eq!(&cells[..5], ["CALL_END", "SBC", "c 1", session, "RMT"]);
    assert_eq!(
        (cells[9], cells[12], cells[15], cells[16]),
        ("UDP", "02071838750@127.0.0.1", "RMT", "16")
    );
    assert_eq!(
        (cells[25], cells[28], cells[32], cells[33]),
        ("sbc", "carriers", "BYE", "all said")
    );
    assert!(cells[18].contains(" UTC "), "{}", cells[18]);
}

#[test]
fn a_call_nobody_answers_a_redirect_and_an_end_after_a_restart() {
    let trunk = Trunk::new();
    let more = format!("{SINKS}[proxy]\nsecret_file = \"secret\"\n");
    let mut server = Program::run("proxy", &[trunk.address()], &more);
    let path = server.path("calls.ndjson");
    let phone = Phone::new(server.address);
    phone.send(phone.invite("+442071838750", "busy").as_bytes());
    let request = trunk.expect("INVITE ");
    trunk.answer(&request, 486, "");
    assert!(finally(&phone).starts_with("SIP/2.0 486 "));
    until("the busy call", || json_lines(&path).len() == 2);
    let rows = json_lines(&path);
    assert_eq!(
        (&rows[1]["event"], &rows[1]["sip_code"]),
        (&json!("fail"), &json!(486))
    );
    assert_eq!(rows[1]["t_end"], rows[1]["t_answer"]);
    assert_eq!(rows[1]["answer_by"], json!("not-listed"));

    phone.send(phone.invite("+442071838750", "long").as_bytes());
    let request = trunk.expect("INVITE ");
    trunk.answer(&request, 200, "");
    let ok = finally(&phone);
    until("its attempt", || json_lines(&path).len() == 3);
    server.kill();
    server.start();
    let phone = Phone::new(server.address);
    let me = phone.socket.local_addr().unwrap();
    // The port was drawn anew; everything else is as before.
    let old = lines(&ok, "Record-Route")[0]
        .split([':', ';'])
        .nth(2)
        .unwrap()
        .to_owned();
    let bye = in_dialog(&ok, "BYE", 2, me)
        .replace(&format!(":{old};"), &format!(":{};", server.address.port()));
    phone.send(bye.as_bytes());
    let request = trunk.expect("BYE ");
    trunk.answer(&request, 200, "");
    assert!(finally(&phone).starts_with("SIP/2.0 200 "));
    until("its end", || json_lines(&path).len() == 4);
    let end = &json_lines(&path)[3];
    assert_eq!(
        (&end["event"], &end["start"]),
        (&json!("end-only"), &json!("before"))
    );
    assert_eq!(
        (&end["call_id"], &end["end_by"]),
        (&json!("long"), &json!("caller"))
    );
    assert_eq!(end["t_setup"], Value::Null);
    server.stop();

    server.configure("redirect", SINKS);
    server.start();
    let phone = Phone::new(server.address);
    assert!(
        phone
            .ask(&phone.invite("+442071838750", "moved"))
            .starts_with("SIP/2.0 302 ")
    );
    server.stop();
    let rows = json_lines(&path);
    assert_eq!(rows.len(), 5, "a stop writes what was told");
    assert_eq!(
        (&rows[4]["event"], &rows[4]["sip_code"]),
        (&json!("decided"), &json!(302))
    );
    assert_eq!(
        (&rows[4]["trunk"], &rows[4]["call_id"]),
        (&json!("t0"), &json!("moved"))
    );
}
