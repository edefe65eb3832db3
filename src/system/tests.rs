#![allow(clippy::unwrap_used)] // a test may fail loudly
use super::ancillary::{
    CONTROL_BYTES, Control, is_unreachable, read_asked, read_name, read_unreachable, write_name,
    write_source,
};
use super::*;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

fn pair(address: &str) -> (UdpSocket, UdpSocket) {
    (
        UdpSocket::bind(address).unwrap(),
        UdpSocket::bind(address).unwrap(),
    )
}

#[test]
fn a_batch_arrives_as_it_was_sent() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (here, there) = pair(address);
        let to = there.local_addr().unwrap();
        let texts: Vec<Vec<u8>> = (0..40).map(|n| vec![n; usize::from(n) * 30]).collect();
        let letters: Vec<_> = texts
            .iter()
            .map(|bytes| Letter {
                bytes,
                to,
                from: None,
            })
            .collect();
        assert_eq!(
            send_batch(here.as_fd(), &letters, Sending::OneByOne).unwrap(),
            32
        );
        assert_eq!(
            send_batch(here.as_fd(), &letters[32..], Sending::OneByOne).unwrap(),
            8
        );
        let mut room = ReceiveRoom::new(false);
        let mut arrived = Vec::new();
        for expected in [32, 8] {
            assert_eq!(room.receive(there.as_fd()).unwrap(), expected);
            for received in room.iter() {
                assert_eq!(received.source, here.local_addr().unwrap());
                assert_eq!(received.asked, None);
                arrived.push(received.bytes.to_vec());
            }
        }
        assert_eq!(arrived, texts);
        let error = room.receive(there.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(room.iter().count(), 0, "the batch before is forgotten");
    }
}

/// However they are handed to the system, the same datagrams arrive, in the same order.
#[test]
fn runs_arrive_as_single_datagrams() {
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let here = UdpSocket::bind(wildcard).unwrap();
        let ip: IpAddr = match here.local_addr().unwrap() {
            SocketAddr::V4(_) => [127, 0, 0, 7].into(),
            SocketAddr::V6(_) => "::1".parse().unwrap(),
        };
        let there = UdpSocket::bind((ip, 0)).unwrap();
        let lengths = [
            700, 700, 700, 700, 20, 900, 900, 900, 900, 900, 30, 1, 1300, 1300, 1300, 1300,
        ];
        let texts: Vec<Vec<u8>> = (0..)
            .zip(lengths)
            .map(|(n, length)| vec![n; length])
            .collect();
        for from in [None, Some(ip)] {
            let letters: Vec<_> = texts
                .iter()
                .map(|bytes| Letter {
                    bytes,
                    to: there.local_addr().unwrap(),
                    from,
                })
                .collect();
            let sent = send_batch(here.as_fd(), &letters, Sending::InRuns).unwrap();
            assert_eq!(sent, letters.len());
            let mut room = ReceiveRoom::new(false);
            assert_eq!(room.receive(there.as_fd()).unwrap(), letters.len());
            let arrived: Vec<_> = room
                .iter()
                .map(|received| received.bytes.to_vec())
                .collect();
            assert_eq!(arrived, texts);
            let port = here.local_addr().unwrap().port();
            let is_told = |received: Received<'_>| {
                received.source.port() == port && from.is_none_or(|ip| ip == received.source.ip())
            };
            assert!(room.iter().all(is_told));
        }
    }
}

#[test]
fn a_refused_letter_is_told_when_it_is_the_first() {
    let (here, there) = pair("127.0.0.1:0");
    let to = there.local_addr().unwrap();
    let good = Letter {
        bytes: b"good",
        to,
        from: None,
    };
    let elsewhere = Letter {
        to: "[::1]:9".parse().unwrap(),
        ..good
    };
    let letters = [good, elsewhere, good];
    assert_eq!(
        send_batch(here.as_fd(), &letters, Sending::OneByOne).unwrap(),
        1
    );
    assert!(send_batch(here.as_fd(), &letters[1..], Sending::OneByOne).is_err());
    assert_eq!(
        send_batch(here.as_fd(), &letters[2..], Sending::OneByOne).unwrap(),
        1
    );
    assert_eq!(send_batch(here.as_fd(), &[], Sending::OneByOne).unwrap(), 0);
}

#[test]
fn the_asked_address_is_told_and_can_be_sent_from() {
    for (wildcard, asked, v6) in [("0.0.0.0:0", "127.0.0.7", false), ("[::]:0", "::1", true)] {
        let there = UdpSocket::bind(wildcard).unwrap();
        tell_asked_address(there.as_fd(), v6).unwrap();
        let asked: IpAddr = asked.parse().unwrap();
        let here = UdpSocket::bind(SocketAddr::new(asked, 0)).unwrap();
        let port = there.local_addr().unwrap().port();
        here.send_to(b"hello", SocketAddr::new(asked, port))
            .unwrap();
        let mut room = ReceiveRoom::new(true);
        assert_eq!(room.receive(there.as_fd()).unwrap(), 1);
        let received = room.iter().next().unwrap();
        assert_eq!(
            (received.bytes, received.asked),
            (&b"hello"[..], Some(asked))
        );
        let letter = Letter {
            bytes: b"and back",
            to: received.source,
            from: received.asked,
        };
        assert_eq!(
            send_batch(there.as_fd(), &[letter], Sending::OneByOne).unwrap(),
            1
        );
        let (_, from) = here.recv_from(&mut [0; 64]).unwrap();
        assert_eq!(from, SocketAddr::new(asked, port));
    }
}

