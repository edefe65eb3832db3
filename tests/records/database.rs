//! The table of a real database.

use trunkline::records::COLUMNS;

use crate::cluster::Cluster;
use crate::phone::Phone;
use crate::program::{Program, until};

fn sink(cluster: &Cluster) -> String {
    format!(
        "[[records.sink]]\nname = \"db\"\npostgres = \"{}\"\n",
        cluster.way()
    )
}

#[test]
fn rows_are_in_the_table_once_whatever_is_sent_again() {
    let mut cluster = Cluster::new();
    let mut server = Program::run(
        "redirect",
        &["127.0.0.1:9".parse().unwrap()],
        &sink(&cluster),
    );
    let call = |server: &Program, id: &str| {
        let phone = Phone::new(server.address);
        assert!(
            phone
                .ask(&phone.invite("+442071838750", id))
                .starts_with("SIP/2.0 302 ")
        );
    };
    let count = |cluster: &Cluster| {
        cluster.column("SELECT count(*)::text FROM trunkline_records")[0]
            .parse::<u64>()
            .unwrap()
    };
    // Quotes, braces, what is no UTF-8: a peer's bytes are a value and nothing else.
    for id in [
        "plain",
        "x'; DROP TABLE trunkline_records; --",
        "\\u0041\\\\\"{}",
    ] {
        call(&server, id);
    }
    until("three rows", || count(&cluster) == 3);
    let ids = cluster.column("SELECT call_id FROM trunkline_records ORDER BY t_setup, record_id");
    assert_eq!(
        ids,
        [
            "plain",
            "x'; DROP TABLE trunkline_records; --",
            "\\u0041\\\\\"{}"
        ]
    );
    let shown = cluster.column(
        "SELECT concat_ws(' ', event, from_group, trunk, to_out, host(src_ip), sip_code, \
         extract(timezone FROM t_setup) IS NOT NULL) FROM trunkline_records LIMIT 1",
    );
    assert_eq!(shown, ["decided sbc t0 02071838750 127.0.0.1 302 t"]);
    let columns = cluster.column(
        "SELECT column_name::text FROM information_schema.columns \
         WHERE table_name = 'trunkline_records' ORDER BY ordinal_position",
    );
    assert_eq!(columns, COLUMNS);

    // It goes away; calls go on; it comes back.
    cluster.stop();
    call(&server, "away-1");
    until("it is noticed", || {
        server.metric("trunkline_records_sink_up{sink=\"db\"}") == 0
    });
    call(&server, "away-2");
    server.stop();
    server.start();
    assert_eq!(server.metric("trunkline_records_waiting{sink=\"db\"}"), 2);
    cluster.start();
    until("five rows", || count(&cluster) == 5);
    until("none waits", || {
        server.metric("trunkline_records_waiting{sink=\"db\"}") == 0
    });
    // Confirmed, and the word of it lost: all that is in the spool is sent again.
    server.stop();
    std::fs::remove_file(server.path("state/spool-db/mark")).unwrap();
    server.start();
    call(&server, "after");
    until("six rows", || count(&cluster) == 6);
    assert!(server.metric("trunkline_records_repeated_total{sink=\"db\"}") > 0);
    server.stop();
}

#[test]
fn a_row_the_table_can_never_take_does_not_keep_the_others_out() {
    let cluster = Cluster::new();
    cluster.ask(
        "ALTER TABLE trunkline_records ADD CHECK (call_id <> 'bad'), ADD own text DEFAULT 'x'",
    );
    let mut server = Program::run(
        "redirect",
        &["127.0.0.1:9".parse().unwrap()],
        &sink(&cluster),
    );
    let phone = Phone::new(server.address);
    for id in ["one", "bad", "two"] {
        phone.ask(&phone.invite("+442071838750", id));
    }
    until("two rows", || {
        cluster.column("SELECT call_id FROM trunkline_records ORDER BY call_id") == ["one", "two"]
    });
    until("one refused", || {
        server.metric("trunkline_records_refused_total{sink=\"db\"}") == 1
    });
    server.stop();
}
