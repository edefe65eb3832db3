//! Regions with the same differences become changes that people can read.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::decide::{Cell, CellsId, Decided, Decisions, SAME};
use super::facts::{Fact, Facts, add_set};
use super::numbers::{Named, NumberSpace, Plane, Region};
use super::outcome::{Kind, Outcome};
use super::{Side, TooComplex};
use crate::routing::dial_plan::{DEFAULT_EMERGENCY, DialPlan};
use crate::routing::prefix_map::Remaining;
use crate::routing::{Caller, GroupId, Number, RoutingTable, RuleId};

/// Called numbers for which the same changes.
#[derive(Debug)]
pub struct Change {
    /// For which calls to them something changes, the gravest first.
    pub lines: Vec<Line>,
    /// Listed numbers, as ranges in rising order; shorter numbers first.
    pub ranges: Vec<Range>,
    /// How many listed numbers there are.
    pub numbers: u64,
    /// Prefixes: every number under them that no table lists.
    pub prefixes: Vec<OpenPrefix>,
    /// Whether calls to what is no number (`sip:alice@…`) are among them.
    pub not_a_number: bool,
    /// Every open prefix with these differences, those that `prefixes` leaves out too.
    pub(super) open: Vec<Option<Number>>,
}

/// Listed numbers that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: Number,
    /// The last; of the same length.
    pub last: Number,
    /// How many.
    pub numbers: u64,
    /// The DID row of the first number in the table before.
    pub row_before: Option<RowPlace>,
    /// The DID row of the first number in the table after.
    pub row_after: Option<RowPlace>,
}

/// Where a DID row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPlace {
    /// File, relative to the table's folder.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: u32,
}

/// What begins with a prefix and is listed nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPrefix {
    /// The prefix; `None` is every number.
    pub prefix: Option<Number>,
    /// Longer prefixes for which something else or nothing changes.
    pub except: Vec<Number>,
}

/// Calls for which the same changes.
#[derive(Debug)]
pub struct Line {
    /// Trunk groups they arrive on.
    pub from: Vec<Box<str>>,
    /// Whether these are all groups that calls can arrive on.
    pub from_all: bool,
    /// What else is true of them, in words; empty when nothing is asked.
    pub when: Vec<String>,
    /// What the change means.
    pub kind: Kind,
    /// What became of them.
    pub before: Outcome,
    /// What becomes of them.
    pub after: Outcome,
    /// The rule that decided, and its place; `None` when none applied.
    pub rule_before: Option<(Box<str>, String)>,
    /// The rule that decides.
    pub rule_after: Option<(Box<str>, String)>,
    /// Whether they had an alternative route and have none any more.
    pub loses_last_alternative: bool,
    /// One of these calls: caller, host, label and hour.
    pub example: (Caller, Vec<u8>, Vec<u8>, Timestamp),
    pub(super) cell: Cell,
}

/// Arrival groups that no rule and no emergency number tells apart.
pub(super) struct Arriving {
    pub(super) ids: [GroupId; 2],
    pub(super) names: Vec<Box<str>>,
}

type ProfileId = usize;
/// What differs on which arrival groups.
type Profile = Vec<(CellsId, Vec<usize>)>;

