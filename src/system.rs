//! The one module with `unsafe`: calls of the operating system that no safe crate offers.
//!
//! Each function is safe to call; the argument why stands beside its `unsafe` block.

#![allow(unsafe_code)] // The only place; every other module is held to the crate's `deny`.

mod folder;

pub use folder::files_below;

use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use arrayvec::ArrayVec;

use crate::limits::{
    DATAGRAM_BATCH_MAX, DATAGRAM_ROOM_BYTES, DATAGRAM_STRIDE_BYTES, PEER_GROUPS_MAX,
};

/// Blocks from this size on are given back to the kernel as soon as they are freed, in
/// bytes: glibc's own starting value.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD_BYTES: i32 = 128 * 1024;

/// Of linux/mman.h, since Linux 6.1; not every C library names it.
const MADV_COLLAPSE: libc::c_int = 25;

/// A large page of the processors we meet: x86-64, and 64-bit ARM with pages of 4 KiB.
const LARGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Keeps the allocator from holding on to a freed routing table.
///
/// glibc raises the size from which it maps blocks on their own each time such a block is
/// freed, up to 32 MiB: after the first reload the next tables come to lie in the heap, and
/// a hundred reloads later the process holds several tables' worth of holes. Setting the
/// threshold once ends the raising. Call it before the first table is loaded; with another C
/// library it does nothing.
pub fn give_freed_tables_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers, touches no memory of ours, and glibc locks its
    // arena while it changes the parameter; it may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
    }
}

/// How many bytes the allocator keeps that nobody uses, over all threads; 0 with another C
/// library than glibc. It looks at what is free piece by piece: for now and then.
#[must_use]
pub fn unused_bytes() -> usize {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallinfo2 takes nothing and returns numbers; glibc locks each heap while it
        // counts there.
        unsafe { libc::mallinfo2() }.fordblks
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    0
}

/// Gives the kernel the pages back in which nothing is used; the addresses stay. A thread
/// that wants memory meanwhile waits until its heap is done, some milliseconds for a hundred
/// MiB. With another C library than glibc it does nothing.
pub fn give_unused_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number and touches only free memory, under glibc's locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the kernel keep what lies at these addresses in large pages, now, as far as whole ones
/// fit in. What the system says against it is no reason not to go on: large pages are only
/// faster to read. Kernels before 6.1 do it in their own time.
pub fn keep_in_large_pages(addresses: Range<usize>) {
    let start = addresses.start.next_multiple_of(LARGE_PAGE_BYTES);
    let end = addresses.end - addresses.end % LARGE_PAGE_BYTES;
    if start >= end {
        return;
    }
    let first = ptr::without_provenance_mut(start);
    for advice in [libc::MADV_HUGEPAGE, MADV_COLLAPSE] {
        // SAFETY: both advices leave every byte of the range as it is, wherever it lies and
        // whoever uses it meanwhile; of a range that is not mapped the call says so.
        unsafe {
            libc::madvise(first, end - start, advice);
        }
    }
}

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

/// One datagram to send.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'l> {
    /// Its bytes.
    pub bytes: &'l [u8],
    /// Where it goes.
    pub to: SocketAddr,
    /// Which of our addresses it leaves from; `None` leaves that to the system.
    pub from: Option<IpAddr>,
}

/// How the kernel left one slot.
#[derive(Debug, Clone, Copy)]
struct Arrived {
    length: usize,
    name_length: usize,
    control_length: usize,
}

/// A socket address as the kernel writes it, of either family.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
struct Name([u8; NAME_BYTES]);

/// Ancillary values of one datagram: one address and an interface.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Ancillary values of one error: an address that was asked, an extended error and the
/// address of who reported it.
#[repr(C, align(8))]
struct ErrorControl([u8; ERROR_CONTROL_BYTES]);

const ERROR_CONTROL_BYTES: usize = 256;
const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();
const CONTROL_BYTES: usize = 64;
const HEADER_BYTES: usize = size_of::<libc::cmsghdr>();

