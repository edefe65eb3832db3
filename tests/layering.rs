//! The arrow is a test: modules import only what lies below them, the pure ones
//! never touch the world, and nothing that reads foreign bytes can panic by intent.
//!
//! The rules are the table [`LAYERS`] and the lists under it; docs/ARCHITECTURE.md
//! explains them. Code compiled for tests only is not held to them.

#![allow(clippy::unwrap_used)] // A test that cannot read the source tree has failed.

#[path = "layering/lexer.rs"]
mod lexer;

use lexer::{Token, test_modules, tokens, without_tests};
use std::path::{Path, PathBuf};

struct Layer {
    module: &'static str,
    /// What it may name: a module, or one path inside a module.
    may_use: &'static [&'static str],
    /// Knows no clock, socket, file, thread or chance.
    pure: bool,
    /// Reads foreign bytes or rows: never panics by intent.
    total: bool,
}

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer { module: "limits",      pure: true,  total: true,  may_use: &[] },
    Layer { module: "system",      pure: false, total: true,  may_use: &["limits"] },
    Layer { module: "sip",         pure: true,  total: true,  may_use: &["limits"] },
    Layer { module: "routing",     pure: true,  total: true,  may_use: &["limits"] },
    Layer { module: "plan",        pure: true,  total: true,  may_use: &["limits", "routing"] },
    Layer { module: "ledger",      pure: true,  total: true,  may_use: &["limits"] },
    Layer { module: "transaction", pure: true,  total: true,  may_use: &["limits", "sip"] },
    // Of sip the reader of addresses only: a trunk's address is a SIP URI.
    Layer { module: "tables",      pure: false, total: true,  may_use: &["limits", "system", "routing", "plan", "sip::uri", "sip::Uri", "sip::Host", "sip::Scheme"] },
    Layer { module: "generations", pure: false, total: true,  may_use: &["limits", "system", "ledger", "routing", "tables"] },
    Layer { module: "control",     pure: false, total: true,  may_use: &["limits", "system", "ledger"] },
    // Text in, text out, and what it is compared with.
    Layer { module: "import",      pure: true,  total: true,  may_use: &["limits", "routing"] },
    Layer { module: "export",      pure: false, total: true,  may_use: &["limits", "routing", "tables"] },
    // Rows of the lists as they are written, and who decides them.
    Layer { module: "wave",        pure: false, total: true,  may_use: &["limits", "routing", "tables", "import"] },
    Layer { module: "proxy",       pure: true,  total: true,  may_use: &["limits", "sip", "routing", "transaction"] },
    Layer { module: "transport",   pure: false, total: true,  may_use: &["limits", "system", "sip::Frame", "sip::Framer", "proxy"] },
    Layer { module: "observe",     pure: false, total: false, may_use: &["limits", "routing", "proxy::event", "proxy::counted", "proxy::CallEvent", "proxy::DropReason", "proxy::MethodKind", "proxy::Refusal", "proxy::Refused", "proxy::ProxiedCall", "proxy::AttemptReport", "proxy::LargeBy", "proxy::ProbeReport", "proxy::ProbeMiss", "proxy::EndedBy", "proxy::ProxyDrop", "proxy::ProxyEvent", "proxy::ProxyRefusal", "proxy::ProxyRefused", "proxy::ProxyRepeat", "proxy::CallEnd", "proxy::CallEnded", "proxy::CallWords", "proxy::DialledText", "transport::Ended", "transport::Outlet", "transport::OutletTo"] },
    Layer { module: "hep",         pure: false, total: true,  may_use: &["limits", "sip::Message", "proxy::Flow", "proxy::counted", "transport::Outlet", "transport::OutletTo"] },
    Layer { module: "records",     pure: false, total: true,  may_use: &["limits", "observe", "proxy::CallEnd"] },
    Layer { module: "http",        pure: false, total: true,  may_use: &["limits", "routing", "tables", "observe", "control::LocalDoor", "control::peer_of", "transport::TlsListener", "proxy::CallEvent", "proxy::call_hash"] },
    Layer { module: "api",         pure: false, total: true,  may_use: &["limits", "routing", "plan", "tables", "ledger", "generations", "control", "observe", "http", "proxy::Sources"] },
    Layer { module: "server",      pure: false, total: false, may_use: &["limits", "system", "sip", "routing", "transaction", "tables", "proxy", "transport", "observe", "records", "hep", "http", "ledger", "generations", "control", "api"] },
    // A start that is not made: reads what the server reads, asks whom it asks.
    Layer { module: "doctor",      pure: false, total: false, may_use: &["limits", "system", "routing", "tables", "proxy", "sip", "transport", "control", "server"] },
    Layer { module: "cli",         pure: false, total: false, may_use: &["limits", "doctor", "system", "sip", "routing", "plan", "transaction", "tables", "import", "export", "wave", "proxy", "transport", "observe", "hep", "http", "ledger", "generations", "control", "api", "server"] },
];

