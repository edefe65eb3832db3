//! The decision of one call, laid out to be read.

use crate::limits::UDP_REQUEST_BYTES_MAX;
use crate::routing::explanation::{DidReport, NumberReport, Report, RouteReport, RuleReport};
use std::fmt::Write as _;

/// Widest name that others are lined up with.
const NAME_WIDTH_MAX: usize = 48;

/// One call in full.
pub(super) fn one(report: &Report, color: bool) -> String {
    let paint = Paint(color);
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", paint.bold(&headline(report)));
    number_lines(&mut text, "called", &report.called);
    match &report.calling {
        Some(calling) => number_lines(&mut text, "calling", calling),
        None => line(&mut text, "calling", "anonymous"),
    }
    line(&mut text, "from", &report.from);
    line(&mut text, "at", &report.at);
    if report.emergency {
        line(&mut text, "", "an emergency number: no rule can bar it");
    }
    dids(&mut text, report);
    text.push('\n');
    rules(&mut text, report, paint);
    routes(&mut text, report);
    let table = &report.table;
    let hash: String = table.sha256.chars().take(12).collect();
    let _ = writeln!(text, "\ntable {hash}");
    text
}

/// One call in a few lines: what decided, and where it goes.
pub(super) fn short(report: &Report, color: bool) -> String {
    let mut text = format!("{}\n", Paint(color).bold(&headline(report)));
    number_lines(&mut text, "called", &report.called);
    if let Some(row) = report.did.first() {
        did(&mut text, row);
    }
    match report.rules.iter().find(|rule| rule.result == "applied") {
        Some(rule) => line(
            &mut text,
            "rule",
            &format!("{} ({})", rule.name, rule.place),
        ),
        None => line(&mut text, "rule", "none applied"),
    }
    let routes: Vec<&RouteReport> = report
        .routes
        .iter()
        .filter(|r| r.position.is_some())
        .collect();
    if let Some(first) = routes.first() {
        let trunks: Vec<&str> = routes.iter().map(|route| &*route.trunk).collect();
        line(&mut text, "trunks", &trunks.join(", "));
        line(&mut text, "first is", &first.request_uri);
    }
    text
}

/// A line for every trunk group the call could arrive on.
pub(super) fn by_group(reports: &[Report], color: bool) -> String {
    let paint = Paint(color);
    let mut text = String::new();
    let width = reports
        .iter()
        .map(|r| r.from.chars().count())
        .max()
        .unwrap_or(0);
    if let Some(first) = reports.first() {
        let _ = writeln!(
            text,
            "{}\n",
            paint.bold(&format!("{} from …", first.called.dialled))
        );
    }
    for report in reports {
        let rule = report.rule.as_deref().unwrap_or("no rule applied");
        let from = &report.from;
        let _ = writeln!(text, "  {from:<width$}  {}   ({rule})", outcome(report));
    }
    text.push_str("\nsay --from GROUP to see why\n");
    text
}

fn headline(report: &Report) -> String {
    let number = report
        .called
        .normalised
        .as_deref()
        .unwrap_or(&report.called.dialled);
    format!("{number} -> {}", outcome(report))
}

/// `ROUTE teams, reception`, `REJECT 403 Premium numbers are barred`, `NO ROUTE 404`.
pub(super) fn outcome(report: &Report) -> String {
    match report.outcome {
        "route" => {
            let mut groups: Vec<&str> = Vec::new();
            for route in report
                .routes
                .iter()
                .filter(|route| route.position.is_some())
            {
                if !groups.contains(&&*route.trunk_group) {
                    groups.push(&route.trunk_group);
                }
            }
            format!("ROUTE {}", groups.join(", "))
        }
        "reject" => format!(
            "REJECT {} {}",
            report.status.unwrap_or_default(),
            report.reason.as_deref().unwrap_or_default()
        ),
        "unavailable" => "NO TRUNK AVAILABLE 503".to_owned(),
        _ => "NO ROUTE 404".to_owned(),
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "  {key:<9} {value}");
}

fn number_lines(text: &mut String, key: &str, number: &NumberReport) {
    let context = number
        .phone_context
        .as_ref()
        .map_or_else(String::new, |context| format!(" in {context}"));
    let mut value = format!("{}{context}", number.dialled);
    if let Some(manipulated) = &number.manipulated {
        let _ = write!(value, "  ->  {manipulated} (inbound manipulation)");
    }
    match &number.normalised {
        Some(normalised) if *normalised != number.dialled => {
            let _ = write!(value, "  ->  {normalised}  ({})", number.step);
        }
        _ => {
            let _ = write!(value, "  ({})", number.step);
        }
    }
    line(text, key, &value);
}

fn dids(text: &mut String, report: &Report) {
    for row in &report.did {
        did(text, row);
    }
    if report.did.is_empty() {
        line(text, "number", "in no DID list that assigns");
    }
}

fn did(text: &mut String, row: &DidReport) {
    let assigned = match &row.trunk_group {
        Some(group) => format!("assigned to {group}"),
        None => "assigned nowhere".to_owned(),
    };
    let (key, shorter) = if row.decides {
        ("number", "")
    } else {
        ("", "   (a longer prefix won)")
    };
    line(
        text,
        key,
        &format!("{}  {}  {assigned}{shorter}", row.prefix, row.place),
    );
}

fn rules(text: &mut String, report: &Report, paint: Paint) {
    let width = |field: fn(&RuleReport) -> &str| {
        let widths = report.rules.iter().map(|rule| field(rule).chars().count());
        widths.max().unwrap_or(0).min(NAME_WIDTH_MAX)
    };
    let (names, places) = (width(|rule| &rule.name), width(|rule| &rule.place));
    for (position, rule) in report.rules.iter().enumerate() {
        let verdict = match rule.result {
            "applied" => "YES",
            "did_not_apply" => "no ",
            _ => "-  ",
        };
        let (name, place, why) = (&rule.name, &rule.place, &rule.why);
        let written = format!(
            "{:>4}  {name:<names$}  {place:<places$}  {verdict}  {why}",
            position + 1
        );
        let painted = if rule.result == "applied" {
            paint.bold(&written)
        } else {
            written
        };
        let _ = writeln!(text, "{painted}");
    }
}

fn routes(text: &mut String, report: &Report) {
    if !report.routes.is_empty() {
        text.push('\n');
    }
    for route in &report.routes {
        let position = match route.position {
            Some(position) => format!("route {position}"),
            None => "left out".to_owned(),
        };
        let _ = writeln!(
            text,
            "  {position:<9} {}/{}  {}  {}",
            route.trunk_group, route.trunk, route.request_uri, route.state
        );
        let shown = report
            .calling
            .as_ref()
            .and_then(|calling| calling.normalised.as_ref());
        if let Some(calling) = route
            .calling
            .as_ref()
            .filter(|calling| Some(*calling) != shown)
        {
            let _ = writeln!(text, "  {:<9} calling {calling} (in proxy mode)", "");
        }
        if route.large_requests.is_some() {
            let _ = writeln!(
                text,
                "  {:<9} by TCP when it is larger than {UDP_REQUEST_BYTES_MAX} bytes (in proxy mode)",
                ""
            );
        }
    }
}

/// Bold, or nothing where there is no colour.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        if self.0 {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