const _: () = assert!(HEADER_BYTES + size_of::<libc::in6_pktinfo>() <= CONTROL_BYTES);
const _: () = assert!(DATAGRAM_ROOM_BYTES <= DATAGRAM_STRIDE_BYTES);

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
                part,
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
/// told when it is the first.
///
/// # Errors
/// What the system said of the first letter.
pub fn send_batch(socket: BorrowedFd<'_>, letters: &[Letter<'_>]) -> io::Result<usize> {
    let mut names = ArrayVec::<(Name, usize), DATAGRAM_BATCH_MAX>::new();
    let mut controls = ArrayVec::<Option<(Control, usize)>, DATAGRAM_BATCH_MAX>::new();
    let mut parts = ArrayVec::<libc::iovec, DATAGRAM_BATCH_MAX>::new();
    for letter in letters.iter().take(DATAGRAM_BATCH_MAX) {
        names.push(write_name(letter.to));
        controls.push(letter.from.map(|from| write_source(from, letter.to)));
        parts.push(libc::iovec {
            iov_base: letter.bytes.as_ptr().cast_mut().cast(),
            iov_len: letter.bytes.len(),
        });
    }
    let mut heads = ArrayVec::<libc::mmsghdr, DATAGRAM_BATCH_MAX>::new();
    for ((part, (name, length)), control) in parts.iter_mut().zip(&mut names).zip(&mut controls) {
        heads.push(head(
            (ptr::from_mut(name).cast(), *length),
            part,
            control
                .as_mut()
                .map(|(control, length)| (ptr::from_mut(control).cast(), *length)),
        ));
    }
    // SAFETY: as in `ReceiveRoom::receive`: every pointer leads to a live buffer of at
    // least the length beside it, on this stack or borrowed by `letters`. sendmmsg reads
    // through them and writes only to the `msg_len` of `heads`, so that the bytes behind
    // the shared borrow stay as they are.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            heads.as_mut_ptr(),
            heads.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
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
        &mut part,
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

/// How much the calling thread gives way to others, 0 to 19: `nice` of setpriority(2).
const RELOAD_NICENESS: libc::c_int = 10;

/// How long a turn the calling thread asks for, in nanoseconds: the most there is, see
/// `sched_runtime` of sched_setattr(2).
const RELOAD_TURN_NS: u64 = 100_000_000;

/// The calling thread, and those it starts from now on, give way to the workers where there
/// are not processors for all: calls are answered first. About a tenth of a processor is
/// theirs in any case, so they are never starved. What the system says against it is no
/// reason not to go on.
///
/// Being nice decides how much of a processor a thread gets, not who waits for whom: since
/// Linux 6.6 a thread that wakes up waits until the turn of the running one is over. Since
/// 6.12 it does not, where it asks for shorter turns than the running one, as every thread
/// does that asks for nothing.
pub fn give_way_to_calls() {
    let wish = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: RELOAD_NICENESS,
        sched_priority: 0,
        sched_runtime: RELOAD_TURN_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the pointer is to a `sched_attr` that states its own size, lives on this stack
    // until the call returns and is only read. 0 names the calling thread: on Linux turns
    // and niceness are a thread's own.
    unsafe {
        libc::syscall(libc::SYS_sched_setattr, 0, ptr::from_ref(&wish), 0);
    }
}

/// Whether the calling thread could leave the idle policy again, to which [`idle`] brings it.
/// Without `RLIMIT_NICE` or a privilege the kernel does not let it. It may be left in it: ask
/// in a thread that ends.
pub fn may_idle_and_return() -> bool {
    idle();
    set_policy(0, libc::SCHED_OTHER)
}

/// From now on the calling thread, and those it starts, run when nobody else wants to. Each
/// thread that wakes up goes before them at once. Where all processors are busy they hardly
/// get on: see [`idle_no_longer`].
pub fn idle() {
    set_policy(0, libc::SCHED_IDLE);
}

/// Ends [`idle`] for every thread of this process. Their niceness is as it was before.
pub fn idle_no_longer() {
    let threads = std::fs::read_dir("/proc/self/task");
    let numbers = threads.into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<libc::pid_t>().ok()
    });
    for thread in numbers {
        // SAFETY: takes a number and touches no memory.
        let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, thread) };
        if policy == libc::c_long::from(libc::SCHED_IDLE) {
            set_policy(thread, libc::SCHED_OTHER);
        }
    }
}

/// Gives a thread, 0 the calling one, a policy without a priority. Whether it was allowed.
fn set_policy(thread: libc::pid_t, policy: libc::c_int) -> bool {
    // SAFETY: all bytes zero is a value of `sched_param`: no priority, as these policies want.
    let none: libc::sched_param = unsafe { zeroed() };
    // Asked of the kernel: musl's own function always refuses.
    let call = libc::SYS_sched_setscheduler;
    // SAFETY: the pointer is to a `sched_param` on this stack, which is only read.
    unsafe { libc::syscall(call, thread, policy, &raw const none) == 0 }
}

