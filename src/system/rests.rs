//! Work in idle time that rests every now and then, wherever in it a thread is.
//!
//! The idle policy alone leaves a call waiting: a thread that wakes up is due before an idle one
//! only where it has not had more than its share lately. Where it has, the idle one goes on until
//! the next tick, 1 to 10 ms. One that sleeps stands in nobody's way; so it is sent to sleep, by
//! a timer's signal, for what it takes to answer the calls that have come meanwhile.

use std::cell::Cell;
use std::mem::zeroed;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::scheduling::{is_idle, threads};

/// How long an idle thread works before it rests, in nanoseconds: as long as nobody notices that
/// an answer waited.
const WORK_NS: i64 = 150_000;

/// How long it rests, in nanoseconds.
const REST_NS: i64 = 50_000;

/// Calls that have had less of a processor since the last look, one part in so many, do not want
/// one: a thread that wakes up that seldom has not had its share, and goes before an idle one.
const CALLS_PARTS: u32 = 100;

/// Who has worked for less since it rested has been waiting for a processor, and goes on.
const WORKED_NS_MIN: i64 = WORK_NS / 2;

thread_local! {
    /// Processor time of this thread when it rested last, in nanoseconds.
    static RESTED_AT_NS: Cell<i64> = const { Cell::new(0) };
}

/// Whether there are calls to rest for. A word of the process, as the signal's handler is.
static IS_BUSY: AtomicBool = AtomicBool::new(true);

/// Rests of the idle threads of this process, until it is dropped. One at a time.
#[derive(Debug)]
pub struct Rests {
    threads: Vec<Resting>,
    looked_at: Instant,
    /// What other threads than these and the one that looks had worked then.
    calls: Duration,
}

#[derive(Debug)]
struct Resting {
    thread: libc::pid_t,
    /// Of the processor, when it was asked last.
    worked: Duration,
    _timer: Timer,
}

#[derive(Debug)]
struct Timer(libc::timer_t);

// SAFETY: the number of a timer belongs to the process, whichever thread names it.
unsafe impl Send for Timer {}

impl Default for Rests {
    fn default() -> Self {
        IS_BUSY.store(true, Relaxed);
        Self {
            threads: Vec::new(),
            looked_at: Instant::now(),
            calls: Duration::ZERO,
        }
    }
}

impl Rests {
    /// Finds the threads that have become idle since the last look, some milliseconds ago, and
    /// whether there have been calls. What the system says against it is no reason not to go on.
    pub fn look(&mut self) {
        self.find_idle_threads();
        let others = self.worked() + worked_on(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default();
        let all = worked_on(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default();
        let calls = all.saturating_sub(others);
        let since = self.looked_at.elapsed();
        IS_BUSY.store(
            calls.saturating_sub(self.calls) >= since / CALLS_PARTS,
            Relaxed,
        );
        self.looked_at = Instant::now();
        self.calls = calls;
    }

    fn find_idle_threads(&mut self) {
        for thread in threads() {
            let is_known = self.threads.iter().any(|known| known.thread == thread);
            if !is_known
                && is_idle(thread)
                && let Some(timer) = Timer::of(thread)
            {
                self.threads.push(Resting {
                    thread,
                    worked: Duration::ZERO,
                    _timer: timer,
                });
            }
        }
    }

    /// For how long all of them together have had a processor.
    pub fn worked(&mut self) -> Duration {
        for resting in &mut self.threads {
            // One that has ended keeps what it had.
            resting.worked = worked_by(resting.thread).unwrap_or(resting.worked);
        }
        self.threads.iter().map(|resting| resting.worked).sum()
    }
}

/// Processor time of a thread of this process, while it lives.
fn worked_by(thread: libc::pid_t) -> Option<Duration> {
    // As linux/posix-timers.h numbers the clock of a thread; 6: of a thread, as scheduled.
    worked_on((!thread << 3) | 6)
}

/// What a clock of processor time shows.
fn worked_on(clock: libc::clockid_t) -> Option<Duration> {
    let mut worked = no_time();
    // SAFETY: the pointer is to a timespec on this stack, which the call writes.
    let status = unsafe { libc::clock_gettime(clock, &raw mut worked) };
    let (s, ns) = (worked.tv_sec as u64, worked.tv_nsec as u32);
    (status == 0).then(|| Duration::new(s, ns))
}

const fn no_time() -> libc::timespec {
    libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    }
}

/// The signal: of the real-time ones, which nobody else here uses.
fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 5
}

