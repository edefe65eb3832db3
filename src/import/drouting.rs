//! `drouting` and `dispatcher` of Kamailio and OpenSIPS, and rate decks.
//!
//! `drouting` looks for the longest prefix, as a DID list does, so its rules become rows. The
//! lists of gateways they name become trunk groups.

use super::lists::cell as csv_cell;
use super::rows::{Rows, cell};
use super::write::{File, cut, key, list, plain, quote, unique};
use super::{Finding, audiocodes};
use crate::limits::{IMPORT_ROWS_MAX, NUMBER_SYMBOLS_MAX, TRUNKS_PER_GROUP_MAX};
use crate::routing::Number;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A gateway.
struct Gateway {
    line: u32,
    address: String,
    strip: u8,
    prefix: String,
}

/// A table of `dr_rules` and `dr_gateways`, printed with their column names.
#[must_use]
pub fn drouting(
    rules: &str,
    gateways: &str,
    group: Option<&str>,
    of_rules: &mut Vec<Finding>,
    of_gateways: &mut Vec<Finding>,
) -> Vec<File> {
    let gateways = read_gateways(gateways, of_gateways);
    let read = Rows::read(rules);
    let [groups, prefix, hours, priority, to, text] = [
        &["groupid"][..],
        &["prefix"],
        &["timerec"],
        &["priority"],
        &["gwlist"],
        &["description", "descr", "attrs"],
    ]
    .map(|names| read.column(names));
    if prefix.is_none() || to.is_none() {
        of_rules.push(Finding::new(
            1,
            "there is no column prefix, or no column gwlist",
        ));
        return Vec::new();
    }
    // By prefix, the rules in order of priority.
    let mut by_prefix: ByPrefix<'_> = BTreeMap::new();
    for (line, cells) in read.rows.iter().take(IMPORT_ROWS_MAX) {
        let of: Vec<&str> = cell(cells, groups)
            .split([',', ';'])
            .map(str::trim)
            .collect();
        if group.is_some_and(|group| !of.contains(&group)) {
            continue;
        }
        let mut leave_out = |why: String| of_rules.push(Finding::new(*line, why));
        if !cell(cells, hours).is_empty() {
            leave_out(String::from(
                "the rule is left out: it holds at some hours only",
            ));
            continue;
        }
        let text_of = cell(cells, prefix);
        let number = match text_of {
            "" => Some(Vec::new()),
            text => Number::parse(text.as_bytes()).map(|number| number.as_bytes().to_vec()),
        };
        let Some(number) =
            number.filter(|number| Number::parse(number).is_none_or(|number| can_begin(&number)))
        else {
            leave_out(format!("the rule is left out: {text_of:?} is not a prefix"));
            continue;
        };
        let ids = cell(cells, to).split([',', ';']).map(str::trim);
        let ids = ids.map(|id| id.split('=').next().unwrap_or_default());
        let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
        match ids.iter().find(|id| !gateways.contains_key(**id)) {
            Some(id) => leave_out(format!("the rule is left out: gateway {id:?} is not there")),
            None if ids.is_empty() => {
                leave_out(String::from("the rule is left out: it names no gateway"));
            }
            None => {
                let priority = cell(cells, priority).parse().unwrap_or(0);
                let rules = by_prefix.entry(number).or_default();
                rules.push((priority, *line, ids, cell(cells, text)));
            }
        }
    }
    if group.is_none() {
        say_groups(&read, groups, of_rules);
    }
    written(by_prefix, &gateways, of_gateways)
}

/// More groups than one are more number spaces than one.
fn say_groups(read: &Rows, groups: Option<usize>, findings: &mut Vec<Finding>) {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (line, cells) in &read.rows {
        if known.insert(cell(cells, groups)) && known.len() == 2 {
            let message = "there is more than one groupid: say which with --group, or all of \
                           them are one number space";
            findings.push(Finding::new(*line, message));
        }
    }
}