/// Paths a pure module never names.
#[rustfmt::skip]
const WORLDLY_PATHS: &[&str] = &[
    "std::fs", "std::env", "std::thread", "std::process", "std::os",
    "std::io::stdin", "std::io::stdout", "std::io::stderr",
    "tokio", "rand", "socket2", "getrandom",
];

/// Names a pure module never uses, however they were imported: sockets and locks.
#[rustfmt::skip]
const WORLDLY_NAMES: &[&str] = &[
    "UdpSocket", "TcpStream", "TcpListener", "UnixDatagram",
    "Mutex", "RwLock", "Condvar",
];

const WORLDLY_MACROS: &[&str] = &["println", "eprintln", "print", "eprint", "dbg"];
/// Types whose making draws chance; one that was made elsewhere may be passed in.
const CHANCE: &[&str] = &["RandomState", "HashMap", "HashSet"];
const CLOCKS: &[&str] = &["Instant", "SystemTime", "Timestamp", "Zoned"];
const PANICKING_METHODS: &[&str] = &["unwrap", "expect"];
const PANICKING_MACROS: &[&str] = &["panic", "todo", "unimplemented"];

#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    rule: String,
}

#[test]
fn every_import_points_down_and_the_pure_modules_stay_pure() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&source);
    assert!(
        files.len() > LAYERS.len(),
        "only {} files found",
        files.len()
    );
    let texts: Vec<(String, String)> = files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&source).unwrap().to_str().unwrap();
            (
                name.replace('\\', "/"),
                std::fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    let mut found = Vec::new();
    for (name, text) in without_test_files(&texts) {
        found.extend(violations(name, text));
    }
    let lines: Vec<String> = found
        .iter()
        .map(|v| format!("src/{}:{}: {}", v.file, v.line, v.rule))
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

/// The table itself has no way up: what a layer may use stands above it in the list.
#[test]
fn the_table_of_layers_has_no_cycle() {
    for (at, layer) in LAYERS.iter().enumerate() {
        for used in layer.may_use {
            let module = used.split("::").next().unwrap();
            let below = LAYERS[..at].iter().any(|lower| lower.module == module);
            assert!(
                below,
                "{} may use {used}, which is not below it",
                layer.module
            );
        }
    }
}

/// The files that are compiled into the product: those declared by `#[cfg(test)] mod x;`
/// are left out, with all that lies under them.
fn without_test_files(texts: &[(String, String)]) -> Vec<(&str, &str)> {
    let mut for_tests = Vec::new();
    for (name, text) in texts {
        let folder = name.trim_end_matches(".rs").trim_end_matches("/mod");
        for module in test_modules(&tokens(text)) {
            for_tests.push(format!("{folder}/{module}.rs"));
            for_tests.push(format!("{folder}/{module}/"));
        }
    }
    let is_for_tests = |name: &str| for_tests.iter().any(|start| name.starts_with(start));
    let all = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    all.filter(|(name, _)| !is_for_tests(name)).collect()
}

/// Every breach of a rule in one file of `src`, named relative to it.
fn violations(file: &str, source: &str) -> Vec<Violation> {
    let mut modules: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(modules.last(), Some(&("mod" | "lib" | "main"))) {
        modules.pop();
    }
    // lib.rs and main.rs are the map and the door: they see everything.
    let Some(&top) = modules.first() else {
        return Vec::new();
    };
    let breach = |line: usize, rule: String| Violation {
        file: file.to_owned(),
        line,
        rule,
    };
    let Some(layer) = LAYERS.iter().find(|layer| layer.module == top) else {
        let rule = format!("`{top}` is in no layer: add it to LAYERS in tests/layering.rs");
        return vec![breach(1, rule)];
    };
    let all = tokens(source);
    let code = without_tests(&all);
    // Laws are asserted: they panic when the code breaks its promise, for tests and fuzzers.
    let states_laws = modules.last() == Some(&"laws");
    let mut found = Vec::new();
    for named in paths(&code, &modules) {
        if let Some(rule) = upward(layer, &named.path) {
            found.push(breach(named.line, rule));
        }
        if layer.pure && begins_with_any(&named.path, WORLDLY_PATHS) {
            let rule = format!("`{top}` is pure: it does not name {}", named.path);
            found.push(breach(named.line, rule));
        }
    }
    for (at, token) in code.iter().enumerate() {
        let around = Around::at(&code, at);
        let pure = layer.pure.then(|| worldly(token, &around)).flatten();
        let total = (layer.total && !states_laws)
            .then(|| panicking(token, &around))
            .flatten();
        let only_constants = (top == "limits").then(|| not_a_constant(token)).flatten();
        for what in [pure, total, only_constants].into_iter().flatten() {
            found.push(breach(
                token.line,
                format!("`{top}` {what}: {}", token.text),
            ));
        }
    }
    found.sort_by_key(|violation| violation.line);
    found
}

/// What is wrong with a path, if it leads to a module the layer may not use.
fn upward(layer: &Layer, path: &str) -> Option<String> {
    let inside = path.strip_prefix("crate::")?;
    let module = inside.split("::").next().unwrap_or_default();
    if module == layer.module || begins_with_any(inside, layer.may_use) {
        return None;
    }
    Some(format!(
        "`{}` may use {:?} and nothing else of the crate: {path}",
        layer.module, layer.may_use
    ))
}

/// The neighbours that decide what a name means.
struct Around<'a> {
    before: &'a str,
    after: &'a str,
    then: &'a str,
}

