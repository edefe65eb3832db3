//! Profiles: what a trunk group needs towards a platform, as values for keys the table
//! leaves out.
//!
//! A profile is data, applied to the sections before they are compiled: whatever it sets can
//! be written into the table instead, and what is written there wins.

use super::schema::{GroupSection, PolicySection, Schema, TrunkSection};
use super::source::{Sources, Spot};
use super::toml_reader::Text;
use crate::limits;
use crate::sip::Uri;
use serde::Serialize;
use std::fmt::Write as _;

/// A platform behind an SBC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Microsoft Teams Direct Routing.
    Teams,
    /// Genesys Cloud, bring your own carrier.
    GenesysByoc,
}

/// What a profile sets. All of it is in `docs/profiles`, with the reason.
#[derive(Debug)]
pub(super) struct Settings {
    /// `options` of trunks whose address is an IP address.
    options_ms: u32,
    /// URI parameter `user=phone` of the address of its trunks.
    user_phone: bool,
    next_route_on: &'static [&'static str],
    give_up_on: &'static [&'static str],
    trunk_timeout_ms: u32,
    /// Whether calls without a user part come back to the group.
    transfers: bool,
    /// How long the platform waits for the answer to a call of its own before it tries
    /// another SBC, where that is known.
    pub(super) patience_ms: Option<u32>,
}

const TEAMS: Settings = Settings {
    options_ms: 60_000,
    user_phone: true,
    next_route_on: &[
        "trunk-timeout",
        "transport-error",
        "408",
        "500",
        "502",
        "503",
        "504",
    ],
    give_up_on: &["6xx"],
    trunk_timeout_ms: 4_000,
    transfers: true,
    patience_ms: Some(10_000),
};

const GENESYS_BYOC: Settings = Settings {
    options_ms: 60_000,
    user_phone: false,
    next_route_on: TEAMS.next_route_on,
    give_up_on: &["6xx"],
    trunk_timeout_ms: 4_000,
    transfers: false,
    patience_ms: None,
};

impl Profile {
    /// Every profile, by the word that names it in a table.
    pub const WORDS: [(&'static str, Self); 2] =
        [("teams", Self::Teams), ("genesys-byoc", Self::GenesysByoc)];

    /// The profile of this name, case apart.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let same = |word: &&(&str, Self)| word.0.eq_ignore_ascii_case(text.trim());
        Self::WORDS.iter().find(same).map(|(_, profile)| *profile)
    }

    /// As it stands in a table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Teams => "teams",
            Self::GenesysByoc => "genesys-byoc",
        }
    }

    /// All that it sets, as a table would say it.
    #[must_use]
    pub fn text(self) -> String {
        let set = self.settings();
        let mut text = format!(
            "profile = \"{}\" of a trunk group sets, where the table says nothing:\n\n",
            self.as_str()
        );
        for (key, value) in [
            ("send_back", quoted("never")),
            ("transfers_to", own_group(set.transfers)),
            ("next_route_on", list(set.next_route_on)),
            ("give_up_on", list(set.give_up_on)),
            ("trunk_timeout", duration(set.trunk_timeout_ms)),
        ] {
            if !value.is_empty() {
                let _ = writeln!(text, "  {key:13} = {value}");
            }
        }
        text.push_str("\nand of its trunks:\n\n");
        let options = duration(set.options_ms);
        let _ = writeln!(text, "  options       = {options}   # of IP addresses");
        if set.user_phone {
            text.push_str("  address         ends with ;user=phone\n");
        }
        let _ = writeln!(text, "\nSee docs/profiles/{}.md.", self.as_str());
        text
    }

    pub(super) const fn settings(self) -> &'static Settings {
        match self {
            Self::Teams => &TEAMS,
            Self::GenesysByoc => &GENESYS_BYOC,
        }
    }

    /// The name of its alternative routing. A table that defines one of this name changes it.
    fn policy_name(self) -> String {
        format!("profile:{}", self.as_str())
    }
}

/// One value that a profile put where the table says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ByProfile {
    /// The trunk it is of; `None`: the group itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// The key.
    pub key: &'static str,
    /// Its value, as a table would say it.
    pub value: String,
}

/// A trunk group with a profile, and what that set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The group.
    pub trunk_group: String,
    /// The profile.
    pub profile: &'static str,
    /// Where the table names it: `trunks.toml:7`.
    pub place: String,
    /// What it set. Keys that are not here are written in the table.
    pub values: Vec<ByProfile>,
}

