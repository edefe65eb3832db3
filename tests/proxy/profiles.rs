//! The profiles: the tables of their pages, and calls through them to platforms that refuse
//! what the real ones refuse.

use std::time::Instant;

use crate::bench::{Bench, PROXY, Sent, respond, settings, table, value, values};
use crate::platforms::{Genesys, Request, Teams};

const SBC: &str = "10.20.0.11:5060";
const TEAMS_A: &str = "10.20.0.11:5070";
const TEAMS_B: &str = "10.20.0.12:5070";
const GENESYS: &str = "10.20.0.11:5080";

const TENANT: Teams = Teams {
    lines: &["+442079460750", "+442079460100;ext=100"],
};
const ORG: Genesys = Genesys {
    domain: "byoc.example.net",
    trunks: &["acme-desk", "acme-sales"],
    sources: &["203.0.113.200"],
    numbers: &["+442079460123"],
};

/// The table of a page: its last block.
fn page(name: &str) -> String {
    let text = std::fs::read_to_string(format!("docs/profiles/{name}.md")).unwrap();
    let block = text.rsplit("```toml\n").next().unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// A table whose trunks are not told our name.
fn without_contact(text: &str) -> String {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.starts_with("options_contact"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn bench(text: &str) -> Bench {
    let now = Instant::now();
    Bench::with(table(text), settings(now), now)
}

/// An INVITE of the SBC, which says where it had the call from.
fn invite(uri: &str, from_group: &str, id: &str) -> String {
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {SBC};branch=z9hG4bK{id};rport\r\n\
         Max-Forwards: 70\r\nX-Trunk-Group: {from_group}\r\nFrom: <sip:+441632960001@10.20.0.11>;tag=f{id}\r\n\
         To: <{uri}>\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\nContact: <sip:sbc@10.20.0.11:5060>\r\n\
         X-MS-SBC: Vendor/Model/1\r\nContent-Length: 0\r\n\r\n"
    )
}

fn call(bench: &mut Bench, uri: &str, from_group: &str, id: &str) {
    bench.receive(SBC, &invite(uri, from_group, id));
}

fn at_teams(sent: &Sent) -> u16 {
    TENANT.answer(&Request::through_sbc(
        &sent.text,
        "sip.pstnhub.microsoft.com:5061",
    ))
}

fn at_genesys(sent: &Sent) -> u16 {
    ORG.answer(&Request::through_sbc(&sent.text, "lb01.voice.example.net"))
}

#[test]
fn the_tables_of_the_pages_are_sound_and_their_cases_hold() {
    for (name, cases) in [("teams", 3), ("genesys-byoc", 3)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routing.toml"), page(name)).unwrap();
        let loaded = trunkline::tables::load(folder.path());
        assert!(loaded.report.is_empty(), "{}", loaded.report.text(false));
        assert_eq!(loaded.summary.cases, cases);
        let profile = loaded
            .profiles
            .iter()
            .find(|applied| applied.profile == name);
        assert!(profile.is_some_and(|applied| !applied.values.is_empty()));
    }
}

/// What is written in the table wins over the profile, key by key.
#[test]
fn what_the_table_says_is_not_said_by_the_profile() {
    let text = page("teams")
        .replace(
            "profile = \"teams\"",
            "profile = \"teams\"\nsend_back = \"allowed\"",
        )
        .replace(
            "10.20.0.11:5070\"",
            "10.20.0.11:5070;user=phone\"\noptions = \"20s\"",
        );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routing.toml"), &text).unwrap();
    let applied = &trunkline::tables::load(folder.path()).profiles[0];
    let set: Vec<_> = (applied.values.iter())
        .map(|value| (value.trunk.as_deref(), value.key, &*value.value))
        .collect();
    assert_eq!(
        set,
        [
            (None, "transfers_to", "\"teams\""),
            (None, "alternative_routing", "\"profile:teams\""),
            (
                None,
                "next_route_on",
                "[\"trunk-timeout\", \"transport-error\", \"408\", \"500\", \"502\", \"503\", \"504\"]"
            ),
            (None, "give_up_on", "[\"6xx\"]"),
            (None, "trunk_timeout", "\"4s\""),
            (Some("sbc-b-teams"), "options", "\"60s\""),
            (
                Some("sbc-b-teams"),
                "address",
                "\"sip:10.20.0.12:5070;user=phone\""
            ),
        ]
    );
}

#[test]
fn a_call_to_a_teams_user_is_one_that_teams_takes() {
    let mut bench = bench(&page("teams"));
    for (id, uri) in [
        ("n", "sip:02079460750@10.20.0.5"),
        ("e", "sip:+442079460100;ext=100@10.20.0.5"),
    ] {
        call(&mut bench, uri, "carrier", id);
        bench.take(SBC, "SIP/2.0 100 ");
        let sent = bench.take(TEAMS_A, "INVITE ");
        assert_eq!(at_teams(&sent), 100, "{}", sent.text);
        assert!(sent.text.contains("X-MS-SBC: Vendor/Model/1\r\n"));
        bench.answer(&sent, 486, "");
        bench.take(TEAMS_A, "ACK ");
        bench.take(SBC, "SIP/2.0 486 ");
    }
}

/// The simulator refuses what a table without the profile sends, or one that goes against it.
#[test]
fn teams_refuses_what_the_profile_keeps_from_it() {
    let national =
        "[manipulation.national]\ncalled = [{ prefix = \"+44\", strip = 3, prepend = \"0\" }]\n";
    let without_plus = page("teams").replace(
        "profile = \"teams\"",
        "profile = \"teams\"\noutbound = [\"national\"]",
    );
    let without_plus = format!("{without_plus}\n{national}").replace(
        "expect_called = \"+442079460750\"",
        "expect_called = \"02079460750\"",
    );
    let without_profile = without_contact(&page("teams")).replace("profile = \"teams\"\n", "");
    let without_profile = without_profile.split("[[case]]").next().unwrap();
    for text in [&*without_plus, without_profile] {
        let mut bench = bench(text);
        call(&mut bench, "sip:+442079460750@10.20.0.5", "carrier", "n");
        bench.take(SBC, "SIP/2.0 100 ");
        let sent = bench.take(TEAMS_A, "INVITE ");
        assert_eq!(at_teams(&sent), 404, "{}", sent.text);
    }
    // And Trunkline itself in the place of the SBC: its callers have addresses.
    let mut bench = bench(&page("teams"));
    call(&mut bench, "sip:+442079460750@10.20.0.5", "carrier", "n");
    let sent = {
        bench.take(SBC, "SIP/2.0 100 ");
        bench.take(TEAMS_A, "INVITE ")
    };
    assert_eq!(TENANT.answer(&Request::directly(&sent.text)), 403);
}

/// The Contact of our OPTIONS is a name if the table gives one, and an address otherwise.
#[test]
fn options_name_us_as_the_table_says() {
    let named = page("teams").replace("trunkline.example.net", "trunkline.contoso.example");
    let unnamed = without_contact(&page("teams"));
    for (text, contact, answer) in [
        (&named, "<sip:trunkline.contoso.example:5060>", 200),
        (&unnamed, "<sip:10.0.0.1:5060>", 403),
    ] {
        let mut bench = bench(text);
        let now = bench.now.instant;
        bench.engine.probe_trunks(now);
        bench.wait_ms(61_000);
        let probe = bench.take(TEAMS_A, "OPTIONS ");
        assert_eq!(value(&probe.text, "Contact"), contact);
        assert_eq!(
            value(&probe.text, "From").split(';').next().unwrap(),
            contact
        );
        assert_eq!(TENANT.answer(&Request::directly(&probe.text)), answer);
    }
}

/// 503 says nothing about the user: the other SBC is tried. 603 is the user's own word.
#[test]
fn what_teams_answers_moves_a_call_on_or_ends_it() {
    for (status, moves) in [
        (503, true),
        (500, true),
        (408, true),
        (486, false),
        (603, false),
        (404, false),
    ] {
        let mut bench = bench(&page("teams"));
        call(&mut bench, "sip:+442079460750@10.20.0.5", "carrier", "m");
        bench.take(SBC, "SIP/2.0 100 ");
        let sent = bench.take(TEAMS_A, "INVITE ");
        bench.answer(&sent, status, "");
        bench.take(TEAMS_A, "ACK ");
        assert_eq!(
            bench.take_if(TEAMS_B, "INVITE ").is_some(),
            moves,
            "{status}"
        );
    }
}

/// RFC 3515 by way of the SBC: no number, so no lookup; the parameters say whom it is for.
#[test]
fn a_transfer_between_teams_users_goes_back_to_teams_as_it_came() {
    let who = format!("x-m=8:orgid:{};x-t={}", "1".repeat(180), "2".repeat(180));
    let uri = format!("sip:sip.pstnhub.microsoft.com:5061;transport=tls;{who}");
    let mut bench = bench(&page("teams"));
    call(&mut bench, &uri, "teams", "t");
    bench.take(SBC, "SIP/2.0 100 ");
    let sent = bench.take(TEAMS_A, "INVITE ");
    let expected = format!("INVITE sip:10.20.0.11:5070;user=phone;{who} SIP/2.0\r\n");
    assert!(sent.text.starts_with(&expected), "{}", sent.text);
    assert_eq!(at_teams(&sent), 100);
    // Alternative routing holds for it too.
    bench.answer(&sent, 503, "");
    bench.take(TEAMS_A, "ACK ");
    let sent = bench.take(TEAMS_B, "INVITE ");
    assert_eq!(at_teams(&sent), 100);
    // Without a user part and from elsewhere it is a call to nobody.
    call(&mut bench, &uri, "carrier", "c");
    bench.take(SBC, "SIP/2.0 404 ");
}

#[test]
fn a_platform_does_not_get_its_own_call_back() {
    let mut teams = bench(&page("teams"));
    call(&mut teams, "sip:+442079460750@10.20.0.5", "teams", "l");
    teams.take(SBC, "SIP/2.0 404 ");
    teams.quiet();
    let mut allowed = bench(
        page("teams")
            .replace(
                "profile = \"teams\"",
                "profile = \"teams\"\nsend_back = \"allowed\"",
            )
            .split("[[case]]")
            .next()
            .unwrap(),
    );
    call(&mut allowed, "sip:+442079460750@10.20.0.5", "teams", "l");
    allowed.take(SBC, "SIP/2.0 100 ");
    allowed.take(TEAMS_A, "INVITE ");
    // Where the rule has another destination, that is tried.
    let text = page("genesys-byoc").replace("[\"assigned\"]", "[\"assigned\", \"teams\"]");
    let mut genesys = bench(text.split("[[case]]").next().unwrap());
    let agent = invite("sip:+442079460123@10.20.0.5", "", "g");
    let labelled = agent.replace(
        "sip:sbc@",
        "sip:+44;tgrp=acme-desk;trunk-context=byoc.example.net@",
    );
    genesys.receive(SBC, &labelled);
    genesys.take(SBC, "SIP/2.0 100 ");
    genesys.take(TEAMS_A, "INVITE ");
}

/// Teams goes to another SBC after ten seconds without a word.
#[test]
fn a_call_of_teams_is_at_its_second_trunk_in_time() {
    let mut bench = bench(&page("teams"));
    call(&mut bench, "sip:+33199000000@10.20.0.5", "teams", "s");
    bench.take(SBC, "SIP/2.0 100 ");
    bench.take(SBC, "INVITE ");
    bench.wait_ms(9_000);
    bench.take("10.20.0.12:5060", "INVITE ");
}

/// Each request of Teams may come by a connection, so from a port, of its own, and each
/// region has addresses of its own.
#[test]
fn a_request_inside_a_call_is_known_by_its_dialog_and_not_by_its_port() {
    let mut bench = bench(&page("teams"));
    let invited = invite("sip:+442079460750@10.20.0.5", "carrier", "d");
    bench.receive(SBC, &invited);
    bench.take(SBC, "SIP/2.0 100 ");
    let sent = bench.take(TEAMS_A, "INVITE ");
    let answered = respond(
        &sent.text,
        200,
        "Contact: <sip:10.20.0.11:5070;x-i=9;unknown=kept>\r\n",
    );
    bench.receive(TEAMS_A, &answered);
    let ok = bench.take(SBC, "SIP/2.0 200 ");
    let route = values(&ok.text, "Record-Route").join(", ");
    let (to, from) = (value(&ok.text, "To"), value(&ok.text, "From"));
    let bye = |id: &str, from: &str, to: &str, uri: &str, source: &str| {
        format!(
            "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{id};rport\r\nMax-Forwards: 70\r\n\
             Route: {route}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: d\r\nCSeq: 7 BYE\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let other_port = "10.20.0.12:41999";
    let text = bye("b1", &to, &from, "sip:sbc@10.20.0.11:5060", other_port);
    bench.receive(other_port, &text);
    let relayed = bench.take(SBC, "BYE sip:sbc@10.20.0.11:5060 SIP/2.0\r\n");
    bench.answer(&relayed, 200, "");
    bench.take(other_port, "SIP/2.0 200 ");
    // RFC 3261 §19.1.5: unknown parameters of the Contact come back in the Request-URI.
    let text = bye(
        "b2",
        &from,
        &to,
        "sip:10.20.0.11:5070;x-i=9;unknown=kept",
        SBC,
    );
    bench.receive(SBC, &text);
    bench.take(
        TEAMS_A,
        "BYE sip:10.20.0.11:5070;x-i=9;unknown=kept SIP/2.0\r\n",
    );
    assert!(route.contains(PROXY));
}

#[test]
fn a_call_to_an_agent_names_its_trunk_as_genesys_wants_it() {
    let label = page("genesys-byoc");
    let desk = "sip:;tgrp=acme-desk;trunk-context=byoc.example.net@10.20.0.11:5080";
    for (address, answer) in [
        (desk, 100),
        (
            "sip:;tgrp=acme-none;trunk-context=byoc.example.net@10.20.0.11:5080",
            403,
        ),
        (
            "sip:;tgrp=acme-desk;trunk-context=other.example.net@10.20.0.11:5080",
            403,
        ),
        ("sip:10.20.0.11:5080", 403),
    ] {
        let mut bench = bench(&label.replace(desk, address));
        call(&mut bench, "sip:+442079460123@10.20.0.5", "carrier", "g");
        bench.take(SBC, "SIP/2.0 100 ");
        let sent = bench.take(GENESYS, "INVITE ");
        assert_eq!(at_genesys(&sent), answer, "{}", sent.text);
        let elsewhere = Request {
            source: String::from("198.51.100.9"),
            ..Request::through_sbc(&sent.text, "lb01.voice.example.net")
        };
        assert_eq!(ORG.answer(&elsewhere), 403, "not on the access list");
    }
    // A number that no call route of Genesys has.
    let mut bench = bench(&label);
    call(&mut bench, "sip:+442079460200@10.20.0.5", "carrier", "g");
    bench.take(SBC, "SIP/2.0 100 ");
    let sent = bench.take(GENESYS, "INVITE ");
    assert_eq!(at_genesys(&sent), 404);
    // By host, as the SBC passes it on, and by DNIS, where the number stays in To.
    let uri = "sip:+442079460123@acme-desk.byoc.example.net";
    let by_host = Request {
        uri: uri.to_owned(),
        ..Request::through_sbc(&sent.text, "")
    };
    assert_eq!(ORG.answer(&by_host), 100);
    let mut bench = self::bench(&label.replace(desk, "sip:acme-desk@10.20.0.11:5080"));
    call(&mut bench, "sip:+442079460123@10.20.0.5", "carrier", "g");
    bench.take(SBC, "SIP/2.0 100 ");
    let sent = bench.take(GENESYS, "INVITE sip:acme-desk@10.20.0.11:5080 SIP/2.0\r\n");
    assert_eq!(value(&sent.text, "To"), "<sip:+442079460123@10.20.0.5>");
}
