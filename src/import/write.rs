//! The table of an original: TOML that says where each part came from.

use super::lists::cell;
use super::notation::{Item, Notation};
use super::original::{Address, Change, Group, Original, Reasons, Row, SET, Tag, Target};
use super::{Finding, audiocodes};
use crate::limits::{MANIPULATION_STEPS_MAX, TRUNKS_PER_GROUP_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What became of the names of the original.
#[derive(Debug, Default)]
pub struct Names {
    /// Trunk group by IP group.
    pub(super) groups: BTreeMap<String, String>,
    /// Alternative routing by alternative reasons set; that of groups without one is empty.
    pub(super) reasons: BTreeMap<String, String>,
}

const HEAD: &str = "# Imported from an AudioCodes ini file. Lines are those of that file.\n";

impl Original {
    /// Writes the table as files, `routing.toml` first, and says under which names.
    pub fn write(&self, findings: &mut Vec<Finding>) -> (Vec<File>, Names) {
        let names = self.names();
        let mut toml = String::from(HEAD);
        self.write_groups(&names, &mut toml, findings);
        self.write_arrivals(&names, &mut toml);
        self.write_changes(&names, &mut toml);
        self.write_reasons(&names, &mut toml);
        let lists = self.lists(&names);
        for list in &lists {
            let _ = writeln!(
                toml,
                "\n[did.{}]  # dial plan {}, line {}\nfile = {}",
                key(&list.name),
                one_line(&self.plan.name),
                self.plan.line,
                quote(&list.file())
            );
        }
        let mut known = BTreeSet::new();
        for row in &self.rows {
            write_rule(row, &names, &lists, &mut known, &mut toml);
        }
        let toml = (String::from("routing.toml"), toml);
        let lists = lists.iter().map(|list| (list.file(), list.text.clone()));
        (std::iter::once(toml).chain(lists).collect(), names)
    }

    /// The dial plan as DID lists, one for each set of tags: the row that decides a number tells
    /// by its list which tags the number has.
    fn lists(&self, names: &Names) -> Vec<PlanList> {
        let is_asked = |row: &Row| {
            row.called_tag.is_some()
                || row.calling_tag.is_some()
                || row.targets.contains(&Target::Assigned)
        };
        if !self.rows.iter().any(is_asked) {
            return Vec::new();
        }
        let mut lists: Vec<PlanList> = Vec::new();
        let mut taken = BTreeSet::new();
        let all: BTreeSet<&[Tag]> = self.plan.rules.iter().map(|rule| &*rule.tags).collect();
        for ((at, rule), items) in self.plan.rules.iter().enumerate().zip(&self.plan.items) {
            if items.is_empty() {
                continue;
            }
            let list = match lists.iter().position(|list| list.tags == rule.tags) {
                Some(list) => list,
                None => {
                    let plan = plain(&self.plan.name);
                    let values: Vec<&str> = rule.tags.iter().map(|(_, value)| &**value).collect();
                    let name = match all.len() {
                        1 => plan,
                        _ => plain(&format!("{}-{}", cut(&plan, 24), values.join("-"))),
                    };
                    lists.push(PlanList {
                        name: unique(&name, &mut taken),
                        tags: rule.tags.clone(),
                        text: String::from("number,trunk_group,comment\n"),
                    });
                    lists.len() - 1
                }
            };
            let Some(list) = lists.get_mut(list) else {
                continue;
            };
            let group = self.assigned(Some(at));
            let group = group.map_or("", |group| names.of(&group.name));
            let comment = match one_line(&rule.name) {
                name if name.is_empty() => format!("line {}", rule.line),
                name => format!("{name} (line {})", rule.line),
            };
            for item in items {
                let number = cell(&item.text());
                let _ = writeln!(list.text, "{number},{group},{}", cell(&comment));
            }
        }
        lists
    }

    fn write_arrivals(&self, names: &Names, toml: &mut String) {
        if self.arrivals.is_empty() {
            return;
        }
        // Addresses of proxy sets come first there, and classifications come first here.
        for group in self.groups.iter().filter(|group| self.is_used(group)) {
            let addresses = group.addresses.iter().filter(|_| group.by_address);
            let from: BTreeSet<String> = addresses
                .filter_map(|address| Some(ip_of(&address.host)?.to_string()))
                .collect();
            let from: Vec<String> = from.into_iter().collect();
            if !from.is_empty() {
                let _ = writeln!(
                    toml,
                    "\n[[classification]]  # by the addresses of its proxy set"
                );
                let _ = writeln!(toml, "source      = {}", list(&from));
                let _ = writeln!(toml, "trunk_group = {}", quote(names.of(&group.name)));
            }
        }
        for arrival in &self.arrivals {
            let name = one_line(&arrival.name);
            let line = arrival.line;
            let _ = writeln!(toml, "\n[[classification]]  # {name}, line {line}");
            let _ = writeln!(toml, "source      = [{}]", quote(&arrival.source));
            for (word, host) in [
                ("from_host", &arrival.from_host),
                ("request_host", &arrival.request_host),
            ] {
                if let Some(host) = host {
                    let _ = writeln!(toml, "{word:<11} = [{}]", quote(host));
                }
            }
            let _ = writeln!(toml, "trunk_group = {}", quote(names.of(&arrival.group)));
        }
    }

    fn names(&self) -> Names {
        let mut names = Names::default();
        let mut taken = BTreeSet::from([String::from("assigned")]);
        for group in &self.groups {
            let own = group.name.strip_prefix(SET).unwrap_or(&group.name);
            let name = unique(&plain(own), &mut taken);
            names.groups.insert(group.name.clone(), name);
        }
        let mut taken = BTreeSet::new();
        names
            .reasons
            .insert(String::new(), unique("imported", &mut taken));
        for group in &self.groups {
            if !names.reasons.contains_key(&group.reasons) {
                let name = unique(&plain(&group.reasons), &mut taken);
                names.reasons.insert(group.reasons.clone(), name);
            }
        }
        names
    }

    /// Whether calls arrive on or are sent to a group.
    fn is_used(&self, group: &Group) -> bool {
        let named = |row: &Row| {
            row.from.contains(&group.name)
                || row.targets.iter().any(|target| target.name() == group.name)
        };
        let is_assigned = || {
            let mut rules = 0..self.plan.rules.len();
            rules.any(|rule| {
                let own = self.assigned(Some(rule));
                own.is_some_and(|own| own.name == group.name)
            })
        };
        self.rows.iter().any(named)
            || (group.by_address && !group.addresses.is_empty())
            || self
                .arrivals
                .iter()
                .any(|arrival| arrival.group == group.name)
            || is_assigned()
    }

    fn write_groups(&self, names: &Names, toml: &mut String, findings: &mut Vec<Finding>) {
        let mut accepted = BTreeSet::new();
        let mut trunks = BTreeSet::new();
        for group in self.groups.iter().filter(|group| self.is_used(group)) {
            let name = names.of(&group.name);
            let mut of_group = Vec::new();
            let mut sections = String::new();
            for (address, number) in group.addresses.iter().zip(1..=TRUNKS_PER_GROUP_MAX) {
                let trunk = unique(&format!("{}-{number}", cut(name, 56)), &mut trunks);
                let _ = writeln!(
                    sections,
                    "\n[trunk.{}]  # line {}",
                    key(&trunk),
                    address.line
                );
                let _ = writeln!(sections, "address = {}", quote(&uri(address)));
                if group.is_balanced && (2..=100).contains(&address.weight) {
                    let _ = writeln!(sections, "weight  = {}", address.weight);
                }
                of_group.push(trunk);
            }
            let _ = writeln!(
                toml,
                "\n# IP group {}, line {}",
                one_line(&group.name),
                group.line
            );
            let _ = writeln!(toml, "[trunk_group.{}]", key(name));
            if !of_group.is_empty() {
                let _ = writeln!(toml, "trunks      = {}", list(&of_group));
            }
            if group.is_balanced && of_group.len() > 1 {
                toml.push_str("hunt        = \"weighted\"\n");
            }
            let mut from = Vec::new();
            let is_listed = group.by_address && self.arrivals.is_empty();
            for address in group.addresses.iter().filter(|_| is_listed) {
                let Some(ip) = ip_of(&address.host) else {
                    let message = format!(
                        "calls from {} are not known by address: a name cannot be accepted from",
                        address.host
                    );
                    findings.push(Finding::new(address.line, message));
                    continue;
                };
                match accepted.insert(ip) {
                    true => from.push(ip.to_string()),
                    false => findings.push(Finding::new(
                        address.line,
                        format!("{ip} belongs to two groups; write a [[classification]]"),
                    )),
                }
            }
            if !from.is_empty() {
                let _ = writeln!(toml, "accept_from = {}", list(&from));
            }
            for (word, changes) in [("inbound", &self.inbound), ("outbound", &self.outbound)] {
                if changes.iter().any(|change| change.is_of(&group.name)) {
                    let name = quote(&manipulation(word, name));
                    let _ = writeln!(toml, "{word:<11} = [{name}]");
                }
            }
            if self.is_target(group) {
                let reasons = quote(names.of_reasons(&group.reasons));
                let _ = writeln!(toml, "alternative_routing = {reasons}");
            }
            toml.push_str(&sections);
        }
    }

    /// Whether a rule may send calls to a group.
    pub(super) fn is_target(&self, group: &Group) -> bool {
        let mut routed = self.rows.iter().flat_map(|row| &row.targets);
        routed.any(|target| {
            target.name() == group.name || (*target == Target::Assigned && !group.tags.is_empty())
        })
    }

    /// What moves a call on, for each set that a group names, and for the others.
    fn write_reasons(&self, names: &Names, toml: &mut String) {
        let used = self.groups.iter().filter(|group| self.is_used(group));
        let used = used.filter(|group| self.is_target(group));
        let used: BTreeSet<&str> = used.map(|group| &*group.reasons).collect();
        for set in used {
            let reasons = self.reasons_named(set);
            let causes = reasons.map_or(&[][..], |reasons| &reasons.causes);
            let text = |cause: &u16| match cause {
                class @ 4..=6 => format!("{class}xx"),
                status => status.to_string(),
            };
            let silence = ["trunk-timeout", "transport-error", "408"].map(String::from);
            let causes: BTreeSet<String> =
                silence.into_iter().chain(causes.iter().map(text)).collect();
            let causes: Vec<String> = causes.into_iter().collect();
            let whose = match reasons {
                Some(Reasons {
                    index: Some(_),
                    line,
                    ..
                }) => {
                    format!("Alternative reasons set {}, line {line}", one_line(set))
                }
                Some(_) => String::from("SBCAlternativeRoutingReasons"),
                None => String::from("No alternative reasons"),
            };
            let _ = writeln!(toml, "\n# {whose}; silence always moves a call on");
            let _ = writeln!(
                toml,
                "[alternative_routing.{}]\nnext_route_on = {}",
                key(names.of_reasons(set)),
                list(&causes)
            );
        }
    }

    fn write_changes(&self, names: &Names, toml: &mut String) {
        for group in self.groups.iter().filter(|group| self.is_used(group)) {
            for (word, changes) in [("inbound", &self.inbound), ("outbound", &self.outbound)] {
                let own: Vec<&Change> = changes.iter().filter(|c| c.is_of(&group.name)).collect();
                if own.is_empty() {
                    continue;
                }
                let name = manipulation(word, names.of(&group.name));
                let _ = writeln!(toml, "\n[manipulation.{}]", key(&name));
                for (side, of_called) in [("called", true), ("calling", false)] {
                    let steps: Vec<&&Change> =
                        own.iter().filter(|c| c.of_called == of_called).collect();
                    if steps.is_empty() {
                        continue;
                    }
                    let _ = writeln!(toml, "{side} = [");
                    for change in steps {
                        let _ = writeln!(
                            toml,
                            "    # {}, line {}",
                            one_line(&change.name),
                            change.line
                        );
                        for step in change.steps() {
                            let _ = writeln!(toml, "    {step},");
                        }
                    }
                    toml.push_str("]\n");
                }
            }
        }
    }

    /// Leaves out manipulations beyond what a table holds.
    pub(super) fn cut_changes(&mut self, findings: &mut Vec<Finding>) {
        for changes in [&mut self.inbound, &mut self.outbound] {
            let mut steps = 0;
            changes.retain(|change| {
                steps += change.steps().len();
                let fits = steps <= MANIPULATION_STEPS_MAX;
                if !fits {
                    let message = "a manipulation is left out: a table has fewer steps";
                    findings.push(Finding::new(change.line, message));
                }
                fits
            });
        }
    }
}

impl Names {
    /// The trunk group of an IP group.
    pub(super) fn of(&self, group: &str) -> &str {
        self.groups.get(group).map_or("", |name| name)
    }

    /// The alternative routing of an alternative reasons set.
    fn of_reasons(&self, set: &str) -> &str {
        self.reasons.get(set).map_or("", |name| name)
    }
}

impl Change {
    pub(super) fn is_of(&self, group: &str) -> bool {
        self.group.as_deref().is_none_or(|own| own == group)
    }

    /// The row as steps: one for each prefix and length it fits.
    fn steps(&self) -> Vec<String> {
        let mut fits = self.fits.prefixes();
        if self.fits.is_any() {
            fits.push((Vec::new(), None));
        }
        fits.into_iter()
            .map(|(prefix, length)| self.step_text(&prefix, length))
            .collect()
    }

    fn step_text(&self, prefix: &[u8], length: Option<usize>) -> String {
        let mut parts = Vec::new();
        if !prefix.is_empty() {
            parts.push(format!(
                "prefix = {}",
                quote(&String::from_utf8_lossy(prefix))
            ));
        }
        parts.extend(length.map(|length| format!("length = {length}")));
        for (word, count) in [
            ("strip", self.step.strip),
            ("strip_right", self.step.strip_right),
        ] {
            if count > 0 {
                parts.push(format!("{word} = {count}"));
            }
        }
        parts.extend(
            self.step
                .keep_right
                .map(|keep| format!("keep_right = {keep}")),
        );
        let added = [
            ("prepend", &self.step.prepend),
            ("append", &self.step.append),
        ];
        for (word, number) in added {
            parts.extend(number.map(|number| format!("{word} = {}", quote(number.as_str()))));
        }
        format!("{{ {} }}", parts.join(", "))
    }
}

/// A file of the table: its name and its text.
pub type File = (String, String);

/// A part of a dial plan as a DID list.
struct PlanList {
    name: String,
    tags: Vec<Tag>,
    text: String,
}

impl PlanList {
    fn file(&self) -> String {
        format!("dids/{}.csv", self.name)
    }
}

/// The lists whose numbers have a tag.
fn tagged(lists: &[PlanList], tag: Option<&Tag>) -> Vec<String> {
    let tagged = |list: &&PlanList| tag.is_some_and(|tag| list.tags.contains(tag));
    let lists = lists.iter().filter(tagged);
    lists.map(|list| format!("did:{}", list.name)).collect()
}

fn write_rule(
    row: &Row,
    names: &Names,
    lists: &[PlanList],
    known: &mut BTreeSet<String>,
    toml: &mut String,
) {
    let name = match one_line(&row.name) {
        name if name.is_empty() => format!("Row {}", row.index),
        name => name,
    };
    let name = match known.contains(&name) {
        true => format!("{name} (row {}, line {})", row.index, row.line),
        false => name,
    };
    known.insert(name.clone());
    let _ = writeln!(toml, "\n[[rule]]  # row {}, line {}", row.index, row.line);
    let _ = writeln!(toml, "name     = {}", quote(&name));
    let from: Vec<String> = row
        .from
        .iter()
        .map(|from| names.of(from).to_owned())
        .collect();
    if !from.is_empty() {
        let _ = writeln!(toml, "from     = {}", list(&from));
    }
    for (word, notation, tag) in [
        ("called", &row.called, &row.called_tag),
        ("calling", &row.calling, &row.calling_tag),
    ] {
        let mut items = items(notation);
        items.extend(tagged(lists, tag.as_ref()));
        if word == "called" && row.targets.contains(&Target::Assigned) {
            items.push(String::from("did:*"));
        }
        if !items.is_empty() {
            let _ = writeln!(toml, "{word:<8} = {}", list(&items));
        }
    }
    if let Some(host) = &row.host {
        let _ = writeln!(toml, "host     = [{}]", quote(host));
    }
    let targets: Vec<String> = row
        .targets
        .iter()
        .map(|target| match target {
            Target::Assigned => String::from("assigned"),
            target => names.of(target.name()).to_owned(),
        })
        .collect();
    let _ = writeln!(toml, "route_to = {}", list(&targets));
}

/// None for any number; that it has few enough was seen when it was read.
fn items(notation: &Notation) -> Vec<String> {
    let items = notation.items().unwrap_or_default();
    items.iter().map(Item::text).collect()
}

fn manipulation(word: &str, group: &str) -> String {
    format!("{word}-{}", cut(group, 54))
}

fn uri(address: &Address) -> String {
    match address.transport {
        Some(transport) => format!("sip:{};transport={transport}", address.host),
        None => format!("sip:{}", address.host),
    }
}

fn ip_of(host: &str) -> Option<std::net::IpAddr> {
    let socket = host.parse::<std::net::SocketAddr>().ok();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    socket
        .map(|socket| socket.ip())
        .or_else(|| bare.parse().ok())
}

/// Letters, digits, `.`, `_` and `-`, as names of the language are.
pub(super) fn plain(name: &str) -> String {
    let mapped = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => c.to_ascii_lowercase(),
        _ => '-',
    });
    let mapped: String = mapped.collect();
    let trimmed = mapped
        .trim_start_matches(['.', '_', '-'])
        .trim_end_matches('-');
    match cut(trimmed, 48) {
        "" => String::from("group"),
        name => name.to_owned(),
    }
}

pub(super) fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// The first characters of a name, which is ASCII.
pub(super) fn cut(name: &str, most: usize) -> &str {
    name.get(..most).unwrap_or(name)
}

/// A name with a dot in it is quoted.
pub(super) fn key(name: &str) -> String {
    match name.contains('.') {
        true => quote(name),
        false => name.to_owned(),
    }
}

pub(super) fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quote(item)).collect();
    let line = format!("[{}]", items.join(", "));
    match line.len() > 90 {
        true => format!("[\n    {},\n]", items.join(",\n    ")),
        false => line,
    }
}

/// What is between quotes in TOML.
pub(super) fn quote(text: &str) -> String {
    let escaped = one_line(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Without characters that no line of TOML may have.
fn one_line(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.collect::<String>().trim().to_owned()
}

/// The table of an ini file: `routing.toml`, what was understood of the original, and what not.
#[must_use]
pub fn import(text: &str) -> (Original, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut original = audiocodes::read(text, &mut findings);
    original.cut_changes(&mut findings);
    (original, findings)
}
