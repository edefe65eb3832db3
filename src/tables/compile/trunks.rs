//! Trunks, trunk groups and classifications: whom calls are exchanged with.

use super::{AllNames, Compiled, probing};
use crate::limits::{MANIPULATION_STEPS_MAX, TRUNKS_PER_GROUP_MAX};
use crate::routing::text_pattern::TextPattern;
use crate::routing::trunk::{TargetUri, Trunk, TrunkGroup};
use crate::routing::{Classification, DialPlanId, GroupId, ManipulationId, PolicyId, TrunkId};
use crate::sip::{Host, Scheme, Uri};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::names::{Context, report_circles};
use crate::tables::schema::{ClassificationSection, GroupSection, Schema, TrunkSection};
use crate::tables::source::Spot;
use crate::tables::toml_reader::Text;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

pub(super) fn compile(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    compiled: &mut Compiled,
) {
    compiled.parts.trunks = schema
        .trunks
        .iter()
        .filter_map(|section| trunk(context, section))
        .collect();
    let search = search_orders(context, names, schema);
    compiled.parts.groups = schema
        .groups
        .iter()
        .zip(search)
        .map(|section| group(context, names, schema, section))
        .collect();
    networks(context, schema, compiled);
    compiled.parts.classifications = schema
        .classifications
        .iter()
        .filter_map(|section| classification(context, names, section))
        .collect();
    let classified = compiled.parts.classifications.iter();
    compiled
        .arrival_groups
        .extend(classified.map(|classification| classification.group.0));
}

fn trunk(context: &Context<'_>, section: &TrunkSection) -> Option<Trunk> {
    Some(Trunk {
        name: section.name.as_str().into(),
        target: target(context, section.address.as_ref()?)?,
        weight: section.weight,
        max_calls: section.max_calls,
        max_cps: section.max_cps,
        large_over_tcp: large_over_tcp(context, section),
        probing: probing::compile(context, section),
        options_contact: contact(context, section),
        origin: context.origin(section.name.spot),
    })
}

/// The name by which a trunk is told where its OPTIONS come from.
fn contact(context: &Context<'_>, section: &TrunkSection) -> Option<Box<str>> {
    let name = section.probing.contact.as_ref()?;
    let is_name = Host::parse(name.as_str().as_bytes())
        .is_some_and(|host| host.ip().is_none() && name.as_str().contains('.'));
    if !is_name {
        let message = format!("{} is not the name of a host", quoted(name.as_str()));
        let diagnostic = Diagnostic::error(Code::NotAllowed, message)
            .help("write a name with its domain, such as \"sbc1.example.net\"; no port");
        context.push(diagnostic, name.spot, "");
        return None;
    }
    Some(name.as_str().into())
}

/// Whether large requests go by TCP: for addresses that are reached over UDP, or may be.
fn large_over_tcp(context: &Context<'_>, section: &TrunkSection) -> bool {
    let Some((is_wanted, spot)) = section.large_over_tcp else {
        return false;
    };
    let address = section.address.as_ref();
    let uri = address.and_then(|address| Uri::parse(address.as_str().as_bytes()).ok());
    let is_stream = uri.is_some_and(|uri| {
        let transport = uri.param(b"transport");
        uri.scheme == Scheme::Sips
            || transport.is_some_and(|name| !name.eq_ignore_ascii_case(b"udp"))
    });
    if is_stream {
        let message = "large_requests is for trunks over UDP: this address names another way";
        let diagnostic =
            Diagnostic::error(Code::KeyChoice, message).help("leave large_requests out");
        context.push(diagnostic, spot, "");
    }
    is_wanted
}

const ADDRESS_HELP: &str = "write a SIP URI such as \"sip:203.0.113.2:5060;transport=udp\"";

/// What to write for an address that only lacks its scheme.
fn with_scheme(text: &str) -> Option<String> {
    let begins_like_a_host = text
        .split(':')
        .next()
        .is_some_and(|host| host.contains('.'));
    let whole = format!("sip:{text}");
    (begins_like_a_host && Uri::parse(whole.as_bytes()).is_ok())
        .then(|| format!("did you mean {}?", quoted(&whole)))
}

