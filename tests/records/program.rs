//! The program as an operator runs it, beside a table of two trunks.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A folder with a table and a configuration, and the server that runs beside it.
pub(crate) struct Program {
    pub(crate) folder: TempDir,
    process: Option<Child>,
    pub(crate) address: SocketAddr,
    metrics: SocketAddr,
}

/// Where calls to London go; the trunks are tried in this order.
pub(crate) fn table(trunks: &[SocketAddr]) -> String {
    let names: Vec<_> = (0..trunks.len()).map(|n| format!("\"t{n}\"")).collect();
    let own: String = (trunks.iter().enumerate())
        .map(|(n, address)| format!("[trunk.t{n}]\naddress = \"sip:{address}\"\n"))
        .collect();
    format!(
        "{own}[trunk_group.sbc]\naccept_from = [\"127.0.0.1\"]\n\
         [trunk_group.carriers]\ntrunks = [{}]\noutbound = [\"national\"]\n\
         [manipulation.national]\ncalled = [{{ prefix = \"+44\", strip = 3, prepend = \"0\" }}]\n\
         [[rule]]\nname = \"London | \\\"calls\\\"\"\ncalled = [\"+4420*\"]\nroute_to = [\"carriers\"]\n",
        names.join(", ")
    )
}

impl Program {
    /// Runs it; `mode` is that of its one listener, `more` is added to its configuration.
    pub(crate) fn run(mode: &str, trunks: &[SocketAddr], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = folder.path().join("tables");
        fs::create_dir(&tables).unwrap();
        fs::write(tables.join("routing.toml"), table(trunks)).unwrap();
        let mut program = Self {
            folder,
            process: None,
            address: "127.0.0.1:1".parse().unwrap(),
            metrics: "127.0.0.1:1".parse().unwrap(),
        };
        program.configure(mode, more);
        program.start();
        program
    }

    pub(crate) fn configure(&self, mode: &str, more: &str) {
        let config = format!(
            "tables = \"tables\"\nworkers = 2\ndrain_timeout = \"200ms\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"udp\"\nmode = \"{mode}\"\n\
             name = \"inside\"\n[state]\ndir = \"state\"\n[control]\nsocket = \"control.sock\"\n\
             [metrics]\naddress = \"127.0.0.1:0\"\n[log]\ndecisions = false\n{more}"
        );
        fs::write(self.config(), config).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("trunkline.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it (again).
    pub(crate) fn start(&mut self) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["run", "--config"])
            .arg(self.config())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let told = log.by_ref().map_while(Result::ok);
        let mut before = String::new();
        let listening = told
            .inspect(|line| before += line)
            .find(|line| line.contains("listening on "));
        let listening = listening.unwrap_or_else(|| panic!("it did not start: {before}"));
        let places = listening.split("listening on ").nth(1).unwrap();
        let place = |kind: &str| {
            let mut places = places
                .split([',', ' ', ';'])
                .filter(|word| !word.is_empty());
            let mut last = "";
            places.find_map(|word| {
                let address = (word == kind).then(|| last.parse().unwrap());
                last = word;
                address
            })
        };
        self.address = place("(udp)").unwrap();
        self.metrics = place("(metrics)").unwrap();
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        self.process = Some(process);
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Ends it as systemd does.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let id = process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(process.wait().unwrap().success());
    }

    /// A value of its page of metrics; 0 where there is none.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let url = format!("http://{}/metrics", self.metrics);
        let page = ureq::get(&url)
            .call()
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// Asks it on its control socket, as a command does.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let out = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(words)
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        // Longer than anything takes: a test that hangs shall say where.
        assert!(begun.elapsed().as_secs() < 300, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The records of a file of JSON lines.
pub(crate) fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
