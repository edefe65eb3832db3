//! Which transaction a message belongs to: RFC 3261 §17.1.3 and §17.2.3.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use crate::sip::{Message, Method, Via};

/// Names a transaction: 128 bits of a keyed hash over what RFC 3261 §17.1.3 and
/// §17.2.3 compare. Keyed by a secret of the process, so that no peer can make two
/// transactions meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionKey(u64, u64);

/// How maps are told apart their keys: a [`TransactionKey`] is a keyed hash already.
pub(crate) type ByKey = BuildHasherDefault<Keyed>;

/// Keeps the keys of servers apart from those of clients.
const SERVER: u8 = 1;
const CLIENT: u8 = 2;

impl TransactionKey {
    /// The key of the server transaction that `request` belongs to; an ACK belongs to
    /// that of its INVITE.
    ///
    /// By branch, sent-by and method, or, from an RFC 2543 peer, by Request-URI, From
    /// tag, Call-ID, CSeq number, top Via and method. The To tag counts only where a
    /// request and what belongs to it must have the same: not for INVITE, whose ACK
    /// has that of the response. `None` when the request lacks what is compared.
    #[must_use]
    pub fn of_request(request: &Message<'_>, seed: &RandomState) -> Option<Self> {
        Self::server(request, request.method()?, seed)
    }

    /// [`TransactionKey::of_request`] of a request whose top Via has been read.
    #[must_use]
    pub fn of_request_from(
        request: &Message<'_>,
        top_via: &Via<'_>,
        seed: &RandomState,
    ) -> Option<Self> {
        Self::server_from(request, top_via, request.method()?, seed)
    }

    /// The key of the INVITE transaction that `request` starts (INVITE), ends (ACK)
    /// or is about (CANCEL, RFC 3261 §9.2).
    #[must_use]
    pub fn of_invite(request: &Message<'_>, seed: &RandomState) -> Option<Self> {
        Self::server(request, Method::Invite, seed)
    }

    /// [`TransactionKey::of_invite`] of a request whose top Via has been read.
    #[must_use]
    pub fn of_invite_from(
        request: &Message<'_>,
        top_via: &Via<'_>,
        seed: &RandomState,
    ) -> Option<Self> {
        Self::server_from(request, top_via, Method::Invite, seed)
    }

    /// The key of the client transaction that `response` belongs to: the branch of its
    /// top Via and the method of its CSeq. `None` when it lacks one of them.
    #[must_use]
    pub fn of_response(response: &Message<'_>, seed: &RandomState) -> Option<Self> {
        let via = response.top_via().ok()?;
        Some(Self::of_branch(
            via.branch()?,
            response.cseq().ok()?.method,
            seed,
        ))
    }

    /// The key of the client transaction of a request that is sent with this branch.
    #[must_use]
    pub fn of_branch(branch: &[u8], method: Method<'_>, seed: &RandomState) -> Self {
        let mut hasher = begin(seed, CLIENT);
        field(&mut hasher, branch);
        field(&mut hasher, method.as_bytes());
        Self::of(hasher)
    }

    fn server(request: &Message<'_>, method: Method<'_>, seed: &RandomState) -> Option<Self> {
        Self::server_from(request, &request.top_via().ok()?, method, seed)
    }

    fn server_from(
        request: &Message<'_>,
        via: &Via<'_>,
        method: Method<'_>,
        seed: &RandomState,
    ) -> Option<Self> {
        let method = match method {
            Method::Ack => Method::Invite,
            method => method,
        };
        let mut hasher = begin(seed, SERVER);
        match via.branch().filter(|_| via.branch_is_unique()) {
            Some(branch) => field(&mut hasher, branch),
            None => rfc2543(&mut hasher, request, via, method)?,
        }
        sent_by(&mut hasher, via);
        field(&mut hasher, method.as_bytes());
        Some(Self::of(hasher))
    }

    /// 128 bits out of one pass: the state of the hash is 256 bits wide, and what is read
    /// of it after one byte more is another function of all of them.
    fn of(mut hasher: impl Hasher) -> Self {
        let first = hasher.finish();
        hasher.write_u8(0);
        Self(first, hasher.finish())
    }
}

