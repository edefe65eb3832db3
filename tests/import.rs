//! Configurations of other machines: made-up ini files of three releases, with the faults of
//! real ones; random ones, whose tables must answer the same; and bytes that are none.
#![allow(clippy::unwrap_used)] // a test says so by failing

use assert_cmd::Command;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use trunkline::import::drouting::{dispatcher, drouting, rates};
use trunkline::import::{File, Names, Original, Tried, fuzz_import, import, proof, text_of};
use trunkline::tables::{Loaded, load};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn trunkline(arguments: &[&str]) -> Ran {
    let mut command = Command::cargo_bin("trunkline").unwrap();
    let output = command.args(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn import_file(arguments: &[&str]) -> Ran {
    trunkline(&[&["import", "audiocodes"], arguments].concat())
}

/// All that was said of a configuration of which something is left out.
fn is_as_expected(out: &str, left_out: &str, expected: &str) {
    let answer = format!("{out}──── left out ────\n{left_out}");
    let expected = Path::new("tests/import").join(expected);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&expected, &answer).unwrap();
    }
    assert_eq!(answer, fs::read_to_string(expected).unwrap());
    assert!(answer.contains("the same answers"));
}

/// Files in a folder of their own, loaded as a table.
fn loaded(files: &[File]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    load(folder.path())
}

/// What a table of one file does otherwise than the original.
fn differences(original: &Original, names: &Names, toml: &str) -> Vec<String> {
    let loaded = loaded(&[(String::from("routing.toml"), toml.to_owned())]);
    let Some(table) = loaded.table else {
        panic!("{}", loaded.report.text(false))
    };
    proof::compare(original, names, &table).differences
}

