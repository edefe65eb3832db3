//! The control socket and its commands, as people and scripts meet them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::{Daemon, redirect};
use crate::phone::{Phone, contacts};
use crate::{ROUTES, tables, write};

const KEEPING: &str = "[state]\ndir = \"state\"\n[control]\nsocket = \"control.sock\"\n";

/// What one command came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A server that keeps its tables, and the commands that ask it.
struct Site(Daemon);

impl Site {
    fn start() -> Self {
        Self(Daemon::run(tables(), &redirect(KEEPING)))
    }

    fn socket(&self) -> PathBuf {
        self.0.config_folder().join("control.sock")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        let config = self.0.config_folder();
        command
            .args(arguments)
            .current_dir(config)
            .env("NO_COLOR", "1");
        command
    }

    fn ask(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    #[track_caller]
    fn fine(&self, arguments: &[&str]) -> String {
        let ran = self.ask(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?} {ran:?}");
        ran.out
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let ran = self.ask(arguments);
        assert_eq!(
            (ran.code, &*ran.out),
            (Some(1), ""),
            "{arguments:?} {ran:?}"
        );
        ran.err
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.ask(&[arguments, &["--json"]].concat());
        let value: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(value["schema"], "trunkline.control/1");
        value
    }

    fn edit(&self, from: &str, to: &str) {
        let text = ROUTES.replace(from, to);
        assert_ne!(text, ROUTES);
        write(self.0.tables(), "routes.toml", &text);
    }

    /// How many routes a London number has, by the table that serves.
    fn routes(&self) -> usize {
        let phone = Phone::new(self.0.address);
        let call = format!("c{:?}", Instant::now()).replace(|c: char| !c.is_alphanumeric(), "");
        contacts(&phone.ask(&phone.invite("+442071838750", &call))).len()
    }

    /// What is answered to bytes of any kind.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        // It may be refused before all of it is read.
        let _ = stream.write_all(bytes);
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told);
        String::from_utf8(told).unwrap()
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

const ONE_ROUTE: (&str, &str) = ("[\"teams\", \"reception\"]", "[\"teams\"]");

#[test]
fn a_change_has_a_name_a_history_and_a_way_back() {
    let site = Site::start();
    let status = site.fine(&["status"]);
    assert!(status.starts_with("gen 1  2"), "{status}");
    assert!(status.contains("start  0 DIDs, 3 rules"), "{status}");
    assert!(status.contains("nothing to undo yet"), "{status}");
    site.edit(ONE_ROUTE.0, ONE_ROUTE.1);
    let plan = site.ask(&["plan", "..", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(2), "{plan:?}");
    assert!(plan.out.contains("(gen 1, which serves) -> "), "{plan:?}");
    let told = site.fine(&["reload", "--message", "one is enough"]);
    assert!(
        told.starts_with("gen 2 serves: 0 DIDs, 3 rules; gen 1 did before ("),
        "{told}"
    );
    let line = site.0.line_with("reload gen 1->2 ");
    assert!(
        line.contains(" by=root msg='one is enough'") || line.contains(" msg='one is enough'"),
        "{line}"
    );
    assert_eq!(site.routes(), 1);
    assert!(
        site.fine(&["reload"])
            .contains("gen 2 serves on: nothing would change")
    );
    let history = site.fine(&["history"]);
    let lines: Vec<_> = history.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("gen 2  "),
        "{history}"
    );
    assert!(lines[0].ends_with("\"one is enough\""), "{history}");
    assert_eq!(site.fine(&["history", "--number", "1"]).lines().count(), 1);

    let undone = site.fine(&["undo", "-m", "two were better"]);
    assert!(
        undone.starts_with("gen 3 serves: the table of gen 1,"),
        "{undone}"
    );
    assert!(
        undone.contains("The table folder says something else"),
        "{undone}"
    );
    assert!(
        site.0
            .line_with("gen 3 serves (undo by ")
            .contains("NOT the table folder")
    );
    assert_eq!(site.routes(), 2);
    let diff = site.ask(&["diff", "2", "3", "--detailed-exitcode"]);
    assert_eq!(diff.code, Some(2), "{diff:?}");
    assert!(
        diff.out.contains("(gen 2) -> ") && diff.out.contains("(gen 3)"),
        "{diff:?}"
    );
    assert!(site.fine(&["diff", "1", "3"]).contains("nothing changes"));
    for (generation, is_there) in [("1", true), ("2", false)] {
        let route = site.fine(&[
            "route",
            "+442071838750",
            "--from",
            "pstn",
            "--gen",
            generation,
        ]);
        assert_eq!(route.contains("vm-1"), is_there, "{route}");
    }
    assert!(
        site.refused(&["rollback", "9"])
            .contains("gen 9 is not kept; `trunkline history`")
    );
    assert!(
        site.refused(&["diff", "1", "9"])
            .contains("gen 9 is not kept")
    );
    assert!(
        site.refused(&["confirm"])
            .contains("no change awaits a confirmation; gen 3 serves")
    );
    site.fine(&["rollback", "2"]);
    assert_eq!(site.routes(), 1);
    let status = site.json(&["status"]);
    assert_eq!(status["generation"]["number"], 4);
    assert_eq!(status["generation"]["cause"], "rollback");
    assert_eq!(status["generation"]["table_of"], 2);
    assert_eq!(status["held"], false, "the folder says the same");
    assert_eq!(status["before"], 3);
    assert_eq!(status["may_change"], true);
    assert_eq!(site.json(&["history"])["generations"][3]["number"], 1);
    assert_eq!(
        site.json(&["rollback", "9"])["reason"],
        "unknown_generation"
    );
}

#[test]
fn a_change_that_nobody_confirms_comes_back_and_outlives_a_kill() {
    let mut site = Site::start();
    site.edit(ONE_ROUTE.0, ONE_ROUTE.1);
    let told = site.fine(&["reload", "--confirm", "300"]);
    assert!(told.contains("It returns to gen 1 at "), "{told}");
    assert_eq!(site.routes(), 1);
    site.0.signal("HUP");
    let line = site.0.line_with("reload refused, gen 2 kept: ");
    assert!(line.contains("gen 2 awaits its confirmation"), "{line}");
    assert!(
        site.refused(&["reload"])
            .contains("gen 2 awaits its confirmation")
    );
    let status = site.fine(&["status"]);
    assert!(
        status.contains("ON TRIAL: returns to gen 1 in 29"),
        "{status}"
    );
    assert!(status.contains("LAST CHANGE REFUSED at "), "{status}");
    site.0.kill();
    site.0.start_again();
    assert_eq!(site.routes(), 1, "there is time left");
    let status = site.json(&["status"]);
    let left = status["trial"]["left_s"].as_u64().unwrap();
    assert!((200..300).contains(&left), "{left}");
    // Another try takes the place of the first, and goes back to the same table.
    site.edit("\"teams\", ", "");
    site.fine(&["reload", "--confirm", "1"]);
    let line = site.0.line_with("return gen 3->4 ");
    assert!(line.contains(" by=deadline"), "{line}");
    assert_eq!(site.routes(), 2);
    assert!(site.refused(&["confirm"]).contains("gen 4 serves"));
    let status = site.fine(&["status"]);
    assert!(
        status.contains("return by deadline, the table of gen 1"),
        "{status}"
    );
    assert!(status.contains("NOT THE FOLDER: "), "{status}");
    site.0.kill();
    site.0.start_again();
    assert_eq!(site.routes(), 2, "not what the folder says");
    site.fine(&["reload", "--confirm", "300"]);
    assert!(
        site.fine(&["confirm"])
            .contains("gen 5 is confirmed, and stays")
    );
    site.0.kill();
    site.0.start_again();
    assert_eq!(site.routes(), 1);
    assert!(site.json(&["status"])["trial"].is_null());
}

#[test]
fn a_gate_refuses_a_signal_and_says_how_it_is_passed() {
    let site = Site::start();
    let gated = format!("{ROUTES}\n[policy]\nmax_moved_numbers = 0\n");
    write(site.0.tables(), "routes.toml", &gated);
    site.0.signal("HUP");
    site.0.line_with("reload gen 1->2 ");
    let moving = gated.replace("[\"teams\", \"reception\"]", "[\"reception\"]");
    write(site.0.tables(), "routes.toml", &moving);
    site.0.signal("HUP");
    let line = site.0.line_with("reload refused, gen 2 kept: ");
    assert!(line.contains("ERROR") && line.contains("T035"), "{line}");
    assert_eq!(site.routes(), 2, "gen 2 serves on");
    let status = site.fine(&["status"]);
    assert!(
        status.contains("(by signal): 1 error, first routes.toml:18: error T035"),
        "{status}"
    );
    let refused = site.refused(&["reload"]);
    assert!(
        refused.contains("T035") && refused.contains("--force"),
        "{refused}"
    );
    assert_eq!(site.json(&["reload"])["reason"], "gates");
    let told = site.fine(&["reload", "--force", "--message", "agreed with the carrier"]);
    assert!(
        told.contains("warning T035") && told.contains(", forced"),
        "{told}"
    );
    assert_eq!(site.routes(), 1);
    // What was forced comes back without force.
    site.fine(&["undo"]);
    assert_eq!(site.routes(), 2);
    assert!(site.fine(&["status"]).contains("NOT THE FOLDER"));
    assert!(!site.fine(&["status"]).contains("REFUSED"));
}

#[test]
fn a_broken_folder_is_refused_with_all_its_mistakes() {
    let mut site = Site::start();
    site.edit("\"teams\", ", "\"teems\", ");
    let refused = site.refused(&["reload", "--force"]);
    assert!(
        refused.contains("routes.toml:10:13: error T004"),
        "{refused}"
    );
    assert!(
        refused.contains("nothing was changed (gen 1 serves): 1 error"),
        "{refused}"
    );
    let json = site.json(&["reload"]);
    assert_eq!(
        (&json["reason"], &json["serving"]),
        (&"table".into(), &1.into())
    );
    assert_eq!(json["findings"].as_array().unwrap().len(), 1);
    // The machine restarts in the middle of an edit: who could be called still can be.
    site.0.kill();
    site.0.start_again();
    assert_eq!(site.routes(), 2);
    let status = site.fine(&["status"]);
    assert!(
        status.contains("(by start): 1 error, first routes.toml:10:13"),
        "{status}"
    );
}

#[test]
fn no_server_is_said_with_a_hint() {
    let mut site = Site::start();
    let nowhere = site.ask(&["status", "--socket", "/nowhere/control.sock"]);
    assert_eq!(nowhere.code, Some(69), "{nowhere:?}");
    assert!(
        nowhere
            .err
            .contains("no such socket: is the server running"),
        "{nowhere:?}"
    );
    site.0.kill();
    for command in [
        &["status"][..],
        &["reload"],
        &["confirm"],
        &["undo"],
        &["rollback", "1"],
        &["history"],
        &["diff", "1", "2"],
        &["plan", ".."],
        &["route", "1", "--gen", "1"],
    ] {
        let ran = site.ask(command);
        assert_eq!((ran.code, &*ran.out), (Some(69), ""), "{command:?} {ran:?}");
        assert!(
            ran.err.contains("nobody listens: the server has ended"),
            "{ran:?}"
        );
    }
    // The socket of the dead one is in nobody's way, and goes with the next.
    site.0.start_again();
    site.fine(&["status"]);
    site.0.signal("TERM");
    assert_eq!(site.0.exit_code(), Some(0));
    assert!(!site.socket().exists());
}

#[test]
fn a_second_server_takes_neither_socket_nor_history() {
    let site = Site::start();
    let second = site.ask(&["run", "--config", "trunkline.toml"]);
    assert_eq!(second.code, Some(78), "{second:?}");
    assert!(
        second.err.contains("another server answers there"),
        "{second:?}"
    );
    let other = site.0.config_folder().join("other.toml");
    let config = redirect(&KEEPING.replace("control.sock", "other.sock"));
    fs::write(&other, config).unwrap();
    let second = site.ask(&["run", "--config", "other.toml"]);
    assert_eq!(second.code, Some(78), "{second:?}");
    assert!(
        second.err.contains("another process uses the state folder"),
        "{second:?}"
    );
    site.fine(&["status"]);
}

#[test]
fn the_folders_of_the_service_manager_are_used() {
    let folder = tables();
    let state = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("config")).unwrap();
    write(
        &folder.path().join("config"),
        "trunkline.toml",
        &redirect(""),
    );
    let mut process = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["run", "--config"])
        .arg(folder.path().join("config/trunkline.toml"))
        .env("STATE_DIRECTORY", state.path())
        .env("RUNTIME_DIRECTORY", state.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let socket = state.path().join("control.sock");
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        let ran = ran(Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["status", "--socket"])
            .arg(&socket));
        if ran.code == Some(0) {
            break ran.out;
        }
        assert!(Instant::now() < deadline, "{ran:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let _ = process.kill();
    let _ = process.wait();
    assert!(status.contains("nothing to undo yet"), "{status}");
    assert!(state.path().join("ledger.json").exists());
}