fn read_gateways(text: &str, findings: &mut Vec<Finding>) -> BTreeMap<String, Gateway> {
    let read = Rows::read(text);
    let id = read.column(&["gwid", "id"]);
    let [address, strip, prefix, state] =
        [&["address"][..], &["strip"], &["pri_prefix"], &["state"]].map(|names| read.column(names));
    let mut gateways = BTreeMap::new();
    if id.is_none() || address.is_none() {
        findings.push(Finding::new(
            1,
            "there is no column gwid or id, or no column address",
        ));
        return gateways;
    }
    for (line, cells) in read.rows.iter().take(IMPORT_ROWS_MAX) {
        let mut say = |message| findings.push(Finding::new(*line, message));
        let [address, strip, prefix, state] =
            [address, strip, prefix, state].map(|column| cell(cells, column));
        let Some((uri, left_out)) = uri_of(address) else {
            say(format!(
                "the gateway is left out: {address:?} is not an address"
            ));
            continue;
        };
        let gateway = match changes(strip, prefix) {
            Ok((strip, prefix)) => Gateway {
                line: *line,
                address: uri,
                strip,
                prefix,
            },
            Err(why) => {
                say(format!("the gateway is left out: {why}"));
                continue;
            }
        };
        if let Some(left_out) = left_out {
            say(left_out);
        }
        if !matches!(state, "" | "0") {
            say("the gateway is out of service there, and in service here".into());
        }
        gateways.insert(cell(cells, id).to_owned(), gateway);
    }
    gateways
}

/// What a gateway makes of a number: how many digits it strips, and what it puts before it.
fn changes(strip: &str, prefix: &str) -> Result<(u8, String), String> {
    if !prefix.is_empty() && Number::parse(prefix.as_bytes()).is_none() {
        return Err(format!("{prefix:?} is no part of a number"));
    }
    let stripped = stripped(strip)
        .ok_or_else(|| format!("strip {strip:?} is not 0 to {NUMBER_SYMBOLS_MAX}"))?;
    Ok((stripped, prefix.to_owned()))
}

/// How many digits a gateway strips: none where nothing is said.
fn stripped(text: &str) -> Option<u8> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.parse().ok()?;
    (usize::from(digits) <= NUMBER_SYMBOLS_MAX).then_some(digits)
}

