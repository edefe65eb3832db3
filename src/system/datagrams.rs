//! Datagrams in batches, the addresses they were sent to and leave from, and what the network
//! says of those that did not arrive.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use arrayvec::ArrayVec;

use super::ancillary::{
    CONTROL_BYTES, Control, ERROR_CONTROL_BYTES, ErrorControl, NAME_BYTES, Name, read_asked,
    read_name, read_unreachable, write_name, write_segments, write_source,
};
use super::runs::{Letter, Sending, runs};
use crate::limits::{DATAGRAM_BATCH_MAX, DATAGRAM_ROOM_BYTES, DATAGRAM_STRIDE_BYTES};

const _: () = assert!(DATAGRAM_ROOM_BYTES <= DATAGRAM_STRIDE_BYTES);

/// Room for one batch of received datagrams, used again and again.
#[derive(Debug)]
pub struct ReceiveRoom {
    bytes: Box<[u8]>,
    names: Box<[Name]>,
    /// Empty where nobody asks which address a datagram was sent to.
    controls: Box<[Control]>,
    arrived: ArrayVec<Arrived, DATAGRAM_BATCH_MAX>,
}

/// One datagram of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Received<'r> {
    /// Its bytes; cut at `limits::DATAGRAM_ROOM_BYTES`.
    pub bytes: &'r [u8],
    /// Who sent it.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to, on a socket that tells.
    pub asked: Option<IpAddr>,
}

/// How the kernel left one slot.
#[derive(Debug, Clone, Copy)]
struct Arrived {
    length: usize,
    name_length: usize,
    control_length: usize,
}

impl ReceiveRoom {
    /// Room for a batch; `tells_asked` as [`tell_asked_address`] was told.
    #[must_use]
    pub fn new(tells_asked: bool) -> Self {
        let controls = if tells_asked { DATAGRAM_BATCH_MAX } else { 0 };
        Self {
            bytes: vec![0; DATAGRAM_BATCH_MAX * DATAGRAM_STRIDE_BYTES].into(),
            names: vec![Name([0; NAME_BYTES]); DATAGRAM_BATCH_MAX].into(),
            controls: vec![Control([0; CONTROL_BYTES]); controls].into(),
            arrived: ArrayVec::new(),
        }
    }

    /// Takes what is queued on the socket, at most a batch, and forgets the batch
    /// before. Returns how many datagrams there are; fewer than
    /// `limits::DATAGRAM_BATCH_MAX` means that none was left.
    ///
    /// # Errors
    /// What the system said, `WouldBlock` when nothing is queued.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.arrived.clear();
        let mut parts = ArrayVec::<libc::iovec, DATAGRAM_BATCH_MAX>::new();
        for slot in self.bytes.chunks_exact_mut(DATAGRAM_STRIDE_BYTES) {
            parts.push(libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: DATAGRAM_ROOM_BYTES,
            });
        }
        let mut heads = ArrayVec::<libc::mmsghdr, DATAGRAM_BATCH_MAX>::new();
        let mut controls = self.controls.iter_mut();
        for (part, name) in parts.iter_mut().zip(&mut self.names) {
            let control = controls.next();
            heads.push(head(
                (ptr::from_mut(name).cast(), NAME_BYTES),
                std::slice::from_mut(part),
                control.map(|control| (ptr::from_mut(control).cast(), CONTROL_BYTES)),
            ));
        }
        // SAFETY: `heads` has `heads.len()` elements. Each points to a name, an iovec and
        // (or null with length 0) a control buffer of its own, of the lengths it states;
        // all of them live in `self` or on this stack and are not touched by anything
        // else until the call returns. The descriptor is open for as long as it is
        // borrowed. Without a timeout the last pointer may be null.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                heads.as_mut_ptr(),
                heads.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.arrived
            .extend(heads.iter().take(count).map(|head| Arrived {
                length: head.msg_len as usize,
                name_length: head.msg_hdr.msg_namelen as usize,
                control_length: head.msg_hdr.msg_controllen,
            }));
        Ok(count)
    }

    /// The datagrams of the batch, in order of arrival. One whose sender has no address
    /// cannot be answered and is left out.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.bytes.chunks_exact(DATAGRAM_STRIDE_BYTES);
        self.arrived
            .iter()
            .zip(slots)
            .zip(&self.names)
            .enumerate()
            .filter_map(|(i, ((arrived, slot), name))| {
                let control = self.controls.get(i);
                Some(Received {
                    bytes: slot.get(..arrived.length)?,
                    source: read_name(name.0.get(..arrived.name_length)?)?,
                    asked: control
                        .and_then(|control| read_asked(control.0.get(..arrived.control_length)?)),
                })
            })
    }
}