impl<'a> Around<'a> {
    fn at(code: &[Token<'a>], at: usize) -> Self {
        let text = |at: Option<usize>| at.and_then(|at| code.get(at)).map_or("", |t| t.text);
        Self {
            before: text(at.checked_sub(1)),
            after: text(Some(at + 1)),
            then: text(Some(at + 2)),
        }
    }
}

fn worldly(token: &Token<'_>, around: &Around<'_>) -> Option<&'static str> {
    let name = token.text;
    if CLOCKS.contains(&name) && around.after == "::" && around.then == "now" {
        return Some("is pure and reads no clock");
    }
    if name == "elapsed" && around.before == "." && around.after == "(" {
        return Some("is pure and reads no clock");
    }
    if CHANCE.contains(&name) && around.after == "::" && ["new", "default"].contains(&around.then) {
        return Some("is pure and rolls no dice");
    }
    if WORLDLY_MACROS.contains(&name) && around.after == "!" {
        return Some("is pure and prints nothing");
    }
    WORLDLY_NAMES
        .contains(&name)
        .then_some("is pure: no sockets, no locks")
}

fn panicking(token: &Token<'_>, around: &Around<'_>) -> Option<&'static str> {
    let method = PANICKING_METHODS.contains(&token.text) && around.before == ".";
    let macro_ = PANICKING_MACROS.contains(&token.text) && around.after == "!";
    let called = (method && around.after == "(") || macro_;
    called.then_some("reads foreign bytes and never panics")
}

