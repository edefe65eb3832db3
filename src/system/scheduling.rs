//! Who gives way to whom where there are not processors for all.

use std::mem::zeroed;
use std::ptr;

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
    for thread in threads().filter(|thread| is_idle(*thread)) {
        set_policy(thread, libc::SCHED_OTHER);
    }
}

/// The numbers of this process's threads; none where they cannot be listed.
pub(super) fn threads() -> impl Iterator<Item = libc::pid_t> {
    let threads = std::fs::read_dir("/proc/self/task");
    threads.into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<libc::pid_t>().ok()
    })
}

/// Whether a thread runs when nobody else wants to.
pub(super) fn is_idle(thread: libc::pid_t) -> bool {
    // SAFETY: takes a number and touches no memory.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, thread) };
    policy == libc::c_long::from(libc::SCHED_IDLE)
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
