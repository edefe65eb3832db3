//! Who may ask, and by which secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// One who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user name of Basic authentication.
    pub name: String,
    /// The password of it, or the token of Bearer.
    pub secret: Secret,
    /// The trunk group its calls arrive on; without one its question or its address says.
    pub trunk_group: Option<String>,
}

/// SHA-256 of a secret: who reads the configuration does not learn it. Draw the secret by
/// chance, 16 bytes or more: nothing slows down who tries out short ones against the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// From its 64 hexadecimal digits; `None` if these are none.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        if pairs.len() != hash.len() {
            return None;
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
        }
        Some(Self(hash))
    }

    /// Of a secret in the clear.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is it. Takes as long whichever byte differs.
    #[must_use]
    pub fn is(&self, secret: &[u8]) -> bool {
        let other = Self::of(secret).0;
        let differing = self
            .0
            .iter()
            .zip(other)
            .fold(0, |bits, (a, b)| bits | (a ^ b));
        differing == 0
    }
}

impl fmt::LowerHex for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The account that an Authorization header proves (RFC 7617, RFC 6750).
pub(super) fn proven<'a>(accounts: &'a [Account], authorization: &[u8]) -> Option<&'a Account> {
    let at = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = authorization.split_at_checked(at)?;
    let value = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return accounts.iter().find(|account| account.secret.is(value));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = STANDARD.decode(value).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (name, password) = pair.split_at_checked(colon)?;
    let account = accounts
        .iter()
        .find(|account| account.name.as_bytes() == name)?;
    account.secret.is(password.get(1..)?).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Vec<Account> {
        ["sbc-1", "sbc-2"]
            .map(|name| Account {
                name: name.to_owned(),
                secret: Secret::of(format!("secret of {name}").as_bytes()),
                trunk_group: None,
            })
            .to_vec()
    }

    #[test]
    fn a_secret_is_read_from_its_hexadecimal_hash_only() {
        let hash = "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa";
        assert_eq!(Secret::from_hex(hash), Some(Secret::of(b"y")));
        assert_eq!(
            Secret::from_hex(&hash.to_uppercase()),
            Secret::from_hex(hash)
        );
        for wrong in [
            "",
            "a1",
            &hash[2..],
            &format!("{hash}00"),
            &hash.replace('a', "g"),
        ] {
            assert_eq!(Secret::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_right_pair_proves_an_account() {
        let accounts = accounts();
        let name = |header: &str| {
            proven(&accounts, header.as_bytes()).map(|account| account.name.as_str())
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(name(&basic("sbc-1:secret of sbc-1")), Some("sbc-1"));
        assert_eq!(name("BEARER secret of sbc-2"), Some("sbc-2"));
        for wrong in [
            basic("sbc-1:secret of sbc-2"),
            basic("sbc-3:secret of sbc-1"),
            basic("sbc-1:"),
            basic("sbc-1"),
            "Basic".to_owned(),
            "Basic %%%".to_owned(),
            "Digest secret of sbc-1".to_owned(),
            String::new(),
        ] {
            assert_eq!(name(&wrong), None, "{wrong}");
        }
    }
}