#[test]
fn a_refused_datagram_comes_back() {
    for (address, wildcard) in [
        ("127.0.0.1", "127.0.0.1:0"),
        ("::1", "[::1]:0"),
        ("127.0.0.1", "0.0.0.0:0"),
        ("::1", "[::]:0"),
    ] {
        let here = UdpSocket::bind(wildcard).unwrap();
        let v6 = here.local_addr().unwrap().is_ipv6();
        tell_asked_address(here.as_fd(), v6).unwrap();
        tell_send_errors(here.as_fd(), v6).unwrap();
        let address: IpAddr = address.parse().unwrap();
        let gone = {
            let there = UdpSocket::bind(SocketAddr::new(address, 0)).unwrap();
            there.local_addr().unwrap()
        };
        let mut room = [0; 64];
        let nothing = take_send_error(here.as_fd(), &mut room).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        here.send_to(b"hello there", gone).unwrap();
        let told = take_send_error(here.as_fd(), &mut room).unwrap().unwrap();
        assert_eq!((told.to, told.bytes), (gone, &b"hello there"[..]));
        assert!(told.is_unreachable);
        assert!(take_send_error(here.as_fd(), &mut room).is_err());
    }
}

#[test]
fn what_says_nothing_of_the_peer_is_told_apart() {
    let (v4, v6) = (libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6);
    for (origin, kind, code, expected) in [
        (v4, 3, 3, true),
        (v4, 3, 13, true),
        (v4, 3, 4, false),
        (v4, 11, 0, false),
        (v4, 4, 0, false),
        (v6, 1, 4, true),
        (v6, 2, 0, false),
        (v6, 3, 0, false),
        (libc::SO_EE_ORIGIN_LOCAL, 3, 3, false),
    ] {
        assert_eq!(is_unreachable(origin, kind, code), expected);
    }
    for length in 0..40 {
        assert_eq!(read_unreachable(&vec![0; length]), None);
    }
}

#[test]
fn chance_fills_everything() {
    let (mut one, mut other) = ([0; 64], [0; 64]);
    fill_random(&mut one).unwrap();
    fill_random(&mut other).unwrap();
    assert_ne!(one, other);
    assert!(one.chunks(16).all(|part| part != [0; 16]));
}

#[test]
fn addresses_come_back_as_they_went() {
    for text in ["192.0.2.1:5060", "[2001:db8::1]:1", "[fe80::1%3]:65535"] {
        let address: SocketAddr = text.parse().unwrap();
        let (name, length) = write_name(address);
        assert_eq!(read_name(&name.0[..length]), Some(address));
        for short in 0..length.min(8) {
            assert_eq!(read_name(&name.0[..short]), None);
        }
        let mut written = (Control([0; CONTROL_BYTES]), 0);
        write_source(&mut written, address.ip(), address);
        assert_eq!(read_asked(&written.0.0[..written.1]), Some(address.ip()));
    }
}

#[test]
fn a_datagram_of_any_length_fits() {
    let (here, there) = pair("127.0.0.1:0");
    allow_fragments(here.as_fd(), false).unwrap();
    let longest = vec![7; 65_507];
    here.send_to(&longest, there.local_addr().unwrap()).unwrap();
    let mut room = ReceiveRoom::new(false);
    assert_eq!(room.receive(there.as_fd()).unwrap(), 1);
    assert_eq!(room.iter().next().unwrap().bytes, longest);
}

#[test]
fn a_large_array_stays_as_it_is_in_large_pages() {
    let array: Vec<u32> = (0..2_000_000).collect();
    let range = array.as_ptr_range();
    keep_in_large_pages(range.start.addr()..range.end.addr());
    keep_in_large_pages(range.start.addr()..range.start.addr() + 1);
    assert!(
        array
            .iter()
            .zip(0..)
            .all(|(found, wanted)| *found == wanted)
    );
}

#[test]
fn a_thread_leaves_the_idle_policy_where_it_may() {
    let policy = || unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
    let idle_policy = libc::c_long::from(libc::SCHED_IDLE);
    std::thread::spawn(move || {
        let may_return = may_idle_and_return();
        assert_eq!(policy() != idle_policy, may_return);
        idle();
        assert_eq!(policy(), idle_policy);
        std::thread::spawn(idle_no_longer).join().unwrap();
        assert_eq!(policy() != idle_policy, may_return);
    })
    .join()
    .unwrap();
}
