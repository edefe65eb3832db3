//! The trunks and trunk groups of the table that serves.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::caller::Caller;
use super::pages::{Page, Pages};
use super::problem::Problem;
use crate::control::{Answer, Request, TrunkStatus};
use crate::routing::GroupId;
use crate::routing::trunk::Hunt;

pub(super) fn pages(pages: Pages) -> Pages {
    pages
        .add(
            Page::get("/trunks", "trunks", "The trunks, in the order of the table")
                .gives::<Trunks>(200),
            trunks,
        )
        .add(
            Page::get("/groups", "groups", "The trunk groups").gives::<Groups>(200),
            groups,
        )
}

/// The trunks.
#[derive(Debug, Serialize, JsonSchema)]
struct Trunks {
    /// In the order of the table.
    trunks: Vec<TrunkStatus>,
}

/// The trunk groups.
#[derive(Debug, Serialize, JsonSchema)]
struct Groups {
    /// In the order of the table.
    groups: Vec<Group>,
}

/// A trunk group as it is at this moment.
#[derive(Debug, Serialize, JsonSchema)]
struct Group {
    /// Its name.
    name: String,
    /// The dial plan of calls that arrive on it.
    dial_plan: Option<String>,
    /// Whether calls can arrive on it.
    takes_calls: bool,
    /// How its trunks are tried.
    hunt: HuntWord,
    /// Its trunks, in the order of the table.
    trunks: Vec<Member>,
    /// Calls in progress; counted by proxy listeners.
    calls: u32,
}

/// A trunk of a group.
#[derive(Debug, Serialize, JsonSchema)]
struct Member {
    /// Its name.
    name: String,
    /// Whether it takes new calls.
    in_service: bool,
}

/// How the trunks of a group are tried.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HuntWord {
    /// From the first to the last.
    TopDown,
    /// By their weights.
    Weighted,
    /// The least loaded first.
    LeastLoaded,
}

async fn trunks(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Trunks>, Problem> {
    match api.ask(Request::Trunks {}, &caller).await? {
        Answer::Trunks { trunks } => Ok(Json(Trunks { trunks })),
        other => Err(super::unexpected(&other)),
    }
}

async fn groups(State(api): State<Arc<Api>>) -> Json<Groups> {
    let snapshot = api.generations.store().snapshot();
    let (table, availability) = (&snapshot.table, &snapshot.availability);
    let arrivals = table.arrival_groups();
    let ids = (0..=u16::MAX).map(GroupId);
    let groups = ids.zip(table.groups()).map(|(id, group)| Group {
        name: group.name.to_string(),
        dial_plan: table.dial_plan_name(group).map(str::to_owned),
        takes_calls: arrivals.contains(&id),
        hunt: match group.hunt {
            Hunt::TopDown => HuntWord::TopDown,
            Hunt::Weighted => HuntWord::Weighted,
            Hunt::LeastLoaded => HuntWord::LeastLoaded,
        },
        trunks: group
            .trunks
            .iter()
            .map(|trunk| Member {
                name: table.trunk_name(*trunk).to_owned(),
                in_service: availability.in_service(*trunk),
            })
            .collect(),
        calls: availability.group_calls_in_progress(id),
    });
    Json(Groups {
        groups: groups.collect(),
    })
}
