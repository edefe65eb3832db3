//! The table that serves: its rules, its lists, its numbers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::generations::rows;
use super::pages::{Page, Pages};
use super::problem::Problem;
use super::reading::{Asked, short};
use crate::routing::RoutingTable;
use crate::routing::did_map::Did;
use crate::routing::number::Number;
use crate::routing::prefix_map::Remaining;

pub(super) fn pages(pages: Pages) -> Pages {
    let known = "What was answered with this ETag need not be sent again";
    pages
        .add(
            Page::get("/table", "table", "The table that serves")
                .header("If-None-Match", known, false, &json!({"type": "string"}))
                .gives::<Table>(200)
                .gives_other(304, ""),
            table,
        )
        .add(
            Page::get(
                "/table/routes",
                "table_routes",
                "The numbers of its DID lists",
            )
            .header("If-None-Match", known, false, &json!({"type": "string"}))
            .query::<RoutesQuery>()
            .gives::<Routes>(200)
            .gives_other(304, "")
            .problems(&[409]),
            routes,
        )
}

/// The table that serves.
#[derive(Debug, Serialize, JsonSchema)]
struct Table {
    /// Its generation.
    generation: u64,
    /// SHA-256 over its files.
    sha256: String,
    /// Whether something else serves than the folder says.
    held: bool,
    /// Rows of all DID lists.
    dids: u64,
    /// The rules, top to bottom.
    rules: Vec<Rule>,
    /// The DID lists.
    lists: Vec<List>,
    /// Trunk groups.
    trunk_groups: usize,
    /// Trunks.
    trunks: usize,
}

/// A rule.
#[derive(Debug, Serialize, JsonSchema)]
struct Rule {
    /// Its name.
    name: String,
    /// `routes.toml:18`.
    place: String,
}

/// A DID list.
#[derive(Debug, Serialize, JsonSchema)]
struct List {
    /// Its name.
    name: String,
    /// Its file.
    file: String,
    /// Its rows.
    rows: u32,
    /// Whether it assigns its numbers to trunk groups.
    assigns: bool,
}

/// Which numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoutesQuery {
    /// Those that begin so.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[+]?[0-9]{1,15}$"))]
    prefix: Option<String>,
    /// Those that are assigned to this trunk group.
    #[schemars(length(min = 1, max = 64))]
    group: Option<String>,
    /// Those with this in their number, their list or their trunk group.
    #[schemars(length(min = 1, max = 64))]
    q: Option<String>,
    /// What the page before gave.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[0-9a-f]{12}-[0-9]{1,9}$")
    )]
    cursor: Option<String>,
    /// At most so many rows.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// A page of numbers.
#[derive(Debug, Serialize, JsonSchema)]
struct Routes {
    /// The generation of the table.
    generation: u64,
    /// Whole numbers in order, the short ones first, then prefixes.
    routes: Vec<RouteRow>,
    /// What the next page is asked for with; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Numbers that are assigned alike: one, neighbours, or all that begin alike.
#[derive(Debug, Serialize, JsonSchema)]
struct RouteRow {
    /// The number, the first of several, or `+4420*` for a prefix and `+44207946xx` for one
    /// with so many more digits.
    first: String,
    /// The last of several neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    /// The trunk group; absent where the list assigns none.
    trunk_group: Option<String>,
    /// The DID list.
    list: String,
    /// `dids/users.csv:14`, of the first.
    place: String,
}

async fn table(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let table = api.generations.store().current();
    let tag = tag(&table);
    if is_known(&headers, &tag) {
        return tagged(StatusCode::NOT_MODIFIED.into_response(), &tag);
    }
    let rules = table.rules().iter().map(|rule| Rule {
        name: rule.name.to_string(),
        place: table.place(rule.origin),
    });
    let lists = table.lists().iter().map(|list| List {
        name: list.name.to_string(),
        file: table.file_name(list.file).to_owned(),
        rows: list.rows,
        assigns: list.marks.is_none(),
    });
    let shown = Table {
        generation: table.generation(),
        sha256: table.hash().to_string(),
        held: api.generations.ledger().is_held(),
        dids: table.did_rows(),
        rules: rules.collect(),
        lists: lists.collect(),
        trunk_groups: table.groups().len(),
        trunks: table.trunks().len(),
    };
    tagged(Json(shown).into_response(), &tag)
}

async fn routes(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Asked(query): Asked<RoutesQuery>,
) -> Result<Response, Problem> {
    let table = api.generations.store().current();
    let limit = rows(query.limit)?;
    for (name, text) in [
        ("prefix", &query.prefix),
        ("group", &query.group),
        ("q", &query.q),
        ("cursor", &query.cursor),
    ] {
        short(name, text.as_ref())?;
    }
    let prefix = query.prefix.as_deref().map(|text| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let is_plain =
            (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = Number::parse(text.as_bytes()).filter(|_| is_plain);
        prefix.ok_or_else(|| Problem::malformed("prefix is no beginning of a number"))
    });
    let prefix = prefix.transpose()?;
    let from = query.cursor.as_deref().map(|text| place_of(&table, text));
    let from = from.transpose()?.unwrap_or(0);
    let tag = tag(&table);
    if is_known(&headers, &tag) {
        return Ok(tagged(StatusCode::NOT_MODIFIED.into_response(), &tag));
    }
    let page = api
        .heavy
        .run(move || {
            let wanted = Wanted {
                prefix,
                group: query.group,
                text: query.q.map(|text| text.to_lowercase()),
            };
            Walk::over(&table, &wanted, from, limit)
        })
        .await?;
    Ok(tagged(Json(page).into_response(), &tag))
}

/// A strong ETag: the same files, the same answer.
pub(super) fn tag(table: &RoutingTable) -> String {
    format!("\"{}\"", table.hash())
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok());
    known.any(|list| {
        list.split(',')
            .any(|one| one.trim() == tag || one.trim() == "*")
    })
}

fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Where a page begins: `3f1a…-200`, the table and the rows before it.
fn place_of(table: &RoutingTable, cursor: &str) -> Result<usize, Problem> {
    let (of, rows) = cursor
        .split_once('-')
        .filter(|(of, rows)| {
            let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            of.len() == 12 && of.bytes().all(hex) && (1..=9).contains(&rows.len())
        })
        .filter(|(_, rows)| rows.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(of, rows)| Some((of, rows.parse().ok()?)))
        .ok_or_else(|| Problem::malformed("cursor is none that a page gave"))?;
    if of != format!("{:.12}", table.hash()) {
        let title = "Another table serves by now";
        let detail = "begin with the first page again";
        return Err(Problem::new(StatusCode::CONFLICT, "stale", title, detail));
    }
    Ok(rows)
}

struct Wanted {
    prefix: Option<Number>,
    group: Option<String>,
    text: Option<String>,
}

/// The way through all rows to those of a page.
struct Walk<'w> {
    table: &'w RoutingTable,
    wanted: &'w Wanted,
    /// Rows that fit and are still before the page.
    before: usize,
    limit: usize,
    rows: Vec<RouteRow>,
    has_more: bool,
}

impl<'w> Walk<'w> {
    fn over(table: &'w RoutingTable, wanted: &'w Wanted, from: usize, limit: usize) -> Routes {
        let mut walk = Self {
            table,
            wanted,
            before: from,
            limit,
            rows: Vec::new(),
            has_more: false,
        };
        let dids = table.dids();
        dids.whole_numbers(|first, last| {
            walk.meet((&first, &last), Remaining::Exactly(0));
        });
        for (prefix, remaining) in dids.prefixes() {
            walk.meet((&prefix, &prefix), remaining);
        }
        let next = from + walk.rows.len();
        let next_cursor = walk
            .has_more
            .then(|| format!("{:.12}-{next}", table.hash()));
        Routes {
            generation: table.generation(),
            routes: walk.rows,
            next_cursor,
        }
    }

    fn meet(&mut self, (first, last): (&Number, &Number), remaining: Remaining) {
        if self.has_more || !self.begins_right(first, last, remaining) {
            return;
        }
        let Some((did, line)) = said_of(self.table, first, remaining) else {
            return;
        };
        let (table, wanted) = (self.table, self.wanted);
        let group = did.group.map(|group| table.group_name(group));
        if wanted.group.is_some() && wanted.group.as_deref() != group {
            return;
        }
        let list = table.list(did.list).map_or("", |list| &list.name);
        let shown = pattern(first, remaining);
        if let Some(text) = &wanted.text {
            let has = |found: &str| found.to_lowercase().contains(text);
            if ![&shown, list, group.unwrap_or_default()]
                .into_iter()
                .any(has)
            {
                return;
            }
        }
        if self.before > 0 {
            self.before -= 1;
            return;
        }
        if self.rows.len() == self.limit {
            self.has_more = true;
            return;
        }
        self.rows.push(RouteRow {
            first: shown,
            last: (first != last).then(|| last.to_string()),
            trunk_group: group.map(str::to_owned),
            list: list.to_owned(),
            place: table.did_place(did, line),
        });
    }

    /// Whether a number of the row begins with the wanted prefix.
    fn begins_right(&self, first: &Number, last: &Number, remaining: Remaining) -> bool {
        let Some(prefix) = &self.wanted.prefix else {
            return true;
        };
        if let Some(more) = prefix.len().checked_sub(first.len() + 1) {
            let has_room = match remaining {
                Remaining::Any => true,
                Remaining::Exactly(symbols) => more < usize::from(symbols),
            };
            return has_room && prefix.starts_with(first.as_bytes());
        }
        let heads = first.first(prefix.len()).zip(last.first(prefix.len()));
        heads.is_some_and(|(first, last)| first <= *prefix && *prefix <= last)
    }
}

/// What the row says that begins here, and its line.
fn said_of(table: &RoutingTable, first: &Number, remaining: Remaining) -> Option<(Did, u32)> {
    let mut said = None;
    // Any number under the entry is matched by it; the entry is known by its length.
    let under = match remaining {
        Remaining::Any => *first,
        Remaining::Exactly(more) => {
            let symbols = first.as_bytes().iter().copied();
            Number::collect(symbols.chain((0..more).map(|_| b'0')))?
        }
    };
    table.dids().all_matches(&under, |found, line| {
        if usize::from(found.length) == first.len() && found.remaining == remaining {
            said = Some((found.value, line));
        }
    });
    said
}

fn pattern(first: &Number, remaining: Remaining) -> String {
    match remaining {
        Remaining::Any => format!("{first}*"),
        Remaining::Exactly(more) => format!("{first}{}", "x".repeat(more.into())),
    }
}
