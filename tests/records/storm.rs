//! Calls while the database and the server are killed and started again: every call is a row, a
//! counted drop, or was in memory at a kill; what was acknowledged is there, and nothing twice.
//!
//! `RECORDS_CALLS=1000000` makes so many calls; tests/storm/records does it.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use trunkline::records::{Spool, SpoolSettings, WhenFull};

use crate::cluster::Cluster;
use crate::phone::Phone;
use crate::program::{Program, until};

/// Calls that wait for their answer at a time: what the buffers of sockets hold.
const WINDOW: usize = 64;
const SINKS: [&str; 2] = ["db", "file"];

/// A caller that counts. No INVITE is sent twice: each has one decision, so one record.
struct Caller {
    phone: Phone,
    waiting: BTreeSet<usize>,
    answered: Vec<bool>,
    next: usize,
    /// Answered by the server that runs now.
    of_this_life: u64,
}

impl Caller {
    fn new(server: &Program) -> Self {
        Self {
            phone: Phone::new(server.address),
            waiting: BTreeSet::new(),
            answered: Vec::new(),
            next: 0,
            of_this_life: 0,
        }
    }

    /// The server was started again; what it had not answered is nobody's.
    fn meet(&mut self, server: &Program) {
        self.phone = Phone::new(server.address);
        let long = Some(Duration::from_secs(60));
        self.phone.socket.set_read_timeout(long).unwrap();
        self.waiting.clear();
        self.of_this_life = 0;
    }

    /// Makes calls until so many were made; `open` of them may still wait for their answer.
    fn call(&mut self, until: usize, open: usize) {
        self.answered.resize(until.max(self.answered.len()), false);
        let mut room = [0; 4_096];
        while self.next < until || self.waiting.len() > open {
            if self.next < until && self.waiting.len() < WINDOW {
                let id = format!("c{}", self.next);
                self.phone
                    .send(self.phone.invite("+442071838750", &id).as_bytes());
                self.waiting.insert(self.next);
                self.next += 1;
                continue;
            }
            let length = self.phone.socket.recv(&mut room).unwrap();
            let number = call_number(&room[..length]);
            if self.waiting.remove(&number) {
                self.answered[number] = true;
                self.of_this_life += 1;
            }
        }
    }
}

fn call_number(answer: &[u8]) -> usize {
    let text = std::str::from_utf8(answer).unwrap();
    assert!(text.starts_with("SIP/2.0 302 "), "{text}");
    let id = text.split("Call-ID: c").nth(1).unwrap();
    id.split('\r').next().unwrap().parse().unwrap()
}

/// What became of the records of one sink, call by call.
#[derive(Default)]
struct Ledger {
    /// Acknowledged when the server was killed.
    acknowledged: HashSet<usize>,
    /// In memory when it was: answered, and neither acknowledged nor counted.
    in_memory: u64,
    /// Counted as dropped before the sink or its spool: of lives that are over.
    missed: u64,
}

struct Storm {
    cluster: Cluster,
    server: Program,
    caller: Caller,
    ledgers: [Ledger; 2],
    kills: u32,
    outages: u32,
    open_at_kills: usize,
}

