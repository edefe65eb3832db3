//! Names of users and groups, as `/etc/passwd` and `/etc/group` list them.
//!
//! Accounts that only a directory service knows have no name here; the configuration names
//! them by number.

use crate::limits::ACCOUNTS_BYTES_MAX;
use std::fs::File;
use std::io::Read as _;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// `/etc/passwd`.
    Users,
    /// `/etc/group`.
    Groups,
}

/// The number of an account: written as one, or that of a listed name.
#[must_use]
pub fn id_of(accounts: Accounts, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    listed(accounts)
        .into_iter()
        .find_map(|(listed, id)| (listed == name).then_some(id))
}

/// The name of a user, or `uid 1001` where none is listed.
#[must_use]
pub fn user_name(uid: u32) -> String {
    listed(Accounts::Users)
        .into_iter()
        .find_map(|(name, id)| (id == uid).then_some(name))
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// All names of a list, with their numbers.
#[must_use]
pub fn listed(accounts: Accounts) -> Vec<(String, u32)> {
    let path = match accounts {
        Accounts::Users => "/etc/passwd",
        Accounts::Groups => "/etc/group",
    };
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(ACCOUNTS_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => entries(&String::from_utf8_lossy(&bytes)),
        Err(_) => Vec::new(),
    }
}

/// `name:x:1001:…` in both files.
fn entries(text: &str) -> Vec<(String, u32)> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (!name.is_empty()).then_some((name.to_owned(), id.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::{Accounts, entries, id_of, user_name};

    #[test]
    fn entries_of_both_files() {
        let text = "root:x:0:0:root:/root:/bin/sh\nvoice:x:50:anna,klein\n# odd\n:x:7\nx:y:z\n";
        assert_eq!(
            entries(text),
            [(String::from("root"), 0), (String::from("voice"), 50)]
        );
    }

    #[test]
    fn numbers_need_no_list() {
        assert_eq!(id_of(Accounts::Users, "4242424"), Some(4_242_424));
        assert_eq!(id_of(Accounts::Groups, "no such group"), None);
        assert_eq!(user_name(4_242_424), "uid 4242424");
    }
}
