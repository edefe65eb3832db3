#![allow(clippy::unwrap_used)] // a test may fail loudly
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn settings(folder: &Path, bytes_max: u64, when_full: WhenFull) -> SpoolSettings {
    SpoolSettings {
        folder: folder.join("spool"),
        bytes_max,
        when_full,
        sync: Duration::from_secs(3_600),
    }
}

fn open(folder: &Path) -> Spool {
    Spool::open(settings(folder, 64 << 20, WhenFull::DropOldest)).unwrap()
}

fn record(number: usize) -> Vec<u8> {
    format!("{{\"n\":{number}{}}}", " ".repeat(number % 61)).into_bytes()
}

fn all(spool: &Spool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(batch) = spool.take(100, Duration::ZERO).unwrap() {
        spool.confirm(&batch).unwrap();
        all.extend(batch.records);
    }
    all
}

#[test]
fn what_was_appended_is_taken_in_order_also_by_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<_> = (0..1_000).map(record).collect();
    let spool = open(folder.path());
    spool.append(7, &records).unwrap();
    let batch = spool.take(100, Duration::ZERO).unwrap().unwrap();
    assert_eq!(batch.records, records[..100]);
    assert_eq!(
        spool.take(1, Duration::ZERO).unwrap(),
        None,
        "one batch at a time"
    );
    spool.confirm(&batch).unwrap();
    let batch = spool.take(100, Duration::ZERO).unwrap().unwrap();
    spool.give_back(&batch, true);
    assert_eq!(spool.standing().oldest_ms, Some(7));
    let busy = Spool::open(settings(folder.path(), 64 << 20, WhenFull::DropOldest));
    assert!(busy.is_err(), "opened twice");
    drop(spool);
    let spool = open(folder.path());
    assert_eq!(spool.standing().waiting, 900);
    assert_eq!(spool.standing().delivered, 100);
    assert_eq!(spool.standing().oldest_ms, Some(7));
    assert_eq!(all(&spool), records[100..]);
    assert_eq!(spool.standing().oldest_ms, None);
    spool.append(8, &records[..3]).unwrap();
    assert_eq!(all(&spool), records[..3]);
}

/// Killed at any byte: every record that was whole is there, and no other.
#[test]
fn a_tail_torn_at_any_byte_loses_nothing_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<_> = (0..12).map(record).collect();
    let spool = open(folder.path());
    spool.append(1, &records).unwrap();
    drop(spool);
    let file = path(&folder.path().join("spool"), 1);
    let bytes = fs::read(&file).unwrap();
    let mut ends = vec![MAGIC.len()];
    for record in &records {
        ends.push(ends.last().unwrap() + FRAME_HEAD_BYTES + record.len());
    }
    assert_eq!(ends.last(), Some(&bytes.len()));
    for length in 0..=bytes.len() {
        fs::write(&file, &bytes[..length]).unwrap();
        let whole = ends
            .iter()
            .filter(|end| **end <= length)
            .count()
            .saturating_sub(1);
        let spool = open(folder.path());
        // What comes behind the torn tail is read as well.
        spool.append(2, &records[..1]).unwrap();
        let mut expected = records[..whole].to_vec();
        expected.push(records[0].clone());
        assert_eq!(all(&spool), expected, "cut at {length}");
        drop(spool);
        let _ = fs::remove_dir_all(folder.path().join("spool"));
        fs::create_dir(folder.path().join("spool")).unwrap();
    }
}

#[test]
fn a_byte_that_flipped_ends_what_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<_> = (0..3).map(record).collect();
    drop(open(folder.path()));
    let file = path(&folder.path().join("spool"), 1);
    let mut whole = MAGIC.to_vec();
    records.iter().for_each(|r| frame::write(1, r, &mut whole));
    let first = MAGIC.len() + FRAME_HEAD_BYTES + records[0].len();
    for at in first..first + FRAME_HEAD_BYTES + records[1].len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let _ = fs::remove_file(folder.path().join("spool/mark"));
        let spool = open(folder.path());
        assert_eq!(all(&spool), records[..1], "byte {at}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Take { most: usize, arrives: bool },
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..400).prop_map(Step::Append),
        3 => (1_usize..300, prop::bool::weighted(0.8))
            .prop_map(|(most, arrives)| Step::Take { most, arrives }),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever happens in whatever order, and whichever end a full spool drops: every record
    /// was delivered, or counted as dropped, or waits; those that come, come in order; and the
    /// disk has no more than it may.
    #[test]
    fn delivered_and_dropped_and_waiting_are_all(
        steps in prop::collection::vec(step(), 1..60),
        drops_newest in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let when_full = if drops_newest { WhenFull::DropNewest } else { WhenFull::DropOldest };
        let wanted = settings(folder.path(), 60_000, when_full);
        let mut spool = Spool::open(wanted.clone()).unwrap();
        let (mut made, mut seen) = (0_usize, VecDeque::new());
        for step in steps {
            match step {
                Step::Append(count) => {
                    let records: Vec<_> = (made..made + count).map(record).collect();
                    spool.append(1, &records).unwrap();
                    made += count;
                }
                Step::Take { most, arrives } => {
                    if let Some(batch) = spool.take(most, Duration::ZERO).unwrap() {
                        if arrives {
                            spool.confirm(&batch).unwrap();
                            seen.extend(batch.records);
                        } else {
                            spool.give_back(&batch, true);
                        }
                    }
                }
                Step::Kill => {
                    drop(spool);
                    spool = Spool::open(wanted.clone()).unwrap();
                }
            }
            let standing = spool.standing();
            prop_assert!(standing.bytes <= 60_000 + MAGIC.len() as u64, "{standing:?}");
            prop_assert_eq!(standing.delivered, seen.len() as u64);
            let sum = standing.delivered + standing.dropped + standing.unsure + standing.waiting;
            prop_assert_eq!(sum, made as u64, "{:?}", standing);
        }
        seen.extend(all(&spool));
        let numbers: Vec<usize> = seen.iter().map(|record| {
            let text = String::from_utf8(record.clone()).unwrap();
            text.trim_start_matches("{\"n\":").trim_end_matches('}').trim_end().parse().unwrap()
        }).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice");
        prop_assert!(numbers.iter().all(|number| *number < made));
    }
}
