//! A database that wants TLS and a password.

use std::fs;

use crate::ca::Ca;
use crate::cluster::Cluster;
use crate::phone::Phone;
use crate::program::{Program, until};

const FAILURES: &str = "trunkline_records_failures_total{sink=\"db\"}";
const UP: &str = "trunkline_records_sink_up{sink=\"db\"}";

#[test]
fn rows_go_over_tls_with_the_password_and_in_no_other_way() {
    let (ca, other) = (Ca::new(), Ca::new());
    let identity = ca.issue("localhost");
    let mut cluster = Cluster::new();
    let port = cluster.lock(&identity, "right one");
    let mut server = Program::run("redirect", &["127.0.0.1:9".parse().unwrap()], "");
    server.stop();
    for (folder, ca) in [("own", &ca), ("other", &other)] {
        fs::create_dir(server.path(folder)).unwrap();
        ca.write(&server.path(folder), "unused", &identity);
    }
    fs::write(server.path("right"), "right one\n").unwrap();
    fs::write(server.path("wrong"), "wrong one\n").unwrap();
    // What it wants, what it is given: each time a call more waits for its row.
    for (waiting, (host, keys)) in [
        ("localhost", "password_file = \"right\"\n"),
        ("localhost", "ca = \"own/ca.pem\"\n"),
        (
            "localhost",
            "ca = \"own/ca.pem\"\npassword_file = \"wrong\"\n",
        ),
        (
            "localhost",
            "ca = \"other/ca.pem\"\npassword_file = \"right\"\n",
        ),
        // The certificate is for a name.
        (
            "127.0.0.1",
            "ca = \"own/ca.pem\"\npassword_file = \"right\"\n",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        configure(&server, host, port, keys);
        server.start();
        call(&server, waiting);
        let name = "trunkline_records_waiting{sink=\"db\"}";
        until("its row waits", || {
            server.metric(name) == waiting as u64 + 1
        });
        until("it was tried, and again", || server.metric(FAILURES) > 1);
        assert_eq!(server.metric(UP), 0);
        server.stop();
        assert_eq!(rows(&cluster), Vec::<String>::new(), "{host} {keys}");
    }
    configure(
        &server,
        "localhost",
        port,
        "ca = \"own/ca.pem\"\npassword_file = \"right\"\n",
    );
    server.start();
    call(&server, 5);
    until("six rows", || rows(&cluster).len() == 6);
    assert_eq!(rows(&cluster), ["c0", "c1", "c2", "c3", "c4", "c5"]);
    assert_eq!(server.metric(UP), 1);
    let under = "SELECT DISTINCT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'trunkline'";
    assert_eq!(cluster.column(under), ["true"]);
    server.stop();
}

fn configure(server: &Program, host: &str, port: u16, keys: &str) {
    let way = format!("host={host} port={port} user=trunkline dbname=postgres");
    let sink = format!("[[records.sink]]\nname = \"db\"\npostgres = \"{way}\"\n{keys}");
    server.configure("redirect", &sink);
}

fn call(server: &Program, number: usize) {
    let phone = Phone::new(server.address);
    let answer = phone.ask(&phone.invite("+442071838750", &format!("c{number}")));
    assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
}

fn rows(cluster: &Cluster) -> Vec<String> {
    cluster.column("SELECT call_id FROM trunkline_records ORDER BY call_id")
}
