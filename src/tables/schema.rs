//! The table language, section by section: TOML files become plain structs whose strings
//! know where they stand. Nothing is looked up here; that is `compile`'s work.

use super::profile::{ByProfile, Profile};
use super::source::{FileId, Spot};
use super::toml_reader::{Reader, Text};
use crate::limits;
use crate::routing::trunk::Hunt;
use std::ops::RangeInclusive;

/// Everything the TOML files of a table say.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) trunks: Vec<TrunkSection>,
    pub(super) groups: Vec<GroupSection>,
    pub(super) classifications: Vec<ClassificationSection>,
    pub(super) dial_plans: Vec<DialPlanSection>,
    pub(super) rules: Vec<RuleSection>,
    pub(super) dids: Vec<DidSection>,
    pub(super) manipulations: Vec<ManipulationSection>,
    pub(super) schedules: Vec<ScheduleSection>,
    pub(super) policies: Vec<PolicySection>,
    pub(super) cases: Vec<CaseSection>,
    pub(super) change_policies: Vec<ChangePolicySection>,
    pub(super) toml_files: Vec<FileId>,
}

#[derive(Debug)]
pub(super) struct TrunkSection {
    pub(super) name: Text,
    pub(super) address: Option<Text>,
    pub(super) weight: u16,
    pub(super) max_calls: Option<u32>,
    pub(super) max_cps: Option<u16>,
    /// Whether large requests go by TCP, and where that is said.
    pub(super) large_over_tcp: Option<(bool, Spot)>,
    pub(super) probing: ProbingSection,
}

