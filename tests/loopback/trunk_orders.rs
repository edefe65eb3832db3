//! Trunks that are down, draining, in maintenance and up again, as calls and operators meet
//! them: a daemon on real sockets, trunks that answer by hand.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::phone::Phone;
use crate::proxy::{Trunk, call, in_dialog, trunks_toml};
use crate::{tables, write};

const CONFIG: &str = "tables = \"..\"\nworkers = 2\n\
    [[listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"udp\"\nmode = \"proxy\"\nname = \"in\"\n\
    [control]\nsocket = \"control.sock\"\n[state]\ndir = \"state\"\n";

/// A proxy that keeps its tables, and the commands that ask it.
struct Site(Daemon);

impl Site {
    fn start(trunks: &str) -> Self {
        let folder: TempDir = tables();
        write(folder.path(), "trunks.toml", trunks);
        Self(Daemon::run(folder, CONFIG))
    }

    fn ask(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(arguments)
            .current_dir(self.0.config_folder())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    }

    #[track_caller]
    fn fine(&self, arguments: &[&str]) -> String {
        let (code, told) = self.ask(arguments);
        assert_eq!(code, Some(0), "{arguments:?} {told}");
        told
    }

    /// The state of a trunk, and the whole entry.
    fn state(&self, name: &str) -> (String, Value) {
        let told: Value = serde_json::from_str(&self.fine(&["trunk", "--json"])).unwrap();
        let trunks = told["trunks"].as_array().unwrap();
        let trunk = trunks.iter().find(|trunk| trunk["name"] == name).unwrap();
        (trunk["state"].as_str().unwrap().to_owned(), trunk.clone())
    }

    /// Calls, has `trunk` refuse for good, and the other one hear nothing of it.
    #[track_caller]
    fn goes_to(&self, trunk: &Trunk, id: &str) {
        let phone = Phone::new(self.0.address);
        call(&phone, id);
        let invite = trunk.expect("INVITE ");
        assert!(
            invite.0.contains(&format!("Call-ID: {id}\r\n")),
            "{}",
            invite.0
        );
        trunk.answer(&invite, 486);
        trunk.expect("ACK ");
        assert!(phone.receive().starts_with("SIP/2.0 486 "));
    }
}

fn two(a: SocketAddr, b: SocketAddr, keys: &str) -> String {
    let text = trunks_toml(&[a, b]);
    text.replace("[trunk.t0]\n", &format!("[trunk.t0]\n{keys}"))
}

/// Out after as many misses as the table says and back after as many hits, and no call
/// goes there in between.
#[test]
fn probes_turn_a_trunk_out_and_back_and_no_call_goes_there_between() {
    let (first, second) = (Trunk::new(), Trunk::new());
    let keys = "options = \"1s\"\noptions_misses = 2\noptions_hits = 2\n";
    let site = Site::start(&two(first.address(), second.address(), keys));
    for _ in 0..2 {
        let probe = first.expect("OPTIONS ");
        assert_eq!(site.state("t0").0, "up");
        first.answer(&probe, 503);
    }
    site.0
        .line_with("trunk t0 is out: 2 OPTIONS missed, the last answered 503");
    let (state, entry) = site.state("t0");
    assert_eq!(
        (&*state, &entry["found_by"]),
        ("down", &Value::from("probes"))
    );
    site.goes_to(&second, "out");
    assert!(
        site.fine(&["status"])
            .contains("TRUNK DOWN: t0, found by probes\n")
    );
    let live = site.fine(&[
        "route",
        "+442071838750",
        "--from",
        "pstn",
        "--live",
        "--format",
        "json",
    ]);
    let live: Value = serde_json::from_str(&live).unwrap();
    let trunks = live["routes"].to_string();
    assert!(trunks.contains("out of service"), "{live}");
    let one = first.expect("OPTIONS ");
    first.answer(&one, 200);
    site.goes_to(&second, "one-of-two");
    let two = first.expect("OPTIONS ");
    first.answer(&two, 200);
    site.0.line_with("trunk t0 is back: 2 OPTIONS answered");
    site.goes_to(&first, "back");
}

