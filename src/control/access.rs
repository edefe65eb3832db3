//! Who may do what.

/// Whoever is at the other end of a connection, as the kernel knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Group ids, the primary one first.
    pub gids: Vec<u32>,
}

/// Whoever asks for something, once it is known who that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// As the history and the log name them.
    pub name: String,
    /// Whether they may change what serves.
    pub may_change: bool,
}

/// Who may change anything. Whoever can open the socket may look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The user id of this process.
    pub own_uid: u32,
    /// User ids.
    pub users: Vec<u32>,
    /// Group ids.
    pub groups: Vec<u32>,
}

impl Access {
    /// Root, the process's own user, and those that are listed.
    #[must_use]
    pub fn may_change(&self, peer: &Peer) -> bool {
        peer.uid == 0
            || peer.uid == self.own_uid
            || self.users.contains(&peer.uid)
            || peer.gids.iter().any(|gid| self.groups.contains(gid))
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Peer};

    #[test]
    fn who_may_change_anything() {
        let access = Access {
            own_uid: 998,
            users: vec![1001],
            groups: vec![50],
        };
        for (uid, gids, may) in [
            (0, &[0][..], true),
            (998, &[998], true),
            (1001, &[1001], true),
            (1002, &[1002, 27, 50], true),
            (1002, &[1002, 27], false),
            // The number of a group is not that of a user.
            (50, &[1001], false),
            (1003, &[], false),
        ] {
            let peer = Peer {
                uid,
                gids: gids.to_vec(),
            };
            assert_eq!(access.may_change(&peer), may, "{peer:?}");
        }
    }
}