#[test]
fn every_call_is_a_row_or_is_counted_and_none_is_there_twice() {
    let wanted = std::env::var("RECORDS_CALLS").map_or(4_000, |text| text.parse().unwrap());
    let begun = Instant::now();
    let cluster = Cluster::new();
    let trunk = "127.0.0.1:9".parse().unwrap();
    let server = Program::run("redirect", &[trunk], &sinks(&cluster, 512));
    let caller = Caller::new(&server);
    let mut storm = Storm {
        cluster,
        server,
        caller,
        ledgers: Default::default(),
        kills: 0,
        outages: 0,
        open_at_kills: 0,
    };
    let part: usize = wanted / 10;
    // Enough that a spool of a megabyte is full.
    let calls = 9 * part + part.max(3_000);
    for round in 0..9 {
        let (from, to) = (round * part, (round + 1) * part);
        storm.caller.call(from + part / 3, WINDOW);
        match round {
            1 | 6 => storm.outage(from + part * 2 / 3, Cluster::stop),
            2 | 7 => storm.outage(from + part * 2 / 3, Cluster::kill),
            3 => storm.kill_quietly(),
            4 => storm.kill(),
            5 => {
                storm.cluster.kill();
                storm.kill();
                storm.caller.call(from + part * 2 / 3, WINDOW);
                storm.kill();
                storm.cluster.start();
            }
            8 => storm.restart(|_| {}),
            _ => {}
        }
        storm.caller.call(to, WINDOW);
    }
    storm.caller.call(9 * part, 0);
    storm.wait_until_told();
    until("the spool is empty", || storm.metric("waiting", "db") == 0);
    let before_the_drought = storm.rows("db");
    for (ledger, name) in storm.ledgers.iter().zip(SINKS) {
        let rows = storm.rows(name);
        let lost = ledger
            .acknowledged
            .iter()
            .filter(|call| !rows.contains(call));
        assert_eq!(lost.count(), 0, "{name}: acknowledged and not there");
    }
    // A spool with room for a few hundred records, and no database.
    storm.cluster.stop();
    let small = sinks(&storm.cluster, 1);
    storm.restart(|server| server.configure("redirect", &small));
    storm.caller.call(calls, 0);
    storm.wait_until_told();
    storm.cluster.start();
    until("the spool is empty", || storm.metric("waiting", "db") == 0);
    storm.account(calls, before_the_drought.len(), begun);
}

fn sinks(cluster: &Cluster, megabytes: u32) -> String {
    format!(
        "[[records.sink]]\nname = \"db\"\npostgres = \"{}\"\nspool_mb = {megabytes}\n\
         [[records.sink]]\nname = \"file\"\nfile = \"calls.ndjson\"\nrotate_mb = 1000000\n",
        cluster.way()
    )
}

impl Storm {
    fn metric(&self, name: &str, sink: &str) -> u64 {
        self.server
            .metric(&format!("trunkline_records_{name}{{sink=\"{sink}\"}}"))
    }

    /// What was counted before the sink had it.
    fn missed(&self, sink: &str) -> u64 {
        self.metric("missed_total", sink) + self.server.metric("trunkline_feed_dropped_total")
    }

    /// Until all that was answered is acknowledged by both sinks, or counted.
    fn wait_until_told(&self) {
        for sink in SINKS {
            until("all is acknowledged", || {
                let told = self.metric("acknowledged_total", sink) + self.missed(sink);
                told == self.caller.of_this_life
            });
        }
    }

    /// The database goes, calls go on, it comes back.
    fn outage(&mut self, calls: usize, go: fn(&mut Cluster)) {
        go(&mut self.cluster);
        self.caller.call(calls, WINDOW);
        self.cluster.start();
        self.outages += 1;
    }

    /// Killed while nothing is in memory: then nothing may be lost.
    fn kill_quietly(&mut self) {
        let open = self.caller.next;
        self.caller.call(open, 0);
        self.wait_until_told();
        let before: Vec<_> = self.ledgers.iter().map(|ledger| ledger.in_memory).collect();
        self.kill();
        let after: Vec<_> = self.ledgers.iter().map(|ledger| ledger.in_memory).collect();
        assert_eq!(before, after, "acknowledged records were lost");
    }

    /// Killed in the middle of calls.
    fn kill(&mut self) {
        let missed = SINKS.map(|sink| self.missed(sink));
        self.server.kill();
        self.kills += 1;
        self.open_at_kills += self.caller.waiting.len();
        // The database is asked, also where it is away when the server starts again.
        let is_away = !self.cluster.is_up();
        if is_away {
            self.cluster.start();
        }
        for (place, name) in SINKS.into_iter().enumerate() {
            let mut there = self.rows(name);
            if name == "db" {
                there.extend(spooled(&self.server.path("state/spool-db")));
            }
            let answered = self
                .caller
                .answered
                .iter()
                .filter(|answered| **answered)
                .count();
            let found = there
                .iter()
                .filter(|call| self.caller.answered[**call])
                .count();
            let ledger = &mut self.ledgers[place];
            ledger.missed += missed[place];
            let gone = (answered - found) as u64;
            // What an earlier life has lost or counted is lost for good.
            ledger.in_memory = gone.saturating_sub(ledger.missed);
            ledger.acknowledged = there;
        }
        if is_away {
            self.cluster.kill();
        }
        self.server.start();
        self.caller.meet(&self.server);
    }

