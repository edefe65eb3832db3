//! The daemon as a process: signals, log, exit codes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::phone::{Phone, contacts};
use crate::{ROUTES, tables, write};

/// The program as it runs for an operator.
pub(crate) struct Daemon {
    process: Child,
    folder: TempDir,
    lines: Receiver<String>,
    /// Its first listener.
    pub(crate) address: SocketAddr,
}

impl Daemon {
    fn start(more: &str) -> Self {
        Self::run(tables(), &redirect(more))
    }

    /// Runs it with this configuration beside the tables of the folder.
    pub(crate) fn run(folder: TempDir, config: &str) -> Self {
        let process = Self::command(folder.path(), config).spawn().unwrap();
        let mut daemon = Self {
            process,
            folder,
            lines: channel().1,
            address: "127.0.0.1:1".parse().unwrap(),
        };
        daemon.listen();
        daemon
    }

    /// Runs it with its log somewhere else: these are its lines.
    pub(crate) fn run_heard(folder: TempDir, config: &str, lines: Receiver<String>) -> Self {
        let process = Self::command(folder.path(), config).spawn().unwrap();
        let mut daemon = Self {
            process,
            folder,
            lines,
            address: "127.0.0.1:1".parse().unwrap(),
        };
        daemon.address = address_in(&daemon.line_with("listening on "));
        daemon
    }

    /// The lines of the log up to one that holds `text`.
    pub(crate) fn lines_up_to(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line_with(""));
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// Runs it again as it was.
    pub(crate) fn start_again(&mut self) {
        self.process = Self::on(self.folder.path()).spawn().unwrap();
        self.listen();
    }

    /// Runs it again; before it listens it says this.
    pub(crate) fn start_again_heard(&mut self, text: &str) {
        self.process = Self::on(self.folder.path()).spawn().unwrap();
        self.hear();
        self.line_with(text);
        self.address = address_in(&self.line_with("listening on "));
    }

    fn listen(&mut self) {
        self.hear();
        self.address = address_in(&self.line_with("listening on "));
    }