fn not_a_constant(token: &Token<'_>) -> Option<&'static str> {
    [
        "fn",
        "struct",
        "enum",
        "impl",
        "static",
        "trait",
        "macro_rules",
    ]
    .contains(&token.text)
    .then_some("holds constants and nothing else")
}

/// A path as the compiler sees it, groups of `use` taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    path: String,
    line: usize,
}

/// Every path that begins at the crate, at a parent module or at another crate.
/// `modules` is where the file stands, so that `super` can be followed to the root.
fn paths(code: &[Token<'_>], modules: &[&str]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut inline: Vec<(usize, &str)> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < code.len() {
        let around = Around::at(code, at);
        match code[at].text {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|(opened, _)| *opened <= depth);
            }
            "mod" if around.then == "{" => inline.push((depth + 1, around.after)),
            _ if around.before != "::" && code[at].is_name() && around.after == "::" => {
                let place = modules
                    .iter()
                    .copied()
                    .chain(inline.iter().map(|(_, name)| *name));
                at = tree(
                    code,
                    at,
                    &place.collect::<Vec<_>>(),
                    String::new(),
                    &mut found,
                );
                continue;
            }
            // `use tokio;` and `use rand as dice;` have no `::` and import all the same.
            _ if around.before == "use" && code[at].is_name() => found.push(Named {
                path: code[at].text.to_owned(),
                line: code[at].line,
            }),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Follows one tree of a path from `at`, adds its leaves, returns where it ends.
fn tree(
    code: &[Token<'_>],
    mut at: usize,
    place: &[&str],
    mut prefix: String,
    found: &mut Vec<Named>,
) -> usize {
    let mut place = place.to_vec();
    let mut line = code.get(at).map_or(0, |token| token.line);
    while let Some(token) = code.get(at) {
        match token.text {
            "{" => {
                at += 1;
                while let Some(next) = code.get(at).filter(|token| token.text != "}") {
                    at = match next.text {
                        "," => at + 1,
                        "as" => at + 2,
                        // Something unforeseen: go on behind it rather than stand still.
                        _ => tree(code, at, &place, prefix.clone(), found).max(at + 1),
                    };
                }
                return at + 1;
            }
            "super" => {
                place.pop();
                prefix = absolute(&place);
            }
            "self" if prefix.is_empty() => prefix = absolute(&place),
            "self" => {}
            "*" => prefix.push_str("::*"),
            name if token.is_name() => {
                if !prefix.is_empty() {
                    prefix.push_str("::");
                }
                prefix.push_str(name);
            }
            _ => break,
        }
        line = token.line;
        at += 1;
        if code.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    if !prefix.is_empty() {
        found.push(Named { path: prefix, line });
    }
    at
}

fn absolute(place: &[&str]) -> String {
    let mut path = String::from("crate");
    for module in place {
        path.push_str("::");
        path.push_str(module);
    }
    path
}

/// Whether `path` is one of `prefixes` or lies inside it.
fn begins_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The rules themselves, tried on planted code.
mod planted {
    use super::{violations, without_test_files};

    #[track_caller]
    fn caught(file: &str, source: &str, lines: &[usize]) {
        let found = violations(file, source);
        let found_lines: Vec<usize> = found.iter().map(|violation| violation.line).collect();
        assert_eq!(found_lines, lines, "{source}\n{found:#?}");
    }

    #[test]
    fn imports_that_point_up_or_sideways() {
        caught("sip/uri.rs", "use crate::routing::Number;", &[1]);
        caught("routing/rule.rs", "\n\nuse crate::sip;", &[3]);
        caught("proxy/mod.rs", "use crate::tables::load;", &[1]);
        caught("sip/mod.rs", "use crate::{limits, routing};", &[1]);
        caught(
            "sip/mod.rs",
            "use crate::{\n limits,\n routing::{Number, rule::*},\n};",
            &[3, 3],
        );
        caught("sip/uri.rs", "fn f() -> u8 { crate::routing::f() }", &[1]);
        caught(
            "sip/uri.rs",
            "pub use crate::limits::A; use crate::server as s;",
            &[1],
        );
        caught("sip/uri.rs", "use crate::*;", &[1]);
        caught("sip/uri.rs", "use crate::unheard_of::X;", &[1]);
        caught("dialler/mod.rs", "", &[1]);
    }

    #[test]
    fn imports_that_climb_by_super() {
        caught("sip/uri.rs", "use super::super::routing::Number;", &[1]);
        caught("sip/mod.rs", "use super::routing::Number;", &[1]);
        caught("sip/mod.rs", "use super::{limits, routing};", &[1]);
        caught("sip/uri.rs", "use super::via::Via;", &[]);
        caught("sip/mod.rs", "mod a { use super::routing::X; }", &[]);
        caught(
            "sip/mod.rs",
            "mod a { mod b {} use super::super::routing::X; }",
            &[1],
        );
        caught("sip/mod.rs", "mod a {} use super::routing::X;", &[1]);
        caught("sip/mod.rs", "use self::routing::X;", &[]);
    }

    #[test]
    fn imports_that_point_down_are_fine() {
        caught(
            "sip/uri.rs",
            "use crate::limits::HEADERS_MAX; use crate::sip::scan;",
            &[],
        );
        caught(
            "proxy/mod.rs",
            "use crate::{sip::{self, Via as V}, routing, transaction::*};",
            &[],
        );
        caught(
            "server/mod.rs",
            "pub(crate) use crate::tables; pub(in crate::server) fn f() {}",
            &[],
        );
        caught("lib.rs", "pub use crate::server::X;", &[]);
    }

    #[test]
    fn one_door_into_a_module_is_not_the_whole_module() {
        caught("tables/schema.rs", "use crate::sip::uri::Uri;", &[]);
        caught("tables/schema.rs", "use crate::sip::Message;", &[1]);
        caught(
            "tables/schema.rs",
            "use crate::sip::uri_of_another_kind;",
            &[1],
        );
        caught(
            "transport/udp.rs",
            "use crate::{sip::Framer, proxy::Output};",
            &[],
        );
        caught("transport/udp.rs", "use crate::routing::Trunk;", &[1]);
        caught(
            "observe/log.rs",
            "use crate::proxy::{event, redirect};",
            &[1],
        );
    }

    #[test]
    fn the_world_in_a_pure_module() {
        caught(
            "proxy/mod.rs",
            "fn f() {\n  let now = Instant::now();\n}",
            &[2],
        );
        caught(
            "proxy/mod.rs",
            "let t = std::time::SystemTime::now();",
            &[1],
        );
        caught(
            "routing/schedule.rs",
            "let t = jiff::Timestamp::now();",
            &[1],
        );
        caught("routing/schedule.rs", "let t = Zoned::now();", &[1]);
        caught("transaction/mod.rs", "if started.elapsed() > T1 {}", &[1]);
        caught("sip/mod.rs", "use std::fs::File;", &[1]);
        caught("sip/mod.rs", "use std::{fmt, fs, thread::spawn};", &[1, 1]);
        caught("sip/mod.rs", "use tokio::net::UdpSocket;", &[1, 1]);
        caught("sip/mod.rs", "use tokio;", &[1]);
        caught("routing/mod.rs", "let r = rand::random::<u8>();", &[1]);
        caught("routing/mod.rs", "use std::sync::{Arc, Mutex};", &[1]);
        caught(
            "routing/mod.rs",
            "println!(\"x\"); std::env::var(\"X\");",
            &[1, 1],
        );
    }

    #[test]
    fn the_world_in_a_shell() {
        caught(
            "server/mod.rs",
            "use std::fs; let t = Instant::now(); println!(\"x\");",
            &[],
        );
        caught(
            "routing/mod.rs",
            "use std::time::Instant; use std::net::SocketAddr;",
            &[],
        );
        caught(
            "proxy/mod.rs",
            "fn f(now: Instant) { let tokio_like = now; }",
            &[],
        );
    }

    #[test]
    fn panics_where_foreign_bytes_are_read() {
        caught("sip/uri.rs", "let x = f()\n    .unwrap();", &[2]);
        caught("tables/dids.rs", "f().expect(\"a row\");", &[1]);
        caught("transport/udp.rs", "panic!(\"no\");", &[1]);
        caught("proxy/mod.rs", "todo!(); unimplemented!();", &[1, 1]);
        caught(
            "sip/uri.rs",
            "f().unwrap_or(0); #[expect(unused)] let expect = 1;",
            &[],
        );
        caught("server/mod.rs", "f().unwrap();", &[]);
        caught(
            "sip/laws.rs",
            "pub fn fuzz_x() { panic!() } use crate::routing;",
            &[1],
        );
    }

    #[test]
    fn limits_are_constants() {
        caught(
            "limits.rs",
            "pub const A: usize = 1; const _: () = assert!(A > 0);",
            &[],
        );
        caught("limits.rs", "use crate::sip;", &[1]);
        caught("limits.rs", "static A: usize = 1;\npub fn f() {}", &[1, 2]);
    }

    #[test]
    fn comments_and_literals_do_not_count() {
        let quiet = r####"
            //! use crate::routing; Instant::now() [`crate::server`]
            /* outer /* inner crate::routing */ x.unwrap() */
            /// ```
            /// crate::routing::f().unwrap();
            /// ```
            const A: &str = "crate::routing \" Instant::now()";
            const B: &[u8] = b"crate::routing";
            const C: &str = r#"crate::routing " x.unwrap()"#;
            const D: [char; 3] = ['"', '\'', '{'];
            fn f<'crate_like>(x: &'crate_like str) -> &'crate_like str { x }
        "####;
        caught("sip/uri.rs", quiet, &[]);
        let loud = "const A: char = '\"';\nuse crate::routing; // \"\n/* */ use crate::tables;";
        caught("sip/uri.rs", loud, &[2, 3]);
    }

    #[test]
    fn files_of_tests_are_known_by_their_declaration() {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let texts = [
            file(
                "sip/mod.rs",
                "#[cfg(test)]\nmod laws; mod via; #[cfg(test)] mod tests {}",
            ),
            file("sip/laws.rs", ""),
            file("sip/laws/deep.rs", ""),
            file("sip/lawsuit.rs", ""),
            file("sip/via.rs", "#[cfg(test)] mod tests;"),
            file("sip/via/tests.rs", ""),
            file("sip/tests.rs", ""),
        ];
        let kept: Vec<&str> = without_test_files(&texts)
            .iter()
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(
            kept,
            ["sip/mod.rs", "sip/lawsuit.rs", "sip/via.rs", "sip/tests.rs"]
        );
    }

    #[test]
    fn tests_may_do_as_they_like_and_nothing_else_may() {
        let source = "
            #[cfg(test)]
            #[allow(unused)]
            mod tests { use crate::routing; fn f() { x.unwrap(); } }
            #[cfg(test)] use crate::{routing, tables};
            #[cfg(any(test, fuzzing))] pub fn law(x: [u8; 2]) { panic!() }
            use crate::server;
            #[cfg(not(test))] use crate::routing;";
        caught("sip/uri.rs", source, &[7, 8]);
        caught("sip/uri.rs", "#![cfg(test)]\nuse crate::routing;", &[]);
        caught(
            "sip/uri.rs",
            "#[test] fn t() { x.unwrap(); } fn g() { y.unwrap(); }\n",
            &[1],
        );
    }
}
