//! `/v1/lcr`: the contract, version 1, by which SIPhon asks an external routing service.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::answer::{read, routes};
use super::asker::Asker;
use super::decision::Desk;
use super::object::Object;
use super::problem::Problem;
use super::question::Question;
use crate::observe::HttpOutcome;
use crate::routing::Outcome;

/// What is asked. Fields that routing does not read are not looked at.
#[derive(Debug, Deserialize)]
pub(super) struct LcrRequest {
    version: String,
    #[serde(default)]
    call_id: Option<String>,
    /// URI of the From.
    #[serde(default)]
    from: Option<String>,
    dialed_number: String,
    #[serde(default)]
    source: Object<LcrSource>,
}

#[derive(Debug, Default, Deserialize)]
struct LcrSource {
    ip: Option<IpAddr>,
    trunk_group: Option<String>,
}

/// What is answered.
#[derive(Debug, Serialize)]
pub(super) struct LcrResponse {
    routes: Vec<LcrRoute>,
    /// 0: a table changes, and trunks come and go.
    cache_ttl_secs: u32,
    reject: Option<LcrReject>,
}

#[derive(Debug, Serialize)]
struct LcrRoute {
    carrier_id: String,
    ruri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct LcrReject {
    code: u16,
    reason: String,
}

/// The routes of a call. Without a route both lists are empty, as the contract has it.
pub(super) async fn of_json(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    request: Result<Json<Object<LcrRequest>>, JsonRejection>,
) -> Result<Json<LcrResponse>, Problem> {
    let request = read(&desk, request)?;
    if request.version != "1" {
        desk.count(HttpOutcome::Malformed);
        let detail = format!(
            "version is \"{}\"; this is the contract of version 1",
            request.version
        );
        return Err(Problem::malformed(detail));
    }
    let asker = asked_for(&desk, asker, &request);
    let question = Question {
        called: request.dialed_number,
        calling: request.from.as_deref().and_then(user_of).map(str::to_owned),
        from: request.source.0.trunk_group,
        call_id: request.call_id,
        ..Question::default()
    };
    let question = question.checked()?;
    let decided = desk.decide(&asker, &question)?;
    let reject = match decided.decision.outcome {
        Outcome::Route(_) | Outcome::NoRoute => None,
        Outcome::Reject { status } => Some(LcrReject {
            code: status,
            reason: decided.reason().to_owned(),
        }),
        Outcome::Unavailable => Some(LcrReject {
            code: 503,
            reason: String::from("No trunk in service"),
        }),
    };
    let route = |route: super::RouteAnswer| LcrRoute {
        carrier_id: route.trunk,
        ruri: route.request_uri,
        caller_id: route.calling,
    };
    Ok(Json(LcrResponse {
        routes: routes(&decided).into_iter().map(route).collect(),
        cache_ttl_secs: 0,
        reject,
    }))
}

/// The asker, with the address of the call's own peer where he may speak for others: who
/// proved an account without a trunk group.
fn asked_for(desk: &Desk, mut asker: Asker, request: &LcrRequest) -> Asker {
    if let Some(ip) = request.source.0.ip
        && !desk.accounts().is_empty()
    {
        asker.source.set_ip(ip);
    }
    asker
}

/// The user part of a sip or tel URI, without parameters.
fn user_of(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let user = match scheme.to_ascii_lowercase().as_str() {
        "sip" | "sips" => rest.split_once('@')?.0,
        "tel" => rest,
        _ => return None,
    };
    user.split([';', ':']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_the_user_of_the_uri() {
        for (uri, user) in [
            ("sip:+13105550100@sbc.example.com", Some("+13105550100")),
            ("SIPS:+1;ext=2@h", Some("+1")),
            ("tel:+1310;phone-context=x", Some("+1310")),
            ("sip:sbc.example.com", None),
            ("mailto:a@b", None),
            ("", None),
        ] {
            assert_eq!(user_of(uri), user, "{uri}");
        }
    }
}
