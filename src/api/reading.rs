//! What a request says, read strictly: whatever is wrong is a problem that says where.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};

use super::problem::Problem;
use crate::http::Object;

/// The value, or values, of a path.
pub(super) struct Value<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Value<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        match read {
            Ok(Path(value)) => Ok(Self(value)),
            Err(wrong) => Err(Problem::malformed(wrong.body_text())),
        }
    }
}

/// The members of a query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        match read {
            Ok(Query(value)) => Ok(Self(value)),
            Err(wrong) => Err(Problem::malformed(wrong.body_text())),
        }
    }
}

/// A body of JSON: an object.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.map(|kind| kind.as_bytes().to_ascii_lowercase());
        let is_json = kind.is_some_and(|kind| {
            let mut parts = kind.split(|byte| *byte == b';');
            parts
                .next()
                .is_some_and(|kind| kind.trim_ascii() == b"application/json")
        });
        if !is_json {
            let title = "The body has another type";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let detail = "Content-Type: application/json is understood";
            return Err(Problem::new(status, "not_json", title, detail));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|wrong| Problem::malformed(wrong.body_text()))?;
        let read = serde_json::from_slice(&bytes);
        read.map(|Object(read)| Self(read))
            .map_err(|error| Problem::malformed(error.to_string()))
    }
}

/// A member that is there has a value: `null` is not one.
pub(super) fn given<'d, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'d>,
    T: Deserialize<'d>,
{
    T::deserialize(from).map(Some)
}

/// Objects in an array.
pub(super) fn objects<'d, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'d>,
    T: Deserialize<'d>,
{
    let objects = Vec::<Object<T>>::deserialize(from)?;
    Ok(objects.into_iter().map(|Object(object)| object).collect())
}

/// A word of a list: not the object with one member that serde takes for the same.
pub(super) fn word<'d, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'d>,
    T: Deserialize<'d>,
{
    T::deserialize(String::deserialize(from)?.into_deserializer())
}

/// A whole number that is there, also where it is written with a point, as JSON allows.
pub(super) fn whole<'d, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'d>,
    T: TryFrom<u64>,
{
    let number = serde_json::Number::deserialize(from)?;
    let written = || {
        let float = number.as_f64()?;
        let is_whole = float.fract() == 0.0 && (0.0..=NUMBER_MAX as f64).contains(&float);
        is_whole.then_some(float as u64)
    };
    let found = number.as_u64().or_else(written);
    let found = found.filter(|found| *found <= NUMBER_MAX);
    let fits = found.and_then(|found| T::try_from(found).ok());
    fits.map(Some)
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is out of bounds")))
}

/// The largest whole number that every reader of JSON has (RFC 8259 §6).
pub(super) const NUMBER_MAX: u64 = (1 << 53) - 1;

/// A text of a query, of 1 to 64 characters.
///
/// # Errors
/// It is empty or longer.
pub(super) fn short(name: &str, text: Option<&String>) -> Result<(), Problem> {
    let chars = text.map_or(1, |text| text.chars().count());
    if (1..=64).contains(&chars) {
        return Ok(());
    }
    Err(Problem::malformed(format!("{name} has 1 to 64 characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Wanted {
        #[serde(deserialize_with = "whole")]
        generation: Option<u64>,
    }

    fn read(number: &str) -> Option<u64> {
        let text = format!("{{\"generation\":{number}}}");
        let wanted: serde_json::Result<Wanted> = serde_json::from_str(&text);
        wanted.ok().and_then(|wanted| wanted.generation)
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        for (text, number) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("7e2", Some(700)),
            ("7.5", None),
            ("-1", None),
            ("9007199254740991.0", Some(NUMBER_MAX)),
            ("9007199254740992", None),
            ("\"7\"", None),
            ("null", None),
        ] {
            assert_eq!(read(text), number, "{text}");
        }
    }

    /// Once read as one with a half, and refused.
    #[test]
    fn a_large_whole_number_with_a_point_is_exact() {
        assert_eq!(read("4183670639167014.0"), Some(4_183_670_639_167_014));
    }
}
