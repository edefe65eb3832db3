//! An object of JSON, and nothing but an object.
//!
//! What serde derives for a struct also reads an array of its members in their order: `[]` would
//! be an order to reload, and a member added to a struct would change what an array means.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// What an object says; an array of the same members is refused. Structs inside of it are as
/// strict where they are written as `Object`, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'d, T: Deserialize<'d>> Deserialize<'d> for Object<T> {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Members(PhantomData)).map(Self)
    }
}

struct Members<T>(PhantomData<T>);

impl<'d, T: Deserialize<'d>> Visitor<'d> for Members<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'d>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        state: String,
        #[serde(default)]
        inner: Object<Inner>,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    struct Inner {
        #[serde(default)]
        count: u8,
    }

    fn read(text: &str) -> Result<Order, String> {
        let read: serde_json::Result<Object<Order>> = serde_json::from_str(text);
        read.map(|Object(order)| order)
            .map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn an_object_is_read_as_ever() {
        let order = read(r#"{"state": "drain", "inner": {"count": 2}}"#).unwrap();
        assert_eq!(order.state, "drain");
        assert_eq!(order.inner, Object(Inner { count: 2 }));
        assert!(read(r#"{"state": "drain"}"#).is_ok());
        assert!(read(r#"{"stat": "drain"}"#).unwrap_err().contains("stat"));
    }

    /// `POST /reload` with `[]` was once a reload.
    #[test]
    fn an_array_is_no_object() {
        for text in ["[]", r#"["drain"]"#, r#"["drain",{}]"#, "null", "\"drain\""] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.contains("expected an object"), "{text}: {wrong}");
        }
        let wrong = read(r#"{"state": "drain", "inner": [2]}"#).unwrap_err();
        assert!(wrong.contains("expected an object"), "{wrong}");
    }
}
