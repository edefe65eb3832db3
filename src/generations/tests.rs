//! Generations on a real disk, over restarts.

#![allow(clippy::unwrap_used)] // a test says so by failing

use super::{Asked, Denied, Generations, Keeping, NoArchive, OpenError, Opened};
use crate::ledger::Cause;
use crate::tables::Reload;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A machine: an operator's folder and a state folder.
struct Site {
    folder: TempDir,
    keep: usize,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            keep: 10,
        };
        fs::create_dir_all(site.tables().join("dids")).unwrap();
        site.edit("a");
        site
    }

    fn tables(&self) -> PathBuf {
        self.folder.path().join("tables")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Has the operator's folder say that numbers go to group `to`.
    fn edit(&self, to: &str) {
        self.write(&format!(
            "[trunk_group.in]\naccept_from = [\"127.0.0.1\"]\ntrunks = [\"t\"]\n\
             [trunk_group.{to}]\ntrunks = [\"t\"]\n[trunk.t]\naddress = \"sip:127.0.0.1\"\n\
             [did.users]\nfile = \"dids/users.csv\"\n\
             [[rule]]\nname = \"All\"\ncalled = [\"did:*\", \"emergency\"]\nroute_to = [\"{to}\"]\n\
             [policy]\nmax_moved_numbers = 1\n"
        ));
        let rows = "number,trunk_group\n+441,in\n+442,in\n";
        fs::write(self.tables().join("dids/users.csv"), rows).unwrap();
    }

    fn write(&self, text: &str) {
        fs::write(self.tables().join("routing.toml"), text).unwrap();
    }

    fn try_open(&self) -> Result<(Generations, Opened), OpenError> {
        let keeping = Keeping {
            folder: Some(self.state()),
            keep: self.keep,
        };
        Generations::open(&self.tables(), &keeping)
    }

    fn open(&self) -> (Generations, Vec<String>) {
        let (generations, opened) = self.try_open().unwrap();
        (generations, opened.remarks)
    }

    fn kept_tables(&self) -> usize {
        fs::read_dir(self.state().join("tables")).unwrap().count()
    }
}

/// The group that numbers go to, and the generation.
fn serving(generations: &Generations) -> (String, u64) {
    let table = generations.store().current();
    let group = table.groups().iter().find(|group| &*group.name != "in");
    let number = generations.ledger().serving().unwrap().number;
    assert_eq!(number, table.generation());
    (group.unwrap().name.to_string(), number)
}

#[track_caller]
fn serves(generations: &Generations, group: &str, number: u64) {
    assert_eq!(serving(generations), (group.to_owned(), number));
}

fn forced() -> Asked {
    Asked {
        force: true,
        ..Asked::by("test")
    }
}

fn on_trial(seconds: u32) -> Asked {
    Asked {
        confirm_s: Some(seconds),
        message: Some(String::from("wave 3")),
        ..forced()
    }
}

#[track_caller]
fn swapped(outcome: &Result<Reload, Denied>) {
    assert!(matches!(outcome, Ok(Reload::Swapped { .. })), "{outcome:?}");
}

#[test]
fn a_start_is_no_change_when_the_folder_says_the_same() {
    let site = Site::new();
    serves(&site.open().0, "a", 1);
    serves(&site.open().0, "a", 1);
    site.edit("b");
    serves(&site.open().0, "b", 2);
    let (generations, remarks) = site.open();
    assert_eq!(remarks, [""; 0]);
    swapped(&{
        site.edit("c");
        generations.reload(&forced())
    });
    let ledger = generations.ledger();
    let by: Vec<_> = ledger
        .generations()
        .iter()
        .map(|kept| (kept.number, &*kept.by, kept.cause))
        .collect();
    assert_eq!(
        by,
        [
            (1, "start", Cause::Start),
            (2, "start", Cause::Start),
            (3, "test", Cause::Reload)
        ]
    );
    assert_eq!(ledger.serving().unwrap().counts.dids, 2);
    assert_eq!(ledger.serving().unwrap().counts.files, 2);
}

#[test]
fn an_undo_outlives_a_restart_until_the_folder_is_read_again() {
    let site = Site::new();
    let (generations, _) = site.open();
    assert_eq!(
        generations.undo(&forced()).unwrap_err(),
        Denied::NothingBefore
    );
    site.edit("b");
    swapped(&generations.reload(&forced()));
    swapped(&generations.undo(&Asked::by("klein")));
    serves(&generations, "a", 3);
    drop(generations);
    site.edit("c");
    let (generations, remarks) = site.open();
    serves(&generations, "a", 3);
    assert!(
        remarks[0].contains("gen 3 serves (undo by klein") && remarks[0].contains("NOT the table"),
        "{remarks:?}"
    );
    swapped(&generations.reload(&forced()));
    serves(&generations, "c", 4);
    drop(generations);
    assert_eq!(site.open().1, [""; 0]);
    // Undone twice, the table of the folder serves again: nothing is held.
    let (generations, _) = site.open();
    swapped(&generations.undo(&forced()));
    swapped(&generations.undo(&forced()));
    serves(&generations, "c", 6);
    assert!(!generations.ledger().is_held());
}

