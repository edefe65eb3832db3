//! What holds of every ledger, whatever was done to it.

#![allow(clippy::unwrap_used)] // a test says so by failing

use super::{Boot, Cause, Clocks, Counts, Deadline, Generation, Ledger, Opening, Why};
use jiff::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

/// What may be done to a ledger.
#[derive(Clone, Debug)]
enum Step {
    Reload { table: u8, confirm: Option<u32> },
    Undo,
    Rollback { back: usize },
    Return,
    Confirm,
    Read,
    Prune { keep: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), proptest::option::of(1_u32..1_000))
            .prop_map(|(table, confirm)| Step::Reload { table, confirm }),
        1 => Just(Step::Undo),
        1 => (0_usize..20).prop_map(|back| Step::Rollback { back }),
        1 => Just(Step::Return),
        1 => Just(Step::Confirm),
        1 => Just(Step::Read),
        1 => (0_usize..6).prop_map(|keep| Step::Prune { keep }),
    ]
}

fn clocks(second: i64, boot: Option<(&str, u64)>) -> Clocks {
    Clocks {
        now: Timestamp::from_second(second).unwrap(),
        boot: boot.map(|(id, up_ms)| Boot {
            id: id.to_owned(),
            up_ms,
        }),
    }
}

fn generation(ledger: &Ledger, sha256: String, cause: Cause) -> Generation {
    Generation {
        number: ledger.next_number(),
        sha256,
        at: Timestamp::UNIX_EPOCH,
        by: String::from("test"),
        cause,
        table_of: None,
        message: None,
        counts: Counts::default(),
    }
}

fn digest(table: u8) -> String {
    format!("{table:064x}")
}

/// The ledger after a step; the same one where the step may not be taken.
fn taken(ledger: &Ledger, step: &Step) -> Ledger {
    let back = |target: &Generation, cause| {
        ledger.with(generation(ledger, target.sha256.clone(), cause), None)
    };
    match step {
        Step::Reload { table, confirm } => {
            if ledger.admits(confirm.is_some()).is_err() {
                return ledger.clone();
            }
            let deadline = confirm.map(|s| Deadline::after(s, &clocks(0, None)));
            ledger.with(generation(ledger, digest(*table), Cause::Reload), deadline)
        }
        Step::Undo => match ledger.before() {
            Some(target) => back(target, Cause::Undo),
            None => ledger.clone(),
        },
        Step::Rollback { back: at } => match ledger.generations().iter().rev().nth(*at) {
            Some(target) if ledger.admits(false).is_ok() => back(target, Cause::Rollback),
            _ => ledger.clone(),
        },
        Step::Return => match ledger.trial().and_then(|trial| ledger.get(trial.return_to)) {
            Some(target) => back(target, Cause::Return),
            None => ledger.clone(),
        },
        Step::Confirm => ledger.confirmed().unwrap_or_else(|| ledger.clone()),
        Step::Read => ledger.agreed().unwrap_or_else(|| ledger.clone()),
        Step::Prune { keep } => ledger.pruned(*keep),
    }
}

