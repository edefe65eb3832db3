//! What docs/http.md shows is what is answered.

use std::path::Path;

use axum::http::Request;
use serde_json::Value;

use crate::same_decision::answered;

/// A request of the page, and what it says comes back.
struct Example<'p> {
    method: &'p str,
    path: &'p str,
    body: String,
    status: u16,
    answer: String,
}

fn examples(page: &str) -> Vec<Example<'_>> {
    let blocks = page.split("```http\n").skip(1);
    let blocks = blocks.map(|rest| rest.split_once("```").unwrap().0);
    let example = |block: &'_ str| -> Option<(usize, u16)> {
        let mut lines = block.lines().enumerate();
        lines.find_map(|(at, line)| Some((at, line.parse().ok()?)))
    };
    blocks
        .map(|block| {
            let (at, status) = example(block).unwrap();
            let lines: Vec<&str> = block.lines().collect();
            let (method, path) = lines[0].split_once(' ').unwrap();
            Example {
                method,
                path,
                body: lines[1..at].join("\n"),
                status,
                answer: lines[at + 1..].join("\n"),
            }
        })
        .collect()
}

#[test]
fn every_answer_of_the_page_is_real() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/http.md");
    let page = std::fs::read_to_string(page).unwrap();
    let examples = examples(&page);
    assert_eq!(examples.len(), 6);
    for example in &examples {
        let request = Request::builder()
            .method(example.method)
            .uri(example.path)
            .header("Content-Type", "application/json")
            .body(example.body.clone().into())
            .unwrap();
        let (status, body) = answered(request);
        let text = String::from_utf8(body).unwrap();
        assert_eq!(status, example.status, "{}: {text}", example.path);
        match serde_json::from_str::<Value>(&text) {
            Ok(mut found) => {
                if let Some(hash) = found.get_mut("table_sha256") {
                    *hash = Value::from("…");
                }
                let shown: Value = serde_json::from_str(&example.answer).unwrap();
                assert_eq!(found, shown, "{}", example.path);
            }
            Err(_) => assert_eq!(text, example.answer, "{}", example.path),
        }
    }
}
