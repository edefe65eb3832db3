//! The totals of a change.

use std::collections::BTreeMap;

use super::changes::Change;
use super::outcome::Kind;

/// What a change comes to. A number counts once in each total, however many kinds of calls
/// to it are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// From where to where, the most numbers first.
    pub flows: Vec<Flow>,
    /// By kind: listed numbers, and open prefixes.
    pub kinds: BTreeMap<Kind, (u64, usize)>,
    /// Listed numbers that move, in the sense of [`Kind::is_move`].
    pub moved: u64,
    /// Open prefixes that move; what is no number counts as one.
    pub moved_prefixes: usize,
    /// Listed numbers of which some call loses its last alternative route.
    pub lose_last_alternative: u64,
    /// Open prefixes of which some call does.
    pub prefixes_lose_last_alternative: usize,
}

/// Numbers whose calls go from one place to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// What it means.
    pub kind: Kind,
    /// Trunk group or refusal before.
    pub before: String,
    /// Trunk group or refusal after.
    pub after: String,
    /// Listed numbers.
    pub numbers: u64,
    /// Open prefixes.
    pub prefixes: usize,
}

impl Summary {
    pub(super) fn of(changes: &[Change]) -> Self {
        let mut summary = Self::default();
        let mut flows: BTreeMap<(Kind, String, String), (u64, usize)> = BTreeMap::new();
        for change in changes {
            let counted = (change.numbers, change.open_prefixes());
            let mut kinds: Vec<Kind> = change.lines.iter().map(|line| line.kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            for kind in &kinds {
                add(summary.kinds.entry(*kind).or_default(), counted);
            }
            if kinds.iter().any(|kind| kind.is_move()) {
                summary.moved = summary.moved.saturating_add(counted.0);
                summary.moved_prefixes += counted.1;
            }
            if change.lines.iter().any(|line| line.loses_last_alternative) {
                let total = &mut summary.lose_last_alternative;
                *total = total.saturating_add(counted.0);
                summary.prefixes_lose_last_alternative += counted.1;
            }
            let mut own: Vec<(Kind, String, String)> = change
                .lines
                .iter()
                .filter(|line| line.before.main() != line.after.main())
                .map(|line| {
                    let place = |outcome: &super::Outcome| match outcome.main() {
                        Some(group) => group.to_owned(),
                        None => outcome.to_string(),
                    };
                    (line.kind, place(&line.before), place(&line.after))
                })
                .collect();
            own.sort_unstable();
            own.dedup();
            for flow in own {
                add(flows.entry(flow).or_default(), counted);
            }
        }
        let flows = flows.into_iter();
        summary.flows = flows
            .map(|((kind, before, after), (numbers, prefixes))| Flow {
                kind,
                before,
                after,
                numbers,
                prefixes,
            })
            .collect();
        summary
            .flows
            .sort_by_key(|flow| (std::cmp::Reverse(flow.numbers), flow.kind));
        summary
    }
}

impl Change {
    /// How many open prefixes are concerned; what is no number counts as one.
    #[must_use]
    pub fn open_prefixes(&self) -> usize {
        self.prefixes.len() + usize::from(self.not_a_number)
    }
}

fn add(total: &mut (u64, usize), (numbers, prefixes): (u64, usize)) {
    total.0 = total.0.saturating_add(numbers);
    total.1 += prefixes;
}
