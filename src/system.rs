//! The one module with `unsafe`: calls of the operating system that no safe crate offers.
//!
//! Each function is safe to call; the argument why stands beside its `unsafe` block.

#![allow(unsafe_code)] // The only place; every other module is held to the crate's `deny`.

mod ancillary;
mod datagrams;
mod folder;
mod memory;
mod rests;
mod runs;
mod scheduling;

#[cfg(test)]
pub(crate) use datagrams::leave_out_checksums;
pub use datagrams::{
    ReceiveRoom, Received, SendError, allow_fragments, send_batch, take_send_error,
    tell_asked_address, tell_send_errors,
};
pub use folder::files_below;
pub use memory::{give_freed_tables_back, give_unused_back, keep_in_large_pages, unused_bytes};
pub use rests::Rests;
pub use runs::{Letter, Sending};
pub use scheduling::{give_way_to_calls, idle, idle_no_longer, may_idle_and_return};

use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::limits::PEER_GROUPS_MAX;

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

#[cfg(test)]
mod tests;
