//! What is changed, by the functions of the control socket.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::Caller;
use super::pages::{Page, Pages};
use super::problem::{self, Problem};
use super::reading::{Body, Value};
use super::{Api, Role};
use crate::control::{Answer, Change, Changed, Ordered, Request};
use crate::ledger::{Generation, OrderKind};

pub(super) fn pages(pages: Pages) -> Pages {
    pages
        .add(
            Page::change(
                Method::POST,
                "/reload",
                "reload",
                "Read the table folder again",
            )
            .takes::<ReloadBody>()
            .gives::<Made>(200)
            .problems(&[507]),
            reload,
        )
        .add(
            Page::change(
                Method::POST,
                "/confirm",
                "confirm",
                "Keep the table that is on trial",
            )
            .gives::<Made>(200)
            .problems(&[507]),
            confirm,
        )
        .add(
            Page::change(
                Method::POST,
                "/undo",
                "undo",
                "Serve again what served before",
            )
            .takes::<UndoBody>()
            .gives::<Made>(200)
            .problems(&[507]),
            undo,
        )
        .add(
            Page::change(
                Method::POST,
                "/generations/{number}/rollback",
                "rollback",
                "Serve the table of an older generation again",
            )
            .value("number", "The generation", &super::generations::number())
            .takes::<ReloadBody>()
            .gives::<Made>(200)
            .problems(&[404, 507]),
            rollback,
        )
        .add(
            Page::change(
                Method::PUT,
                "/trunks/{name}/state",
                "order_trunk",
                "Give an order about a trunk",
            )
            .value("name", "The trunk", &json!({"type": "string"}))
            .takes::<OrderBody>()
            .gives::<Ordered>(200)
            .problems(&[404, 507]),
            order,
        )
}

/// How a change is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadBody {
    /// Take it back after so many seconds, unless it is confirmed.
    #[schemars(range(min = 1, max = 86_400))]
    #[serde(default, deserialize_with = "super::reading::whole")]
    #[schemars(with = "u32")]
    confirm_s: Option<u32>,
    /// A word about it, on one line.
    #[serde(default, deserialize_with = "super::reading::given")]
    #[schemars(
        with = "String",
        length(max = 500),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    message: Option<String>,
    /// Make it even if a gate does not hold; for admins.
    #[serde(default)]
    force: bool,
}

/// What an undo is told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UndoBody {
    /// A word about it, on one line.
    #[serde(default, deserialize_with = "super::reading::given")]
    #[schemars(
        with = "String",
        length(max = 500),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    message: Option<String>,
}

/// What a trunk is to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    /// `ready`, `drain` or `maint`.
    #[serde(deserialize_with = "super::reading::word")]
    #[schemars(with = "OrderKind")]
    state: OrderKind,
    /// A word about it, on one line.
    #[serde(default, deserialize_with = "super::reading::given")]
    #[schemars(
        with = "String",
        length(max = 500),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    message: Option<String>,
}

/// What came of a change.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Made {
    /// Another table serves.
    Changed(Box<Changed>),
    /// Nothing would be changed.
    Unchanged {
        /// The generation that serves.
        serving: u64,
    },
    /// The table on trial stays.
    Confirmed {
        /// Its generation.
        kept: Generation,
    },
}

impl ReloadBody {
    /// As the control socket takes it.
    ///
    /// # Errors
    /// A value is out of bounds, or this caller may not force it.
    pub(super) fn checked(self, caller: &Caller) -> Result<Change, Problem> {
        if self.force && caller.role < Role::Admin {
            return Err(Problem::not_allowed("force is for role admin"));
        }
        let change = Change {
            confirm_s: self.confirm_s,
            message: self.message,
            force: self.force,
        };
        change.check().map_err(Problem::malformed)?;
        Ok(change)
    }
}

/// The answer to a change, and its word for the audit log.
pub(super) fn made(answer: Answer) -> Result<Response, Problem> {
    let (made, result) = match answer {
        Answer::Changed(changed) => {
            let result = format!("gen {}", changed.generation.number);
            (Made::Changed(changed), result)
        }
        Answer::Unchanged { generation } => {
            let made = Made::Unchanged {
                serving: generation,
            };
            (made, format!("gen {generation} unchanged"))
        }
        Answer::Confirmed { generation } => {
            let result = format!("gen {} confirmed", generation.number);
            (Made::Confirmed { kept: generation }, result)
        }
        other => return Err(super::unexpected(&other)),
    };
    let mut response = Json(made).into_response();
    response.extensions_mut().insert(problem::Result(result));
    Ok(response)
}

async fn reload(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ReloadBody>,
) -> Result<Response, Problem> {
    let change = body.checked(&caller)?;
    made(api.ask(Request::Reload(change), &caller).await?)
}

async fn confirm(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    made(api.ask(Request::Confirm {}, &caller).await?)
}

async fn undo(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<UndoBody>,
) -> Result<Response, Problem> {
    let change = Change {
        message: body.message,
        ..Change::default()
    };
    change.check().map_err(Problem::malformed)?;
    made(api.ask(Request::Undo(change), &caller).await?)
}

async fn rollback(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Value(generation): Value<u64>,
    Body(body): Body<ReloadBody>,
) -> Result<Response, Problem> {
    let how = body.checked(&caller)?;
    made(
        api.ask(Request::Rollback { generation, how }, &caller)
            .await?,
    )
}

async fn order(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Value(name): Value<String>,
    Body(body): Body<OrderBody>,
) -> Result<Response, Problem> {
    let word = Change {
        message: body.message.clone(),
        ..Change::default()
    };
    word.check().map_err(Problem::malformed)?;
    let request = Request::Trunk {
        name,
        order: body.state,
        message: body.message,
    };
    match api.ask(request, &caller).await? {
        Answer::Ordered(ordered) => {
            let result = format!("{} {}", ordered.trunk.name, ordered.trunk.state.as_str());
            let mut response = Json(*ordered).into_response();
            response.extensions_mut().insert(problem::Result(result));
            Ok(response)
        }
        other => Err(super::unexpected(&other)),
    }
}
