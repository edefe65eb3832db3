//! What nobody else may foresee, drawn from a secret that is brought in.

use std::hash::{DefaultHasher, Hasher};

/// A secret of the installation and what is derived from it: marks that only who holds it
/// can make. Pure: the same secret gives the same marks, so a simulation repeats.
#[derive(Clone)]
pub(super) struct Secret([u8; 16]);

impl Secret {
    pub(super) const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A hasher (SipHash) keyed by the secret; `purpose` keeps marks of one kind from
    /// being taken for another.
    pub(super) fn hasher(&self, purpose: &[u8]) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher.write_usize(purpose.len());
        hasher.write(purpose);
        hasher
    }

    /// The mark of a dialog whose INVITE went through here: by it we know our own
    /// Record-Route again when a request inside the dialog comes with it as Route.
    pub(super) fn dialog(&self, call_id: &[u8], caller_tag: &[u8]) -> u64 {
        let mut hasher = self.hasher(b"dialog");
        hasher.write_usize(call_id.len());
        hasher.write(call_id);
        hasher.write(caller_tag);
        hasher.finish()
    }

    /// A number nobody can foresee, the same for the same bytes.
    pub(super) fn of(&self, purpose: &[u8], bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher(purpose);
        hasher.write(bytes);
        hasher.finish()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}
