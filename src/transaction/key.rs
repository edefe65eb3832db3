//! Which transaction a request belongs to: RFC 3261 §17.2.3.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::sip::{Message, Via};

/// Names an INVITE server transaction: 128 bits of a keyed hash over what
/// RFC 3261 §17.2.3 compares. Keyed by a secret of the process, so that no peer can
/// make two transactions meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionKey(u64, u64);

impl TransactionKey {
    /// The key of the INVITE transaction that `request` starts (INVITE), ends (ACK)
    /// or is about (CANCEL, RFC 3261 §9.2).
    ///
    /// By branch and sent-by of the top Via, or, from an RFC 2543 peer, by
    /// Request-URI, From tag, Call-ID, CSeq number and the top Via. To tags are left
    /// out of it: only an INVITE outside a dialog starts a transaction here.
    /// `None` when the request lacks what is compared.
    #[must_use]
    pub fn of_invite(request: &Message<'_>, seed: &RandomState) -> Option<Self> {
        let via = request.top_via().ok()?;
        let branch = via.branch().filter(|_| via.branch_is_unique());
        let half = |salt: u8| {
            let mut hasher = seed.build_hasher();
            hasher.write_u8(salt);
            match branch {
                Some(branch) => field(&mut hasher, branch),
                None => rfc2543(&mut hasher, request, &via)?,
            }
            sent_by(&mut hasher, &via);
            Some(hasher.finish())
        };
        Some(Self(half(1)?, half(2)?))
    }
}

/// RFC 3261 §17.2.3, second half: what tells the transactions of RFC 2543 apart.
fn rfc2543(hasher: &mut impl Hasher, request: &Message<'_>, via: &Via<'_>) -> Option<()> {
    field(hasher, request.request_uri()?);
    field(hasher, request.from().ok()?.tag().unwrap_or_default());
    field(hasher, request.call_id().ok()?);
    hasher.write_u32(request.cseq().ok()?.number);
    field(hasher, via.branch().unwrap_or_default());
    Some(())
}

fn sent_by(hasher: &mut impl Hasher, via: &Via<'_>) {
    via.host.hash(hasher);
    hasher.write_u16(via.port.unwrap_or(5060));
}

/// A length before each field keeps `("ab", "c")` and `("a", "bc")` apart.
fn field(hasher: &mut impl Hasher, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}
