//! Where the answer to a request goes.

use std::net::{IpAddr, SocketAddr};

use super::{Transport, Via};

/// Where the answer to a request over UDP goes (RFC 3261 §18.2.2, RFC 3581 §4):
/// to `maddr`, else to the source of the packet, at its port if `rport` asks for
/// that or the Via is of another transport, else at the port of sent-by.
///
/// The Via is what the peer wrote, so it is believed only within reason: never a
/// multicast, broadcast or unspecified address, no loopback for a source that is
/// none, and never port 0.
pub fn reply_target(top_via: &Via<'_>, source: SocketAddr) -> SocketAddr {
    const DEFAULT_PORT: u16 = 5060;
    let sent_by_port = top_via
        .port
        .filter(|port| *port != 0)
        .unwrap_or(DEFAULT_PORT);
    // Some have neither; of the others all are looked through once.
    let (mut maddr, mut rport) = (false, false);
    if top_via.steers {
        for param in top_via.params.iter() {
            maddr |= param.name.eq_ignore_ascii_case(b"maddr");
            rport |= param.name.eq_ignore_ascii_case(b"rport");
        }
    }
    if let Some(maddr) = maddr
        .then(|| top_via.maddr())
        .flatten()
        .filter(|maddr| is_answerable(*maddr, source.ip()))
    {
        return SocketAddr::new(maddr, sent_by_port);
    }
    // The port of another transport is no port of this one.
    let believed = top_via.transport == Transport::Udp && !rport;
    if !believed && source.port() != 0 {
        return source;
    }
    let mut target = source;
    target.set_port(sent_by_port);
    target
}

fn is_answerable(target: IpAddr, source: IpAddr) -> bool {
    let (target, source) = (target.to_canonical(), source.to_canonical());
    let broadcast = matches!(target, IpAddr::V4(address) if address.is_broadcast());
    let foreign_loopback = target.is_loopback() && !source.is_loopback();
    target.is_ipv4() == source.is_ipv4()
        && !(target.is_multicast() || target.is_unspecified() || broadcast || foreign_loopback)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own Via has failed.

    use super::*;

    #[test]
    fn an_answer_goes_where_the_request_came_from() {
        for (via, source, expected) in [
            ("SIP/2.0/UDP h", "192.0.2.7:99", "192.0.2.7:5060"),
            ("SIP/2.0/UDP h:5080", "192.0.2.7:99", "192.0.2.7:5080"),
            ("SIP/2.0/UDP h:5080;rport", "192.0.2.7:99", "192.0.2.7:99"),
            ("SIP/2.0/TLS h:5061", "192.0.2.7:99", "192.0.2.7:99"),
            ("SIP/2.0/TCP h:5080", "192.0.2.7:0", "192.0.2.7:5080"),
            ("SIP/2.0/UDP h:0", "192.0.2.7:99", "192.0.2.7:5060"),
            ("SIP/2.0/UDP h:5080;rport", "192.0.2.7:0", "192.0.2.7:5080"),
            (
                "SIP/2.0/UDP h;received=6.6.6.6",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
            (
                "SIP/2.0/UDP h:5080;maddr=192.0.2.8;rport",
                "192.0.2.7:99",
                "192.0.2.8:5080",
            ),
            (
                "SIP/2.0/UDP h;maddr=239.255.255.1",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=255.255.255.255",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=0.0.0.0",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=127.0.0.1",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=127.0.0.2",
                "127.0.0.1:99",
                "127.0.0.2:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=gw.example",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=[ff02::1]",
                "[2001:db8::7]:99",
                "[2001:db8::7]:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=2001:db8::8",
                "[2001:db8::7]:99",
                "[2001:db8::8]:5060",
            ),
            (
                "SIP/2.0/UDP h;maddr=2001:db8::8",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
            (
                "SIP/2.0/UDP 255.255.255.255:5060",
                "192.0.2.7:99",
                "192.0.2.7:5060",
            ),
        ] {
            let target = reply_target(
                &Via::parse(via.as_bytes()).unwrap(),
                source.parse().unwrap(),
            );
            assert_eq!(target.to_string(), expected, "{via} from {source}");
        }
    }
}