/// Whether a row can have all numbers that begin so: behind a `+` stand digits.
fn can_begin(number: &Number) -> bool {
    let global = number.as_bytes().strip_prefix(b"+");
    global.is_none_or(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
}

/// An address as a table has it: a host and how to reach it, and what of it is left out.
fn uri_of(address: &str) -> Option<(String, Option<String>)> {
    let (scheme, bare) = match address.strip_prefix("sips:") {
        Some(bare) => ("sips:", bare),
        None => ("sip:", address.strip_prefix("sip:").unwrap_or(address)),
    };
    let (host, parameters) = bare.split_once(';').unwrap_or((bare, ""));
    let known: &[&str] = match scheme {
        "sips:" => &["transport=tcp", "transport=tls"],
        _ => &["transport=udp", "transport=tcp", "transport=tls"],
    };
    let is_known = |parameter: &&str| known.iter().any(|k| k.eq_ignore_ascii_case(parameter));
    let mut transport = parameters.split(';').filter(is_known);
    let uri = match transport.next() {
        Some(transport) => format!("{scheme}{host};{}", transport.to_ascii_lowercase()),
        None => format!("{scheme}{host}"),
    };
    let is_whole = parameters.is_empty() || uri.eq_ignore_ascii_case(&format!("{scheme}{bare}"));
    let left_out = (!is_whole).then(|| format!("of {address:?} only {uri} is taken"));
    audiocodes::is_host(host).then_some((uri, left_out))
}

/// The rules of each prefix: priority, line, gateways and a remark.
type ByPrefix<'r> = BTreeMap<Vec<u8>, Vec<(i64, u32, Vec<&'r str>, &'r str)>>;

fn written(
    by_prefix: ByPrefix<'_>,
    gateways: &BTreeMap<String, Gateway>,
    findings: &mut Vec<Finding>,
) -> Vec<File> {
    let mut names: BTreeMap<Vec<&str>, String> = BTreeMap::new();
    let mut taken = BTreeSet::from([String::from("assigned")]);
    let mut csv = String::from("number,trunk_group,comment\n");
    let mut toml = String::from("# Imported from drouting.\n");
    let mut otherwise = None;
    for (prefix, mut rules) in by_prefix {
        // The higher first; of equal ones the upper.
        rules.sort_by_key(|(priority, line, ..)| (std::cmp::Reverse(*priority), *line));
        let mut ids: Vec<&str> = Vec::new();
        for id in rules.iter().flat_map(|(_, _, ids, _)| ids) {
            if !ids.contains(id) && ids.len() < TRUNKS_PER_GROUP_MAX {
                ids.push(id);
            }
        }
        let group = names.entry(ids.clone()).or_insert_with(|| {
            let name = unique(&plain(&format!("gw-{}", ids.join("-"))), &mut taken);
            write_group(&name, &ids, gateways, &mut toml, findings);
            name
        });
        let first = rules.first().map(|(_, line, _, text)| (*line, *text));
        let (line, text) = first.unwrap_or_default();
        match &*prefix {
            [] => otherwise = Some(group.clone()),
            prefix => {
                let number = format!("{}*", String::from_utf8_lossy(prefix));
                let comment = format!("{text} (line {line})");
                let cells = [&*number, &**group, comment.trim()].map(csv_cell);
                csv.push_str(&(cells.join(",") + "\n"));
            }
        }
    }
    let _ = write!(
        toml,
        "\n[did.drouting]\nfile = \"dids/drouting.csv\"\n\n[[rule]]\nname     = \"By prefix\"\n\
         called   = [\"did:drouting\"]\nroute_to = [\"assigned\"]\n"
    );
    if let Some(group) = otherwise {
        let _ = write!(
            toml,
            "\n[[rule]]  # the rule without a prefix\nname     = \"Otherwise\"\nroute_to = {}\n",
            list(&[group])
        );
    }
    vec![
        (String::from("routing.toml"), toml),
        (String::from("dids/drouting.csv"), csv),
    ]
}

fn write_group(
    name: &str,
    ids: &[&str],
    gateways: &BTreeMap<String, Gateway>,
    toml: &mut String,
    findings: &mut Vec<Finding>,
) {
    let found: Vec<&Gateway> = ids.iter().filter_map(|id| gateways.get(*id)).collect();
    let trunks = (1..=found.len()).map(|at| format!("{}-{at}", cut(name, 56)));
    let trunks: Vec<String> = trunks.collect();
    let _ = writeln!(toml, "\n[trunk_group.{}]", key(name));
    let _ = writeln!(toml, "trunks   = {}", list(&trunks));
    let step = |gateway: &Gateway| (gateway.strip, gateway.prefix.clone());
    let (strip, prefix) = found
        .first()
        .map_or((0, String::new()), |first| step(first));
    let differs = found
        .iter()
        .find(|gateway| step(gateway) != (strip, prefix.clone()));
    if let Some(differs) = differs {
        let message = "strip and pri_prefix are left out: gateways of one rule differ in them";
        findings.push(Finding::new(differs.line, message));
    } else if strip > 0 || !prefix.is_empty() {
        let _ = writeln!(toml, "outbound = [{}]", quote(name));
        let _ = writeln!(toml, "\n[manipulation.{}]", key(name));
        let _ = write!(toml, "called = [{{ strip = {strip}");
        if !prefix.is_empty() {
            let _ = write!(toml, ", prepend = {}", quote(&prefix));
        }
        toml.push_str(" }]\n");
    }
    for (trunk, gateway) in trunks.iter().zip(found) {
        let _ = writeln!(toml, "\n[trunk.{}]  # line {}", key(trunk), gateway.line);
        let _ = writeln!(toml, "address = {}", quote(&gateway.address));
    }
}

/// A destination: priority, line, weight and address.
type Destination = (i64, u32, Option<u32>, String);

/// A `dispatcher.list`: a trunk group for each set, `set-N`, as TOML.
#[must_use]
pub fn dispatcher(text: &str, findings: &mut Vec<Finding>) -> String {
    let mut sets: BTreeMap<u32, Vec<Destination>> = BTreeMap::new();
    for (text, line) in text.lines().zip(1..) {
        let text = text.split('#').next().unwrap_or_default().trim();
        let mut words = text.split_whitespace();
        let Some(set) = words.next() else { continue };
        let (set, address) = (set.parse::<u32>().ok(), words.next());
        let address = address.filter(|text| text.starts_with("sip:") || text.starts_with("sips:"));
        let (Some(set), Some((address, left_out))) = (set, address.and_then(uri_of)) else {
            findings.push(Finding::new(
                line,
                "not a set and the address of a destination",
            ));
            continue;
        };
        if let Some(left_out) = left_out {
            findings.push(Finding::new(line, left_out));
        }
        let flags: Option<u32> = words.next().and_then(|word| word.parse().ok());
        // 1 is inactive, 4 disabled.
        if flags.is_some_and(|flags| flags & 5 != 0) {
            let message = "the destination is out of service there, and in service here";
            findings.push(Finding::new(line, message));
        }
        let priority = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let attributes = words.next().unwrap_or_default().split(';');
        let weight = attributes.filter_map(|pair| pair.split_once('='));
        let weight = weight.filter(|(name, _)| matches!(*name, "weight" | "rweight"));
        let weight = weight.filter_map(|(_, value)| value.parse().ok()).next();
        let trunks = sets.entry(set).or_default();
        match trunks.len() < TRUNKS_PER_GROUP_MAX {
            true => trunks.push((priority, line, weight, address)),
            false => findings.push(Finding::new(line, "more destinations than a group has")),
        }
    }
    let mut toml = String::from("# Imported from a dispatcher list.\n");
    for (set, mut trunks) in sets {
        // A higher priority is tried first.
        trunks.sort_by_key(|(priority, line, ..)| (std::cmp::Reverse(*priority), *line));
        let names = (1..=trunks.len()).map(|at| format!("set-{set}-{at}"));
        let names: Vec<String> = names.collect();
        let _ = writeln!(toml, "\n[trunk_group.set-{set}]\ntrunks = {}", list(&names));
        let is_weighted = trunks.iter().any(|(_, _, weight, _)| weight.is_some());
        if is_weighted {
            toml.push_str("hunt   = \"weighted\"\n");
        }
        for (name, (_, line, weight, address)) in names.iter().zip(trunks) {
            let _ = writeln!(toml, "\n[trunk.{name}]  # line {line}");
            let _ = writeln!(toml, "address = {}", quote(&address));
            if let Some(weight) = weight.filter(|weight| (1..=100).contains(weight)) {
                let _ = writeln!(toml, "weight  = {weight}");
            }
        }
    }
    toml
}

/// A rate deck, `prefix`, `carrier` and `rate`, as a DID list: each prefix goes to the carrier
/// that is cheapest for it. What a carrier asks for a prefix is the rate of its own longest one.
#[must_use]
pub fn rates(text: &str, findings: &mut Vec<Finding>) -> String {
    let read = Rows::read(text);
    let [prefix, carrier, rate] = [
        &[
            "prefix",
            "code",
            "dialcode",
            "destination_code",
            "dial_prefix",
        ][..],
        &[
            "carrier",
            "trunk_group",
            "supplier",
            "gateway",
            "vendor",
            "provider",
        ],
        &[
            "rate",
            "price",
            "cost",
            "rate_per_minute",
            "price_per_minute",
        ],
    ]
    .map(|names| read.column(names));
    if prefix.is_none() || carrier.is_none() || rate.is_none() {
        let message = "there is no column prefix, carrier or rate";
        findings.push(Finding::new(1, message));
        return String::new();
    }
    let mut decks: BTreeMap<&str, BTreeMap<Vec<u8>, f64>> = BTreeMap::new();
    for (line, cells) in read.rows.iter().take(IMPORT_ROWS_MAX) {
        let text = cell(cells, prefix);
        let number = Number::parse(text.as_bytes()).filter(can_begin);
        // A sign of a currency may stand on either side.
        let price = cell(cells, rate).trim_matches(['$', '€', '£', ' ']);
        let price: Option<f64> = price.replace(',', ".").parse().ok();
        let price = price.filter(|price| price.is_finite() && *price >= 0.0);
        let carrier = cell(cells, carrier);
        match (number, price, carrier) {
            (Some(number), Some(price), carrier) if !carrier.is_empty() => {
                let deck = decks.entry(carrier).or_default();
                if deck.insert(number.as_bytes().to_vec(), price).is_some() {
                    let message = format!("{carrier} has {text} twice; the last counts");
                    findings.push(Finding::new(*line, message));
                }
            }
            _ => findings.push(Finding::new(*line, "not a prefix, a carrier and a rate")),
        }
    }
    let all: BTreeSet<&[u8]> = decks
        .values()
        .flat_map(|deck| deck.keys().map(|p| &**p))
        .collect();
    let mut csv = String::from("number,trunk_group,comment\n");
    for prefix in all {
        let mut asked: Vec<(f64, &str)> = decks
            .iter()
            .filter_map(|(carrier, deck)| {
                let mut heads = (1..=prefix.len()).rev().filter_map(|end| prefix.get(..end));
                Some((*heads.find_map(|head| deck.get(head))?, *carrier))
            })
            .collect();
        asked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        let shown = asked
            .iter()
            .map(|(price, carrier)| format!("{carrier} {price}"));
        let comment = shown.collect::<Vec<_>>().join(", ");
        let cheapest = asked.first().map_or("", |(_, carrier)| carrier);
        let number = format!("{}*", String::from_utf8_lossy(prefix));
        let cells = [&*number, cheapest, &*comment].map(csv_cell);
        csv.push_str(&(cells.join(",") + "\n"));
    }
    csv
}