/// Lets this process have as many descriptors as the system allows it: each connection is
/// one, and the usual allowance, 1,024, is there for programs that use select(2). What the
/// system says against it is no reason not to go on: who finds no descriptor is told.
pub fn take_all_descriptors() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls are given a rlimit that outlives them; the first writes it, the
    // second reads it. Raising the soft limit to the hard one needs no privilege.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// How many descriptors the system allows this process at most; `None` where it does not say.
#[must_use]
pub fn descriptors_max() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a rlimit on this stack, which the call writes.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (status == 0).then_some(limit.rlim_max)
}

/// Bytes that whoever is not root may still write on the disk of a path.
///
/// # Errors
/// What the system said.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all bytes zero is a value of `statvfs`, which has numbers only.
    let mut told: libc::statvfs = unsafe { zeroed() };
    // SAFETY: the first pointer is to bytes that end with a zero and outlive the call, the second
    // to a `statvfs` on this stack, which it writes.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut told) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

/// Whether something keeps the clock of the system right (adjtimex(2)).
///
/// # Errors
/// What the system said.
pub fn clock_is_synchronised() -> io::Result<bool> {
    // SAFETY: all bytes zero is a value of `timex`: no mode, so that nothing is changed.
    let mut told: libc::timex = unsafe { zeroed() };
    // SAFETY: the pointer is to a `timex` on this stack, which the call writes.
    match unsafe { libc::adjtimex(&raw mut told) } {
        -1 => Err(io::Error::last_os_error()),
        state => Ok(state != libc::TIME_ERROR && told.status & libc::STA_UNSYNC == 0),
    }
}

/// The supplementary groups of the process at the other end of a Unix socket, as they were
/// when it connected (`SO_PEERGROUPS` of unix(7)). At most [`PEER_GROUPS_MAX`].
///
/// # Errors
/// What the system said.
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<libc::gid_t>> {
    // More than nearly everybody has; the system says how many there are when it is too few.
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    for _ in 0..2 {
        let room = groups.len() * size_of::<libc::gid_t>();
        let mut length = libc::socklen_t::try_from(room).unwrap_or(0);
        // SAFETY: the pointer is that of `groups`, which is ours to write, and `length` is at
        // most the bytes in it; the descriptor is open for as long as it is borrowed.
        let status = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<libc::gid_t>();
        if status == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count > PEER_GROUPS_MAX {
            return Err(error);
        }
        groups.resize(count, 0);
    }
    Err(io::Error::from(io::ErrorKind::InvalidData))
}

/// The user this process acts as.
#[must_use]
pub fn own_uid() -> u32 {
    // SAFETY: takes nothing, touches no memory of ours and cannot fail.
    unsafe { libc::geteuid() }
}

/// Fills `bytes` with what nobody can foresee, from the system's source of it.
///
/// # Errors
/// What the system said.
pub fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the pointer and the length are those of `rest`, which is ours to write.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        rest = rest.get_mut(count..).unwrap_or_default();
    }
    Ok(())
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

fn head(name: Buffer, part: &mut libc::iovec, control: Option<Buffer>) -> libc::mmsghdr {
    // SAFETY: a plain C struct of integers and pointers; all zero is a value of it. Not
    // a literal, because some C libraries have padding fields in it.
    let mut head: libc::mmsghdr = unsafe { zeroed() };
    (head.msg_hdr.msg_name, head.msg_hdr.msg_namelen) = (name.0, name.1 as libc::socklen_t);
    (head.msg_hdr.msg_iov, head.msg_hdr.msg_iovlen) = (part, 1);
    if let Some((control, length)) = control {
        (head.msg_hdr.msg_control, head.msg_hdr.msg_controllen) = (control, length as _);
    }
    head
}

/// The bytes of a C struct, field by field.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }
}

/// `sockaddr_in`: family, port, address. `sockaddr_in6`: family, port, flow, address, scope.
fn read_name(name: &[u8]) -> Option<SocketAddr> {
    let mut name = Fields(name);
    let family = i32::from(u16::from_ne_bytes(name.take()?));
    let port = u16::from_be_bytes(name.take()?);
    match family {
        libc::AF_INET => Some((Ipv4Addr::from(name.take::<4>()?), port).into()),
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(name.take()?);
            let ip = Ipv6Addr::from(name.take::<16>()?);
            let scope = u32::from_ne_bytes(name.take()?);
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        _ => None,
    }
}

