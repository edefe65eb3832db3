//! The one module with `unsafe`: calls of the operating system that no safe crate offers.
//!
//! Each function is safe to call; the argument why stands beside its `unsafe` block.

#![allow(unsafe_code)] // The only place; every other module is held to the crate's `deny`.

/// Blocks from this size on are given back to the kernel as soon as they are freed, in
/// bytes: glibc's own starting value.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD_BYTES: i32 = 128 * 1024;

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
