//! Why a connection ended, or was not let in.

use crate::proxy::counted;

counted! {
    /// Why a connection ended, or never began.
    Ended {
        /// The peer closed it between two messages.
        ByPeer = "closed by peer",
        /// We closed it: it had told all it had to.
        ByUs = "closed",
        /// It broke, or was closed inside a message.
        Broken = "connection broken",
        /// Nothing came on it for `limits::CONNECTION_IDLE_MS_MAX`.
        Idle = "connection idle",
        /// Nothing came on it after its peer had opened it.
        Silent = "connection silent",
        /// A message was not whole in `limits::MESSAGE_MS_MAX`.
        Slow = "message too slow",
        /// The peer does not read what it is sent.
        Unread = "messages not read",
        /// What came has no certain end: RFC 3261 §18.3.
        Unframed = "stream out of frame",
        /// As many connections as the listener may have are there.
        Full = "too many connections",
        /// There were so many that one which had brought nothing made room for another.
        MadeRoom = "made room for another",
        /// As many connections as one source may have are there.
        FullOfSource = "too many connections of one source",
        /// As many connections of unknown sources are there as may be.
        FullOfStrangers = "too many connections of unknown sources",
        /// The system has no descriptor, or no memory, for another connection.
        NoDescriptor = "no descriptor for a connection",
        /// The other end, or the network before it, refused the connection.
        Refused = "connection refused",
        /// The other end did not take the connection in `limits::CONNECT_MS_MAX`.
        NotTaken = "connection not taken",
        /// The TLS handshake took longer than `limits::TLS_HANDSHAKE_MS_MAX`.
        HandshakeSlow = "TLS handshake too slow",
        /// As many TLS handshakes as the listener may have in progress are.
        HandshakesFull = "too many TLS handshakes",
        /// What came to a TLS listener, or as an answer of a TLS peer, is no TLS.
        NotTls = "no TLS",
        /// The other end's certificate is not to be believed, or missing.
        Certificate = "certificate refused",
        /// The TLS handshake failed for another reason.
        Handshake = "TLS handshake failed",
        /// No `[[tls_peer]]` says what to believe of this address.
        NoTlsPeer = "no tls_peer for it",
    }
}

impl Ended {
    /// Whether it is the ordinary end of a connection, of which no log need tell.
    #[must_use]
    pub const fn is_ordinary(self) -> bool {
        matches!(self, Self::ByPeer | Self::ByUs | Self::Idle)
    }
}
