//! `/v1/answer`: one line of text, for a Call Setup Rule.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::answer::{queried, routes};
use super::asker::Asker;
use super::decision::Desk;
use super::problem::Problem;
use super::question::Question;
use crate::routing::Outcome;

/// What the line is made of: text and values of the first route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    rejected: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

/// A value of the first route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// Name of its trunk group.
    TrunkGroup,
    /// Name of its trunk.
    Trunk,
    /// The Request-URI it is to be sent.
    RequestUri,
    /// The called number it is to be sent.
    Called,
    /// The calling number it is to be sent; empty if none is shown.
    Calling,
    /// Name of the rule that decided.
    Rule,
}

impl Placeholder {
    /// Each with the word that stands for it in a template, between braces.
    pub const WORDS: [(&str, Self); 6] = [
        ("trunk_group", Self::TrunkGroup),
        ("trunk", Self::Trunk),
        ("request_uri", Self::RequestUri),
        ("called", Self::Called),
        ("calling", Self::Calling),
        ("rule", Self::Rule),
    ];
}

impl Template {
    /// Reads a template, `{trunk_group}` for one; `rejected` is the line of a call that a rule
    /// rejects.
    ///
    /// # Errors
    /// What stands between braces and is no [`Placeholder`], or what follows a brace that is
    /// not closed.
    pub fn parse(text: &str, rejected: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (word, tail) = behind.split_once('}').ok_or(behind)?;
            let known = Placeholder::WORDS.iter().find(|(name, _)| *name == word);
            let (_, value) = known.ok_or(word)?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Value(*value));
            rest = tail;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self {
            pieces,
            rejected: rejected.to_owned(),
        })
    }

    /// The template as it is written.
    #[must_use]
    pub fn text(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(value) => {
                let mut words = Placeholder::WORDS.iter();
                let word = words.find(|(_, known)| known == value);
                word.map_or_else(String::new, |(word, _)| format!("{{{word}}}"))
            }
        };
        self.pieces.iter().map(piece).collect()
    }

    /// The line of a call that a rule rejects.
    #[must_use]
    pub fn rejected(&self) -> &str {
        &self.rejected
    }
}

/// The line of a call: 404 without an opinion, 503 when no trunk is in service.
pub(super) async fn answer(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Response, Problem> {
    let question = queried(&desk, question)?;
    let decided = desk.decide(&asker, &question)?;
    let template = desk.template();
    if matches!(decided.decision.outcome, Outcome::Reject { .. }) {
        return Ok(line(template.rejected.clone()));
    }
    if let Some(problem) = decided.problem() {
        return Err(problem);
    }
    let first = routes(&decided).into_iter().next();
    let first = first.ok_or_else(Problem::no_opinion)?;
    let rule = decided.decision.rule;
    let mut text = String::new();
    for piece in &template.pieces {
        text.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Value(Placeholder::TrunkGroup) => &first.trunk_group,
            Piece::Value(Placeholder::Trunk) => &first.trunk,
            Piece::Value(Placeholder::RequestUri) => &first.request_uri,
            Piece::Value(Placeholder::Called) => &first.called,
            Piece::Value(Placeholder::Calling) => first.calling.as_deref().unwrap_or_default(),
            Piece::Value(Placeholder::Rule) => {
                rule.map_or("", |rule| decided.snapshot.table.rule_name(rule))
            }
        });
    }
    Ok(line(text))
}

fn line(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_read_or_says_which_word_is_none() {
        let template = Template::parse("tag={trunk_group};n={called}", "reject");
        let pieces = template.map(|template| template.pieces);
        assert_eq!(
            pieces,
            Ok(vec![
                Piece::Text(String::from("tag=")),
                Piece::Value(Placeholder::TrunkGroup),
                Piece::Text(String::from(";n=")),
                Piece::Value(Placeholder::Called),
                Piece::Text(String::new()),
            ])
        );
        for (text, wrong) in [("{group}", "group"), ("a{}", ""), ("{trunk", "trunk")] {
            assert_eq!(Template::parse(text, ""), Err(wrong.to_owned()), "{text}");
        }
    }
}
