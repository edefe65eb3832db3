//! Tokens: how those prove themselves who do not come by the local socket.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::Role;
use crate::http::Secret;

/// A token that was given to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, as the history names them.
    pub name: String,
    /// The hash of it.
    pub secret: Secret,
    /// What it is good for.
    pub role: Role,
    /// Until when; for ever without one.
    pub expires: Option<Timestamp>,
    /// From where; from anywhere where there are none.
    pub networks: Vec<IpNet>,
}

/// What every token begins with, so that it is known for one wherever it turns up.
pub const TOKEN_PREFIX: &str = "tlk_";

/// The text of a token, from 32 bytes that were drawn by chance.
#[must_use]
pub fn token_text(drawn: &[u8; 32]) -> String {
    let digits = drawn.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once(TOKEN_PREFIX.to_owned())
        .chain(digits)
        .collect()
}

/// Why a token proves nothing. Whoever shows it hears nothing of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unproven {
    /// There is none, or nothing that can be read as one.
    Missing,
    /// Nobody has this one.
    Unknown,
    /// It was good until some time ago.
    Expired,
    /// It is not good from here.
    Elsewhere,
}

impl Unproven {
    /// For the log.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "there is none",
            Self::Unknown => "nobody has it",
            Self::Expired => "it has ended",
            Self::Elsewhere => "it is not good from there",
        }
    }
}

/// The token that an Authorization header shows (RFC 6750). Takes as long whichever it is.
pub(super) fn proven<'t>(
    tokens: &'t [Token],
    authorization: Option<&[u8]>,
    source: IpAddr,
    now: Timestamp,
) -> Result<&'t Token, Unproven> {
    let header = authorization.ok_or(Unproven::Missing)?;
    let blank = header.iter().position(|byte| *byte == b' ');
    let (scheme, rest) = blank
        .and_then(|at| header.split_at_checked(at))
        .ok_or(Unproven::Unknown)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Unproven::Unknown);
    }
    let shown = rest.trim_ascii();
    let found = tokens.iter().fold(None, |found, token| {
        if token.secret.is(shown) {
            Some(token)
        } else {
            found
        }
    });
    let token = found.ok_or(Unproven::Unknown)?;
    if token.expires.is_some_and(|expires| expires <= now) {
        return Err(Unproven::Expired);
    }
    let source = source.to_canonical();
    let is_near = |network: &IpNet| network.contains(&source);
    if !token.networks.is_empty() && !token.networks.iter().any(is_near) {
        return Err(Unproven::Elsewhere);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;

    #[test]
    fn a_token_is_good_for_whom_it_was_given_from_where_and_until_when() {
        let text = |byte| token_text(&[byte; 32]);
        let token = |byte, expires: Option<&str>, network: &str| Token {
            name: format!("token {byte}"),
            secret: Secret::of(text(byte).as_bytes()),
            role: Role::Viewer,
            expires: expires.map(|text| text.parse().unwrap()),
            networks: network.parse().into_iter().collect(),
        };
        let tokens = [
            token(1, None, ""),
            token(2, Some("2026-12-01T00:00:00Z"), ""),
            token(3, None, "10.0.0.0/8"),
        ];
        let ask = |header: &str, source: &str, now: &str| {
            let found = proven(
                &tokens,
                (!header.is_empty()).then_some(header.as_bytes()),
                source.parse().unwrap(),
                now.parse().unwrap(),
            );
            found.map(|token| &*token.name)
        };
        let bearer = |byte| format!("Bearer {}", text(byte));
        let (near, far) = ("10.1.2.3", "192.0.2.1");
        let (early, late) = ("2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z");
        assert_eq!(ask(&bearer(1), far, late), Ok("token 1"));
        assert_eq!(
            ask(&bearer(1).replace("Bearer", "bEARER"), far, late),
            Ok("token 1")
        );
        assert_eq!(ask(&bearer(2), far, early), Ok("token 2"));
        assert_eq!(ask(&bearer(2), far, late), Err(Unproven::Expired));
        assert_eq!(ask(&bearer(3), near, late), Ok("token 3"));
        assert_eq!(ask(&bearer(3), "::ffff:10.1.2.3", late), Ok("token 3"));
        assert_eq!(ask(&bearer(3), far, late), Err(Unproven::Elsewhere));
        assert_eq!(ask(&bearer(4), far, late), Err(Unproven::Unknown));
        assert_eq!(ask("", far, late), Err(Unproven::Missing));
        for wrong in ["Bearer", "Bearer ", "Basic eDp5", "tlk_", &text(1)] {
            assert_eq!(ask(wrong, far, late), Err(Unproven::Unknown), "{wrong}");
        }
    }
}
