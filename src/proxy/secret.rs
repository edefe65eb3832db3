//! What nobody else may foresee, drawn from a secret that is brought in.

use std::hash::{DefaultHasher, Hasher};

/// A secret of the installation and what is derived from it: marks that only who holds it
/// can make. Pure: the same secret gives the same marks, so a simulation repeats.
///
/// It is kept as hashers (SipHash) that have taken it in already, one for each purpose.
#[derive(Clone)]
pub(super) struct Secret {
    of_loops: DefaultHasher,
    of_dialogs: DefaultHasher,
    of_acks: DefaultHasher,
    of_probes: DefaultHasher,
}

/// What a mark is for: those of one kind are not taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request that comes around.
    Loop,
    /// A dialog that goes through here.
    Dialog,
    /// The branch of an ACK that is forwarded without a transaction.
    Ack,
    /// When a probe is due.
    Probe,
}

impl Secret {
    pub(super) fn new(bytes: [u8; 16]) -> Self {
        let hasher = |purpose: &[u8]| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            hasher.write_usize(purpose.len());
            hasher.write(purpose);
            hasher
        };
        Self {
            of_loops: hasher(b"loop"),
            of_dialogs: hasher(b"dialog"),
            of_acks: hasher(b"ack"),
            of_probes: hasher(b"probe"),
        }
    }

    /// A hasher keyed by the secret and the purpose.
    pub(super) fn hasher(&self, purpose: Purpose) -> DefaultHasher {
        let hasher = match purpose {
            Purpose::Loop => &self.of_loops,
            Purpose::Dialog => &self.of_dialogs,
            Purpose::Ack => &self.of_acks,
            Purpose::Probe => &self.of_probes,
        };
        hasher.clone()
    }

    /// The mark of a dialog whose INVITE went through here: by it we know our own
    /// Record-Route again when a request inside the dialog comes with it as Route.
    pub(super) fn dialog(&self, call_id: &[u8], caller_tag: &[u8]) -> u64 {
        let mut hasher = self.hasher(Purpose::Dialog);
        hasher.write_usize(call_id.len());
        hasher.write(call_id);
        hasher.write(caller_tag);
        hasher.finish()
    }

    /// A number nobody can foresee, the same for the same bytes.
    pub(super) fn of(&self, purpose: Purpose, bytes: &[u8]) -> u64 {
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