/// Sends the letters in order, at most a batch of them, and returns how many the system
/// took. The first of them that it refuses ends the call; what it said of that one is
/// told when it is the first. With [`Sending::InRuns`] a run of letters is taken or refused
/// as a whole, and the system refuses some (`EINVAL`, `EIO`) whose letters it would take.
///
/// # Errors
/// What the system said of the first letter, or of the first run.
pub fn send_batch(
    socket: BorrowedFd<'_>,
    letters: &[Letter<'_>],
    sending: Sending,
) -> io::Result<usize> {
    let letters = letters.get(..DATAGRAM_BATCH_MAX).unwrap_or(letters);
    let mut parts = ArrayVec::<libc::iovec, DATAGRAM_BATCH_MAX>::new();
    let mut names = ArrayVec::<(Name, usize), DATAGRAM_BATCH_MAX>::new();
    let mut controls = ArrayVec::<(Control, usize), DATAGRAM_BATCH_MAX>::new();
    let mut lengths = ArrayVec::<usize, DATAGRAM_BATCH_MAX>::new();
    for run in runs(letters, sending) {
        let Some(letter) = run.first() else { continue };
        names.push(write_name(letter.to));
        let mut control = (Control([0; CONTROL_BYTES]), 0);
        if let Some(from) = letter.from {
            write_source(&mut control, from, letter.to);
        }
        if run.len() > 1 {
            write_segments(&mut control, letter.bytes.len());
        }
        controls.push(control);
        lengths.push(run.len());
        parts.extend(run.iter().map(|letter| libc::iovec {
            iov_base: letter.bytes.as_ptr().cast_mut().cast(),
            iov_len: letter.bytes.len(),
        }));
    }
    let mut heads = ArrayVec::<libc::mmsghdr, DATAGRAM_BATCH_MAX>::new();
    let mut rest = parts.as_mut_slice();
    for ((length, (name, name_length)), (control, control_length)) in
        lengths.iter().zip(&mut names).zip(&mut controls)
    {
        let Some((run, behind)) = std::mem::take(&mut rest).split_at_mut_checked(*length) else {
            break;
        };
        rest = behind;
        heads.push(head(
            (ptr::from_mut(name).cast(), *name_length),
            run,
            (*control_length > 0).then_some((ptr::from_mut(control).cast(), *control_length)),
        ));
    }
    // SAFETY: as in `ReceiveRoom::receive`: every pointer leads to a live buffer of at
    // least the length beside it, on this stack or borrowed by `letters`; each head has the
    // iovecs of its own run. sendmmsg reads through them and writes only to the `msg_len` of
    // `heads`, so that the bytes behind the shared borrow stay as they are.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            heads.as_mut_ptr(),
            heads.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    Ok(lengths.iter().take(count).sum())
}

/// Lets datagrams longer than a link's frame be cut into fragments on the way, and never
/// marks one "do not fragment": SIP over UDP relies on that (RFC 3261 §18.1.1).
///
/// # Errors
/// What the system said.
pub fn allow_fragments(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        let never = libc::IPV6_PMTUDISC_DONT;
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, never)
    } else {
        let never = libc::IP_PMTUDISC_DONT;
        set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, never)
    }
}

/// Has the socket keep what the network says of datagrams it sent that did not arrive, for
/// [`take_send_error`]. The next call on the socket then fails once for each of them.
///
/// # Errors
/// What the system said.
pub fn tell_send_errors(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
    }
}

/// What the network said of one datagram that did not arrive.
#[derive(Debug, Clone, Copy)]
pub struct SendError<'r> {
    /// Where it was sent to.
    pub to: SocketAddr,
    /// The beginning of it, as far as it came back.
    pub bytes: &'r [u8],
    /// Whether its peer cannot be reached (RFC 3261 §18.4); a datagram that was only on
    /// its way for too long, or too long itself, says nothing of its peer.
    pub is_unreachable: bool,
}

/// Takes the oldest of what the network said of datagrams this socket sent, into `room`;
/// `None` for what cannot be read.
///
/// # Errors
/// What the system said, `WouldBlock` when nothing is left.
pub fn take_send_error<'r>(
    socket: BorrowedFd<'_>,
    room: &'r mut [u8],
) -> io::Result<Option<SendError<'r>>> {
    let mut name = Name([0; NAME_BYTES]);
    let mut control = ErrorControl([0; ERROR_CONTROL_BYTES]);
    let mut part = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    let mut head = head(
        (ptr::from_mut(&mut name).cast(), NAME_BYTES),
        std::slice::from_mut(&mut part),
        Some((ptr::from_mut(&mut control).cast(), ERROR_CONTROL_BYTES)),
    )
    .msg_hdr;
    // SAFETY: as in `ReceiveRoom::receive`: the name, the iovec and the control buffer live
    // on this stack, the iovec's bytes in `room`, each of at least the length beside it, and
    // nothing else touches them until the call returns.
    let length = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &raw mut head,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let told = || {
        Some(SendError {
            bytes: room.get(..length)?,
            to: read_name(name.0.get(..head.msg_namelen as usize)?)?,
            is_unreachable: read_unreachable(control.0.get(..head.msg_controllen)?)?,
        })
    };
    Ok(told())
}

/// Has the socket tell to which of our addresses each datagram was sent.
///
/// # Errors
/// What the system said.
pub fn tell_asked_address(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Has the socket send without checksums: then the system refuses runs.
#[cfg(test)]
pub(crate) fn leave_out_checksums(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)
}

fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is an integer on this stack and the length is its size; the
    // descriptor is open for as long as it is borrowed.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

type Buffer = (*mut libc::c_void, usize);

fn head(name: Buffer, parts: &mut [libc::iovec], control: Option<Buffer>) -> libc::mmsghdr {
    // SAFETY: a plain C struct of integers and pointers; all zero is a value of it. Not
    // a literal, because some C libraries have padding fields in it.
    let mut head: libc::mmsghdr = unsafe { zeroed() };
    (head.msg_hdr.msg_name, head.msg_hdr.msg_namelen) = (name.0, name.1 as libc::socklen_t);
    (head.msg_hdr.msg_iov, head.msg_hdr.msg_iovlen) = (parts.as_mut_ptr(), parts.len() as _);
    if let Some((control, length)) = control {
        (head.msg_hdr.msg_control, head.msg_hdr.msg_controllen) = (control, length as _);
    }
    head
}