    fn hear(&mut self) {
        let (sender, lines) = channel();
        let log = BufReader::new(self.process.stderr.take().unwrap());
        std::thread::spawn(move || {
            log.lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        self.lines = lines;
    }

    fn spawn(folder: &Path, more: &str) -> Child {
        Self::command(folder, &redirect(more)).spawn().unwrap()
    }

    pub(crate) fn command(folder: &Path, config: &str) -> Command {
        let place = folder.join("config");
        fs::create_dir_all(&place).unwrap();
        write(&place, "trunkline.toml", config);
        Self::on(folder)
    }

    fn on(folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command
            .args(["run", "--config"])
            .arg(folder.join("config/trunkline.toml"));
        command.stderr(Stdio::piped());
        command
    }

    /// Where its configuration stands.
    pub(crate) fn config_folder(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Where its tables stand.
    pub(crate) fn tables(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The next line of the log that holds `text`.
    pub(crate) fn line_with(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no line with {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Pastes what follows the level of a line into a shell, beside the configuration.
    pub(crate) fn paste(&self, line: &str) -> (Option<i32>, String) {
        let command = line.split_once(" INFO ").unwrap().1;
        let programs = Path::new(env!("CARGO_BIN_EXE_trunkline")).parent().unwrap();
        let shell = Command::new("sh")
            .arg("-c")
            .arg(format!("PATH={}:$PATH; {command}", programs.display()))
            .current_dir(self.folder.path().join("config"))
            .output()
            .unwrap();
        let told = [shell.stdout, shell.stderr].concat();
        (shell.status.code(), String::from_utf8(told).unwrap())
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

pub(crate) fn redirect(more: &str) -> String {
    format!(
        "tables = \"..\"\nworkers = 2\n[[listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"udp\"\nmode = \"redirect\"\n{more}"
    )
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_decision_is_a_line_that_can_be_pasted_into_a_shell() {
    let daemon = Daemon::start("name = \"inside\"\n");
    let phone = Phone::new(daemon.address);
    let me = phone.socket.local_addr().unwrap();
    let invite = phone.invite("+442071838750", "c1");
    phone.ask(&invite.replace("Call-ID: c1", "Call-ID: x';reboot;'@h"));
    let line = daemon.line_with("trunkline route ");
    let (command, tail) = line.split_once(" # ").unwrap();
    let (head, command) = command.split_at(command.find("trunkline route").unwrap());
    assert!(head.ends_with("Z INFO "), "{line}");
    let (command, at) = command.split_once(" --at ").unwrap();
    assert_eq!(
        command,
        "trunkline route +442071838750 --from pstn --calling +447700900123"
    );
    assert!(at.ends_with('Z') && !at.contains('.'), "{line}");
    let (tail, cid) = tail.split_once(" us=").unwrap();
    assert_eq!(
        tail,
        format!(
            "302 teams/teams-1,reception/vm-1 rule=\"London\" called=+442071838750 gen=1 src={me}"
        )
    );
    assert!(cid.ends_with(" cid='x\\x27;reboot;\\x27@h'"), "{line}");
    let (code, explained) = daemon.paste(&line);
    assert!(
        code == Some(0) && explained.contains("teams-1"),
        "{explained}"
    );
    phone.ask(&phone.invite("'$(touch$IFS$9hacked)'", "c2"));
    let line = daemon.line_with("trunkline route ");
    assert!(
        line.contains(r"trunkline route '\x27$(touch$IFS$9hacked)\x27' --from pstn "),
        "{line}"
    );
    assert_eq!(daemon.paste(&line).0, Some(1), "no such number");
    assert!(!daemon.folder.path().join("config/hacked").exists());
}

#[test]
fn a_json_line_has_the_fields_of_a_decision() {
    let daemon = Daemon::start("[log]\nformat = \"json\"\n[privacy]\nmask_numbers = \"last4\"\n");
    let phone = Phone::new(daemon.address);
    phone.ask(&phone.invite("+442071838750", "j1"));
    let line = daemon.line_with("\"event\":\"call\"");
    for field in [
        "\"dialled\":\"*********8750\"",
        "\"from\":\"pstn\"",
        "\"status\":302",
        "\"routes\":\"teams/teams-1,reception/vm-1\"",
        "\"rule\":\"London\"",
        "\"generation\":1",
        "\"call_id\":\"j1\"",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
    assert!(!line.contains("7700900123"), "{line}");
}

#[test]
fn signals_reload_report_and_stop() {
    let mut daemon = Daemon::start("");
    let phone = Phone::new(daemon.address);
    phone.ask(&phone.invite("+442071838750", "c1"));
    let routes = daemon.folder.path().join("routes.toml");
    fs::write(
        &routes,
        ROUTES.replace("[\"teams\", \"reception\"]", "[\"teams\"]"),
    )
    .unwrap();
    daemon.signal("HUP");
    let line = daemon.line_with("reload gen ");
    assert!(
        line.contains("INFO reload gen 1->2 dids=0 rules=3 took_ms="),
        "{line}"
    );
    fs::write(&routes, ROUTES.replace("\"teams\", ", "\"teems\", ")).unwrap();
    daemon.signal("HUP");
    let line = daemon.line_with("reload refused");
    assert!(
        line.contains(
            "ERROR reload refused, gen 2 kept: 1 error, first routes.toml:10:13: error T004"
        ),
        "{line}"
    );
    assert!(
        daemon
            .line_with("T004")
            .contains("ERROR routes.toml:10:13: error T004: ")
    );
    assert_eq!(
        contacts(&phone.ask(&phone.invite("+442071838750", "c2"))).len(),
        1,
        "generation 2 still serves"
    );
    daemon.signal("USR2");
    assert!(
        daemon
            .line_with("requests ")
            .contains("requests INVITE=2; replies 302=2;")
    );
    daemon.signal("TERM");
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn a_moved_log_file_is_opened_anew() {
    let folder = tables();
    let mut process = Daemon::spawn(folder.path(), "[log]\nfile = \"log\"\n");
    let log = folder.path().join("config/log");
    let address = address_in(&wait_for(&log, "listening on "));
    fs::rename(&log, folder.path().join("config/log.1")).unwrap();
    signal(&process, "USR1");
    wait_for(&log, "opened anew");
    let phone = Phone::new(address);
    phone.ask(&phone.invite("+442071838750", "c1"));
    wait_for(&log, "trunkline route +442071838750");
    signal(&process, "INT");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

pub(crate) fn signal(process: &Child, name: &str) {
    let id = process.id().to_string();
    let told = Command::new("kill")
        .args(["-s", name, &id])
        .status()
        .unwrap();
    assert!(told.success());
}

/// The address in a line that says what is listened on.
fn address_in(line: &str) -> SocketAddr {
    let rest = line.split("listening on ").nth(1).unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// The text of a file once `text` stands in it.
fn wait_for(file: &Path, text: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let read = fs::read_to_string(file).unwrap_or_default();
        if read.contains(text) {
            return read;
        }
        assert!(
            Instant::now() < deadline,
            "{text:?} never came to {}: {read}",
            file.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_interrupt_ends_now() {
    let mut daemon = Daemon::start("stateful = true\n");
    let phone = Phone::new(daemon.address);
    phone.ask(&phone.invite("+442071838750", "unacknowledged"));
    daemon.signal("INT");
    daemon.line_with("stopping");
    daemon.signal("INT");
    // One that had waited for the ACK would end with 0.
    assert_eq!(daemon.exit_code(), Some(130));
}

#[test]
fn a_bad_configuration_or_table_exits_78_and_says_why() {
    for (more, broken_table, told) in [("modus = \"x\"\n", false, "T005"), ("", true, "T004")] {
        let folder = tables();
        if broken_table {
            write(
                folder.path(),
                "routes.toml",
                &ROUTES.replace("teams", "teems"),
            );
        }
        let output = Daemon::spawn(folder.path(), more)
            .wait_with_output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn a32_strangers_cannot_flood_the_log() {
    let daemon = Daemon::start("");
    let phone = Phone::new(daemon.address);
    for _ in 0..300 {
        phone.send(b"junk");
    }
    phone.hears_only("after-junk");
    daemon.signal("TERM");
    let mut lines = 0;
    while let Ok(line) = daemon.lines.recv_timeout(Duration::from_secs(20)) {
        lines += usize::from(line.contains("dropped junk bytes="));
    }
    assert!(
        (10..=40).contains(&lines),
        "{lines} lines about 300 datagrams"
    );
}

/// A service manager that hears what is sent to `notify` in this folder, a message each time
/// it is asked.
fn service_manager(folder: &Path) -> impl Fn() -> String {
    let manager = UnixDatagram::bind(folder.join("notify")).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    move || {
        let mut room = [0; 4096];
        let length = manager.recv(&mut room).unwrap();
        String::from_utf8(room[..length].to_vec()).unwrap()
    }
}

#[test]
fn the_service_manager_is_told() {
    let folder = tables();
    let told = service_manager(folder.path());
    let mut process = Daemon::command(folder.path(), &redirect(""))
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .spawn()
        .unwrap();
    assert_eq!(told(), "READY=1\nSTATUS=table gen 1, 0 DIDs, 3 rules\n");
    write(
        folder.path(),
        "routes.toml",
        &ROUTES.replace("\"teams\", ", "\"teems\", "),
    );
    signal(&process, "HUP");
    let reloading = told();
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    assert!(
        since.unwrap().trim_end().parse::<u64>().unwrap() > 0,
        "{reloading}"
    );
    let refused = told();
    assert!(
        refused.starts_with("READY=1\nSTATUS=table gen 1, 0 DIDs, 3 rules; last reload refused: 1 error, first routes.toml:10:"),
        "{refused}"
    );
    signal(&process, "TERM");
    assert_eq!(told(), "STOPPING=1\n");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn the_service_manager_is_told_of_a_trial_and_of_what_comes_back() {
    let folder = tables();
    let told = service_manager(folder.path());
    let config = redirect("[state]\ndir = \"state\"\n[control]\nsocket = \"sock\"\n");
    let mut process = Daemon::command(folder.path(), &config)
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .spawn()
        .unwrap();
    told();
    let fewer = ROUTES.replace("\"teams\", ", "");
    write(folder.path(), "routes.toml", &fewer);
    let reload = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["reload", "--confirm", "1", "--socket"])
        .arg(folder.path().join("config/sock"))
        .output()
        .unwrap();
    assert_eq!(reload.status.code(), Some(0), "{reload:?}");
    assert!(told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    let trial = told();
    assert!(
        trial.starts_with("READY=1\nSTATUS=table gen 2, 0 DIDs, 3 rules; returns to gen 1 at 2"),
        "{trial}"
    );
    assert!(told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(
        told(),
        "READY=1\nSTATUS=table gen 3, 0 DIDs, 3 rules; NOT the table folder, until the next reload\n"
    );
    signal(&process, "TERM");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}