#[test]
fn what_nobody_confirms_is_taken_back() {
    let site = Site::new();
    let (generations, _) = site.open();
    site.edit("b");
    swapped(&generations.reload(&on_trial(1)));
    serves(&generations, "b", 2);
    assert!(generations.return_if_due().is_none());
    let plain = generations.reload(&forced());
    assert_eq!(plain.unwrap_err(), Denied::Unconfirmed { generation: 2 });
    site.edit("c");
    swapped(&generations.reload(&on_trial(1)));
    std::thread::sleep(Duration::from_millis(1_050));
    let outcome = generations.return_if_due();
    assert!(
        matches!(outcome, Some(Reload::Swapped { .. })),
        "{outcome:?}"
    );
    serves(&generations, "a", 4);
    let ledger = generations.ledger();
    let last = ledger.serving().unwrap();
    assert_eq!((&*last.by, last.cause), ("deadline", Cause::Return));
    assert_eq!(last.table_of, Some(1));
    assert_eq!(
        generations.confirm().unwrap_err(),
        Denied::NothingOnTrial { generation: 4 }
    );
    assert!(generations.return_if_due().is_none());
}

#[test]
fn a_deadline_outlives_the_process() {
    let site = Site::new();
    let (generations, _) = site.open();
    site.edit("b");
    swapped(&generations.reload(&on_trial(2)));
    drop(generations);
    site.edit("c");
    let (generations, remarks) = site.open();
    serves(&generations, "b", 2);
    assert!(remarks[0].contains("returns to gen 1 at "), "{remarks:?}");
    let left = generations.trial_left().unwrap();
    assert!(
        left <= Duration::from_secs(2) && !left.is_zero(),
        "{left:?}"
    );
    drop(generations);
    std::thread::sleep(Duration::from_millis(2_050));
    let (generations, remarks) = site.open();
    serves(&generations, "a", 3);
    assert!(
        remarks[0].contains("gen 2 was not confirmed in time"),
        "{remarks:?}"
    );
    drop(generations);
    serves(&site.open().0, "a", 3);
}

#[test]
fn what_is_confirmed_stays() {
    let site = Site::new();
    let (generations, _) = site.open();
    site.edit("b");
    swapped(&generations.reload(&on_trial(1)));
    let confirmed = generations.confirm().unwrap().unwrap();
    assert_eq!(confirmed.number, 2);
    assert_eq!(confirmed.message.as_deref(), Some("wave 3"));
    std::thread::sleep(Duration::from_millis(1_050));
    assert!(generations.return_if_due().is_none());
    drop(generations);
    let (generations, remarks) = site.open();
    serves(&generations, "b", 2);
    assert_eq!(remarks, [""; 0]);
}

#[test]
fn a_trial_is_undone_at_once() {
    let site = Site::new();
    let (generations, _) = site.open();
    for to in ["b", "c"] {
        site.edit(to);
        swapped(&generations.reload(&on_trial(300)));
    }
    swapped(&generations.undo(&Asked::by("test")));
    serves(&generations, "a", 4);
    assert!(generations.trial_left().is_none());
}