impl Timer {
    fn of(thread: libc::pid_t) -> Option<Self> {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(handle);
        let interval = libc::timespec {
            tv_nsec: WORK_NS + REST_NS,
            ..no_time()
        };
        let times = libc::itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        // SAFETY: all bytes zero is a value of `sigevent`, a structure of numbers and a pointer
        // that nobody follows; of `timer_t`, a pointer the kernel writes a number into. Both are
        // on this stack until the calls return.
        unsafe {
            let mut event: libc::sigevent = zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal();
            event.sigev_notify_thread_id = thread;
            let mut timer: libc::timer_t = zeroed();
            let clock = libc::CLOCK_MONOTONIC;
            if libc::timer_create(clock, &raw mut event, &raw mut timer) != 0 {
                return None;
            }
            let timer = Self(timer);
            let set = libc::timer_settime(timer.0, 0, &raw const times, ptr::null_mut());
            (set == 0).then_some(timer)
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer is this one's own and not deleted before.
        unsafe {
            libc::timer_delete(self.0);
        }
    }
}

fn handle() {
    // SAFETY: all bytes zero is a value of `sigaction`; it lives on this stack. The handler is a
    // function for one number, as a `sa_flags` without SA_SIGINFO says.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = rest as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal(), &raw const action, ptr::null_mut());
    }
}

/// Sleeps, if there are calls and this thread has worked since it slept last: one that only waited
/// would never get on.
extern "C" fn rest(_signal: libc::c_int) {
    if !IS_BUSY.load(Relaxed) {
        return;
    }
    let mut worked = no_time();
    let pause = libc::timespec {
        tv_nsec: REST_NS,
        ..no_time()
    };
    // SAFETY: a handler of a signal may call clock_gettime and pselect (signal-safety(7)); the
    // pointers are to this stack, those of pselect's sets may be null. errno belongs to what was
    // interrupted and is put back.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut worked);
        let worked_ns = worked.tv_sec * 1_000_000_000 + worked.tv_nsec;
        if worked_ns - RESTED_AT_NS.get() >= WORKED_NS_MIN {
            RESTED_AT_NS.set(worked_ns);
            let none = ptr::null_mut();
            libc::pselect(0, none, none, none, &raw const pause, ptr::null());
        }
        *errno = before;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use crate::system::idle;
    use std::fs;

    /// How often the calling thread has gone to sleep of its own accord.
    fn sleeps() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }

    /// How often a thread sleeps that counts while idle threads are put to rest.
    fn sleeps_while_counting(in_idle_time: bool) -> u64 {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let counting = scope.spawn(|| {
                if in_idle_time {
                    idle();
                }
                let (before, mut count) = (sleeps(), 0_u64);
                while !is_over.load(Relaxed) {
                    count = std::hint::black_box(count.wrapping_add(1));
                    // Another test ends the idleness of all threads.
                    if in_idle_time && count.is_multiple_of(1 << 20) {
                        idle();
                    }
                }
                sleeps() - before
            });
            let mut rests = Rests::default();
            let rounds = if in_idle_time { 1_000 } else { 3 };
            for _ in 0..rounds {
                std::thread::sleep(Duration::from_millis(10));
                rests.find_idle_threads();
                if rests.worked() >= Duration::from_millis(20) {
                    break;
                }
            }
            is_over.store(true, Relaxed);
            counting.join().unwrap()
        })
    }

    #[test]
    fn an_idle_thread_rests_while_it_works() {
        let slept = sleeps_while_counting(true);
        assert!(slept >= 5, "{slept}");
        assert_eq!(sleeps_while_counting(false), 0);
    }
}
