//! Tables that contradict the profile of a trunk group (T047), leave out what the platform
//! needs (T048), or keep a platform waiting for longer than it waits (T049).

use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

use super::Analysis;
use crate::routing::GroupId;
use crate::routing::manipulation::Step;
use crate::routing::rule::{Action, Destination};
use crate::routing::table::Cause;
use crate::routing::trunk::TrunkGroup;
use crate::sip::Uri;
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::profile::Profile;
use crate::tables::schema::{GroupSection, TrunkSection};
use crate::tables::source::Spot;
use crate::tables::toml_reader::Text;

pub(super) fn report(analysis: Analysis<'_>) {
    let groups = analysis.schema.groups.iter().zip(analysis.table.groups());
    for ((section, group), id) in groups.zip((0..).map(GroupId)) {
        let Some((profile, spot)) = section.profile else {
            continue;
        };
        let checked = Checked {
            analysis,
            profile,
            spot,
            section,
            group,
        };
        checked.numbers();
        checked.declines();
        checked.trunks();
        checked.sources(id);
        checked.patience(id);
    }
}

/// A trunk group and its profile.
#[derive(Clone, Copy)]
struct Checked<'a> {
    analysis: Analysis<'a>,
    profile: Profile,
    /// Where the profile is named.
    spot: Spot,
    section: &'a GroupSection,
    group: &'a TrunkGroup,
}

/// Replaced in April 2023; 52.112.0.0/14 and 52.122.0.0/15 are in its place.
const FORMER_TEAMS: (Ipv4Addr, u8) = (Ipv4Addr::new(52, 120, 0, 0), 15);
const TEAMS_HOST: &str = "pstnhub.microsoft.com";

impl<'a> Checked<'a> {
    fn warn(self, code: Code, spot: Spot, message: String, help: &str) {
        let named = self.analysis.place(self.spot, "the profile");
        let diagnostic = Diagnostic::warning(code, message)
            .at(self.analysis.place(spot, ""))
            .at(named)
            .help(help);
        self.analysis.context.diagnostics.push(diagnostic);
    }

    fn name(self) -> String {
        quoted(self.section.name.as_str())
    }

    /// Both platforms look called numbers up with their `+`.
    fn numbers(self) {
        for (id, name) in self.group.outbound.iter().zip(&self.section.outbound) {
            let manipulation = self.analysis.table.manipulation(*id);
            let steps = manipulation.map_or(&[][..], |m| &m.called);
            if steps.iter().any(loses_plus) {
                let message = format!(
                    "{} takes the + from numbers that {} wants in E.164",
                    quoted(name.as_str()),
                    self.profile.as_str()
                );
                let help = "leave the manipulation out of outbound, or have it keep the +";
                self.warn(Code::AgainstProfile, name.spot, message, help);
            }
        }
    }

    /// A user who declines has been asked: 603 and its kin end the call.
    fn declines(self) {
        let Some(name) = &self.section.alternative_routing else {
            return;
        };
        let Some(policy) = self.analysis.table.alternative_routing(self.group) else {
            return;
        };
        let lists = |causes: &[Cause]| {
            causes.contains(&Cause::Status(603)) || causes.contains(&Cause::StatusClass(6))
        };
        if lists(&policy.next_route_on) && !lists(&policy.give_up_on) {
            let message = format!(
                "{} calls again when a user of {} has declined (603)",
                quoted(name.as_str()),
                self.name()
            );
            let help = "write \"6xx\" into give_up_on: each further call is a missed call to them";
            self.warn(Code::AgainstProfile, name.spot, message, help);
        }
    }

    fn trunks(self) {
        for name in &self.section.trunks {
            let mut trunks = self.analysis.schema.trunks.iter();
            let trunk = trunks.find(|trunk| trunk.name.as_str() == name.as_str());
            let address = trunk.and_then(|trunk| Some((trunk, trunk.address.as_ref()?)));
            let Some((trunk, address)) = address else {
                continue;
            };
            let Ok(uri) = Uri::parse(address.as_str().as_bytes()) else {
                continue;
            };
            match self.profile {
                Profile::Teams => self.teams_trunk(trunk, address, &uri),
                Profile::GenesysByoc => self.genesys_trunk(trunk, address, &uri),
            }
        }
    }

    fn teams_trunk(self, trunk: &TrunkSection, address: &Text, uri: &Uri<'_>) {
        let user = uri.param(b"user");
        if user.is_some_and(|user| !user.eq_ignore_ascii_case(b"phone")) {
            let message = format!(
                "trunk {} does not say user=phone: Teams has to guess what is a number",
                quoted(trunk.name.as_str())
            );
            let help = "write ;user=phone, or leave the parameter out: the profile adds it";
            self.warn(Code::AgainstProfile, address.spot, message, help);
        }
        if is_within(uri.host_text(), TEAMS_HOST) {
            let message = format!(
                "trunk {} is Teams itself, which talks to its paired SBC only",
                quoted(trunk.name.as_str())
            );
            let help = "write the address of the SBC, or the label its 3xx rows match: a proxy \
                        cannot name the SBC in the Contact of a call, and Teams answers 403";
            self.warn(Code::AgainstProfile, address.spot, message, help);
        }
    }