/// What is left out is said with its line; what is imported answers the same.
#[test]
fn a_configuration_with_faults() {
    let ran = import_file(&["tests/import/main-office.ini", "--dry-run"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    is_as_expected(&ran.out, &ran.err, "main-office.expected.txt");
}

/// Dial plan, tags, sets of groups and classification; comments, gaps and hidden values.
#[test]
fn a_configuration_with_tags() {
    let ran = import_file(&["tests/import/release-7.2.ini", "--dry-run"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    is_as_expected(&ran.out, &ran.err, "release-7.2.expected.txt");
}

#[test]
fn each_release_by_its_format_line() {
    for release in ["7.0", "7.4"] {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("table");
        let file = format!("tests/import/release-{release}.ini");
        let ran = import_file(&[&file, "--to", to.to_str().unwrap()]);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{}", ran.out);
        let report = load(&to).report;
        assert_eq!(report.errors, 0, "{}", report.text(false));
        // A folder that is there is never written over.
        assert_eq!(import_file(&[&file, "--to", to.to_str().unwrap()]).code, 2);
    }
    assert_eq!(import_file(&["tests/no-such.ini", "--dry-run"]).code, 2);
    assert_eq!(import_file(&["README.md", "--dry-run"]).code, 2);
}

/// The comparison finds what is changed in a table that was imported well.
#[test]
fn a_table_that_differs_is_found_out() {
    let text = fs::read_to_string("tests/import/main-office.ini").unwrap();
    let (mut original, mut findings) = import(&text);
    original.leave_out(&[50], &mut findings);
    let (files, names) = original.write(&mut findings);
    let toml = files[0].1.clone();
    let differences = |toml: &str| differences(&original, &names, toml);
    assert_eq!(differences(&toml), Vec::<String>::new());
    for (was, is) in [
        ("+442079460149\"", "+442079460148\""),
        ("\"+4411323*\"", "\"+44113230*\""),
        (
            "route_to = [\"contact-centre\", \"ms-teams\"]",
            "route_to = [\"contact-centre\"]",
        ),
        ("\"009*\"", "\"00*\""),
        ("prefix = \"09\", strip = 1", "prefix = \"09\", strip = 2"),
        ("length = 13, keep_right = 4", "length = 12, keep_right = 4"),
        (
            "prefix = \"+44\", strip = 1, prepend = \"00\"",
            "prefix = \"+44\", strip = 3, prepend = \"0\"",
        ),
    ] {
        assert!(toml.contains(was), "{was}");
        let found = differences(&toml.replacen(was, is, 1));
        assert!(!found.is_empty(), "{was} -> {is}");
    }
}

const FORMATS: &str = r#"
[ ProxySet ]
FORMAT ProxySet_Index = ProxySet_ProxyName;
ProxySet 0 = "a";
ProxySet 1 = "b";
[ \ProxySet ]
[ ProxyIp ]
FORMAT ProxyIp_Index = ProxyIp_ProxySetId, ProxyIp_IpAddress;
ProxyIp 0 = "0", "192.0.2.1";
ProxyIp 1 = "1", "192.0.2.2:5070";
[ \ProxyIp ]
[ IPGroup ]
FORMAT IPGroup_Index = IPGroup_Name, IPGroup_ProxySetName;
IPGroup 0 = "A b", "a";
IPGroup 1 = "A-b", "b";
[ \IPGroup ]
[ IP2IPRouting ]
FORMAT IP2IPRouting_Index = IP2IPRouting_RouteName, IP2IPRouting_SrcIPGroupName, IP2IPRouting_SrcUsernamePrefix, IP2IPRouting_DestUsernamePrefix, IP2IPRouting_DestHost, IP2IPRouting_DestIPGroupName, IP2IPRouting_AltRouteOptions;
"#;

fn notation() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[12+]{1,2}", 1 => Just("x".to_owned()), 1 => Just("[1,3]".to_owned()),
        1 => Just("[09-21]".to_owned()), 1 => Just("*".to_owned()),
    ];
    let some = prop::collection::vec(part, 1..4);
    let some = (some, prop::sample::select(vec!["", "#"])).prop_map(|(p, end)| p.concat() + end);
    prop_oneof![1 => Just("*".to_owned()), 4 => some]
}

prop_compose! {
    fn row()(
        name in prop::sample::select(vec!["Out", "In \\\"x\\\"", ""]),
        from in prop::sample::select(vec!["Any", "A b", "A-b", "Gone"]),
        calling in prop_oneof![3 => Just("*".to_owned()), 1 => notation()],
        called in notation(),
        host in prop::sample::select(vec!["*", "*", "h.example"]),
        to in prop::sample::select(vec!["A b", "A-b", "Gone"]),
        alternative in prop::sample::select(vec!["0", "0", "1", "2"]),
    ) -> String {
        format!("\"{name}\", \"{from}\", \"{calling}\", \"{called}\", \"{host}\", \"{to}\", {alternative}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever rows there are: the table that is made has no error and answers the same.
    #[test]
    fn a_random_configuration_answers_the_same(rows in prop::collection::vec(row(), 1..8)) {
        let mut text = FORMATS.to_owned();
        for (row, index) in rows.iter().zip(0..) {
            writeln!(text, "IP2IPRouting {index} = {row};").unwrap();
        }
        if import(&text).0.size().0 == 0 {
            return Ok(());
        }
        let folder = tempfile::tempdir().unwrap();
        let (ran, to) = written(&text, folder.path());
        prop_assert!(ran.out.contains("the same answers"), "{text}\n{}{}", ran.out, ran.err);
        let report = load(&to).report;
        prop_assert_eq!(report.errors, 0, "{}", report.text(false));
    }
}

const TAGGED: &str = r#"
[ ProxySet ]
FORMAT ProxySet_Index = ProxySet_ProxyName;
ProxySet 0 = "a";
[ \ProxySet ]
[ ProxyIp ]
FORMAT ProxyIp_Index = ProxyIp_ProxySetId, ProxyIp_IpAddress;
ProxyIp 0 = "0", "192.0.2.1";
[ \ProxyIp ]
[ IPGroup ]
FORMAT IPGroup_Index = IPGroup_Name, IPGroup_ProxySetName, IPGroup_SBCDialPlanName, IPGroup_Tags;
IPGroup 0 = "A", "a", "P", "x;site=one";
IPGroup 1 = "B", "a", "P", "y;site=two";
IPGroup 2 = "C", "a", "", "";
[ \IPGroup ]
[ IP2IPRouting ]
FORMAT IP2IPRouting_Index = IP2IPRouting_SrcIPGroupName, IP2IPRouting_DestType, IP2IPRouting_DestIPGroupName, IP2IPRouting_DestTags, IP2IPRouting_SrcTags, IP2IPRouting_RoutingTagName;
"#;

fn tagged(rows: &[impl AsRef<str>], rules: &[(&str, &str)]) -> String {
    let mut text = TAGGED.to_owned();
    for (row, index) in rows.iter().zip(0..) {
        writeln!(text, "IP2IPRouting {index} = {};", row.as_ref()).unwrap();
    }
    text.push_str("[ DialPlan ]\nFORMAT Index = Name;\nDialPlan 0 = \"P\";\n");
    text.push_str("[ DialPlanRule ]\nFORMAT Index = DialPlanName, Prefix, Tag;\n");
    for ((prefix, tag), index) in rules.iter().zip(0..) {
        writeln!(
            text,
            "DialPlanRule {index} = \"P\", \"{prefix}\", \"{tag}\";"
        )
        .unwrap();
    }
    text
}

fn import_text(text: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sbc.ini");
    fs::write(&file, text).unwrap();
    import_file(&[file.to_str().unwrap(), "--dry-run"])
}

/// The import of a configuration, and where in this folder its table is.
fn written(text: &str, folder: &Path) -> (Ran, PathBuf) {
    let file = folder.join("sbc.ini");
    fs::write(&file, text).unwrap();
    let to = folder.join("table");
    let ran = import_file(&[file.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    (ran, to)
}

/// The better rule keeps a number that the prefix of a weaker one, longer than the range of the
/// better, begins.
#[test]
fn a_prefix_inside_the_range_of_a_better_rule() {
    for (row, rules) in [
        (
            r#""Any", 0, "A", "site=two", "", """#,
            &[("x21", "y;site=two"), ("12x#", "site=one")][..],
        ),
        (
            r#""Any", 0, "A", "", "x", """#,
            &[("x1", "x"), ("1x#", "y;site=two")],
        ),
        (
            r#""Any", 0, "A", "x", "", """#,
            &[("*", "x"), ("+xx#", "z")],
        ),
        (
            r#""Any", 0, "A", "x", "", """#,
            &[("x29", "x"), ("xx999", "x"), ("1xxx#", "z")],
        ),
    ] {
        let text = tagged(&[row], rules);
        let ran = import_text(&text);
        let is_same = ran.out.contains("the same answers");
        assert!(is_same, "{text}\n{}{}", ran.out, ran.err);
    }
}

/// A rule that no number list can say is left out with its line; the others answer as before.
#[test]
fn a_rule_that_no_list_can_say() {
    let rules = [("1", "x"), ("2*x#", "z"), ("2", "x")];
    let text = tagged(&[r#""Any", 0, "A", "x", "", """#], &rules);
    let line = text.lines().position(|line| line.contains("2*x#")).unwrap() + 1;
    let ran = import_text(&text);
    assert!(ran.err.contains("no number list can say"), "{}", ran.err);
    assert!(ran.err.contains(&format!(":{line}:")), "{}", ran.err);
    assert!(ran.out.contains("the same answers"), "{}", ran.out);
}

/// Calls routed by tags that no group has would be assigned to nobody: that is no table.
#[test]
fn a_row_routed_by_tags_that_lead_nowhere() {
    let rows = [
        r#""Any", 12, "", "", "", """#,
        r#""Any", 0, "A", "", "", """#,
    ];
    let text = tagged(&rows, &[("1", "nowhere")]);
    let line = text.lines().position(|line| line.contains("12, ")).unwrap() + 1;
    let ran = import_text(&text);
    let said = format!(":{line}: routing row 0 \"\" is left out: no tag of a number");
    assert!(ran.err.contains(&said), "{}", ran.err);
    assert!(ran.out.contains("the same answers"), "{}", ran.out);
}

/// Digits that no number has cannot be stripped; what is no count is not taken for none.
#[test]
fn a_gateway_strips_no_more_than_a_number_has() {
    let rules = "ruleid,groupid,prefix,timerec,priority,gwlist\n1,0,44,,0,1\n";
    for (strip, is_taken) in [
        ("", true),
        ("0", true),
        ("31", true),
        ("32", false),
        ("300", false),
        ("-1", false),
        ("x", false),
    ] {
        let gateways = format!("gwid,address,strip,pri_prefix\n1,192.0.2.1,{strip},\n");
        let (mut of_rules, mut of_gateways) = (Vec::new(), Vec::new());
        let files = drouting(rules, &gateways, None, &mut of_rules, &mut of_gateways);
        assert_eq!(of_gateways.is_empty(), is_taken, "{strip}: {of_gateways:?}");
        if let Some(told) = of_gateways.first() {
            assert!(told.message.contains("strip") && told.line == 2, "{told:?}");
            continue;
        }
        let loaded = loaded(&files);
        assert!(loaded.table.is_some(), "{}", loaded.report.text(false));
    }
}

/// Two sets of one name were once two trunk groups of one name, which is no table.
#[test]
fn a_set_that_is_defined_twice() {
    let text = fs::read_to_string("tests/import/release-7.2.ini").unwrap();
    let set = "IPGroupSet 0 = \"Genesys\", 2, \"genesys\";\n";
    let text = text.replace(set, &format!("{set}{}", set.replace("Set 0", "Set 7")));
    let line = text
        .lines()
        .position(|line| line.contains("Set 7"))
        .unwrap()
        + 1;
    let folder = tempfile::tempdir().unwrap();
    let (ran, to) = written(&text, folder.path());
    let said = format!(":{line}: IP group set \"Genesys\" is defined twice; the first counts");
    assert!(ran.err.contains(&said), "{}", ran.err);
    let report = load(&to).report;
    assert_eq!(report.errors, 0, "{}", report.text(false));
}

/// None of a number is left: once written as `keep_right = 0`, which is an error.
#[test]
fn a_manipulation_that_leaves_nothing() {
    let text = fs::read_to_string("tests/import/main-office.ini").unwrap();
    let text = text.replace("0, 0, 4, \"\", \"\"", "0, 0, 0, \"999\", \"\"");
    let folder = tempfile::tempdir().unwrap();
    let (ran, to) = written(&text, folder.path());
    let table = fs::read_to_string(to.join("routing.toml")).unwrap();
    assert!(table.contains("strip = 31, prepend = \"999\""), "{table}");
    let report = load(&to).report;
    assert_eq!(report.errors, 0, "{} {}", report.text(false), ran.err);
}

/// Random weights share calls among the addresses of one priority; lower ones wait.
#[test]
fn the_priorities_of_a_proxy_set() {
    let with = |method: u32, priorities: [u32; 3]| {
        let address =
            |(at, priority)| format!("ProxyIp {at} = \"1\", \"192.0.2.{at}\", 0, {priority}, 1;\n");
        let addresses: String = priorities.iter().enumerate().map(address).collect();
        let text = format!(
            "[ ProxySet ]\nFORMAT Index = ProxyName, ProxyLoadBalancingMethod;\n\
             ProxySet 1 = \"PS\", {method};\n[ \\ProxySet ]\n\
             [ ProxyIp ]\nFORMAT Index = ProxySetId, IpAddress, TransportType, Priority, Weight;\n\
             {addresses}[ \\ProxyIp ]\n\
             [ IPGroup ]\nFORMAT Index = Type, Name, ProxySetName, ClassifyByProxySet;\n\
             IPGroup 1 = 0, \"A\", \"PS\", 1;\n[ \\IPGroup ]\n\
             [ IP2IPRouting ]\nFORMAT Index = RouteName, SrcIPGroupName, DestType, DestIPGroupName;\n\
             IP2IPRouting 0 = \"R\", \"Any\", 0, \"A\";\n[ \\IP2IPRouting ]\n"
        );
        let ran = import_text(&text);
        let is_shared = ran.out.contains("hunt        = \"weighted\"");
        (is_shared, ran.err.contains("priorities"))
    };
    assert_eq!(with(2, [1, 2, 3]), (false, false));
    assert_eq!(with(2, [1, 1, 1]), (true, false));
    assert_eq!(with(2, [1, 1, 2]), (true, true));
    assert_eq!(with(1, [1, 2, 3]), (true, false));
    assert_eq!(with(0, [1, 1, 1]), (false, false));
}

fn dial_prefix() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[12]{1,2}", 1 => Just("x".to_owned()), 1 => Just("z".to_owned()),
        1 => Just("[1,3]".to_owned()), 1 => Just("[09-21]".to_owned()),
    ];
    let some = prop::collection::vec(part, 1..4);
    let some = (some, prop::sample::select(vec!["", "#"])).prop_map(|(p, end)| p.concat() + end);
    prop_oneof![1 => Just("*".to_owned()), 1 => Just("+1".to_owned()), 8 => some]
}

fn tagged_row() -> impl Strategy<Value = String> {
    let tag = || prop::sample::select(vec!["", "", "x", "site=two", "z"]);
    let from = prop::sample::select(vec!["Any", "A", "B", "C"]);
    let to = prop::sample::select(vec![(12, ""), (12, ""), (0, "A"), (0, "C")]);
    let by = prop::sample::select(vec!["", "default", "site"]);
    (from, to, tag(), tag(), by).prop_map(|(from, (kind, to), dest, src, by)| {
        format!("\"{from}\", {kind}, \"{to}\", \"{dest}\", \"{src}\", \"{by}\"")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever dial plan, and whatever rows ask for its tags.
    #[test]
    fn a_random_dial_plan_answers_the_same(
        rows in prop::collection::vec(tagged_row(), 1..6),
        rules in prop::collection::vec(
            (dial_prefix(), prop::sample::select(vec!["x", "y;site=two", "site=one", "z", "x;site=two"])),
            1..7,
        ),
    ) {
        let rules: Vec<(&str, &str)> = rules.iter().map(|(p, tag)| (&**p, *tag)).collect();
        let text = tagged(&rows, &rules);
        if import(&text).0.size().0 == 0 {
            return Ok(());
        }
        let folder = tempfile::tempdir().unwrap();
        let (ran, to) = written(&text, folder.path());
        // All rows may have been found to decide nothing.
        prop_assume!(!ran.out.contains("0 routing rows") && !ran.out.contains("T029"));
        prop_assert!(ran.out.contains("the same answers"), "{text}\n{}{}", ran.out, ran.err);
        let report = load(&to).report;
        prop_assert_eq!(report.errors, 0, "{}", report.text(false));
    }
}

/// As it is saved by the machine: a head of comments, parameters before the tables, hidden
/// tables and values, line ends and a mark of another system.
#[test]
fn a_file_as_the_machine_saves_it() {
    let text = fs::read_to_string("tests/import/saved-7.4.ini").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sbc.ini");
    fs::write(&file, format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
    let ran = import_file(&[file.to_str().unwrap(), "--dry-run"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let left_out = ran.err.replace(file.to_str().unwrap(), "sbc.ini");
    is_as_expected(&ran.out, &left_out, "saved-7.4.expected.txt");
}

const REASONS: &str = "[ ProxySet ]\nFORMAT Index = ProxyName;\nProxySet 0 = \"p\";\n[ ProxyIp ]\n\
    FORMAT Index = ProxySetId, IpAddress;\nProxyIp 0 = \"0\", \"192.0.2.1\";\n[ IPGroup ]\n\
    FORMAT Index = Name, ProxySetName, SBCAltRouteReasonsSetName;\n\
    IPGroup 0 = \"A\", \"p\", \"Busy\";\nIPGroup 1 = \"B\", \"p\", \"\";\n\
    IPGroup 2 = \"C\", \"p\", \"Gone\";\n[ IP2IPRouting ]\n\
    FORMAT Index = DestUsernamePrefix, DestIPGroupName, AltRouteOptions;\n\
    IP2IPRouting 0 = \"1\", \"A\", 0;\nIP2IPRouting 1 = \"*\", \"B\", 1;\n\
    IP2IPRouting 2 = \"2\", \"B\", 0;\nIP2IPRouting 3 = \"3\", \"C\", 0;\n\
    [ AltReasonsSet ]\nFORMAT Index = Name;\nAltReasonsSet 4 = \"Busy\";\n[ AltReasonsRules ]\n\
    FORMAT Index = AltReasonsSetId, ReleaseCause;\nAltReasonsRules 0 = \"4\", 486;\n\
    AltReasonsRules 1 = \"4\", 5;\nAltReasonsRules 2 = \"9\", 600;\n\
    AltReasonsRules 3 = \"4\", 805;\n";

/// Of 7.4: each group moves a call on for what its own set lists; without a set only silence
/// does. What a changed table does else is found out.
#[test]
fn alternative_reasons_sets_are_compared() {
    let (original, mut findings) = import(REASONS);
    let (files, names) = original.write(&mut findings);
    let lines: Vec<u32> = findings.iter().map(|finding| finding.line).collect();
    // A set that is not there, one that no rule finds, no SIP status, and two sets in one row.
    assert_eq!(lines, [25, 26, 11, 14], "{findings:?}");
    let toml = &files[0].1;
    for wanted in [
        "[alternative_routing.busy]\nnext_route_on = [\"408\", \"486\", \"5xx\", \"transport-error\", \"trunk-timeout\"]",
        "[alternative_routing.imported]\nnext_route_on = [\"408\", \"transport-error\", \"trunk-timeout\"]",
    ] {
        assert!(toml.contains(wanted), "{toml}");
    }
    let differences = |toml: &str| differences(&original, &names, toml);
    assert_eq!(differences(toml), Vec::<String>::new());
    for (was, is) in [
        ("\"486\"", "\"487\""),
        ("\"5xx\", ", ""),
        ("\"408\"", "\"480\""),
    ] {
        assert!(
            !differences(&toml.replacen(was, is, 1)).is_empty(),
            "{was} -> {is}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let (original, mut findings) = import(&text);
        let _ = original.write(&mut findings);
    }

    /// A good file with some bytes of it replaced, or some lines of it gone, doubled or cut.
    #[test]
    fn no_damage_panics(
        file in prop::sample::select(vec!["main-office", "release-7.0", "release-7.2", "release-7.4"]),
        places in prop::collection::vec((0..9_000_usize, any::<u8>()), 0..20),
        lines in prop::collection::vec((0..120_usize, 0..4_u8, 0..200_usize), 0..6),
        end in 0..20_000_usize,
    ) {
        let mut bytes = fs::read(format!("tests/import/{file}.ini")).unwrap();
        for (at, byte) in places {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
        }
        bytes.truncate(end);
        let mut kept: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        for (at, how, cut) in lines {
            match (kept.get(at).copied(), how) {
                (Some(_), 0) => drop(kept.remove(at)),
                (Some(line), 1) => kept.insert(at, line),
                (Some(line), 2) => kept[at] = &line[..cut.min(line.len())],
                (Some(_), _) => kept.swap(at, 0),
                (None, _) => {}
            }
        }
        let bytes = kept.join(&b'\n');
        let (text, _) = text_of(&bytes);
        let (original, mut findings) = import(&text);
        let _ = original.write(&mut findings);
        // Bytes that became other characters may have made further lines.
        let lines = text.lines().count() as u32;
        for finding in findings {
            prop_assert!((1..=lines).contains(&finding.line), "{finding:?}");
        }
    }
}

/// Whatever the form: what becomes of it is a table, and every complaint has its line.
#[test]
fn files_of_every_form_keep_the_law() {
    let tried = |files: &[File]| {
        let loaded = loaded(files);
        Tried {
            table: loaded.table,
            dead: loaded.report.dead_rules(),
            report: loaded.report.text(false),
        }
    };
    let mut forms = 0;
    for seed in seeds() {
        fuzz_import(&fs::read(seed).unwrap(), tried);
        forms += 1;
    }
    assert!(forms >= 11, "{forms}");
}

/// Configurations as they are, other forms behind the letter that tells them.
fn seeds() -> impl Iterator<Item = PathBuf> {
    let all = ["tests/import", "fuzz/seeds/import"].map(|folder| fs::read_dir(folder).unwrap());
    let all = all.into_iter().flatten().map(|seed| seed.unwrap().path());
    all.filter(|path| path.extension().is_none_or(|extension| extension == "ini"))
}

/// The lists of two platforms and a carrier against the example table.
#[test]
fn lists_are_compared_with_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let teams = write(
        "teams.csv",
        "TelephoneNumber,NumberType\n+442079460123,DirectRouting\n+442079460124,DirectRouting\n\
         +442079460300,DirectRouting\n+442079469999,DirectRouting\n",
    );
    let genesys = write("genesys.csv", "phoneNumber\n+442079460124\n+442079460301\n");
    let blocks = write("blocks.csv", "first,last\n+442079460000,+442079460999\n");
    let table = "routing-tables/example";
    let all = [
        "reconcile",
        "--table",
        table,
        "--teams",
        &teams,
        "--genesys",
        &genesys,
        "--genesys-group",
        "genesys-london",
        "--blocks",
        &blocks,
        "--csv",
    ];
    let ran = trunkline(&all);
    assert_eq!((ran.code, &*ran.err), (1, ""));
    for line in [
        "on both platforms,+442079460124,+442079460124,1,Teams and Genesys,teams",
        "routed against its owner,+442079460300,+442079460300,1,Teams,genesys-london",
        "not in the table,+442079469999,+442079469999,1,Teams,",
        "in no block,+442079469999,+442079469999,1,Teams,",
        "free,+442079460900,+442079460999,100,,",
        "owned by nobody,+442079460500,+442079460899,400,,teams",
    ] {
        assert!(
            ran.out.lines().any(|had| had == line),
            "{line}\n{}",
            ran.out
        );
    }
    let page = trunkline(&all[..all.len() - 1]);
    assert!(
        page.out.contains("on both platforms: 1 numbers"),
        "{}",
        page.out
    );
    // What agrees is no finding.
    let own = write("own.csv", "number\n+442079460000 to +442079460999\n");
    let agreeing = trunkline(&[
        "reconcile",
        "--table",
        "routing-tables/minimal",
        "--blocks",
        &own,
    ]);
    assert_eq!(agreeing.code, 0, "{}{}", agreeing.out, agreeing.err);
    assert_eq!(trunkline(&["reconcile", "--table", table]).code, 2);
    let unknown = trunkline(&[
        "reconcile",
        "--table",
        table,
        "--teams",
        &teams,
        "--teams-group",
        "x",
    ]);
    assert_eq!(unknown.code, 2);
}

/// A table that was changed on its way and has an error now is not written.
#[test]
fn an_exported_table_with_an_error_is_refused() {
    let exported = trunkline(&["export", "json", "--table", "routing-tables/minimal"]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.json");
    let to = folder.path().join("table");
    let import = |text: &str| {
        fs::write(&file, text).unwrap();
        let [file, to] = [&file, &to].map(|path| path.to_str().unwrap());
        trunkline(&["import", "json", file, "--to", to])
    };
    let wrong = exported.out.replace("\"sip:", "\"tel:");
    assert_ne!(wrong, exported.out);
    let ran = import(&wrong);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("error[T018]"), "{}", ran.err);
    assert!(ran.err.contains("it was not written"), "{}", ran.err);
    assert!(!to.exists());
    let ran = import(&exported.out);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(load(&to).table.is_some());
}

/// A list of another system becomes one of ours that a table can read.
#[test]
fn a_number_list_becomes_a_did_list() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("teams.csv");
    fs::write(
        &file,
        "TelephoneNumber;Name\n+442079460123;Alice\n4.42E+11;Bob\n",
    )
    .unwrap();
    let ran = trunkline(&[
        "import",
        "numbers",
        file.to_str().unwrap(),
        "--group",
        "teams",
    ]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.out,
        "number,trunk_group,comment\n+442079460123,teams,Alice\n"
    );
    assert!(ran.err.contains("teams.csv:3: \"4.42E+11\""), "{}", ran.err);
}

const GATEWAYS: &str = "gwid\taddress\tstrip\tpri_prefix\na\t192.0.2.1:5060\t0\t\nb\tsip:192.0.2.2\t1\t00\nc\tsip:192.0.2.3;transport=tcp\t1\t00\n";

proptest! {
    /// The longest prefix decides, of equal ones the higher priority comes first.
    #[test]
    fn drouting_rules_are_rows(
        rules in prop::collection::vec(
            ("[12]{0,3}", 0..3_i32, prop::sample::select(vec!["a", "b", "a,b", "c;a", "gone"])),
            1..8,
        ),
        number in "[12]{1,5}",
    ) {
        let mut text = String::from("ruleid,groupid,prefix,timerec,priority,gwlist\n");
        for (prefix, priority, to) in &rules {
            writeln!(text, "1,0,{prefix},,{priority},\"{to}\"").unwrap();
        }
        let (mut of_rules, mut of_gateways) = (Vec::new(), Vec::new());
        let files = drouting(&text, GATEWAYS, None, &mut of_rules, &mut of_gateways);
        let gone = rules.iter().filter(|(.., to)| *to == "gone").count();
        prop_assert_eq!(of_rules.len(), gone);
        let loaded = loaded(&files);
        let fitting = rules.iter().filter(|(prefix, _, to)| number.starts_with(&**prefix) && *to != "gone");
        let longest = fitting.clone().map(|(prefix, ..)| prefix.len()).max();
        let mut wanted: Vec<_> = fitting.filter(|(prefix, ..)| Some(prefix.len()) == longest).collect();
        wanted.sort_by_key(|(_, priority, _)| std::cmp::Reverse(*priority));
        let mut ids: Vec<&str> = Vec::new();
        for id in wanted.iter().flat_map(|(.., to)| to.split([',', ';'])) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        // A table in which nothing leads anywhere has errors.
        let Some(table) = loaded.table else {
            prop_assert_eq!(gone, rules.len(), "{}", loaded.report.text(false));
            return Ok(());
        };
        let of_rows = rules.iter().any(|(prefix, _, to)| !prefix.is_empty() && *to != "gone");
        if longest.is_some_and(|longest| longest > 0) && of_rows {
            let row = table.did(&trunkline::routing::Number::parse(number.as_bytes()).unwrap());
            let group = row.and_then(|row| row.value.group).map(|group| table.group_name(group));
            let name = format!("gw-{}", ids.join("-"));
            prop_assert_eq!(group, Some(&*name));
        }
    }

    /// By naive search: for every carrier its longest prefix, and of these the least rate.
    #[test]
    fn the_cheapest_carrier(
        deck in prop::collection::btree_map(("[12]{1,3}", "[abc]"), 0..5_u32, 1..10),
    ) {
        let mut text = String::from("prefix;carrier;rate\n");
        for ((prefix, carrier), rate) in &deck {
            writeln!(text, "{prefix};{carrier};0,0{rate}").unwrap();
        }
        let mut findings = Vec::new();
        let csv = rates(&text, &mut findings);
        prop_assert_eq!(findings, []);
        for line in csv.lines().skip(1) {
            let mut cells = line.split(',');
            let prefix = cells.next().unwrap().trim_end_matches('*');
            let asked = ["a", "b", "c"].into_iter().filter_map(|carrier| {
                let own = deck.iter().filter(|((head, of), _)| of == carrier && prefix.starts_with(&**head));
                let longest = own.max_by_key(|((head, _), _)| head.len())?;
                Some((longest.1, carrier))
            });
            prop_assert_eq!(cells.next(), asked.min().map(|(_, carrier)| carrier));
        }
    }

    #[test]
    fn no_lists_panic(text in "\\PC{0,80}", lines in "([0-9a-z:;,#=\t .]{0,20}\n){0,6}") {
        for text in [text, lines] {
            for head in ["", "prefix,gwlist\n", "gwid,address\n", "prefix,carrier,rate\n"] {
                let text = format!("{head}{text}");
                let mut findings = Vec::new();
                let _ = (dispatcher(&text, &mut findings), rates(&text, &mut findings));
                let mut of_gateways = Vec::new();
                let _ = drouting(&text, &text, None, &mut findings, &mut of_gateways);
                findings.extend(of_gateways);
                let lines = text.split('\n').count() as u32;
                prop_assert!(findings.iter().all(|found| (1..=lines).contains(&found.line)), "{findings:?}");
            }
        }
    }
}

#[test]
fn a_dispatcher_list_becomes_trunk_groups() {
    let text = "# sets\n1 sip:192.0.2.1:5060 0 5 duid=a;weight=30\n1 sip:192.0.2.2 0 10\n2 sips:b.example.net;transport=tls\nx y\n";
    let mut findings = Vec::new();
    let toml = dispatcher(text, &mut findings);
    assert!(
        toml.contains(
            "[trunk_group.set-1]\ntrunks = [\"set-1-1\", \"set-1-2\"]\nhunt   = \"weighted\""
        ),
        "{toml}"
    );
    assert!(
        toml.contains("[trunk.set-1-1]  # line 3\naddress = \"sip:192.0.2.2\""),
        "{toml}"
    );
    assert!(toml.contains("weight  = 30"), "{toml}");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].line, 5);
}
