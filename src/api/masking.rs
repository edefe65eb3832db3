//! Telephone numbers in answers to viewers, where the configuration has them masked.

use axum::body::to_bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::Role;
use super::caller::Caller;
use super::problem::Problem;
use crate::observe::MaskNumbers;

/// Fewer digits in a row are no number that somebody could call, but a port or a year.
const DIGITS_MIN: usize = 7;

/// An answer is read whole for this; none of ours is larger.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The response as this caller may read it.
pub(super) async fn apply(mask: MaskNumbers, caller: &Caller, response: Response) -> Response {
    if mask == MaskNumbers::None || caller.role > Role::Viewer {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if !is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let read = to_bytes(body, ANSWER_BYTES_MAX).await.ok();
    let read = read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(mut value) = read else {
        return Problem::failed("the answer cannot be masked").into_response();
    };
    walk(mask, &mut value);
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
        .headers
        .insert(header::VARY, HeaderValue::from_static("Authorization"));
    Response::from_parts(parts, value.to_string().into())
}

/// Masks every number in the strings of a value.
pub(super) fn walk(mask: MaskNumbers, value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(masked) = masked(mask, text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(mask, item)),
        Value::Object(members) => members.values_mut().for_each(|item| walk(mask, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text without the numbers in it; `None` if there are none. A number is a run of digits,
/// with blanks and brackets between them and `x` or `*` behind, that is no part of a word.
fn masked(mask: MaskNumbers, text: &str) -> Option<String> {
    let keep = match mask {
        MaskNumbers::None => return None,
        MaskNumbers::Last4 => 4,
        MaskNumbers::All => 0,
    };
    let chars: Vec<char> = text.chars().collect();
    let mut shown = chars.clone();
    let mut at = 0;
    while let Some(char) = chars.get(at) {
        let is_word = char.is_alphanumeric();
        if !char.is_ascii_digit() {
            at += if is_word { word(&chars, at) } else { 1 };
            continue;
        }
        let length = number(&chars, at);
        let run = chars.get(at..at + length).unwrap_or_default();
        let digits = run.iter().filter(|char| char.is_ascii_digit()).count();
        let next = chars.get(at + length);
        if next.is_some_and(|next| next.is_alphanumeric()) {
            at += length + word(&chars, at + length);
            continue;
        }
        if digits >= DIGITS_MIN {
            let symbols = run.iter().filter(|char| char.is_alphanumeric()).count();
            let mut left = symbols.saturating_sub(keep);
            for char in shown.iter_mut().skip(at).take(length) {
                if char.is_alphanumeric() && left > 0 {
                    *char = '*';
                    left -= 1;
                }
            }
        }
        at += length;
    }
    (shown != chars).then(|| shown.into_iter().collect())
}

/// Characters of the word that begins here.
fn word(chars: &[char], at: usize) -> usize {
    let rest = chars.iter().skip(at);
    rest.take_while(|char| char.is_alphanumeric()).count()
}

/// Characters of the number that begins here.
fn number(chars: &[char], at: usize) -> usize {
    let rest = chars.iter().skip(at);
    let is_part = |char: &&char| char.is_ascii_digit() || matches!(char, ' ' | '(' | ')');
    let length = rest.take_while(is_part).count();
    let blanks = chars.iter().skip(at).take(length).rev();
    let blanks = blanks.take_while(|char| !char.is_ascii_digit()).count();
    let digits = length - blanks;
    let open = chars.iter().skip(at + digits);
    digits + open.take_while(|char| matches!(char, 'x')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_masked_and_nothing_else_is() {
        for (text, last4, all) in [
            ("+442079460123", "+********0123", "+************"),
            (
                "sip:+442079460123@teams.route",
                "sip:+********0123@teams.route",
                "sip:+************@teams.route",
            ),
            ("020 7946 0123", "*** **** 0123", "*** **** ****"),
            ("+4420794601xx", "+********01xx", "+************"),
            (
                "from 02079460123 to 02079460124",
                "from *******0123 to *******0124",
                "from *********** to ***********",
            ),
        ] {
            assert_eq!(masked(MaskNumbers::Last4, text).as_deref(), Some(last4));
            assert_eq!(masked(MaskNumbers::All, text).as_deref(), Some(all));
            assert_eq!(masked(MaskNumbers::None, text), None);
        }
        for text in [
            "2026-11-23T08:41:12Z",
            "10.20.0.50:5060",
            "routes.toml:18",
            "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa",
            "gen 214",
            "genesys-09",
            "",
            "é12",
        ] {
            assert_eq!(masked(MaskNumbers::All, text), None, "{text}");
        }
    }
}