impl Applied {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let Self {
            trunk_group,
            profile,
            place,
            values,
        } = self;
        let mut text =
            format!("{place}: trunk group {trunk_group} has profile {profile}, which sets\n");
        for ByProfile { trunk, key, value } in values {
            let of = trunk.as_ref().map(|trunk| format!("trunk {trunk}: "));
            let _ = writeln!(text, "  {}{key} = {value}", of.unwrap_or_default());
        }
        text.push('\n');
        text
    }
}

/// Fills in what the table leaves out. A trunk of several groups is of the first that has a
/// profile.
pub(super) fn apply(schema: &mut Schema) {
    let Schema {
        groups,
        trunks,
        policies,
        ..
    } = schema;
    for group in groups {
        let Some((profile, spot)) = group.profile else {
            continue;
        };
        let set = profile.settings();
        fill_group(group, profile, spot);
        let policy = profile.policy_name();
        let uses_own = (group.alternative_routing.as_ref())
            .is_some_and(|text| text.spot == spot && text.as_str() == policy);
        if uses_own && !policies.iter().any(|own| own.name.as_str() == policy) {
            policies.push(PolicySection::implied(
                Text::implied(policy, spot),
                (set.next_route_on, set.give_up_on),
                set.trunk_timeout_ms,
            ));
        }
        for name in group.trunks.iter().take(limits::TRUNKS_PER_GROUP_MAX) {
            let mut named = trunks.iter_mut();
            if let Some(trunk) = named.find(|trunk| trunk.name.as_str() == name.as_str()) {
                fill_trunk(trunk, set, spot, &mut group.by_profile);
            }
        }
    }
}

fn fill_group(group: &mut GroupSection, profile: Profile, spot: Spot) {
    let set = profile.settings();
    let mut filled = |key, value| {
        group.by_profile.push(ByProfile {
            trunk: None,
            key,
            value,
        });
    };
    if group.send_back.is_none() {
        group.send_back = Some(false);
        filled("send_back", quoted("never"));
    }
    // One that is only called from has nowhere to take them.
    if set.transfers && group.transfers_to.is_none() && !group.trunks.is_empty() {
        filled("transfers_to", quoted(group.name.as_str()));
        group.transfers_to = Some(Text::implied(group.name.value.clone(), spot));
    }
    if group.alternative_routing.is_none() && !group.trunks.is_empty() {
        filled("alternative_routing", quoted(&profile.policy_name()));
        filled("next_route_on", list(set.next_route_on));
        filled("give_up_on", list(set.give_up_on));
        filled("trunk_timeout", duration(set.trunk_timeout_ms));
        group.alternative_routing = Some(Text::implied(profile.policy_name(), spot));
    }
}

fn fill_trunk(
    trunk: &mut TrunkSection,
    set: &Settings,
    spot: Spot,
    by_profile: &mut Vec<ByProfile>,
) {
    let Some(address) = &mut trunk.address else {
        return;
    };
    let mut filled = |key, value| {
        by_profile.push(ByProfile {
            trunk: Some(trunk.name.value.clone()),
            key,
            value,
        });
    };
    let Ok(uri) = Uri::parse(address.value.as_bytes()) else {
        // Reported where it is compiled.
        return;
    };
    // A name may be a label that only the SBC knows: nobody is asked then unless it says so.
    let is_ip = uri.host.ip().is_some();
    let says_user = uri.param(b"user").is_some() || uri.headers.is_some();
    if is_ip && trunk.probing.interval_ms.is_none() {
        trunk.probing.interval_ms = Some((Some(set.options_ms), spot));
        trunk.probing.details.clear();
        filled("options", duration(set.options_ms));
    }
    if set.user_phone && !says_user {
        address.value.push_str(";user=phone");
        filled("address", quoted(&address.value));
    }
}

/// What the profiles set, group by group.
pub(super) fn applied(schema: &Schema, sources: &Sources) -> Vec<Applied> {
    let groups = schema.groups.iter();
    groups
        .filter_map(|group| {
            let (profile, spot) = group.profile?;
            let place = sources.place(spot, "");
            Some(Applied {
                trunk_group: group.name.value.clone(),
                profile: profile.as_str(),
                place: format!("{}:{}", place.file, place.line),
                values: group.by_profile.clone(),
            })
        })
        .collect()
}

fn own_group(is_own: bool) -> String {
    let text = if is_own { "the group itself" } else { "" };
    text.to_owned()
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn list(items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

fn duration(ms: u32) -> String {
    quoted(&format!("{}s", ms / 1_000))
}