fn begin(seed: &RandomState, side: u8) -> impl Hasher + use<> {
    let mut hasher = seed.build_hasher();
    hasher.write_u8(side);
    hasher
}

/// RFC 3261 §17.2.3, second half: what tells the transactions of RFC 2543 apart.
fn rfc2543(
    hasher: &mut impl Hasher,
    request: &Message<'_>,
    via: &Via<'_>,
    method: Method<'_>,
) -> Option<()> {
    field(hasher, request.request_uri()?);
    field(hasher, request.from().ok()?.tag().unwrap_or_default());
    if method != Method::Invite {
        field(hasher, request.to().ok()?.tag().unwrap_or_default());
    }
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

/// Hashes what is a keyed hash already: its bits are as good as any.
#[derive(Debug, Default)]
pub(crate) struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = self.0.rotate_left(32) ^ half;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

    use super::*;

    fn request(method: &str, via: &str, to: &str) -> String {
        format!(
            "{method} sip:1@a SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <sip:a@b>;tag=f\r\n\
             To: {to}\r\nCall-ID: c\r\nCSeq: 7 {method}\r\n\r\n"
        )
    }

    fn key(seed: &RandomState, method: &str, via: &str, to: &str) -> TransactionKey {
        let text = request(method, via, to);
        let message = Message::parse_datagram(text.as_bytes()).unwrap();
        TransactionKey::of_request(&message, seed).unwrap()
    }

    #[test]
    fn an_ack_belongs_to_its_invite_and_a_cancel_is_its_own() {
        let seed = RandomState::new();
        for via in ["h;branch=z9hG4bK1", "h;branch=1", "h"] {
            let invite = key(&seed, "INVITE", via, "<sip:c@d>");
            assert_eq!(invite, key(&seed, "ACK", via, "<sip:c@d>;tag=t"), "{via}");
            assert_ne!(invite, key(&seed, "CANCEL", via, "<sip:c@d>"), "{via}");
            let text = request("CANCEL", via, "<sip:c@d>");
            let cancel = Message::parse_datagram(text.as_bytes()).unwrap();
            assert_eq!(
                TransactionKey::of_invite(&cancel, &seed),
                Some(invite),
                "{via}"
            );
        }
    }

    #[test]
    fn branch_and_sent_by_tell_transactions_apart() {
        let seed = RandomState::new();
        let one = key(&seed, "BYE", "h;branch=z9hG4bK1", "<sip:c@d>;tag=1");
        assert_eq!(
            one,
            key(&seed, "BYE", "h:5060;branch=z9hG4bK1", "<sip:x@y>")
        );
        assert_ne!(
            one,
            key(&seed, "BYE", "h:5061;branch=z9hG4bK1", "<sip:c@d>;tag=1")
        );
        assert_ne!(
            one,
            key(&seed, "BYE", "g;branch=z9hG4bK1", "<sip:c@d>;tag=1")
        );
        assert_ne!(
            one,
            key(&seed, "BYE", "h;branch=z9hG4bK2", "<sip:c@d>;tag=1")
        );
        let old = key(&seed, "BYE", "h;branch=1", "<sip:c@d>;tag=1");
        assert_ne!(
            old,
            key(&seed, "BYE", "h;branch=1", "<sip:c@d>;tag=2"),
            "RFC 2543"
        );
    }

    #[test]
    fn a_response_finds_the_client_that_sent_the_branch() {
        let seed = RandomState::new();
        let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1;received=1.2.3.4, \
                    SIP/2.0/UDP g;branch=z9hG4bK2\r\nCSeq: 1 CANCEL\r\n\r\n";
        let response = Message::parse_datagram(text.as_bytes()).unwrap();
        let found = TransactionKey::of_response(&response, &seed);
        let of = |branch: &[u8], method| Some(TransactionKey::of_branch(branch, method, &seed));
        assert_eq!(found, of(b"z9hG4bK1", Method::Cancel));
        assert_ne!(found, of(b"z9hG4bK1", Method::Invite));
        assert_ne!(found, of(b"z9hG4bK2", Method::Cancel));
    }
}