fn ledger() -> impl Strategy<Value = Ledger> {
    proptest::collection::vec(step(), 0..40)
        .prop_map(|steps| steps.iter().fold(Ledger::default(), |l, s| taken(&l, s)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_ledger_reads_back_as_it_was_written(ledger in ledger()) {
        let text = serde_json::to_string(&ledger).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    }

    #[test]
    fn what_may_be_needed_is_never_pruned(ledger in ledger(), keep in 0_usize..50) {
        let pruned = ledger.pruned(keep);
        prop_assert_eq!(pruned.serving(), ledger.serving());
        prop_assert_eq!(pruned.before(), ledger.before());
        prop_assert_eq!(pruned.trial(), ledger.trial());
        prop_assert_eq!(pruned.next_number(), ledger.next_number());
        prop_assert_eq!(pruned.is_held(), ledger.is_held());
        // One more than `keep` at most: what a trial returns to.
        prop_assert!(pruned.generations().len() <= keep.max(2) + 1);
        prop_assert_eq!(pruned.pruned(keep), pruned.clone());
        let newest = ledger.generations().iter().rev().take(keep);
        for generation in newest {
            prop_assert_eq!(pruned.get(generation.number), Some(generation));
        }
    }

    #[test]
    fn numbers_only_grow(ledger in ledger(), step in step()) {
        let next = taken(&ledger, &step);
        prop_assert!(next.next_number() >= ledger.next_number());
        if next.serving() != ledger.serving() {
            prop_assert_eq!(next.serving().unwrap().number, ledger.next_number());
        }
    }

    #[test]
    fn a_trial_ends_by_confirming_or_by_going_back(ledger in ledger(), step in step()) {
        let next = taken(&ledger, &step);
        if let Some(trial) = ledger.trial() {
            let target = ledger.get(trial.return_to).unwrap().sha256.clone();
            match next.trial() {
                // However many trials follow each other, they go back to the same table.
                Some(still) => prop_assert_eq!(still.return_to, trial.return_to),
                None if matches!(step, Step::Confirm) => {
                    prop_assert_eq!(next.serving(), ledger.serving());
                }
                None => prop_assert_eq!(&next.serving().unwrap().sha256, &target),
            }
        }
    }

    #[test]
    fn a_start_serves_what_was_served_or_what_was_promised(
        ledger in ledger(),
        second in 0_i64..2_000,
    ) {
        let now = clocks(second, None);
        match ledger.opening(&now) {
            Opening::Return { to } => {
                let trial = ledger.trial().unwrap();
                prop_assert_eq!(to, trial.return_to);
                prop_assert!(second >= i64::from(trial.deadline.seconds));
            }
            Opening::Kept(Why::OnTrial) => {
                let trial = ledger.trial().unwrap();
                prop_assert!(second < i64::from(trial.deadline.seconds));
            }
            Opening::Kept(Why::Held) => {
                let cause = ledger.serving().unwrap().cause;
                prop_assert!(!matches!(cause, Cause::Reload | Cause::Start));
                prop_assert!(ledger.trial().is_none());
                // Reading the folder ends it.
                let read = ledger.with(generation(&ledger, digest(7), Cause::Reload), None);
                prop_assert_eq!(read.opening(&now), Opening::Folder);
            }
            Opening::Folder => {
                prop_assert!(ledger.trial().is_none() && !ledger.is_held());
            }
        }
    }

    #[test]
    fn two_undos_bring_back_what_was_undone(ledger in ledger()) {
        let settled = ledger.confirmed().unwrap_or(ledger);
        let once = taken(&settled, &Step::Undo);
        let twice = taken(&once, &Step::Undo);
        let sha256 = |ledger: &Ledger| ledger.serving().map(|last| last.sha256.clone());
        if settled.before().is_some() {
            prop_assert_eq!(sha256(&once), settled.before().map(|g| g.sha256.clone()));
        }
        prop_assert_eq!(sha256(&twice), sha256(&settled));
    }

    #[test]
    fn a_deadline_does_not_mind_the_time_of_day_while_the_machine_runs(
        begun in 0_i64..4_000_000_000,
        up_ms in 0_u64..1 << 40,
        seconds in 1_u32..86_400,
        passed_ms in 0_u64..200_000_000,
        jumped in 0_i64..4_000_000_000,
    ) {
        let deadline = Deadline::after(seconds, &clocks(begun, Some(("a", up_ms))));
        let later = clocks(jumped, Some(("a", up_ms + passed_ms)));
        let whole = u64::from(seconds) * 1_000;
        let left = Duration::from_millis(whole.saturating_sub(passed_ms));
        prop_assert_eq!(deadline.left(&later), left);
    }

    #[test]
    fn a_deadline_survives_a_restart_of_the_machine(
        begun in 0_i64..4_000_000_000,
        seconds in 1_u32..86_400,
        passed in -4_000_000_000_i64..4_000_000_000,
        up_ms in 0_u64..1 << 40,
    ) {
        let deadline = Deadline::after(seconds, &clocks(begun, Some(("a", 1 << 40))));
        let left = deadline.left(&clocks(begun + passed, Some(("b", up_ms))));
        let whole = i64::from(seconds);
        prop_assert_eq!(left.as_secs() as i64, (whole - passed).clamp(0, whole));
        prop_assert_eq!(deadline.left(&clocks(begun + passed, None)), left);
    }
}

#[test]
fn a_ledger_that_makes_no_sense_is_not_read() {
    let good = Ledger::default();
    let first = good.with(generation(&good, digest(1), Cause::Start), None);
    let deadline = Deadline::after(300, &clocks(0, None));
    let second = first.with(generation(&first, digest(2), Cause::Reload), Some(deadline));
    let text = serde_json::to_string(&second).unwrap();
    assert!(serde_json::from_str::<Ledger>(&text).is_ok());
    for (from, to) in [
        ("\"return_to\":1", "\"return_to\":7"),
        ("\"return_to\":1", "\"return_to\":2"),
        ("\"number\":2", "\"number\":1"),
        (&*digest(2), "../../../../etc"),
        ("\"seconds\":300", "\"seconds\":-1"),
        ("1970-01-01T00:05:00Z", "soon"),
        ("\"cause\":\"reload\"", "\"cause\":\"whim\""),
        ("{\"generations\"", "{\"generation\""),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        assert!(serde_json::from_str::<Ledger>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn a_draft_is_one_also_when_it_is_called_back() {
    let number = |ledger: &Ledger, table_of| Generation {
        table_of,
        ..generation(ledger, digest(2), Cause::Undo)
    };
    let none = Ledger::default();
    let folder = none.with(generation(&none, digest(1), Cause::Start), None);
    assert!(!folder.is_drafted() && !folder.is_held());
    let draft = folder.with(generation(&folder, digest(2), Cause::Draft), None);
    assert!(draft.is_drafted() && draft.is_held());
    assert_eq!(draft.folder_sha256(), Some(&*digest(1)));
    let undone = draft.with(
        Generation {
            table_of: Some(1),
            ..generation(&draft, digest(1), Cause::Undo)
        },
        None,
    );
    assert!(!undone.is_drafted() && !undone.is_held());
    let again = undone.with(number(&undone, Some(2)), None);
    assert!(again.is_drafted() && again.is_held());
    // The folder has it: nothing is in its place any more.
    let home = again.agreed().unwrap_or_default();
    assert!(!home.is_held());
    // A ledger that speaks of itself ends the search all the same.
    let circle = again.with(number(&again, Some(9)), None);
    assert!(!circle.is_drafted());
}
