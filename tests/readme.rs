//! What the README shows is what the program says.

#![allow(clippy::unwrap_used)] // A test that cannot read its own README has failed.

use std::path::Path;
use std::process::Command;

/// A command line of the README and the lines shown under it.
struct Shown {
    words: Vec<String>,
    output: String,
}

#[test]
fn every_output_in_the_readme_is_real() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(
        readme.lines().count() < 150,
        "the README stays under 150 lines"
    );
    let mut compared = 0;
    for shown in commands(&readme) {
        let Some((verb, rest)) = shown.words.split_first() else {
            continue;
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.arg(verb).args(rest).env("NO_COLOR", "1");
        match verb.as_str() {
            "route" => {
                command.args(["--table", ".", "--format", "short"]);
                command.current_dir(root.join("routing-tables/example"));
            }
            "check" => {
                command.current_dir(root);
            }
            _ => continue,
        }
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert_eq!(
            without_time(&said),
            without_time(&shown.output),
            "{:?}",
            shown.words
        );
        compared += 1;
    }
    assert_eq!(compared, 6, "one check and five routes");
}

/// `(35 ms)` differs from run to run.
fn without_time(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(" (") {
        Some((head, tail)) if tail.ends_with(" ms)") => head,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn commands(readme: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if !inside || line.starts_with("# ") {
        } else if let Some(command) = line.strip_prefix("$ ") {
            let words = match command.strip_prefix("trunkline ") {
                Some(arguments) => words(arguments),
                None => Vec::new(),
            };
            shown.push(Shown {
                words,
                output: String::new(),
            });
        } else if let Some(last) = shown.last_mut() {
            last.output.push_str(line);
            last.output.push('\n');
        }
    }
    shown
}

/// Words of a command line; quotes keep spaces together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            (_, c) => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words
}