/// Two tables, compared.
pub(super) struct Comparison<'t> {
    tables: [&'t RoutingTable; 2],
    facts: &'t Facts,
    /// By name.
    rules: [BTreeMap<&'t str, RuleId>; 2],
    pub(super) arriving: Vec<Arriving>,
    decisions: Decisions<'t>,
    profiles: Vec<Profile>,
    known_profiles: BTreeMap<Profile, ProfileId>,
    ranges: BTreeMap<ProfileId, Vec<(Plane, u128, u128)>>,
    open: BTreeMap<Option<Number>, ProfileId>,
    /// The nearest prefix above each.
    above: BTreeMap<Number, Option<Number>>,
    not_a_number: ProfileId,
}

/// The profile without a difference.
const NONE: ProfileId = 0;

impl<'t> Comparison<'t> {
    pub(super) fn new(tables: [&'t RoutingTable; 2], facts: &'t Facts) -> Result<Self, TooComplex> {
        let mut comparison = Self {
            tables,
            facts,
            rules: tables.map(|table| {
                let rules = table.rules().iter().zip((0..).map(RuleId));
                rules.map(|(rule, id)| (&*rule.name, id)).collect()
            }),
            arriving: arriving(tables),
            decisions: Decisions::new(tables, facts),
            profiles: vec![Profile::new()],
            known_profiles: BTreeMap::from([(Profile::new(), NONE)]),
            ranges: BTreeMap::new(),
            open: BTreeMap::new(),
            above: BTreeMap::new(),
            not_a_number: NONE,
        };
        comparison.not_a_number = comparison.profile(None)?;
        comparison.look_at_numbers()?;
        Ok(comparison)
    }

    fn look_at_numbers(&mut self) -> Result<(), TooComplex> {
        let dids = self.tables.map(RoutingTable::dids).to_vec();
        let mut space = NumberSpace::new(dids, named(self.tables));
        let mut classes: BTreeMap<Vec<u32>, ProfileId> = BTreeMap::new();
        let mut failed = None;
        space.each(|region, number, key| {
            let profile = match classes.get(key) {
                Some(known) => *known,
                None => match self.profile(Some(*number)) {
                    Ok(profile) => {
                        classes.insert(key.to_vec(), profile);
                        profile
                    }
                    Err(error) => {
                        failed = failed.or(Some(error));
                        return;
                    }
                },
            };
            self.add(region, profile);
        });
        for prefix in self.open.keys().flatten() {
            let above = |prefix: &Number| space.parent(prefix);
            let present = |prefix: &Number| self.open.contains_key(&Some(*prefix));
            // One under which there is no number at all has nothing to say.
            let mut parent = above(prefix);
            while let Some(one) = parent.filter(|one| !present(one)) {
                parent = above(&one);
            }
            self.above.insert(*prefix, parent);
        }
        failed.map_or(Ok(()), Err)
    }

    fn add(&mut self, region: Region, profile: ProfileId) {
        match region {
            Region::Open(prefix) => {
                self.open.insert(prefix, profile);
            }
            Region::Listed { .. } if profile == NONE => {}
            Region::Listed { plane, first, last } => {
                let ranges = self.ranges.entry(profile).or_default();
                match ranges.last_mut() {
                    Some((its, _, end)) if *its == plane && *end + 1 == first => *end = last,
                    _ => ranges.push((plane, first, last)),
                }
            }
        }
    }

    /// What differs for one called number, or for what is none.
    fn profile(&mut self, called: Option<Number>) -> Result<ProfileId, TooComplex> {
        let mut by_cells: BTreeMap<CellsId, Vec<usize>> = BTreeMap::new();
        for (at, arriving) in self.arriving.iter().enumerate() {
            let cells = self.decisions.compare(arriving.ids, called)?;
            if cells != SAME {
                by_cells.entry(cells).or_default().push(at);
            }
        }
        let profile: Profile = by_cells.into_iter().collect();
        if let Some(known) = self.known_profiles.get(&profile) {
            return Ok(*known);
        }
        let id = self.profiles.len();
        self.profiles.push(profile.clone());
        self.known_profiles.insert(profile, id);
        Ok(id)
    }

    /// All changes, the gravest first.
    pub(super) fn changes(mut self) -> Vec<Change> {
        let mut ranges = std::mem::take(&mut self.ranges);
        let mut prefixes = self.prefixes();
        let files = self.tables.map(list_files);
        let mut changes = Vec::new();
        for (id, profile) in self.profiles.iter().enumerate().skip(1) {
            let ranges = ranges.remove(&id).unwrap_or_default();
            let ranges = ranges.into_iter().filter_map(|(plane, first, last)| {
                let (lowest, highest) = (plane.number(first)?, plane.number(last)?);
                Some(Range {
                    first: lowest,
                    last: highest,
                    numbers: u64::try_from(last - first + 1).unwrap_or(u64::MAX),
                    row_before: self.row(Side::Before, &files, &lowest),
                    row_after: self.row(Side::After, &files, &lowest),
                })
            });
            let ranges: Vec<Range> = ranges.collect();
            let of_id =
                |(prefix, its): (&Option<Number>, &ProfileId)| (*its == id).then_some(*prefix);
            let change = Change {
                lines: self.lines(profile),
                numbers: ranges
                    .iter()
                    .fold(0, |sum: u64, range| sum.saturating_add(range.numbers)),
                ranges,
                prefixes: prefixes.remove(&id).unwrap_or_default(),
                not_a_number: self.not_a_number == id,
                open: self.open.iter().filter_map(of_id).collect(),
            };
            // A kind of number of which there turned out to be none.
            if !(change.ranges.is_empty() && change.open.is_empty() && !change.not_a_number) {
                changes.push(change);
            }
        }
        changes.sort_by_cached_key(|change| {
            let kind = change.lines.iter().map(|line| line.kind).min();
            let range = change
                .ranges
                .first()
                .map(|range| (range.first.len(), range.first));
            let prefix = change.prefixes.first().map(|open| open.prefix);
            (kind, range.is_none(), range, prefix)
        });
        changes
    }

    /// Open prefixes as people write them: one stands for those under it that do the same.
    fn prefixes(&self) -> BTreeMap<ProfileId, Vec<OpenPrefix>> {
        let mut shown: BTreeMap<Option<Number>, OpenPrefix> = BTreeMap::new();
        // Which prefix stands for each. A prefix comes before all that begin with it.
        let mut stands_for: BTreeMap<Option<Number>, Option<Number>> = BTreeMap::new();
        for (prefix, profile) in &self.open {
            let above = prefix.map(|prefix| self.above.get(&prefix).copied().flatten());
            let known = above.and_then(|above| Some((self.open.get(&above)?, above)));
            match known {
                Some((same, above)) if same == profile => {
                    let top = stands_for.get(&above).copied().unwrap_or(above);
                    stands_for.insert(*prefix, top);
                    continue;
                }
                Some((_, above)) => {
                    let top = stands_for.get(&above).copied().unwrap_or(above);
                    if let (Some(open), Some(prefix)) = (shown.get_mut(&top), prefix) {
                        open.except.push(*prefix);
                    }
                }
                None => {}
            }
            stands_for.insert(*prefix, *prefix);
            if *profile != NONE {
                let open = OpenPrefix {
                    prefix: *prefix,
                    except: Vec::new(),
                };
                shown.insert(*prefix, open);
            }
        }
        let mut by_profile: BTreeMap<ProfileId, Vec<OpenPrefix>> = BTreeMap::new();
        for (prefix, open) in shown {
            let profile = self.open.get(&prefix).copied().unwrap_or(NONE);
            by_profile.entry(profile).or_default().push(open);
        }
        by_profile
    }

    fn lines(&self, profile: &Profile) -> Vec<Line> {
        let mut lines = Vec::new();
        for (cells, arriving) in profile {
            let groups = arriving.iter().filter_map(|at| self.arriving.get(*at));
            let mut from: Vec<Box<str>> = groups.flat_map(|a| a.names.clone()).collect();
            from.sort_unstable();
            let from_all = arriving.len() == self.arriving.len();
            let cells = self.decisions.cells.get(*cells as usize);
            for cell in cells.into_iter().flatten() {
                if let Some((before, after)) = self.decisions.both(cell) {
                    lines.push(Line {
                        from: from.clone(),
                        from_all,
                        when: self.when(cell),
                        kind: self.decisions.kind(cell),
                        before: before.outcome.clone(),
                        after: after.outcome.clone(),
                        rule_before: self.rule(Side::Before, before),
                        rule_after: self.rule(Side::After, after),
                        loses_last_alternative: before.outcome.routes() > 1
                            && after.outcome.routes() == 1,
                        example: self.example(cell),
                        cell: cell.clone(),
                    });
                }
            }
        }
        lines.sort_by(|a, b| {
            let key = |line: &Line| (line.kind, line.from.clone(), line.cell.classes.clone());
            key(a).cmp(&key(b))
        });
        lines
    }

    fn when(&self, cell: &Cell) -> Vec<String> {
        let sets = Fact::ALL.into_iter().zip(&cell.classes);
        sets.filter_map(|(fact, set)| Some(self.facts.describe(fact, set.as_ref()?)))
            .flatten()
            .collect()
    }

    fn example(&self, cell: &Cell) -> (Caller, Vec<u8>, Vec<u8>, Timestamp) {
        let class = |fact: Fact| {
            let set = cell.classes.get(fact as usize).and_then(Option::as_ref);
            set.and_then(|set| set.first())
                .map_or(0, |class| *class as usize)
        };
        let facts = self.facts;
        let text = |texts: &[Vec<u8>], fact| texts.get(class(fact)).cloned().unwrap_or_default();
        (
            facts
                .callers
                .get(class(Fact::Calling))
                .copied()
                .unwrap_or(Caller::Anonymous),
            text(&facts.hosts, Fact::Host),
            text(&facts.labels, Fact::Tgrp),
            facts
                .hours
                .get(class(Fact::Hour))
                .copied()
                .unwrap_or_default(),
        )
    }

    fn rule(&self, side: Side, decided: &Decided) -> Option<(Box<str>, String)> {
        let name = decided.rule.clone()?;
        let table = side.of(&self.tables);
        let rule = table.rule(*side.of(&self.rules).get(&*name)?)?;
        Some((name, table.place(rule.origin)))
    }

    fn row(&self, side: Side, files: &[Vec<Arc<str>>; 2], number: &Number) -> Option<RowPlace> {
        let mut decides = None;
        let dids = side.of(&self.tables).dids();
        dids.all_matches(number, |found, line| decides = Some((found.value, line)));
        let (did, line) = decides?;
        let file = Arc::clone(side.of(files).get(did.list.index())?);
        Some(RowPlace { file, line })
    }
}

/// The file of each DID list.
fn list_files(table: &RoutingTable) -> Vec<Arc<str>> {
    let lists = table.lists().iter();
    lists
        .map(|list| Arc::from(table.file_name(list.file)))
        .collect()
}

/// Every pattern that tells called numbers apart, and who names it.
pub(super) fn named(tables: [&RoutingTable; 2]) -> Vec<Named> {
    let mut named = Vec::new();
    let mut owner = 0;
    for table in tables {
        for rule in table.rules() {
            for set in [&rule.called.any_of, &rule.called.none_of]
                .into_iter()
                .flatten()
            {
                add_set(table, set, &mut named, &mut owner);
            }
        }
        for plan in plans(table) {
            let numbers = emergency_numbers(plan).into_iter();
            named.extend(numbers.map(|number| (number, Remaining::Exactly(0), owner)));
            owner += 1;
        }
        // So that no region lies on both sides of a gate.
        for (prefix, _) in &table.change_policy().frozen_prefixes {
            named.push((*prefix, Remaining::Any, owner));
            owner += 1;
        }
    }
    named
}

/// The dial plans of a table's groups, each once.
fn plans(table: &RoutingTable) -> Vec<Option<&DialPlan>> {
    let mut groups: Vec<_> = table.groups().iter().collect();
    groups.sort_by_key(|group| group.dial_plan);
    groups.dedup_by_key(|group| group.dial_plan);
    groups
        .into_iter()
        .map(|group| table.dial_plan(group))
        .collect()
}

fn emergency_numbers(plan: Option<&DialPlan>) -> Vec<Number> {
    let own = plan.map_or(&[][..], |plan| &plan.emergency);
    let mut numbers: Vec<Number> = match own {
        [] => DEFAULT_EMERGENCY
            .iter()
            .filter_map(|number| Number::parse(number.as_bytes()))
            .collect(),
        own => own.to_vec(),
    };
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// What tells arrival groups apart: the rules that name one, its emergency numbers, and whether
/// it takes its own calls back.
type Signature = [(Vec<usize>, Vec<Number>, Option<Box<str>>); 2];

/// Groups that calls arrive on in both tables, those together that are not told apart.
fn arriving(tables: [&RoutingTable; 2]) -> Vec<Arriving> {
    let naming = tables.map(|table| {
        let mut naming = vec![Vec::new(); table.groups().len()];
        for (at, rule) in table.rules().iter().enumerate() {
            for group in rule.from.iter().flatten() {
                if let Some(rules) = naming.get_mut(group.index()) {
                    rules.push(at);
                }
            }
        }
        naming
    });
    let [before, after] = tables;
    let new_ids: BTreeMap<&str, GroupId> = after
        .arrival_groups()
        .into_iter()
        .map(|id| (after.group_name(id), id))
        .collect();
    let mut classes: BTreeMap<Signature, Arriving> = BTreeMap::new();
    for old in before.arrival_groups() {
        let name = before.group_name(old);
        let Some(new) = new_ids.get(name) else {
            continue;
        };
        let ids = [old, *new];
        let signature = Side::BOTH.map(|side| {
            let (table, id) = (side.of(&tables), side.of(&ids));
            let rules = side.of(&naming).get(id.index()).cloned();
            let plan = table.group(*id).and_then(|group| table.dial_plan(group));
            // One that takes no call of its own back is not like any other.
            let sender = table.group(*id).filter(|group| !group.send_back);
            let sender = sender.map(|group| group.name.clone());
            (rules.unwrap_or_default(), emergency_numbers(plan), sender)
        });
        let class = classes.entry(signature).or_insert_with(|| Arriving {
            ids,
            names: Vec::new(),
        });
        class.names.push(name.into());
    }
    let mut arriving: Vec<Arriving> = classes.into_values().collect();
    for class in &mut arriving {
        class.names.sort_unstable();
    }
    arriving.sort_by(|a, b| a.names.cmp(&b.names));
    arriving
}

impl Facts {
    /// In words which classes of a fact are meant: as few terms as say it, or examples.
    fn describe(&self, fact: Fact, set: &[u32]) -> Vec<String> {
        let mut others: Vec<u32> = (0..self.classes(fact) as u32)
            .filter(|class| set.binary_search(class).is_err())
            .collect();
        let holds = |truth: &[bool], class: u32| truth.get(class as usize).copied();
        let terms = self.terms.get(fact as usize).map_or(&[][..], |terms| terms);
        // Terms that are the same for all that is meant.
        let mut usable: Vec<(&str, &[bool], bool)> = Vec::new();
        for term in terms {
            let first = set.first().and_then(|class| holds(&term.truth, *class));
            let same = set.iter().all(|class| holds(&term.truth, *class) == first);
            if let Some(value) = first.filter(|_| same) {
                let text = if value { &term.holds } else { &term.holds_not };
                usable.push((text, &term.truth, value));
            }
        }
        let mut said = Vec::new();
        while !others.is_empty() {
            let leaves_out = |(_, truth, value): &(&str, &[bool], bool)| {
                let out = |class: &&u32| holds(truth, **class) != Some(*value);
                others.iter().filter(out).count()
            };
            // Of equals the first: `max_by_key` would take the last.
            let best = usable.iter().rev().max_by_key(|term| leaves_out(term));
            let Some(best) = best.copied().filter(|term| leaves_out(term) > 0) else {
                said.push(self.examples(fact, set));
                break;
            };
            said.push(best.0.to_owned());
            others.retain(|class| holds(best.1, *class) == Some(best.2));
        }
        said
    }

    fn examples(&self, fact: Fact, set: &[u32]) -> String {
        let shown = set.iter().take(EXAMPLES_SHOWN);
        let shown: Vec<String> = shown
            .filter_map(|class| self.example_of(fact, *class as usize))
            .collect();
        let more = if set.len() > EXAMPLES_SHOWN {
            ", …"
        } else {
            ""
        };
        let word = match fact {
            Fact::Calling => "calling such as",
            Fact::Host => "host such as",
            Fact::Tgrp => "tgrp such as",
            Fact::Hour => "hours such as",
        };
        format!("{word} {}{more}", shown.join(", "))
    }

    fn example_of(&self, fact: Fact, class: usize) -> Option<String> {
        let text = |text: &Vec<u8>| format!("\"{}\"", String::from_utf8_lossy(text));
        match fact {
            Fact::Calling => self.callers.get(class).map(|caller| match caller {
                Caller::Anonymous => "anonymous".to_owned(),
                Caller::Shown(None) => "no number".to_owned(),
                Caller::Shown(Some(number)) => number.to_string(),
            }),
            Fact::Host => self.hosts.get(class).map(text),
            Fact::Tgrp => self.labels.get(class).map(text),
            Fact::Hour => self.hours.get(class).map(Timestamp::to_string),
        }
    }
}

/// Examples of calls that have no shorter description.
const EXAMPLES_SHOWN: usize = 3;

impl std::fmt::Display for Range {
    /// `+442071838750`, `+442071838750 to +442071838759`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{} to {}", self.first, self.last)
    }
}

impl std::fmt::Display for OpenPrefix {
    /// `+449*`, `every other number`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{prefix}*"),
            None => f.write_str("every other number"),
        }
    }
}

impl std::fmt::Display for RowPlace {
    /// `dids/users.csv:14`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