    /// Stopped as it should be, and started again.
    fn restart(&mut self, meanwhile: impl FnOnce(&Program)) {
        let open = self.caller.next;
        self.caller.call(open, 0);
        self.wait_until_told();
        for (place, name) in SINKS.into_iter().enumerate() {
            self.ledgers[place].missed += self.missed(name);
        }
        self.server.stop();
        meanwhile(&self.server);
        self.server.start();
        self.caller.meet(&self.server);
    }

    /// The calls that have a row; none has two.
    fn rows(&self, sink: &str) -> HashSet<usize> {
        let ids: Vec<usize> = match sink {
            "file" => {
                let file = File::open(self.server.path("calls.ndjson")).unwrap();
                numbers(BufReader::new(file))
            }
            _ => {
                let ids = self.cluster.column("SELECT call_id FROM trunkline_records");
                ids.iter().map(|id| id[1..].parse().unwrap()).collect()
            }
        };
        let all = ids.len();
        let unique: HashSet<_> = ids.into_iter().collect();
        assert_eq!(unique.len(), all, "{sink}: a call is there twice");
        unique
    }

    fn account(mut self, calls: usize, before_the_drought: usize, begun: Instant) {
        let answered = self
            .caller
            .answered
            .iter()
            .filter(|answered| **answered)
            .count() as u64;
        println!(
            "records: {calls} calls, {answered} answered, {} open when the server was killed; \
             {} kills of the server, {} outages of the database, {:.0} s",
            self.open_at_kills,
            self.kills,
            self.outages + 2,
            begun.elapsed().as_secs_f64()
        );
        for (place, name) in SINKS.into_iter().enumerate() {
            let rows = self.rows(name);
            let written = rows
                .iter()
                .filter(|call| self.caller.answered[**call])
                .count() as u64;
            let dropped = self.metric("dropped_total", name);
            let unsure = self.metric("unsure_total", name);
            let missed = self.ledgers[place].missed + self.missed(name);
            let in_memory = self.ledgers[place].in_memory;
            println!(
                "records: {name}: {} rows ({written} of answered calls), {dropped} dropped, \
                 {unsure} unsure, {missed} missed, {in_memory} in memory at a kill",
                rows.len()
            );
            let sum = written + dropped + missed + in_memory;
            assert!(
                sum <= answered && answered <= sum + unsure,
                "{sum} of {answered}"
            );
            if name == "db" {
                assert!(dropped > 0, "the spool was never full");
                assert!(rows.len() > before_the_drought, "it never came back");
            } else {
                assert_eq!((dropped, unsure), (0, 0));
            }
        }
        self.server.stop();
    }
}

/// The calls of the records that a spool holds, read as the next start would.
fn spooled(folder: &Path) -> Vec<usize> {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let spool = Spool::open(SpoolSettings {
        folder: copy.path().to_owned(),
        bytes_max: 1 << 40,
        when_full: WhenFull::DropNewest,
        sync: Duration::from_secs(3_600),
    })
    .unwrap();
    let mut calls = Vec::new();
    while let Some(batch) = spool.take(1_000, Duration::ZERO).unwrap() {
        calls.extend(batch.records.iter().flat_map(|record| numbers(&record[..])));
        spool.confirm(&batch).unwrap();
    }
    calls
}

/// The calls of records in JSON.
fn numbers(lines: impl BufRead) -> Vec<usize> {
    let number = |line: String| {
        let id = line.split("\"call_id\":\"c").nth(1)?;
        Some(id.split('"').next().unwrap().parse().unwrap())
    };
    lines
        .lines()
        .filter_map(|line| number(line.unwrap()))
        .collect()
}
