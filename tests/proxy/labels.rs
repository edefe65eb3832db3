//! Trunk group labels (RFC 4904) and asserted identities (RFC 3325, RFC 3323) of calls that are
//! carried.

use crate::bench::{Bench, CALLER, LON, invite, settings, table, values};

const LABELLED: &str = r#"
[trunk_group.gen]
trunks = ["gen"]

[trunk.gen]
address = "sip:;tgrp=gen-01;trunk-context=byoc.example@10.0.1.1:5060"

[[classification]]
source        = ["10.0.0.10"]
tgrp          = ["gen-*"]
trunk_context = ["byoc.example"]
trunk_group   = "gen"

[[rule]]
name     = "All"
called   = ["+44*"]
route_to = ["gen"]
"#;

/// A call whose Contact has these parameters behind its user: the INVITE that left, if any.
fn carried(parameters: &str, lines: &str) -> Option<String> {
    let now = std::time::Instant::now();
    let mut bench = Bench::with(table(LABELLED), settings(now), now);
    let contact = format!("{lines}Contact: <sip:alice{parameters}@10.0.0.10:5060>");
    let invite = invite("+441", "1").replace("Contact: <sip:alice@10.0.0.10:5060>", &contact);
    bench.receive(CALLER, &invite);
    Some(bench.take_if(LON, "INVITE ")?.text)
}

/// RFC 4904 §5.1, §5.3: a call arrives by its label, of which both halves count or none; and
/// leaves with that of its trunk.
#[test]
fn a_whole_label_says_where_a_call_comes_from_and_half_a_label_nothing() {
    let sent = carried(";tgrp=gen-07;trunk-context=byoc.example", "").unwrap();
    let uri = "INVITE sip:+441;tgrp=gen-01;trunk-context=byoc.example@10.0.1.1:5060 SIP/2.0\r\n";
    assert!(sent.starts_with(uri), "{sent}");
    for half in ["", ";tgrp=gen-07", ";trunk-context=byoc.example"] {
        assert_eq!(carried(half, ""), None, "{half}");
    }
    assert_eq!(carried(";tgrp=x;trunk-context=byoc.example", ""), None);
}

/// RFC 3325 §5: trunks and SBCs are one domain of trust, so what is asserted goes on, with the
/// wish for privacy that stands beside it (RFC 3323 §5).
#[test]
fn what_is_asserted_and_what_is_to_be_private_go_on_as_they_came() {
    let label = ";tgrp=gen-07;trunk-context=byoc.example";
    let sent = carried(label, "Privacy: id\r\n").unwrap();
    assert_eq!(values(&sent, "Privacy"), ["id"]);
    let asserted = values(&sent, "P-Asserted-Identity");
    assert_eq!(asserted, ["<sip:+441632960001@10.0.0.10>"]);
}
