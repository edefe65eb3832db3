//! What the allocator keeps, and the pages a table lies in.

use std::ops::Range;
use std::ptr;

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
/// library than glibc. It walks over every piece that is free: ask seldom.
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
