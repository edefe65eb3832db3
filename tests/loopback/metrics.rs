//! What a watcher reads of calls, trunks and certificates.

use std::time::{Duration, Instant};

use trunkline::proxy::FlowTransport;
use trunkline::server::ListenerConfig;

use crate::ca::{Ca, expired};
use crate::phone::Phone;
use crate::proxy::{Trunk, moves_on, proxy, trunks_toml};
use crate::tls::own_files;
use crate::{Rig, write};

const ANY: &str = "127.0.0.1:0";

/// The page, once it has all of these lines.
#[track_caller]
fn page_with(rig: &Rig, lines: &[&str]) -> String {
    let url = format!("http://{}/metrics", rig.handle.metrics_addr().unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let page = ureq::get(&url).call().unwrap();
        let page = page.into_body().read_to_string().unwrap();
        let missing = lines.iter().find(|line| !page.lines().any(|l| l == **line));
        let Some(missing) = missing else { return page };
        assert!(Instant::now() < deadline, "{missing}\n{page}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_call_that_moves_on_is_counted_by_group_and_reason() {
    let (full, free) = (Trunk::new(), Trunk::new());
    let trunks = [full.address(), free.address()];
    let rig = proxy(&trunks, 2, |config| {
        config.metrics = Some(ANY.parse().unwrap());
    });
    moves_on(&rig, &full, &free);
    let page = page_with(
        &rig,
        &[
            "trunkline_decisions_total{trunk_group=\"pstn\",outcome=\"routed\",reason=\"rule\"} 1",
            "trunkline_no_route_total{trunk_group=\"pstn\"} 0",
            "trunkline_first_routes_total{trunk_group=\"teams\"} 1",
            "trunkline_failovers_total{trunk_group=\"teams\",reason=\"503\"} 1",
            "trunkline_session_request_delay_seconds_count{trunk_group=\"teams\"} 1",
            "trunkline_session_request_delay_seconds_bucket{le=\"60.0\",trunk_group=\"teams\"} 1",
            "trunkline_sip_responses_total{method=\"INVITE\",code=\"200\"} 1",
            "trunkline_decision_duration_seconds_count 1",
            "trunkline_transactions{state=\"unanswered\"} 0",
            "trunkline_transactions{state=\"answered\"} 1",
        ],
    );
    // Nobody learns of it whom a call was for.
    for private in ["442071838750", "c1@", "\"c1\""] {
        assert!(!page.contains(private), "{private}");
    }
}

#[test]
fn a_redirected_call_is_counted_and_timed() {
    let rig = Rig::start(&[ANY], 1, |config| {
        config.metrics = Some(ANY.parse().unwrap());
    });
    let phone = Phone::new(rig.address());
    phone.ask(&phone.invite("+442071838750", "c1"));
    phone.ask(&phone.invite("+499", "c2"));
    rig.handle.reload();
    rig.write_routes("[[rule]]\nname = 7\n");
    rig.handle.reload();
    page_with(
        &rig,
        &[
            "trunkline_decisions_total{trunk_group=\"pstn\",outcome=\"no-route\",reason=\"no-rule\"} 1",
            "trunkline_decisions_total{trunk_group=\"pstn\",outcome=\"routed\",reason=\"rule\"} 1",
            "trunkline_no_route_total{trunk_group=\"pstn\"} 1",
            "trunkline_decision_duration_seconds_count 2",
            "trunkline_sip_responses_total{method=\"INVITE\",code=\"302\"} 1",
            "trunkline_config_reloads_total{result=\"unchanged\"} 1",
            "trunkline_config_reloads_total{result=\"refused\"} 1",
            "trunkline_config_reload_duration_seconds_count 2",
        ],
    );
}

#[test]
fn probes_are_timed_and_certificates_have_an_end() {
    let trunk = Trunk::new();
    let probed =
        trunks_toml(&[trunk.address()]).replace("[trunk.t0]\n", "[trunk.t0]\noptions = \"1s\"\n");
    let (ca, folder) = (Ca::new(), tempfile::tempdir().unwrap());
    let identity = ca.issue_with(&["sbc.example"], expired);
    ca.write(folder.path(), "own", &identity);
    let files = own_files(folder.path());
    let rig = proxy(&[trunk.address()], 1, |config| {
        write(&config.tables, "trunks.toml", &probed);
        config.metrics = Some(ANY.parse().unwrap());
        config.listeners.push(ListenerConfig {
            transport: FlowTransport::Tls,
            tls: Some(files.clone()),
            ..ListenerConfig::new(ANY.parse().unwrap())
        });
    });
    let probe = trunk.expect("OPTIONS ");
    trunk.answer(&probe, 200);
    let page = page_with(
        &rig,
        &["trunkline_probe_duration_seconds_count{trunk=\"t0\"} 1"],
    );
    // The last second of it is 2020-01-01T00:00:00Z.
    let certificate = format!(
        "trunkline_tls_certificate_not_after_timestamp_seconds{{file=\"{}\"}} 1577836801",
        files.certificate.display()
    );
    assert!(page.lines().any(|line| line == certificate), "{page}");
}
