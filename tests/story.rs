//! docs/migrate-a-wave.md and docs/first-ten-minutes.md, run as they stand: what they show is
//! what the program says.

#![allow(clippy::unwrap_used)] // a test that cannot read its own page has failed

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a change is on trial when the page lets it run out, in seconds.
const SHORT_S: u32 = 3;

/// A command of the page, what is said under it, and whether time passes before it.
struct Shown {
    command: String,
    output: String,
    is_later: bool,
}

#[test]
fn a_wave_moves_comes_back_and_moves_again() {
    let page = page("migrate-a-wave.md");
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("tests/story"), folder.path());
    let config = between(&page, "```toml\n", "```").replace("10.20.0.5:5060", "127.0.0.1:0");
    fs::write(folder.path().join("trunkline.toml"), config).unwrap();
    let here = folder.path().canonicalize().unwrap();
    let places = [(here.to_str().unwrap(), "/etc/trunkline")];
    assert_eq!(play(&page, folder.path(), &places, true), 24);
}

/// With the files of the package, on a port of four digits that is free.
#[test]
fn the_first_ten_minutes() {
    let page = page("first-ten-minutes.md");
    let folder = tempfile::tempdir().unwrap();
    copy(
        &root().join("docs/packaging/tables"),
        &folder.path().join("tables"),
    );
    let port = free_port();
    let write = |name: &str, text: &str| {
        let text = text.replace(":5060", &format!(":{port}"));
        let text = text.replace("/5060", &format!("/{port}"));
        fs::write(folder.path().join(name), text).unwrap();
    };
    // The folders that systemd gives, at its end.
    let given = "[state]\ndir = \"state\"\n\n[control]\nsocket = \"control.sock\"\n";
    let config = fs::read_to_string(root().join("docs/packaging/trunkline.toml")).unwrap();
    write("trunkline.toml", &format!("{config}\n{given}"));
    write(
        "call.sip",
        between(&page, "`call.sip`:\n\n```text\n", "```"),
    );
    write("call", between(&page, "`call`:\n\n```text\n", "```"));
    let here = folder.path().canonicalize().unwrap();
    let state = format!("{}/state", here.display());
    let listening = format!(":{port}");
    let places = [
        (&*state, "/var/lib/trunkline"),
        (here.to_str().unwrap(), "/etc/trunkline"),
        (&*listening, ":5060"),
    ];
    assert_eq!(play(&page, folder.path(), &places, false), 22);
}

/// Runs the commands of a page in a folder, compares what they say with what it shows, and
/// answers how many. `places` are names of here and on the page. Where a trial `runs_out`, it
/// does so soon.
fn play(page: &str, folder: &Path, places: &[(&str, &str)], mut runs_out: bool) -> usize {
    let mut server = None;
    let mut compared = 0;
    for shown in commands(page) {
        let mut command = shown.command.clone();
        if command == "systemctl start trunkline" {
            server = Some(Server::start(folder));
            continue;
        }
        if runs_out && command.contains("--confirm 300") {
            command = command.replace("--confirm 300", &format!("--confirm {SHORT_S}"));
            runs_out = false;
        }
        if shown.is_later {
            wait_for_return(folder);
        }
        let mut said = run(folder, &command);
        for (here, there) in places {
            said = said.replace(here, there);
        }
        let (said, output) = (said.trim_end(), shown.output.trim_end());
        assert_eq!(plain(said), plain(output), "{command}\n{said}");
        compared += 1;
    }
    assert!(server.is_some());
    compared
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// As long as the one on the page: carets stand under it.
fn free_port() -> u16 {
    let is_free = |port: &u16| UdpSocket::bind(("127.0.0.1", *port)).is_ok();
    (7_100..10_000).find(is_free).unwrap()
}

struct Server(Child);

impl Server {
    fn start(folder: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .arg("run")
            .current_dir(folder.canonicalize().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self(child);
        until(|| run(folder, "trunkline status").starts_with("gen 1 "));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for_return(folder: &Path) {
    until(|| run(folder, "trunkline status").starts_with("gen 3 "));
}

fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn run(folder: &Path, command: &str) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_trunkline")).parent().unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("PATH={}:$PATH; {command}", programs.display()))
        .current_dir(folder.canonicalize().unwrap())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// A text without what differs from run to run: times, durations, people, processes.
fn plain(text: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("server   ") {
            return String::from("server");
        }
        let words: Vec<&str> = line.split(' ').collect();
        let word = |(at, word): (usize, &&str)| {
            let before = at.checked_sub(1).map_or("", |at| words[at]);
            let after = words.get(at + 1).copied().unwrap_or_default();
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let people = before == "by" && !["signal", "start", "deadline"].contains(&bare);
            let count = bare.parse::<u64>().is_ok() && matches!(after, "s" | "ms)");
            match bare.parse::<jiff::Timestamp>() {
                Ok(_) => word.replace(bare, "TIME"),
                Err(_) if people || count => word.replace(bare, "SOME"),
                Err(_) => (*word).to_owned(),
            }
        };
        words
            .iter()
            .enumerate()
            .map(word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn commands(page: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let (mut inside, mut is_later) = (false, false);
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if !inside {
        } else if line.starts_with("# ") {
            is_later = true;
        } else if let Some(command) = line.strip_prefix("$ ") {
            shown.push(Shown {
                command: command.to_owned(),
                output: String::new(),
                is_later: std::mem::take(&mut is_later),
            });
        } else if let Some(last) = shown.last_mut() {
            last.output.push_str(line);
            last.output.push('\n');
        }
    }
    shown
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(&path, &place).unwrap();
        }
    }
}
