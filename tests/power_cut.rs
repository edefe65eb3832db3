//! The server is killed at random moments of a start, a reload, a confirmation, an undo, a
//! rollback and a return, over and over. After each kill it must start on a complete
//! generation: the one before or the one behind the change, the one behind it if it had been
//! answered; no generation may be lost, and no file of any may be missing.
//!
//! `CUTS=1000 SEED=7 cargo test --test power_cut -- --nocapture` does more of it.

#![allow(clippy::unwrap_used)] // a test says so by failing

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use trunkline::control::{self, Answer, Change, Request, Status};
use trunkline::ledger::{Cause, Generation};
use trunkline::tables;

/// Generations kept: few, so that old ones go while the power does.
const KEEP: usize = 5;

#[test]
fn a_kill_at_any_moment_leaves_complete_generations() {
    let number = |name: &str, usual: u64| {
        let told = std::env::var(name).ok();
        told.map_or(usual, |text| text.parse().unwrap())
    };
    let (cuts, seed) = (number("CUTS", 40), number("SEED", 1));
    let mut site = Site::new(seed);
    for cut in 0..cuts {
        site.cut(cut);
    }
    println!(
        "power-cut: {cuts} kills (seed {seed}): {} while starting, {} in the middle of a change \
         ({} of them had come to serve), {} behind the answer; {} generations, none lost or \
         incomplete",
        site.starts_cut,
        site.unanswered,
        site.done_unanswered,
        site.answered,
        site.known.last().map_or(0, |last| last.number),
    );
    assert!(site.answered > 0, "no change was ever answered");
}

struct Site {
    folder: TempDir,
    chance: u64,
    /// What the table of a hash sends calls to.
    marks: HashMap<String, String>,
    /// The generations as they were before the power went.
    known: Vec<Generation>,
    /// Microseconds a change takes until it is answered, about.
    usual_us: u64,
    starts_cut: u64,
    unanswered: u64,
    done_unanswered: u64,
    answered: u64,
}

/// A change on its way, and what it would do.
struct Attempt {
    request: Request,
    cause: Cause,
    /// The table that would serve.
    sha256: String,
}

