//! A sink that takes nothing loses, alone and counted; calls and the other sinks go on.

use std::net::SocketAddr;

use trunkline::server::{Config, ListenerConfig, Server};

use crate::phone::Phone;
use crate::program::{Program, json_lines, table, until};

const CALLS: u64 = 500;

#[test]
fn who_does_not_listen_loses_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let trunk: SocketAddr = "127.0.0.1:9".parse().unwrap();
    std::fs::write(folder.path().join("routing.toml"), table(&[trunk])).unwrap();
    let listener = ListenerConfig::new("127.0.0.1:0".parse().unwrap());
    let mut config = Config::new(folder.path(), vec![listener]);
    config.workers = 1;
    config.records.live_calls = true;
    let server = Server::start(&config).unwrap();
    let observer = server.observer().unwrap().clone();
    let deaf = observer.subscribe(3).unwrap();
    let mut hears = observer.subscribe(1_000).unwrap();
    let gone = observer.subscribe(3).unwrap();
    drop(gone);
    let phone = Phone::new(server.local_addrs()[0]);
    for call in 0..CALLS {
        let answer = phone.ask(&phone.invite("+442071838750", &format!("c{call}")));
        assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
    }
    let _ = server.shutdown();
    let mut heard = 0;
    while hears.blocking_recv().is_some() {
        heard += 1;
    }
    // Every call had its answer, who listens heard of each, who does not lost all but three.
    assert_eq!((heard, deaf.dropped()), (CALLS, CALLS - 3));
    assert_eq!(
        (observer.counts().told(), observer.counts().dropped()),
        (CALLS, 0)
    );
}

#[test]
fn a_database_that_is_not_there_costs_no_call_and_no_other_record() {
    // Nobody listens there: a port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let sinks = format!(
        "[[records.sink]]\nname = \"file\"\nfile = \"calls.ndjson\"\n\
         [[records.sink]]\nname = \"db\"\npostgres = \"host=127.0.0.1 port={} user=x dbname=x\"\n\
         spool_mb = 1\nspool_full_drops = \"newest\"\n",
        nobody.port()
    );
    let calls = 2_000;
    let mut server = Program::run("redirect", &["127.0.0.1:9".parse().unwrap()], &sinks);
    let phone = Phone::new(server.address);
    for call in 0..calls {
        let answer = phone.ask(&phone.invite("+442071838750", &format!("c{call}")));
        assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
    }
    until("all records", || {
        json_lines(&server.path("calls.ndjson")).len() == calls
    });
    until("it is noticed", || {
        server.metric("trunkline_records_sink_up{sink=\"db\"}") == 0
    });
    let counted = |name: &str| server.metric(&format!("trunkline_records_{name}{{sink=\"db\"}}"));
    until("all accounted for", || {
        counted("waiting") + counted("dropped_total") + counted("missed_total") == calls as u64
    });
    assert!(counted("dropped_total") > 0 && counted("waiting") > 0);
    assert!(counted("spool_bytes") <= 1 << 20);
    assert_eq!(counted("written_total"), 0);
    let status = server.command(&["status"]);
    assert!(status.contains("RECORDS DOWN: db, "), "{status}");
    server.stop();
}