#[test]
fn a_draining_trunk_ends_its_calls_and_gets_no_other_over_reload_and_restart() {
    let (first, second) = (Trunk::new(), Trunk::new());
    let mut site = Site::start(&two(first.address(), second.address(), ""));
    let phone = Phone::new(site.0.address);
    let me = SocketAddr::from(([127, 0, 0, 1], phone.port()));
    call(&phone, "up");
    let invite = first.expect("INVITE ");
    first.answer(&invite, 200);
    let answer = phone.receive();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
    first.expect("ACK ");

    let told = site.fine(&["trunk", "drain", "t0", "-m", "line card"]);
    assert!(told.starts_with("t0  draining  sip:127.0.0.1:"), "{told}");
    assert!(told.trim_end().ends_with(": line card"), "{told}");
    let line = site.0.line_with("trunk t0 drain by=");
    assert!(line.ends_with("msg='line card' state=draining"), "{line}");
    assert!(site.fine(&["status"]).contains("TRUNK DRAINING: t0, by "));
    site.goes_to(&second, "drained");
    let reload = second_rule(&site);
    assert!(reload.starts_with("gen 2 serves"), "{reload}");
    site.goes_to(&second, "reloaded");

    // The call that is up ends as if nothing were.
    phone.send(in_dialog(&answer, "BYE", 2, me).as_bytes());
    let bye = first.expect("BYE ");
    first.answer(&bye, 200);
    assert!(phone.receive().contains("2 BYE"));

    site.0.kill();
    site.0.start_again();
    site.goes_to(&second, "started-again");
    let (state, entry) = site.state("t0");
    assert_eq!(
        (&*state, &entry["order"]["message"]),
        ("draining", &Value::from("line card"))
    );
    site.0.signal("USR2");
    site.0.line_with("trunks out t0=draining");
    site.fine(&["trunk", "ready", "t0"]);
    site.goes_to(&first, "ready");
    site.0.signal("USR2");
    assert!(site.0.line_with("requests ").contains(" trunk-orders=1;"));
}

/// Writes a table that says something else, and has it served.
fn second_rule(site: &Site) -> String {
    let routes = crate::ROUTES.replace("Premium-rate numbers are barred", "No premium rate");
    write(site.0.tables(), "routes.toml", &routes);
    site.fine(&["reload"])
}

/// In maintenance nothing is asked, calls that are up go on, and an undo that brings the
/// trunk back does not bring it back into service.
#[test]
fn a_trunk_in_maintenance_is_left_alone_and_stays_so_when_the_table_comes_back() {
    let (first, second) = (Trunk::new(), Trunk::new());
    let keys = "options = \"1s\"\n";
    let with_both = two(first.address(), second.address(), keys);
    let site = Site::start(&with_both);
    let probe = first.expect("OPTIONS ");
    first.answer(&probe, 200);
    let (code, told) = site.ask(&["trunk", "maint", "t00"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("no trunk \"t00\"; did you mean \"t0\"?"),
        "{told}"
    );
    assert_eq!(site.ask(&["trunk", "maint"]).0, Some(2));
    site.fine(&["trunk", "maint", "t0"]);
    assert_eq!(site.state("t0").0, "maintenance");
    site.goes_to(&second, "maintained");
    // A table without it, and back.
    let without = with_both
        .replace("\"t0\", \"t1\"", "\"t1\"")
        .replace("[\"t0\"]", "[\"t1\"]");
    let without = without.split_once("[trunk.t1]").unwrap().1;
    write(
        site.0.tables(),
        "trunks.toml",
        &format!("[trunk.t1]{without}"),
    );
    site.fine(&["reload"]);
    site.0
        .line_with("trunk t0 is not in this table, or is elsewhere: maint by ");
    site.goes_to(&second, "gone");
    site.fine(&["undo"]);
    assert_eq!(site.state("t0").0, "maintenance");
    site.goes_to(&second, "undone");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(first.heard_within(Duration::from_millis(100)), None);
    }
    site.fine(&["trunk", "ready", "t0"]);
    let probe = first.expect("OPTIONS ");
    first.answer(&probe, 200);
    site.goes_to(&first, "ready");
}

/// Orders that cannot be read are set aside, with a word about it, and calls are taken.
#[test]
fn damaged_orders_are_told_and_calls_go_on() {
    let (first, second) = (Trunk::new(), Trunk::new());
    let mut site = Site::start(&two(first.address(), second.address(), ""));
    site.fine(&["trunk", "drain", "t0"]);
    site.0.kill();
    let state = site.0.config_folder().join("state");
    write(&state, "orders.json", "{\"orders\": [{}]}");
    site.0.start_again_heard("the orders about trunks in ");
    assert!(state.join("orders.damaged.json").exists());
    site.goes_to(&first, "c1");
}
