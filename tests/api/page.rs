//! Every example of docs/api.md is what is answered, one after the other, by one server; and
//! every operation of the OpenAPI document has one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Administered;

/// A request of the page, and what it says comes back.
struct Example {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    status: u16,
    answer: String,
}

fn examples(page: &str) -> Vec<Example> {
    let blocks = page.split("```http\n").skip(1);
    let blocks = blocks.map(|rest| rest.split_once("```").unwrap().0);
    blocks.map(example).collect()
}

fn example(block: &str) -> Example {
    let mut lines = block.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let path = path.strip_prefix("/api/v1").unwrap();
    let mut example = Example {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: String::new(),
        status: 0,
        answer: String::new(),
    };
    for line in lines {
        let said = example.status > 0;
        match (line.parse(), line.split_once(": ")) {
            (Ok(status), _) if !said => example.status = status,
            (_, Some((name, value))) if !said && !line.starts_with(['{', ' ', '"']) => {
                example.headers.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                let text = match said {
                    true => &mut example.answer,
                    false => &mut example.body,
                };
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    example
}

/// Whether an answer is what is shown: `…` stands for anything, and for further members and
/// items.
pub(crate) fn fits(shown: &Value, found: &Value) -> bool {
    const ANY: &str = "…";
    match (shown, found) {
        (Value::String(text), Value::String(found)) if text.contains(ANY) => has(text, found),
        (Value::String(text), _) if text == ANY => true,
        (Value::Object(shown), Value::Object(found)) => {
            let is_open = shown.contains_key(ANY);
            let named = shown.iter().filter(|(name, _)| *name != ANY);
            let count = named.clone().count();
            named
                .clone()
                .all(|(name, shown)| found.get(name).is_some_and(|found| fits(shown, found)))
                && (is_open || count == found.len())
        }
        (Value::Array(shown), Value::Array(found)) => {
            let is_open = shown.last().is_some_and(|last| last == ANY);
            let shown = &shown[..shown.len() - usize::from(is_open)];
            (is_open || shown.len() == found.len())
                && shown.len() <= found.len()
                && shown
                    .iter()
                    .zip(found)
                    .all(|(shown, found)| fits(shown, found))
        }
        _ => shown == found,
    }
}

/// Whether the pieces between `…` stand in a text, in order.
fn has(shown: &str, found: &str) -> bool {
    let mut rest = found;
    shown.split('…').all(|piece| match rest.split_once(piece) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

#[test]
fn every_example_of_the_page_is_real_and_nothing_is_without_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = Administered::configured(|config| {
        let table = root.join("routing-tables/example");
        config.records.live_calls = true;
        fs::remove_dir_all(&config.tables).unwrap();
        fs::create_dir_all(config.tables.join("dids")).unwrap();
        for folder in ["", "dids"] {
            for entry in fs::read_dir(table.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    let place = config.tables.join(folder).join(entry.file_name());
                    fs::copy(entry.path(), place).unwrap();
                }
            }
        }
    });
    let page = fs::read_to_string(root.join("docs/api.md")).unwrap();
    let document = server.get("/openapi.json");
    let mut left: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let (mut id, mut tag) = (String::new(), String::new());
    for example in examples(&page) {
        let fill = |text: &str| text.replace("{id}", &id).replace("{etag}", &tag);
        let path = fill(&example.path);
        let client = example
            .headers
            .iter()
            .fold(server.local(), |client, (name, value)| {
                client.header(name, &fill(value))
            });
        let reply = client.send(&example.method, &path, example.body.trim_end());
        let shown = format!("{} {path}: {}", example.method, reply.text);
        assert_eq!(reply.status, example.status, "{shown}");
        if let Some(found) = reply.header("etag") {
            tag = found.to_owned();
        }
        match serde_json::from_str::<Value>(&example.answer) {
            Ok(answer) => {
                let found = reply.json();
                assert!(fits(&answer, &found), "{shown}\n{}", example.answer);
                if let (201, Some(found)) = (reply.status, found["id"].as_str()) {
                    id = found.to_owned();
                }
            }
            Err(_) => {
                let answer = example.answer.trim_end();
                assert!(has(answer, &reply.text), "{shown}\n{answer}");
            }
        }
        let plain = example.path.split('?').next().unwrap();
        left.retain(|operation| !is_of(operation, &example.method, plain));
    }
    assert!(left.is_empty(), "without an example: {left:?}");
}

/// Whether a request is one of this operation. The last value may hold slashes.
fn is_of(operation: &str, method: &str, path: &str) -> bool {
    let (wanted, pattern) = operation.split_once(' ').unwrap();
    let (pattern, path): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let is_part = |(pattern, part): (&&str, &&str)| pattern.starts_with('{') || pattern == part;
    let is_long = pattern.last() == Some(&"{name}") && path.len() > pattern.len();
    wanted == method
        && (pattern.len() == path.len() || is_long)
        && pattern.iter().zip(&path).all(is_part)
}
