//! What a watcher is told.

use crate::{Asked, told};

#[test]
fn metrics_say_how_the_server_stands() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    assert_eq!(asked.get("/v1/answer?called=%2B4420").0, 200);
    let page = asked.watched("/metrics");
    for line in [
        "# TYPE trunkline_sip_requests counter",
        "trunkline_http_questions_total{outcome=\"routed\"} 1",
        "trunkline_trunk_up{trunk=\"teams-1\"} 1",
        "trunkline_trunk_group_calls{trunk_group=\"teams\"} 0",
        "trunkline_table_rules 4",
        "trunkline_config_last_reload_successful 1",
        "trunkline_confirm_pending 0",
        "trunkline_takes_calls 1",
        "# EOF",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("TRUNKLINE_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.map_or(String::new(), |commit| format!(",commit=\"{commit}\""));
    let built = format!("\ntrunkline_build_info{{version=\"{version}\"{commit}}} 1\n");
    assert!(page.contains(&built), "{page}");
    assert!(
        page.contains("trunkline_table_info{generation=\"1\",sha256=\""),
        "{page}"
    );
    assert_eq!(asked.watched("/healthz"), "ok\n");
    assert_eq!(asked.watched("/readyz"), "ready\n");
}

#[test]
fn a_table_that_is_refused_is_seen() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    asked.break_table();
    let page = asked.watched("/metrics");
    assert!(
        page.contains("\ntrunkline_config_last_reload_successful 0\n"),
        "{page}"
    );
    assert!(page.contains("generation=\"1\""), "{page}");
}

#[test]
fn watchers_change_nothing() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let post = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build(),
    );
    for (path, status) in [("/metrics", 405), ("/readyz", 405), ("/v1/route", 404)] {
        let url = format!("{}{path}", asked.watch);
        assert_eq!(told(post.post(url).send("x").unwrap()).0, status, "{path}");
    }
}

#[test]
fn the_page_about_metrics_has_each_and_no_other() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let exposition = asked.watched("/metrics");
    let mut told: Vec<String> = exposition
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|family| family.replace(' ', " | "))
        .collect();
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut written: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter(|row| row.starts_with("trunkline_") || row.starts_with("process_"))
        .map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().unwrap().trim_end_matches('`');
            format!("{name} | {}", cells.next().unwrap())
        })
        .collect();
    told.sort();
    written.sort();
    assert_eq!(told, written);
}