#[test]
fn whatever_is_sent_is_answered_and_bounded() {
    let site = Site::start();
    for bad in [
        &b"\n"[..],
        b"GET / HTTP/1.1\n",
        b"{\"do\":\"status\",\"or\":\"not\"}\n",
        b"\xff\xfe\n",
        b"{\"do\":\"rollback\",\"generation\":1e99}\n",
    ] {
        let told = site.raw(bad);
        assert!(told.contains("\"reason\":\"request\""), "{bad:?} {told}");
        assert_eq!(told.matches('\n').count(), 1);
    }
    let deep = [b"[".repeat(60_000), b"\n".to_vec()].concat();
    assert!(site.raw(&deep).contains("\"reason\":\"request\""));
    let long = [b"x".repeat(70_000), b"\n".to_vec()].concat();
    assert!(!site.raw(&long).contains("\"answer\":\"status\""));
    assert!(
        site.raw(b"{\"do\":\"status\"}\n")
            .contains("\"answer\":\"status\"")
    );
    // Those who say nothing keep nobody else out for long, and take no room beyond the bound.
    let silent: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(site.socket()).unwrap())
        .collect();
    assert_eq!(site.routes(), 2);
    drop(silent);
    let deadline = Instant::now() + Duration::from_secs(20);
    while site.ask(&["status"]).code != Some(0) {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn only_some_may_change_anything() {
    let site = Site::start();
    let mode = fs::metadata(site.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let me = fs::metadata(site.socket()).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    if me.uid() != 0 {
        return; // Only root can ask as somebody else; the rule itself is a unit test.
    }
    for folder in [site.0.tables().to_owned(), site.0.config_folder()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let as_nobody = |arguments: &[&str]| {
        // In the group of the socket, so that it may connect.
        let socket = site.socket();
        let socket = ["--socket", socket.to_str().unwrap()];
        let mut command = site.command(&[arguments, &socket].concat());
        ran(command.current_dir("/").uid(65_534).gid(me.gid()))
    };
    let looked = as_nobody(&["status", "--json"]);
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert!(looked.out.contains("\"may_change\": false"), "{looked:?}");
    for change in [&["reload"][..], &["undo"], &["confirm"], &["rollback", "1"]] {
        let denied = as_nobody(change);
        assert_eq!(denied.code, Some(1), "{denied:?}");
        assert!(
            denied.err.contains("only root, the server's own user"),
            "{denied:?}"
        );
    }
    let ran = ran(site
        .command(&["status", "--socket"])
        .arg(site.socket())
        .uid(65_534)
        .gid(65_534)
        .current_dir("/"));
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.err.contains("permission denied"), "{ran:?}");
}

/// Whoever only redirects obeys too, without a probe of its own.
#[test]
fn an_order_about_a_trunk_holds_for_redirects() {
    let site = Site::start();
    assert_eq!(site.routes(), 2);
    let ordered = site.json(&["trunk", "drain", "vm-1", "-m", "moved"]);
    assert_eq!(ordered["answer"], "ordered");
    assert_eq!(ordered["trunk"]["state"], "draining");
    assert_eq!(ordered["order"]["message"], "moved");
    assert_eq!(site.routes(), 1);
    let live = &["route", "+442071838750", "--from", "pstn", "--live"];
    let shown = site.fine(live);
    assert!(
        shown.contains("vm-1") && shown.contains("draining"),
        "{shown}"
    );
    site.fine(&["trunk", "ready", "vm-1"]);
    assert_eq!(site.routes(), 2);
    let (code, all) = {
        let ran = site.ask(&["trunk"]);
        (ran.code, ran.out)
    };
    assert_eq!((code, all.matches("  up  ").count()), (Some(0), 2), "{all}");
    // A word that is none.
    let refused = site.raw(b"{\"do\":\"trunk\",\"name\":\"vm-1\",\"order\":\"stop\"}\n");
    assert!(refused.contains("\"reason\":\"request\""), "{refused}");
}