/// What [`read_name`] reads, and its length.
fn write_name(address: SocketAddr) -> (Name, usize) {
    let mut name = Name([0; NAME_BYTES]);
    let (family, port) = match address {
        SocketAddr::V4(_) => (libc::AF_INET, address.port()),
        SocketAddr::V6(_) => (libc::AF_INET6, address.port()),
    };
    put(&mut name.0, 0, &(family as libc::sa_family_t).to_ne_bytes());
    put(&mut name.0, 2, &port.to_be_bytes());
    let length = match address {
        SocketAddr::V4(v4) => {
            put(&mut name.0, 4, &v4.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            put(&mut name.0, 4, &v6.flowinfo().to_be_bytes());
            put(&mut name.0, 8, &v6.ip().octets());
            put(&mut name.0, 24, &v6.scope_id().to_ne_bytes());
            NAME_BYTES
        }
    };
    (name, length)
}

/// The address in `IP_PKTINFO` (interface, local address, address of the header) or
/// `IPV6_PKTINFO` (address, interface), when it is one that may be sent from.
fn read_asked(control: &[u8]) -> Option<IpAddr> {
    let mut fields = Fields(control);
    fields.skip(size_of::<usize>())?;
    let level = i32::from_ne_bytes(fields.take()?);
    let kind = i32::from_ne_bytes(fields.take()?);
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            fields.skip(size_of::<libc::c_int>())?;
            let local = Ipv4Addr::from(fields.take::<4>()?);
            (!local.is_unspecified()).then_some(local.into())
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            let asked = Ipv6Addr::from(fields.take::<16>()?);
            (!asked.is_multicast()).then_some(asked.into())
        }
        _ => None,
    }
}

/// Whether the `IP_RECVERR` or `IPV6_RECVERR` among ancillary values says that a peer cannot
/// be reached; `None` without one. Its fields: errno, origin, type, code.
fn read_unreachable(mut control: &[u8]) -> Option<bool> {
    loop {
        let mut fields = Fields(control);
        let length = usize::from_ne_bytes(fields.take()?);
        let level = i32::from_ne_bytes(fields.take()?);
        let kind = i32::from_ne_bytes(fields.take()?);
        if matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        ) {
            fields.skip(size_of::<u32>())?;
            let [origin, kind, code] = fields.take()?;
            return Some(is_unreachable(origin, kind, code));
        }
        let next = length
            .max(HEADER_BYTES)
            .next_multiple_of(size_of::<usize>());
        control = control.get(next..)?;
    }
}

/// ICMP (RFC 792): destination unreachable but for "fragmentation needed", and parameter
/// problem. ICMPv6 (RFC 4443): the same two.
const fn is_unreachable(origin: u8, kind: u8, code: u8) -> bool {
    match (origin, kind) {
        (libc::SO_EE_ORIGIN_ICMP, 3) => code != 4,
        (libc::SO_EE_ORIGIN_ICMP, 12) | (libc::SO_EE_ORIGIN_ICMP6, 1 | 4) => true,
        _ => false,
    }
}

/// What has a datagram leave from `from`, and its length. The interface of a link-local
/// address is that of the peer; any other is for the routing of the system to find.
fn write_source(from: IpAddr, to: SocketAddr) -> (Control, usize) {
    let mut control = Control([0; CONTROL_BYTES]);
    let (level, kind, data) = match from {
        IpAddr::V4(from) => {
            put(&mut control.0, HEADER_BYTES + 4, &from.octets());
            let data = size_of::<libc::in_pktinfo>();
            (libc::IPPROTO_IP, libc::IP_PKTINFO, data)
        }
        IpAddr::V6(from) => {
            put(&mut control.0, HEADER_BYTES, &from.octets());
            if let (SocketAddr::V6(to), true) = (to, from.is_unicast_link_local()) {
                put(
                    &mut control.0,
                    HEADER_BYTES + 16,
                    &to.scope_id().to_ne_bytes(),
                );
            }
            let data = size_of::<libc::in6_pktinfo>();
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data)
        }
    };
    put(&mut control.0, 0, &(HEADER_BYTES + data).to_ne_bytes());
    put(&mut control.0, size_of::<usize>(), &level.to_ne_bytes());
    put(&mut control.0, size_of::<usize>() + 4, &kind.to_ne_bytes());
    // CMSG_SPACE: the value is padded to the alignment of the next header.
    (
        control,
        HEADER_BYTES + data.next_multiple_of(size_of::<usize>()),
    )
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + field.len()) {
        room.copy_from_slice(field);
    }
}

#[cfg(test)]
mod tests;