/// Cuts an address into what stands before and behind the number.
fn target(context: &Context<'_>, address: &Text) -> Option<TargetUri> {
    let refuse = |message: String, label: &str| {
        let diagnostic = Diagnostic::error(Code::NotASipAddress, message).help(ADDRESS_HELP);
        context.push(diagnostic, address.spot, label);
    };
    let text = address.as_str();
    let uri = match Uri::parse(text.as_bytes()) {
        Ok(uri) => uri,
        Err(error) => {
            let range = error.offset.min(text.len())..(error.offset + 1).min(text.len());
            let diagnostic = Diagnostic::error(
                Code::NotASipAddress,
                format!("{} is not a SIP address: {error}", quoted(text)),
            )
            .help(with_scheme(text).unwrap_or_else(|| ADDRESS_HELP.to_owned()));
            context.push(diagnostic, address.sub(range), "");
            return None;
        }
    };
    let scheme = match uri.scheme {
        Scheme::Sip => "sip:",
        Scheme::Sips => "sips:",
        Scheme::Tel | Scheme::Other(_) => {
            let message = format!("{} is not a sip: or sips: URI", quoted(text));
            let help = with_scheme(text).unwrap_or_else(|| ADDRESS_HELP.to_owned());
            let diagnostic = Diagnostic::error(Code::NotASipAddress, message).help(help);
            context.push(diagnostic, address.spot, "");
            return None;
        }
    };
    if uri.password.is_some() || uri.headers.is_some() {
        refuse(
            "an address carries neither a password nor headers".to_owned(),
            "",
        );
        return None;
    }
    let behind_user = text.split_once('@').map_or_else(
        || text.split_once(':').map_or("", |(_, rest)| rest),
        |(_, rest)| rest,
    );
    let user = uri.user.map_or("", |user| {
        std::str::from_utf8(user.as_bytes()).unwrap_or_default()
    });
    let (fixed, parameters) = match user.find(';') {
        Some(at) => user.split_at(at),
        None => (user, ""),
    };
    Some(TargetUri {
        scheme: scheme.into(),
        fixed_user: (!fixed.is_empty()).then(|| fixed.into()),
        user_parameters: parameters.into(),
        host_and_parameters: behind_user.into(),
    })
}

fn group(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    (section, search): (&GroupSection, Vec<u16>),
) -> TrunkGroup {
    let trunks = names.trunks.find_all(context, &section.trunks);
    if let Some(over) = section.trunks.get(TRUNKS_PER_GROUP_MAX) {
        let message = format!("a trunk group has at most {TRUNKS_PER_GROUP_MAX} trunks");
        context.error(Code::OverLimit, over.spot, "one too many", message);
    }
    let manipulations = |list: &[Text]| -> Box<[ManipulationId]> {
        if let Some(over) = list.get(MANIPULATION_STEPS_MAX) {
            let message = format!("at most {MANIPULATION_STEPS_MAX} manipulations");
            context.error(Code::OverLimit, over.spot, "one too many", message);
        }
        names
            .manipulations
            .find_all(context, list)
            .into_iter()
            .map(ManipulationId)
            .collect()
    };
    TrunkGroup {
        name: section.name.as_str().into(),
        trunks: trunks.into_iter().map(TrunkId).collect(),
        hunt: section.hunt,
        max_calls: section.max_calls,
        dial_plan: section
            .dial_plan
            .as_ref()
            .and_then(|name| names.dial_plans.find(context, name))
            .map(DialPlanId),
        inbound: manipulations(&section.inbound),
        outbound: manipulations(&section.outbound),
        search: search.into_iter().map(GroupId).collect(),
        alternative_routing: section
            .alternative_routing
            .as_ref()
            .and_then(|name| names.policies.find(context, name))
            .map(PolicyId),
        send_back: section.send_back.unwrap_or(true),
        transfers_to: transfers_to(context, names, schema, section),
        origin: context.origin(section.name.spot),
    }
}

fn transfers_to(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    section: &GroupSection,
) -> Option<GroupId> {
    let name = section.transfers_to.as_ref()?;
    let id = names.groups.find(context, name)?;
    without_trunks(context, schema, id, name);
    Some(GroupId(id))
}

/// Each group, then its overflow groups and theirs, each once, nearest first.
fn search_orders(context: &Context<'_>, names: &AllNames<'_>, schema: &Schema) -> Vec<Vec<u16>> {
    let next: Vec<Vec<(u16, Spot)>> = schema
        .groups
        .iter()
        .map(|section| {
            let found = section.overflow.iter().filter_map(|name| {
                let id = names.groups.find(context, name)?;
                without_trunks(context, schema, id, name);
                Some((id, name.spot))
            });
            found.collect()
        })
        .collect();
    report_circles(context, &names.groups, &next);
    (0..schema.groups.len() as u16)
        .map(|start| {
            // Depth first; `seen` also ends a circle, which is an error anyway.
            let (mut seen, mut waiting) = (Vec::new(), vec![start]);
            while let Some(id) = waiting.pop() {
                if seen.contains(&id) {
                    continue;
                }
                seen.push(id);
                let edges = next.get(usize::from(id)).map_or(&[][..], |edges| edges);
                waiting.extend(edges.iter().rev().map(|(to, _)| *to));
            }
            seen
        })
        .collect()
}