#[test]
fn gates_ask_about_a_rollback_but_not_about_an_undo() {
    let site = Site::new();
    let (generations, _) = site.open();
    site.edit("b");
    let refused = generations.reload(&Asked::by("test"));
    let Ok(Reload::Refused { report, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(report.short().contains("T035"), "{}", report.short());
    let forced_through = generations.reload(&forced());
    let Ok(Reload::Swapped { report, .. }) = forced_through else {
        panic!("{forced_through:?}");
    };
    assert!(report.short().contains(", forced"), "{}", report.short());
    assert!(matches!(
        generations.rollback(1, &Asked::by("test")),
        Ok(Reload::Refused { .. })
    ));
    swapped(&generations.rollback(1, &forced()));
    serves(&generations, "a", 3);
    swapped(&generations.undo(&Asked::by("test")));
    serves(&generations, "b", 4);
    assert_eq!(
        generations.rollback(9, &forced()).unwrap_err(),
        Denied::Unknown {
            generation: 9,
            kept: (1, 4)
        }
    );
    assert!(matches!(
        generations.rollback(4, &forced()),
        Ok(Reload::Unchanged { generation: 4 })
    ));
}

#[test]
fn what_cannot_be_kept_does_not_serve() {
    let site = Site::new();
    let (generations, _) = site.open();
    let (tables, aside) = (site.state().join("tables"), site.state().join("aside"));
    fs::rename(&tables, &aside).unwrap();
    fs::write(&tables, "no folder").unwrap();
    site.edit("b");
    let outcome = generations.reload(&forced());
    assert!(
        matches!(&outcome, Ok(Reload::NotMade { generation: 1, cause }) if cause.contains("cannot be kept")),
        "{outcome:?}"
    );
    serves(&generations, "a", 1);
    fs::remove_file(&tables).unwrap();
    fs::rename(&aside, &tables).unwrap();
    swapped(&generations.reload(&forced()));
    serves(&generations, "b", 2);
}

#[test]
fn a_broken_folder_does_not_silence_a_server_that_has_served() {
    let site = Site::new();
    site.write("no table");
    assert!(matches!(site.try_open(), Err(OpenError::Table(_))));
    site.edit("a");
    drop(site.open());
    site.write("no table");
    let (generations, opened) = site.try_open().unwrap();
    serves(&generations, "a", 1);
    assert!(opened.refused.unwrap().has_errors());
    assert!(opened.remarks[0].contains("gen 1 serves, which served last"));
}

#[test]
fn damaged_files_are_not_served() {
    let site = Site::new();
    let (generations, _) = site.open();
    site.edit("b");
    swapped(&generations.reload(&forced()));
    let (kept, folder) = generations.files_of(1).unwrap();
    assert_eq!(kept.number, 1);
    let list = folder.join("dids/users.csv");
    fs::write(&list, "number,trunk_group\n+441,in\n").unwrap();
    let outcome = generations.undo(&forced());
    assert!(
        matches!(&outcome, Ok(Reload::NotMade { cause, .. }) if cause.contains("damaged")),
        "{outcome:?}"
    );
    serves(&generations, "b", 2);
    // A trial whose way back is damaged ends where it is, and the way back is not sought for ever.
    site.edit("c");
    swapped(&generations.reload(&on_trial(1)));
    let (_, folder) = generations.files_of(2).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    std::thread::sleep(Duration::from_millis(1_050));
    assert!(matches!(
        generations.return_if_due(),
        Some(Reload::Refused { .. })
    ));
    serves(&generations, "c", 3);
    assert!(generations.return_if_due().is_none());
}

#[test]
fn a_state_folder_belongs_to_one_process() {
    let site = Site::new();
    let first = site.open();
    let second = site.try_open();
    assert!(matches!(
        second,
        Err(OpenError::State(NoArchive::InUse { .. }))
    ));
    drop(first);
    site.open();
}

#[test]
fn a_history_that_cannot_be_read_is_set_aside() {
    let site = Site::new();
    drop(site.open());
    fs::write(site.state().join("ledger.json"), "{\"generations\": [").unwrap();
    let (generations, remarks) = site.open();
    serves(&generations, "a", 1);
    assert!(remarks[0].contains("ledger.damaged.json"), "{remarks:?}");
    assert!(site.state().join("ledger.damaged.json").exists());
    let aside = fs::read_dir(site.state().join("tables.damaged")).unwrap();
    assert_eq!(aside.count(), 1);
    drop(generations);
    assert_eq!(site.open().1, [""; 0]);
}

#[test]
fn old_tables_go_and_equal_ones_are_kept_once() {
    let site = Site {
        keep: 3,
        ..Site::new()
    };
    let (generations, _) = site.open();
    for to in ["b", "c", "b", "c", "b", "c"] {
        site.edit(to);
        swapped(&generations.reload(&forced()));
    }
    let numbers = |generations: &Generations| -> Vec<u64> {
        let ledger = generations.ledger();
        ledger
            .generations()
            .iter()
            .map(|kept| kept.number)
            .collect()
    };
    assert_eq!(numbers(&generations), [5, 6, 7]);
    assert_eq!(site.kept_tables(), 2);
    // What a power cut leaves is swept away at the next start.
    drop(generations);
    let tables = site.state().join("tables");
    for rubbish in [".new-1234/dids", ".gone-1234", "1234"] {
        fs::create_dir_all(tables.join(rubbish)).unwrap();
    }
    serves(&site.open().0, "c", 7);
    assert_eq!(site.kept_tables(), 2);
}

#[test]
fn without_a_state_folder_nothing_comes_back() {
    let site = Site::new();
    let (generations, _) = Generations::open(&site.tables(), &Keeping::default()).unwrap();
    site.edit("b");
    assert_eq!(
        generations.reload(&on_trial(9)).unwrap_err(),
        Denied::NoState
    );
    swapped(&generations.reload(&forced()));
    serves(&generations, "b", 2);
    assert_eq!(generations.undo(&forced()).unwrap_err(), Denied::NoState);
    assert_eq!(
        generations.rollback(1, &forced()).unwrap_err(),
        Denied::NoState
    );
    assert_eq!(generations.files_of(1).unwrap_err(), Denied::NoState);
    assert_eq!(generations.ledger().generations().len(), 2);
}
