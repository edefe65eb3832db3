//! The process as the system sees it: what Prometheus has the same names for everywhere.

use procfs::process::{LimitValue, Process as Proc};
use procfs::{ProcResult, WithCurrentSystemInfo};

/// The process at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// Processor time used so far, in seconds.
    pub cpu_s: f64,
    /// Descriptors that are open.
    pub open_fds: u64,
    /// Descriptors that may be; `None` without a bound.
    pub max_fds: Option<u64>,
    /// Memory that is resident.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: i64,
    /// When it was started, in seconds since 1970.
    pub started_s: f64,
}

impl Process {
    /// This one; `None` where `/proc` does not tell.
    #[must_use]
    pub fn current() -> Option<Self> {
        read().ok()
    }
}

fn read() -> ProcResult<Process> {
    let own = Proc::myself()?;
    let stat = own.stat()?;
    let ticks = procfs::ticks_per_second() as f64;
    let booted = procfs::boot_time_secs()?;
    let max_fds = match own.limits()?.max_open_files.soft_limit {
        LimitValue::Value(bound) => Some(bound),
        LimitValue::Unlimited => None,
    };
    Ok(Process {
        cpu_s: (stat.utime + stat.stime) as f64 / ticks,
        open_fds: own.fd_count()? as u64,
        max_fds,
        resident_bytes: stat.rss_bytes().get(),
        virtual_bytes: stat.vsize,
        threads: stat.num_threads,
        started_s: booted as f64 + stat.starttime as f64 / ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there() {
        let one = Process::current().expect("Linux tells");
        let file = std::fs::File::open("/proc/self/stat").expect("it is there");
        let two = Process::current().expect("Linux tells");
        drop(file);
        assert!(one.open_fds > 2 && two.cpu_s >= one.cpu_s);
        assert!(one.resident_bytes > 100_000 && one.resident_bytes < one.virtual_bytes);
        let age_s = jiff::Timestamp::now().as_second() as f64 - one.started_s;
        assert!((-2.0..86_400.0).contains(&age_s), "{age_s}");
        assert!(one.threads >= 1);
    }
}