/// Reports a group that calls are to be sent to but that has nowhere to send them.
pub(super) fn without_trunks(context: &Context<'_>, schema: &Schema, id: u16, named: &Text) {
    let Some(section) = schema.groups.get(usize::from(id)) else {
        return;
    };
    if section.trunks.is_empty() && section.overflow.is_empty() && !context.is_damaged {
        let message = format!(
            "trunk group {} has no trunks to route to",
            quoted(named.as_str())
        );
        context.diagnostics.push(
            Diagnostic::error(Code::NothingToRouteTo, message)
                .at(context.sources.place(named.spot, "routed to here"))
                .at(context
                    .sources
                    .place(section.name.spot, "defined without trunks here")),
        );
    }
}

/// `accept_from` of all groups; the same network twice is an error.
fn networks(context: &Context<'_>, schema: &Schema, compiled: &mut Compiled) {
    let mut first: HashMap<IpNet, (u16, Spot)> = HashMap::new();
    for (id, section) in schema.groups.iter().enumerate() {
        let id = id as u16;
        for text in &section.accept_from {
            let Some(net) = network(context, text) else {
                continue;
            };
            compiled.arrival_groups.push(id);
            match first.get(&net) {
                Some((other, spot)) if *other != id => {
                    let message =
                        format!("{} is accepted on two trunk groups", quoted(text.as_str()));
                    context.diagnostics.push(
                        Diagnostic::error(Code::NetworkTwice, message)
                            .at(context.sources.place(text.spot, "accepted again here"))
                            .at(context.sources.place(*spot, "first accepted here"))
                            .help("tell the groups apart with [[classification]]"),
                    );
                }
                Some(_) => {}
                None => {
                    first.insert(net, (id, text.spot));
                    compiled.parts.networks.push((net, GroupId(id)));
                }
            }
        }
    }
}

/// An address or a network in its one canonical form.
fn network(context: &Context<'_>, text: &Text) -> Option<IpNet> {
    let value = text.as_str().trim();
    let parsed = value.parse::<IpNet>().ok().or_else(|| {
        value
            .parse::<IpAddr>()
            .ok()
            .map(|a| IpNet::from(a.to_canonical()))
    });
    let Some(net) = parsed else {
        let message = format!("{} is not a network", quoted(text.as_str()));
        let diagnostic = Diagnostic::error(Code::NotANetwork, message).help(
            "write an address or a network: \"10.0.0.5\", \"203.0.113.0/28\", \"2001:db8::/32\"",
        );
        context.push(diagnostic, text.spot, "");
        return None;
    };
    if net.addr() != net.network() {
        let message = format!("{} has bits set behind its length", quoted(text.as_str()));
        let diagnostic = Diagnostic::error(Code::NotANetwork, message).help(format!(
            "write {}, or {}",
            net.trunc(),
            net.addr()
        ));
        context.push(diagnostic, text.spot, "");
        return None;
    }
    Some(net)
}

fn classification(
    context: &Context<'_>,
    names: &AllNames<'_>,
    section: &ClassificationSection,
) -> Option<Classification> {
    let patterns =
        |list: &[Text]| text_patterns(context, list.iter().map(|text| (text.as_str(), text.spot)));
    let header = section.header.as_ref().and_then(|(name, values)| {
        let name = name.as_ref()?;
        if name.as_str().is_empty() || !name.as_str().bytes().all(is_token) {
            let message = format!("{} is not a header name", quoted(name.as_str()));
            context.error(Code::NotAllowed, name.spot, "", message);
        }
        Some((name.as_str().into(), patterns(values)))
    });
    let source: Box<[IpNet]> = section
        .source
        .iter()
        .filter_map(|text| network(context, text))
        .collect();
    for (key, spot) in &section.empty_lists {
        let message = format!("{key} is an empty list, so the classification could never apply");
        let help = match *key {
            "source" => "name the addresses that may be believed".to_owned(),
            key => format!("leave {key} out, or name something"),
        };
        let diagnostic = Diagnostic::error(Code::NotAllowed, message).help(help);
        context.push(diagnostic, *spot, "");
    }
    Some(Classification {
        source,
        listener: patterns(&section.listener),
        header,
        tgrp: patterns(&section.tgrp),
        trunk_context: patterns(&section.trunk_context),
        contact_host: patterns(&section.contact_host),
        from_host: patterns(&section.from_host),
        request_host: patterns(&section.request_host),
        group: GroupId(names.groups.find(context, section.trunk_group.as_ref()?)?),
        origin: context.origin(section.spot),
    })
}

/// RFC 3261 §25.1 token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

pub(super) fn text_patterns<'t>(
    context: &Context<'_>,
    items: impl IntoIterator<Item = (&'t str, Spot)>,
) -> Box<[TextPattern]> {
    items
        .into_iter()
        .filter_map(|(text, spot)| {
            let pattern = TextPattern::parse(text);
            if pattern.is_none() {
                let message = format!("{} is not a pattern", quoted(text));
                let diagnostic = Diagnostic::error(Code::NotAllowed, message)
                    .help("write a text, with a * at its start or its end for any text");
                context.push(diagnostic, spot, "");
            }
            pattern
        })
        .collect()
}