/// The keys of a trunk that begin with `options`.
#[derive(Debug)]
pub(super) struct ProbingSection {
    /// Where `options` has its value, and what it says but `"off"`.
    pub(super) interval_ms: Option<(Option<u32>, Spot)>,
    pub(super) misses: u8,
    pub(super) hits: u8,
    pub(super) alive: Option<Vec<Text>>,
    /// Keys that say how to probe, and where.
    pub(super) details: Vec<(&'static str, Spot)>,
    /// Where `options_alive` stands when it is empty.
    pub(super) empty_alive: Option<Spot>,
    pub(super) contact: Option<Text>,
}

#[derive(Debug)]
pub(super) struct GroupSection {
    pub(super) name: Text,
    pub(super) trunks: Vec<Text>,
    pub(super) hunt: Hunt,
    pub(super) max_calls: Option<u32>,
    pub(super) accept_from: Vec<Text>,
    pub(super) dial_plan: Option<Text>,
    pub(super) inbound: Vec<Text>,
    pub(super) outbound: Vec<Text>,
    pub(super) overflow: Vec<Text>,
    pub(super) alternative_routing: Option<Text>,
    pub(super) profile: Option<(Profile, Spot)>,
    pub(super) send_back: Option<bool>,
    pub(super) transfers_to: Option<Text>,
    /// What the profile put where the table says nothing.
    pub(super) by_profile: Vec<ByProfile>,
}

#[derive(Debug)]
pub(super) struct ClassificationSection {
    pub(super) spot: Spot,
    pub(super) source: Vec<Text>,
    pub(super) listener: Vec<Text>,
    pub(super) header: Option<(Option<Text>, Vec<Text>)>,
    pub(super) tgrp: Vec<Text>,
    pub(super) trunk_context: Vec<Text>,
    pub(super) contact_host: Vec<Text>,
    pub(super) from_host: Vec<Text>,
    pub(super) request_host: Vec<Text>,
    pub(super) trunk_group: Option<Text>,
    /// Where the value of a list stands, for lists that are empty.
    pub(super) empty_lists: Vec<(&'static str, Spot)>,
}

#[derive(Debug)]
pub(super) struct DialPlanSection {
    pub(super) name: Text,
    pub(super) country_code: Option<Text>,
    pub(super) area_code: Option<Text>,
    pub(super) international_prefix: Vec<Text>,
    pub(super) national_prefix: Option<Text>,
    pub(super) extensions: Vec<ExtensionSection>,
    /// `None` when the key is left out.
    pub(super) emergency: Option<Vec<Text>>,
    pub(super) phone_context: Vec<Text>,
}

#[derive(Debug)]
pub(super) struct ExtensionSection {
    pub(super) digits: Option<u8>,
    pub(super) first: Option<Text>,
    pub(super) prefix: Option<Text>,
}

#[derive(Debug)]
pub(super) struct RuleSection {
    pub(super) spot: Spot,
    pub(super) name: Option<Text>,
    pub(super) from: Option<Vec<Text>>,
    pub(super) called: Option<Vec<Text>>,
    pub(super) calling: Option<Vec<Text>>,
    pub(super) host: Option<Vec<Text>>,
    pub(super) tgrp: Option<Vec<Text>>,
    pub(super) during: Option<Vec<Text>>,
    pub(super) route_to: Option<Vec<Text>>,
    pub(super) reject: Option<(u16, Text)>,
    /// `route_to` and `reject` are both there, or neither.
    pub(super) has_route_to: bool,
    pub(super) has_reject: bool,
    /// Where the value of a list stands, for lists that are empty.
    pub(super) empty_lists: Vec<(&'static str, Spot)>,
}

#[derive(Debug)]
pub(super) struct DidSection {
    pub(super) name: Text,
    pub(super) spot: Spot,
    pub(super) file: Option<Text>,
    pub(super) numbers: Option<Vec<Text>>,
    pub(super) trunk_group: Option<Text>,
}

#[derive(Debug)]
pub(super) struct ManipulationSection {
    pub(super) name: Text,
    pub(super) called: Vec<StepSection>,
    pub(super) calling: Vec<StepSection>,
}

#[derive(Debug)]
pub(super) struct StepSection {
    pub(super) prefix: Option<Text>,
    pub(super) length: Option<RangeInclusive<u8>>,
    pub(super) strip: u8,
    pub(super) strip_right: u8,
    pub(super) keep_right: Option<u8>,
    pub(super) prepend: Option<Text>,
    pub(super) append: Option<Text>,
}

#[derive(Debug)]
pub(super) struct ScheduleSection {
    pub(super) name: Text,
    pub(super) timezone: Option<Text>,
    pub(super) open: Vec<Text>,
    pub(super) closed: Vec<Text>,
    pub(super) spot: Spot,
}

#[derive(Debug)]
pub(super) struct PolicySection {
    pub(super) name: Text,
    pub(super) next_route_on: Option<Vec<Text>>,
    pub(super) give_up_on: Vec<Text>,
    pub(super) trunk_timeout_ms: Option<u32>,
    pub(super) max_routes: u8,
    pub(super) last_resort: bool,
}

/// `[policy]`: what a change to the table may do.
#[derive(Debug)]
pub(super) struct ChangePolicySection {
    pub(super) spot: Spot,
    pub(super) max_moved_numbers: Option<(u64, Spot)>,
    pub(super) frozen_prefixes: Vec<Text>,
    pub(super) require_alternative: Vec<Text>,
    pub(super) accept: Option<Text>,
}

#[derive(Debug)]
pub(super) struct CaseSection {
    pub(super) spot: Spot,
    pub(super) name: Option<Text>,
    pub(super) from: Option<Text>,
    pub(super) called: Option<Text>,
    pub(super) calling: Option<Text>,
    pub(super) host: Option<Text>,
    pub(super) tgrp: Option<Text>,
    pub(super) at: Option<Text>,
    pub(super) timezone: Option<Text>,
    pub(super) expect: Option<Vec<Text>>,
    pub(super) expect_spot: Option<Spot>,
    pub(super) expect_reject: Option<(u16, Spot)>,
    pub(super) expect_rule: Option<Text>,
    pub(super) expect_called: Option<Text>,
}

/// Statuses a rule may answer with: final failures; 401, 407 and the like need more than a
/// status line.
const REJECT_STATUS: RangeInclusive<u64> = 400..=699;

/// A list of strings. One that is there and empty is noted: it would never hold.
fn strings_noting_empty(
    table: &mut Reader<'_>,
    key: &'static str,
    empty_lists: &mut Vec<(&'static str, Spot)>,
) -> Option<Vec<Text>> {
    let items = table.strings(key);
    // A list whose items were all of another type has been reported.
    if items.as_ref().is_some_and(Vec::is_empty)
        && table.is_empty_list(key)
        && let Some(spot) = table.value_spot(key)
    {
        empty_lists.push((key, spot));
    }
    items
}

impl Schema {
    /// Reads one file. Every mistake is reported; what could be read is kept.
    pub(super) fn read(&mut self, file: FileId, mut root: Reader<'_>) {
        self.toml_files.push(file);
        for (name, table) in root.named_tables("trunk") {
            self.trunks.push(TrunkSection::read(name, table));
        }
        for (name, table) in root.named_tables("trunk_group") {
            self.groups.push(GroupSection::read(name, table));
        }
        for table in root.tables("classification") {
            self.classifications
                .push(ClassificationSection::read(table));
        }
        for (name, table) in root.named_tables("dial_plan") {
            self.dial_plans.push(DialPlanSection::read(name, table));
        }
        for table in root.tables("rule") {
            self.rules.push(RuleSection::read(table));
        }
        for (name, table) in root.named_tables("did") {
            self.dids.push(DidSection::read(name, table));
        }
        for (name, table) in root.named_tables("manipulation") {
            self.manipulations
                .push(ManipulationSection::read(name, table));
        }
        for (name, table) in root.named_tables("schedule") {
            self.schedules.push(ScheduleSection::read(name, table));
        }
        for (name, table) in root.named_tables("alternative_routing") {
            self.policies.push(PolicySection::read(name, table));
        }
        if let Some(table) = root.table("policy") {
            self.change_policies.push(ChangePolicySection::read(table));
        }
        for table in root.tables("case") {
            self.cases.push(CaseSection::read(table));
        }
        root.finish();
    }
}

impl TrunkSection {
    fn read(name: Text, mut table: Reader<'_>) -> Self {
        table.string("description");
        let section = Self {
            name,
            address: table.required_string("address"),
            weight: table
                .integer("weight", 1..=1_000)
                .map_or(1, |(weight, _)| weight as u16),
            max_calls: table
                .integer("max_calls", 1..=1_000_000)
                .map(|(calls, _)| calls as u32),
            max_cps: table
                .integer("max_cps", 1..=u64::from(limits::CALLS_PER_SECOND_MAX))
                .map(|(calls, _)| calls as u16),
            large_over_tcp: table.one_of("large_requests", &[("udp", false), ("tcp", true)]),
            probing: ProbingSection::read(&mut table),
        };
        table.finish();
        section
    }
}

impl ProbingSection {
    fn read(table: &mut Reader<'_>) -> Self {
        let has_options = table.has("options");
        let interval = table.duration_ms_or_off("options", 1_000..=3_600_000);
        let count = |table: &mut Reader<'_>, key, default| {
            table
                .integer(key, 1..=u64::from(limits::PROBES_IN_A_ROW_MAX))
                .map_or(default, |(count, _)| count as u8)
        };
        let details = [
            "options_misses",
            "options_hits",
            "options_alive",
            "options_contact",
        ];
        let details = details
            .into_iter()
            .filter(|_| !has_options)
            .filter_map(|key| Some((key, table.key_spot(key)?)));
        Self {
            details: details.collect(),
            empty_alive: table
                .is_empty_list("options_alive")
                .then(|| table.value_spot("options_alive"))
                .flatten(),
            interval_ms: interval
                .map(|(interval_ms, spot)| (interval_ms.map(|interval| interval as u32), spot)),
            misses: count(table, "options_misses", 3),
            hits: count(table, "options_hits", 2),
            alive: table.strings("options_alive"),
            contact: table.string("options_contact"),
        }
    }
}

impl GroupSection {
    fn read(name: Text, mut table: Reader<'_>) -> Self {
        table.string("description");
        let words = [
            ("top-down", Hunt::TopDown),
            ("weighted", Hunt::Weighted),
            ("least-loaded", Hunt::LeastLoaded),
        ];
        let section = Self {
            name,
            trunks: table.strings("trunks").unwrap_or_default(),
            hunt: table
                .one_of("hunt", &words)
                .map_or(Hunt::TopDown, |(hunt, _)| hunt),
            max_calls: table
                .integer("max_calls", 1..=1_000_000)
                .map(|(calls, _)| calls as u32),
            accept_from: table.strings("accept_from").unwrap_or_default(),
            dial_plan: table.string("dial_plan"),
            inbound: table.strings("inbound").unwrap_or_default(),
            outbound: table.strings("outbound").unwrap_or_default(),
            overflow: table.strings("overflow").unwrap_or_default(),
            alternative_routing: table.string("alternative_routing"),
            profile: table.one_of("profile", &Profile::WORDS),
            send_back: table
                .one_of("send_back", &[("allowed", true), ("never", false)])
                .map(|(send_back, _)| send_back),
            transfers_to: table.string("transfers_to"),
            by_profile: Vec::new(),
        };
        table.finish();
        section
    }
}

impl ClassificationSection {
    fn read(mut table: Reader<'_>) -> Self {
        table.string("description");
        let mut empty_lists = Vec::new();
        let mut list = |table: &mut Reader<'_>, key| {
            strings_noting_empty(table, key, &mut empty_lists).unwrap_or_default()
        };
        let header = table.table("header").map(|mut header| {
            let name = header.required_string("name");
            header.require("value");
            let value = list(&mut header, "value");
            header.finish();
            (name, value)
        });
        table.require("source");
        let section = Self {
            spot: table.spot(),
            source: list(&mut table, "source"),
            listener: list(&mut table, "listener"),
            header,
            tgrp: list(&mut table, "tgrp"),
            trunk_context: list(&mut table, "trunk_context"),
            contact_host: list(&mut table, "contact_host"),
            from_host: list(&mut table, "from_host"),
            request_host: list(&mut table, "request_host"),
            trunk_group: table.required_string("trunk_group"),
            empty_lists,
        };
        table.finish();
        section
    }
}

impl DialPlanSection {
    fn read(name: Text, mut table: Reader<'_>) -> Self {
        table.string("description");
        let extensions = table
            .tables("extensions")
            .into_iter()
            .map(|mut extension| {
                extension.require("digits");
                let section = ExtensionSection {
                    digits: extension
                        .integer("digits", 1..=15)
                        .map(|(digits, _)| digits as u8),
                    first: extension.string("first"),
                    prefix: extension.required_string("prefix"),
                };
                extension.finish();
                section
            })
            .collect();
        let section = Self {
            name,
            country_code: table.required_string("country_code"),
            area_code: table.string("area_code"),
            international_prefix: table.strings("international_prefix").unwrap_or_default(),
            national_prefix: table.string("national_prefix"),
            extensions,
            emergency: table.strings("emergency"),
            phone_context: table.strings("phone_context").unwrap_or_default(),
        };
        table.finish();
        section
    }
}

impl RuleSection {
    fn read(mut table: Reader<'_>) -> Self {
        table.string("description");
        let (has_route_to, has_reject) = (table.has("route_to"), table.has("reject"));
        let reject = table.table("reject").and_then(|mut reject| {
            reject.require("status");
            let status = reject.integer("status", REJECT_STATUS);
            let reason = reject.required_string("reason");
            reject.finish();
            Some((status?.0 as u16, reason?))
        });
        let mut empty_lists = Vec::new();
        let mut list =
            |table: &mut Reader<'_>, key| strings_noting_empty(table, key, &mut empty_lists);
        let section = Self {
            spot: table.spot(),
            name: table.required_string("name"),
            from: list(&mut table, "from"),
            called: list(&mut table, "called"),
            calling: list(&mut table, "calling"),
            host: list(&mut table, "host"),
            tgrp: list(&mut table, "tgrp"),
            during: list(&mut table, "during"),
            route_to: list(&mut table, "route_to"),
            reject,
            has_route_to,
            has_reject,
            empty_lists,
        };
        table.finish();
        section
    }
}

impl DidSection {
    fn read(name: Text, mut table: Reader<'_>) -> Self {
        table.string("description");
        let section = Self {
            name,
            spot: table.spot(),
            file: table.string("file"),
            numbers: table.strings("numbers"),
            trunk_group: table.string("trunk_group"),
        };
        table.finish();
        section
    }
}

impl ManipulationSection {
    fn read(name: Text, mut table: Reader<'_>) -> Self {
        table.string("description");
        let mut steps = |key| -> Vec<StepSection> {
            table
                .tables(key)
                .into_iter()
                .map(StepSection::read)
                .collect()
        };
        let (called, calling) = (steps("called"), steps("calling"));
        table.finish();
        Self {
            name,
            called,
            calling,
        }
    }
}

impl StepSection {
    fn read(mut table: Reader<'_>) -> Self {
        let most = limits::NUMBER_SYMBOLS_MAX as u64;
        let count = |table: &mut Reader<'_>, key, least| {
            table
                .integer(key, least..=most)
                .map(|(count, _)| count as u8)
        };
        let section = Self {
            prefix: table.string("prefix"),
            length: table
                .integers("length", 1..=most)
                .map(|(span, _)| *span.start() as u8..=*span.end() as u8),
            strip: count(&mut table, "strip", 0).unwrap_or(0),
            strip_right: count(&mut table, "strip_right", 0).unwrap_or(0),
            keep_right: count(&mut table, "keep_right", 1),
            prepend: table.string("prepend"),
            append: table.string("append"),
        };
        table.finish();
        section
    }
}

impl ScheduleSection {
    fn read(name: Text, mut table: Reader<'_>) -> Self {
        table.string("description");
        let section = Self {
            name,
            timezone: table.required_string("timezone"),
            open: table.strings("open").unwrap_or_default(),
            closed: table.strings("closed").unwrap_or_default(),
            spot: table.spot(),
        };
        table.finish();
        section
    }
}

impl PolicySection {
    fn read(name: Text, mut table: Reader<'_>) -> Self {
        table.string("description");
        let section = Self {
            name,
            next_route_on: table.strings("next_route_on"),
            give_up_on: table.strings("give_up_on").unwrap_or_default(),
            trunk_timeout_ms: table
                .duration_ms("trunk_timeout", 100..=180_000)
                .map(|(timeout, _)| timeout as u32),
            max_routes: table
                .integer("max_routes", 1..=limits::ROUTES_MAX as u64)
                .map_or(limits::ROUTES_MAX as u8, |(routes, _)| routes as u8),
            last_resort: table
                .one_of("out_of_service", &[("last-resort", true), ("never", false)])
                .is_none_or(|(last_resort, _)| last_resort),
        };
        table.finish();
        section
    }
}

impl PolicySection {
    /// One that no file holds.
    pub(super) fn implied(
        name: Text,
        (next_route_on, give_up_on): (&[&str], &[&str]),
        trunk_timeout_ms: u32,
    ) -> Self {
        let spot = name.spot;
        let texts = |causes: &[&str]| {
            let causes = causes.iter();
            let texts = causes.map(|cause| Text::implied((*cause).to_owned(), spot));
            texts.collect()
        };
        Self {
            name,
            next_route_on: Some(texts(next_route_on)),
            give_up_on: texts(give_up_on),
            trunk_timeout_ms: Some(trunk_timeout_ms),
            max_routes: limits::ROUTES_MAX as u8,
            last_resort: true,
        }
    }
}

impl ChangePolicySection {
    fn read(mut table: Reader<'_>) -> Self {
        table.string("description");
        let section = Self {
            spot: table.spot(),
            max_moved_numbers: table.integer("max_moved_numbers", 0..=limits::DID_ROWS_MAX as u64),
            frozen_prefixes: table.strings("frozen_prefixes").unwrap_or_default(),
            require_alternative: table.strings("require_alternative").unwrap_or_default(),
            accept: table.string("accept"),
        };
        table.finish();
        section
    }
}

impl CaseSection {
    fn read(mut table: Reader<'_>) -> Self {
        let section = Self {
            spot: table.spot(),
            name: table.required_string("name"),
            from: table.required_string("from"),
            called: table.required_string("called"),
            calling: table.string("calling"),
            host: table.string("host"),
            tgrp: table.string("tgrp"),
            at: table.string("at"),
            timezone: table.string("timezone"),
            expect: table.strings("expect"),
            expect_spot: table.value_spot("expect"),
            expect_reject: table
                .integer("expect_reject", REJECT_STATUS)
                .map(|(status, spot)| (status as u16, spot)),
            expect_rule: table.string("expect_rule"),
            expect_called: table.string("expect_called"),
        };
        table.finish();
        section
    }
}
