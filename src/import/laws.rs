//! What must hold for any file that is imported.

use super::lists::{did_csv, without_repeats};
use super::{File, Finding, drouting, import, lists, proof, settled, text_of};
use crate::routing::RoutingTable;

/// What became of files that were loaded as a table.
pub struct Tried {
    /// The table, if it has no error.
    pub table: Option<RoutingTable>,
    /// Lines of `routing.toml` whose rules can never decide.
    pub dead: Vec<u32>,
    /// What is wrong, for people.
    pub report: String,
}

/// Bytes of an ini file up to which the table is compared with it.
const COMPARED_BYTES: usize = 4_096;

/// Importing never panics. Every complaint names a line of the file it is about. What is written
/// is a table without an error, and one made of an ini file answers as the file does. A letter
/// in front chooses another form than an ini file: `n` a list of numbers, `r` rates, `s` sets of
/// a dispatcher, `d` rules and gateways of drouting with a NUL between them.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_import(bytes: &[u8], mut load: impl FnMut(&[File]) -> Tried) {
    let (form, bytes) = match bytes.split_first() {
        Some((form @ (b'n' | b'r' | b's' | b'd'), rest)) => (*form, rest),
        _ => (b'i', bytes),
    };
    if form == b'd' {
        return rules_and_gateways(bytes, &mut load);
    }
    let (text, mut findings) = text_of(bytes);
    match form {
        b'n' => {
            let listed = lists::read(&text, &mut findings);
            let listed = without_repeats(listed, &mut findings);
            loads(&mut load, &list_of(&did_csv(&listed, Some("g"))));
        }
        b'r' => {
            let csv = drouting::rates(&text, &mut findings);
            // The carriers are groups of whoever has the table.
            loads(&mut load, &list_of(&with_group(&csv, "g")));
        }
        b's' => {
            let toml = drouting::dispatcher(&text, &mut findings);
            if toml.contains("[trunk.") {
                loads(&mut load, &[(String::from("routing.toml"), toml + ANY)]);
            }
        }
        _ => configuration(&text, &mut findings, &mut load),
    }
    told_with_lines(&findings, &text);
}

fn rules_and_gateways(bytes: &[u8], load: &mut impl FnMut(&[File]) -> Tried) {
    let at = bytes.iter().position(|byte| *byte == 0);
    let (rules, gateways) = bytes.split_at(at.unwrap_or(bytes.len()));
    let gateways = gateways.get(1..).unwrap_or_default();
    let (rules, mut of_rules) = text_of(rules);
    let (gateways, mut of_gateways) = text_of(gateways);
    let files = drouting::drouting(&rules, &gateways, None, &mut of_rules, &mut of_gateways);
    told_with_lines(&of_rules, &rules);
    told_with_lines(&of_gateways, &gateways);
    if files.iter().any(|(_, text)| text.contains("[trunk.")) {
        loads(load, &files);
    }
}

fn configuration(text: &str, findings: &mut Vec<Finding>, load: &mut impl FnMut(&[File]) -> Tried) {
    let (mut original, found) = import(text);
    findings.extend(found);
    if original.size().0 == 0 {
        return;
    }
    let mut last = None;
    let made = settled(&mut original, findings, |files| {
        let tried = last.insert(load(files));
        Ok::<_, std::convert::Infallible>(tried.dead.clone())
    });
    let (Ok((_, names)), Some(tried)) = (made, last) else {
        return;
    };
    if original.size().0 == 0 {
        return;
    }
    let Some(table) = tried.table else {
        panic!("the table has errors: {}", tried.report);
    };
    if text.len() <= COMPARED_BYTES {
        let proof = proof::compare(&original, &names, &table);
        assert!(proof.differences.is_empty(), "{:?}", proof.differences);
    }
}

fn told_with_lines(findings: &[Finding], text: &str) {
    let lines = text.split('\n').count() as u32;
    for finding in findings {
        assert!((1..=lines).contains(&finding.line), "{finding:?}");
        assert!(!finding.message.is_empty(), "{finding:?}");
    }
}

fn loads(load: &mut impl FnMut(&[File]) -> Tried, files: &[File]) {
    let tried = load(files);
    assert!(tried.table.is_some(), "{}\n{files:?}", tried.report);
}

const GROUP: &str = "[trunk_group.g]\ntrunks = [\"t\"]\n[trunk.t]\naddress = \"sip:192.0.2.1\"\n";
const ANY: &str = "\n[[rule]]\nname = \"all\"\nroute_to = [\"g\"]\n[trunk_group.g]\n\
                   trunks = [\"t\"]\n[trunk.t]\naddress = \"sip:192.0.2.1\"\n";

/// A table around a list.
fn list_of(csv: &str) -> Vec<File> {
    let is_empty = csv.lines().nth(1).is_none();
    let rest = match is_empty {
        true => "[[rule]]\nname = \"all\"\nroute_to = [\"g\"]\n",
        false => {
            "[did.one]\nfile = \"one.csv\"\n[[rule]]\nname = \"all\"\ncalled = [\"did:one\"]\n\
             route_to = [\"assigned\"]\n"
        }
    };
    let toml = format!("{GROUP}{rest}");
    let list = (String::from("one.csv"), csv.to_owned());
    let toml = (String::from("routing.toml"), toml);
    match is_empty {
        true => vec![toml],
        false => vec![toml, list],
    }
}

/// The rows of a list, all of one group.
fn with_group(list: &str, group: &str) -> String {
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    let rows = reader.records().flatten();
    let rows = rows.filter_map(|row| Some(format!("{},{group},\n", row.get(0)?)));
    std::iter::once(String::from("number,trunk_group,comment\n"))
        .chain(rows)
        .collect()
}