impl Site {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("tables/dids")).unwrap();
        let config = format!(
            "tables = \"tables\"\nworkers = 1\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
             transport = \"udp\"\nmode = \"redirect\"\n[log]\nfile = \"log\"\ndecisions = false\n\
             [state]\ndir = \"state\"\nkeep = {KEEP}\n[control]\nsocket = \"sock\"\n"
        );
        fs::write(folder.path().join("trunkline.toml"), config).unwrap();
        let mut site = Self {
            folder,
            chance: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            marks: HashMap::new(),
            known: Vec::new(),
            usual_us: 40_000,
            starts_cut: 0,
            unanswered: 0,
            done_unanswered: 0,
            answered: 0,
        };
        site.edit(0);
        site
    }

    /// A number below `end`; the same ones for the same seed.
    fn below(&mut self, end: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % end
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the operator's folder say something of its own, and gives its hash.
    fn edit(&mut self, variant: u64) -> String {
        let mark = format!("v{variant}.route");
        let table = format!(
            "[trunk_group.in]\naccept_from = [\"127.0.0.1\"]\ntrunks = [\"t\"]\n\
             [trunk.t]\naddress = \"sip:{mark}\"\n[did.users]\nfile = \"dids/users.csv\"\n\
             [[rule]]\nname = \"All\"\ncalled = [\"+*\", \"emergency\"]\nroute_to = [\"in\"]\n"
        );
        fs::write(self.at("tables/routing.toml"), table).unwrap();
        let rows: String = (0..500)
            .map(|row| format!("+4420{:06},in\n", row * 7 + variant))
            .collect();
        fs::write(
            self.at("tables/dids/users.csv"),
            format!("number,trunk_group\n{rows}"),
        )
        .unwrap();
        let hash = hash_of(&self.at("tables"));
        self.marks.insert(hash.clone(), mark);
        hash
    }

    fn spawn(&self) -> Server {
        let process = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["run", "--config"])
            .arg(self.at("trunkline.toml"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Server(process)
    }

    fn ask(&self, request: &Request) -> Option<Answer> {
        control::ask(&self.at("sock"), request).ok()
    }

    /// One life of the server, and its end.
    fn cut(&mut self, variant: u64) {
        let mut server = self.spawn();
        if self.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(self.below(60_000)));
            server.kill();
            self.starts_cut += 1;
            server = self.spawn();
        }
        let status = self.started();
        self.check(&status, None);
        let folder = self.edit(variant + 1);
        let attempt = self.attempt(&status, folder);
        let begun = Instant::now();
        let delay = Duration::from_micros(self.below(self.usual_us * 3 / 2 + 1));
        let socket = self.at("sock");
        let request = attempt.request.clone();
        let asking =
            std::thread::spawn(move || (control::ask(&socket, &request).ok(), begun.elapsed()));
        std::thread::sleep(delay);
        server.kill();
        let (answer, took) = asking.join().unwrap();
        if answer.is_some() {
            let took_us = u64::try_from(took.as_micros()).unwrap();
            self.usual_us = (self.usual_us * 7 + took_us) / 8 + 1;
            self.answered += 1;
        } else {
            // It may have taken longer than the usual one: look later the next time.
            self.usual_us += self.usual_us / 10;
            self.unanswered += 1;
        }
        // What the next start makes of it; that one is only looked at.
        let server = self.spawn();
        let after = self.started();
        self.check(&after, Some((&status, &attempt, answer.as_ref())));
        server.kill();
    }

    /// Some change that may be asked for now.
    fn attempt(&mut self, status: &Status, folder: String) -> Attempt {
        let confirm_s = match self.below(3) {
            0 if status.trial.is_none() => None,
            1 => Some(1),
            _ => Some(80_000),
        };
        let how = Change {
            confirm_s,
            message: Some(String::from("power cut")),
            force: false,
        };
        let table_of = |number: Option<u64>| {
            let found = self.known.iter().find(|kept| Some(kept.number) == number);
            found.map(|kept| (kept.number, kept.sha256.clone()))
        };
        let before = table_of(status.before);
        let oldest = self.known.first().map(|kept| kept.number);
        let oldest = table_of(oldest);
        match (self.below(6), before, oldest) {
            (0, Some((_, sha256)), _) => Attempt {
                request: Request::Undo(Change::default()),
                cause: Cause::Undo,
                sha256,
            },
            (1, _, Some((generation, sha256))) => Attempt {
                request: Request::Rollback { generation, how },
                cause: Cause::Rollback,
                sha256,
            },
            (2, ..) if status.trial.is_some() => Attempt {
                request: Request::Confirm {},
                cause: Cause::Start,
                sha256: String::new(),
            },
            _ => Attempt {
                request: Request::Reload(how),
                cause: Cause::Reload,
                sha256: folder,
            },
        }
    }

    /// What the server says once it answers.
    fn started(&self) -> Box<Status> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(Answer::Status(status)) = self.ask(&Request::Status {}) {
                return status;
            }
            let log = || fs::read_to_string(self.at("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "it does not start: {}", log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Holds what is there against what was there, and against what was tried since.
    fn check(&mut self, status: &Status, since: Option<(&Status, &Attempt, Option<&Answer>)>) {
        let Some(Answer::History { mut generations }) =
            self.ask(&Request::History { number: None })
        else {
            panic!("no history");
        };
        generations.reverse();
        let serving = generations.last().unwrap();
        self.calls_go_where(&serving.sha256);
        for kept in &generations {
            let folder = self.at("state/tables").join(&kept.sha256);
            assert_eq!(hash_of(&folder), kept.sha256, "gen {}", kept.number);
        }
        self.none_is_lost(&generations, status);
        let last = self.known.last().map_or(0, |last| last.number);
        let new: Vec<_> = generations
            .iter()
            .filter(|kept| kept.number > last)
            .cloned()
            .collect();
        if let Some((before, attempt, answer)) = since {
            self.it_was_made_or_not(&new, (before, status), attempt, answer);
        }
        self.known = generations;
    }

    fn calls_go_where(&self, sha256: &str) {
        let Some(Answer::Status(status)) = self.ask(&Request::Status {}) else {
            panic!("no status");
        };
        // A change on trial for a second may have come back since.
        if status.generation.sha256 != sha256 {
            return;
        }
        let server: SocketAddr = status.listening[0].parse().unwrap();
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        phone
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let me = phone.local_addr().unwrap();
        let invite = format!(
            "INVITE sip:+441@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK1;rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{me}>;tag=f\r\nTo: <sip:+441@{server}>\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:{me}>\r\nContent-Length: 0\r\n\r\n"
        );
        phone.send_to(invite.as_bytes(), server).unwrap();
        let mut room = [0; 4_096];
        let length = phone.recv(&mut room).unwrap();
        let answer = String::from_utf8_lossy(&room[..length]);
        let mark = format!("@{}", self.marks[sha256]);
        let Some(Answer::Status(now)) = self.ask(&Request::Status {}) else {
            panic!("no status");
        };
        if now.generation.number == status.generation.number {
            assert!(answer.contains(&mark), "{mark}: {answer}");
        }
    }

    /// Numbers grow by one, and the newest that were there still are.
    fn none_is_lost(&self, generations: &[Generation], status: &Status) {
        let newest = &generations[generations.len().saturating_sub(KEEP)..];
        for pair in newest.windows(2) {
            assert_eq!(pair[1].number, pair[0].number + 1);
        }
        let oldest = newest.first().unwrap().number;
        let should_be: Vec<_> = self.known.iter().filter(|k| k.number >= oldest).collect();
        for kept in should_be {
            assert!(generations.contains(kept), "gen {} is lost", kept.number);
        }
        if let Some(trial) = &status.trial {
            assert!(
                generations
                    .iter()
                    .any(|kept| kept.number == trial.return_to)
            );
        }
    }

    /// Of a change that was under way: all or nothing; all if it was answered.
    fn it_was_made_or_not(
        &mut self,
        new: &[Generation],
        (before, after): (&Status, &Status),
        attempt: &Attempt,
        answer: Option<&Answer>,
    ) {
        let is_it =
            |kept: &Generation| kept.cause == attempt.cause && kept.sha256 == attempt.sha256;
        let made = new.first().is_some_and(is_it);
        let mut rest = new.iter().skip(usize::from(made));
        // Behind it only what a start adds of itself, or a trial whose second was over.
        assert!(
            rest.all(|kept| matches!(kept.cause, Cause::Start | Cause::Return)) && new.len() <= 3,
            "{new:?}"
        );
        match answer {
            None => {
                self.done_unanswered += u64::from(made);
            }
            Some(Answer::Changed(changed)) => {
                assert!(made, "answered, and not there: {new:?}");
                assert_eq!(changed.generation, new[0]);
                let on_trial = changed.trial.as_ref().is_some_and(|trial| trial.left_s > 5);
                if on_trial {
                    assert_eq!(after.generation, new[0], "it is on trial");
                    assert!(after.trial.is_some());
                }
                if changed.held && changed.trial.is_none() {
                    assert_eq!(after.generation, new[0], "it is held");
                    assert!(after.held);
                }
            }
            Some(Answer::Confirmed { generation }) => {
                assert!(after.trial.is_none(), "confirmed, and on trial");
                assert_eq!(generation, &before.generation);
                assert!(!new.iter().any(|kept| kept.cause == Cause::Return));
            }
            Some(Answer::Unchanged { .. }) => assert!(!made),
            // The second of a trial may be over by now, or what was asked for is gone.
            Some(Answer::Refused(refused)) => {
                let allowed = [
                    "unknown_generation",
                    "nothing_on_trial",
                    "unconfirmed",
                    "stopping",
                ];
                assert!(allowed.contains(&&*refused.reason), "{refused:?}");
            }
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn hash_of(folder: &std::path::Path) -> String {
    let loaded = tables::load(folder);
    let table = loaded
        .table
        .unwrap_or_else(|| panic!("{}: {}", folder.display(), loaded.report.short()));
    table.hash().to_string()
}

/// A server that does not outlive the test, however that ends.
struct Server(Child);

impl Server {
    /// Ends it without a word.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
