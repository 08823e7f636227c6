//! The process: its limits, its times, its place in the queue of the out-of-memory killer.
#![allow(unsafe_code, reason = "getrusage of one thread and the collation locale have no safe face")]

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io;

/// Processor time, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// In user space.
    pub user_us: u64,
    /// In the kernel.
    pub system_us: u64,
}

/// Tries to get `wanted` descriptors, or as many as the system grants; returns how many there are.
pub fn raise_descriptors(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let mut next = wanted;
    while next > current {
        let maximum = limit.maximum.map(|m| m.max(next));
        if setrlimit(Resource::Nofile, Rlimit { current: Some(next), maximum }).is_ok() {
            return next;
        }
        next -= 16.min(next);
    }
    current
}

/// Processor time of the whole process, or of the calling thread alone.
pub fn cpu_time(thread: bool) -> CpuTime {
    let who = if thread { libc::RUSAGE_THREAD } else { libc::RUSAGE_SELF };
    // SAFETY: a `rusage` of zeros is a valid value, and the call only writes into it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let us = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    CpuTime { user_us: us(usage.ru_utime), system_us: us(usage.ru_stime) }
}

/// The score that the out-of-memory killer adds to this process.
///
/// # Errors
///
/// What the system says.
pub fn oom_score_adj() -> io::Result<i32> {
    fs::read_to_string("/proc/self/oom_score_adj")?.trim().parse().map_err(io::Error::other)
}

/// Sets the score that the out-of-memory killer adds to this process.
///
/// # Errors
///
/// What the system says: lowering it needs a right.
pub fn set_oom_score_adj(score: i32) -> io::Result<()> {
    fs::write("/proc/self/oom_score_adj", score.to_string())
}

/// Processor time of the calling thread up to this moment, in microseconds. Costs about 350 ns, and unlike
/// [`cpu_time`] does not wait for a tick of the kernel's.
pub fn thread_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

/// Name, release and machine of the operating system.
pub fn system_name() -> String {
    let name = rustix::system::uname();
    let text = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
    format!("{} {} {}", text(name.sysname()), text(name.release()), text(name.machine()))
}

/// Sets the collation locale; false when the system does not know it.
pub fn set_collation(name: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(name) else { return false };
    // SAFETY: the pointer is to a string with an end, and only the loop's thread asks for the locale.
    !unsafe { libc::setlocale(libc::LC_COLLATE, name.as_ptr()) }.is_null()
}

/// Makes standard output go to a file.
///
/// # Errors
///
/// What the system says.
pub fn redirect_output(file: &fs::File) -> io::Result<()> {
    rustix::stdio::dup2_stdout(file)?;
    Ok(())
}

/// Whether standard output is a terminal.
pub fn output_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// Leaves the terminal and the parent, as a daemon does. The parent ends in here.
///
/// # Errors
///
/// What the system says.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: no other thread exists yet, so the child is a whole process.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        _ => std::process::exit(0),
    }
    rustix::process::setsid()?;
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Whether a process with this id lives, as far as can be seen from here: one that ended and was not waited for lives too.
pub fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Whoever may not be sent a signal is there.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Stops the process until somebody lets it go on.
pub fn stop() {
    let stopped = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
    // A process may always stop itself.
    debug_assert!(stopped.is_ok());
}

/// Ends the process by a read of an address that is not mapped.
pub fn segfault() -> ! {
    // SAFETY: none is wanted: a signal to ourselves ends the process as such a read would.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        libc::raise(libc::SIGSEGV);
    }
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_was_waited_for() {
        assert!(is_alive(std::process::id()) && is_alive(1));
        assert!(!is_alive(0) && !is_alive(u32::MAX));
        let mut child = std::process::Command::new("true").spawn().expect("there is such a program");
        child.wait().expect("it is a child");
        assert!(!is_alive(child.id()));
    }

    #[test]
    fn times_grow_and_locales_are_known_or_not() {
        let (before, thread) = (cpu_time(false), thread_cpu_us());
        while thread_cpu_us() < thread + 20_000 {
            std::hint::spin_loop();
        }
        let (after, own) = (cpu_time(false), cpu_time(true));
        assert!(after.user_us + after.system_us > before.user_us + before.system_us);
        assert!(own.user_us + own.system_us > 0);
        assert!(set_collation("C") && !set_collation("no such locale") && !set_collation("C\0"));
    }
}