    /// RFC 4904 §5.3 and what Genesys asks: something in the INVITE has to name the trunk.
    fn genesys_trunk(self, trunk: &TrunkSection, address: &Text, uri: &Uri<'_>) {
        let name = quoted(trunk.name.as_str());
        let label = |key: &[u8]| uri.user.and_then(|user| user.param(key)).is_some();
        let (tgrp, context) = (label(b"tgrp"), label(b"trunk-context"));
        if tgrp != context {
            let (has, lacks) = if tgrp {
                ("tgrp", "trunk-context")
            } else {
                ("trunk-context", "tgrp")
            };
            let message = format!("trunk {name} has {has} without {lacks}: half a label is none");
            let help = "write both: \"sip:;tgrp=IDENTIFIER;trunk-context=byoc.DOMAIN@HOST\"";
            self.warn(Code::AgainstProfile, address.spot, message, help);
            return;
        }
        let has_number = uri.user.is_some_and(|user| !user.number().is_empty());
        if !tgrp && !has_number && uri.host.ip().is_some() {
            let message =
                format!("nothing that trunk {name} is sent names a BYOC trunk to Genesys");
            let help = "name it by a label (\"sip:;tgrp=IDENTIFIER;trunk-context=byoc.DOMAIN@HOST\"), \
                        by its host (\"sip:IDENTIFIER.byoc.DOMAIN\"), or by the user part (DNIS, \
                        \"sip:IDENTIFIER@HOST\")";
            self.warn(Code::ProfileLacks, address.spot, message, help);
        }
    }

    /// Addresses that calls of Teams came from once.
    fn sources(self, id: GroupId) {
        if self.profile != Profile::Teams {
            return;
        }
        let schema = self.analysis.schema;
        let table = self.analysis.table;
        let classes = schema.classifications.iter().zip(table.classifications());
        let own = classes.filter(|(_, class)| class.group == id);
        let believed = own.flat_map(|(section, _)| &section.source);
        for text in self.section.accept_from.iter().chain(believed) {
            let Ok(IpNet::V4(net)) = text.as_str().trim().parse::<IpNet>() else {
                continue;
            };
            let (first, length) = FORMER_TEAMS;
            let former = Ipv4Net::new(first, length).ok();
            let is_former = net.prefix_len() >= 14
                && former.is_some_and(|former| former.contains(&net) || net.contains(&former));
            if is_former {
                let message = format!(
                    "{} is where Teams called from until 2023",
                    quoted(text.as_str())
                );
                let help = "calls of Teams come from 52.112.0.0/14 and 52.122.0.0/15: write both";
                self.warn(Code::AgainstProfile, text.spot, message, help);
            }
        }
    }

    /// A platform that hears nothing for so long has gone elsewhere with its call.
    fn patience(self, id: GroupId) {
        let Some(patience_ms) = self.profile.settings().patience_ms else {
            return;
        };
        let table = self.analysis.table;
        for (section, rule) in self.analysis.schema.rules.iter().zip(table.rules()) {
            let takes = rule.from.as_ref().is_none_or(|from| from.contains(&id));
            let (true, Action::RouteTo(destinations)) = (takes, &rule.action) else {
                continue;
            };
            let first = destinations
                .iter()
                .find_map(|destination| match destination {
                    Destination::Group(group) => table.group(*group),
                    Destination::Assigned => None,
                });
            let Some(policy) = first.and_then(|group| table.alternative_routing(group)) else {
                continue;
            };
            let timeout_ms = policy.trunk_timeout_ms.unwrap_or(0);
            if timeout_ms >= patience_ms {
                let message = format!(
                    "a call of {} waits {} s for one trunk, and {} has given it up after {} s",
                    self.name(),
                    timeout_ms / 1_000,
                    self.profile.as_str(),
                    patience_ms / 1_000
                );
                let spot = section.name.as_ref().map_or(section.spot, |name| name.spot);
                let help = format!(
                    "lower trunk_timeout of alternative_routing {}: no second trunk is tried in time",
                    quoted(&policy.name)
                );
                self.warn(Code::ProfileTooSlow, spot, message, &help);
            }
        }
    }
}

/// Whether a number with a `+` leaves this step without.
fn loses_plus(step: &Step) -> bool {
    let prepended = step
        .prepend
        .as_ref()
        .map(|number| number.as_bytes().first().copied());
    let has_plus = step.prefix.as_ref().is_none_or(|prefix| prefix.is_global());
    let taken = step.strip > 0 || step.keep_right.is_some();
    match prepended.flatten() {
        Some(b'+') => false,
        Some(_) => has_plus,
        None => has_plus && taken,
    }
}

/// Whether a host is this domain or in it.
fn is_within(host: &[u8], domain: &str) -> bool {
    let at = host.len().checked_sub(domain.len());
    let Some((before, end)) = at.and_then(|at| host.split_at_checked(at)) else {
        return false;
    };
    end.eq_ignore_ascii_case(domain.as_bytes()) && (before.is_empty() || before.ends_with(b"."))
}
