//! The facts of a call, as they are asked over HTTP.

use serde::Deserialize;

use super::problem::Problem;
use crate::limits::HTTP_FACT_BYTES_MAX;

/// A question: what an INVITE would say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The number that is dialled, as the peer wrote it.
    pub called: String,
    /// The calling number; absent, empty or `anonymous` when none is shown.
    #[serde(default)]
    pub calling: Option<String>,
    /// Name of the trunk group the call arrives on.
    #[serde(default)]
    pub from: Option<String>,
    /// Host of the Request-URI.
    #[serde(default)]
    pub host: Option<String>,
    /// Trunk group label (RFC 4904) of the Request-URI.
    #[serde(default)]
    pub tgrp: Option<String>,
    /// Context of a local number (RFC 3966).
    #[serde(default)]
    pub phone_context: Option<String>,
    /// Call-ID: what weighted and least-loaded groups draw their order from.
    #[serde(default)]
    pub call_id: Option<String>,
    /// Whether the answer is the whole explanation, every rule with why it did not apply.
    #[serde(default)]
    pub explain: bool,
}

impl Question {
    /// The question, if no fact is longer than any INVITE could have it.
    ///
    /// # Errors
    /// The fact that is, or that there is no number.
    pub(super) fn checked(self) -> Result<Self, Problem> {
        self.check().map_err(Problem::malformed)?;
        Ok(self)
    }

    /// Whether no fact is longer than any INVITE could have it.
    ///
    /// # Errors
    /// A sentence about the fact that is, or that there is no number.
    pub fn check(&self) -> Result<(), String> {
        if self.called.is_empty() {
            return Err(String::from("called is empty"));
        }
        let facts = [
            ("called", Some(&self.called)),
            ("calling", self.calling.as_ref()),
            ("from", self.from.as_ref()),
            ("host", self.host.as_ref()),
            ("tgrp", self.tgrp.as_ref()),
            ("phone_context", self.phone_context.as_ref()),
            ("call_id", self.call_id.as_ref()),
        ];
        for (name, fact) in facts {
            if fact.is_some_and(|fact| fact.len() > HTTP_FACT_BYTES_MAX) {
                return Err(format!("{name} is longer than {HTTP_FACT_BYTES_MAX} bytes"));
            }
        }
        Ok(())
    }

    /// The caller, if one is shown.
    pub(super) fn shown(&self) -> Option<&str> {
        let calling = self.calling.as_deref()?;
        let hidden = calling.is_empty() || calling.eq_ignore_ascii_case("anonymous");
        (!hidden).then_some(calling)
    }
}
