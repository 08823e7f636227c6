//! The log, in the form that tools for Redis read: `pid:role date level message`.
//!
//! A person at a terminal sees the lines of `simple_logger` instead, with their level in colour. Levels map to Redis's:
//! error and warn are `#` (warning), info is `*` (notice), debug is `-` (verbose), trace is `.` (debug).

use crate::config::{Config, LogLevel};
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The role that lines tell.
static IS_REPLICA: AtomicBool = AtomicBool::new(false);

struct ServerLog {
    pid: u32,
    terminal: Option<SimpleLogger>,
    system: Option<SystemLog>,
}

/// The log of the machine, as `syslog-enabled` asks for it.
struct SystemLog {
    socket: UnixDatagram,
    ident: String,
    facility: u8,
}

impl SystemLog {
    fn open(conf: &Config) -> Option<SystemLog> {
        if !conf.syslog_enabled {
            return None;
        }
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect("/dev/log").ok()?;
        let local = conf.syslog_facility.name().strip_prefix("local").and_then(|n| n.parse::<u8>().ok());
        // The number of `user` is 1, that of `local0` 16, by RFC 3164.
        let facility = local.map_or(1, |n| 16 + n);
        Some(SystemLog { socket, ident: conf.syslog_ident.clone(), facility })
    }

    fn write(&self, pid: u32, record: &Record<'_>) {
        let severity = match record.level() {
            Level::Error | Level::Warn => 4,
            Level::Info => 5,
            Level::Debug => 6,
            Level::Trace => 7,
        };
        let line = format!("<{}>{}[{pid}]: {}", self.facility * 8 + severity, self.ident, record.args());
        // The line is on standard output as well.
        let _ = self.socket.send(line.as_bytes());
    }
}

/// Installs the log. Lines go to standard output, wherever that leads, and to the machine's log if it is wanted.
pub fn install(conf: &Config, is_terminal: bool) {
    let terminal = is_terminal.then(SimpleLogger::new);
    let logger = ServerLog { pid: std::process::id(), terminal, system: SystemLog::open(conf) };
    // The only error is that there is a log already, as in a test.
    let _ = log::set_boxed_logger(Box::new(logger));
    set_level(LogLevel::Notice);
}

/// Sets the role that lines tell.
pub fn set_role(is_replica: bool) {
    IS_REPLICA.store(is_replica, Relaxed);
}

/// Sets which lines are written.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Nothing => LevelFilter::Off,
    });
}

impl Log for ServerLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !record.target().starts_with("waterwheel") {
            return;
        }
        if let Some(system) = &self.system {
            system.write(self.pid, record);
        }
        if let Some(terminal) = &self.terminal {
            return terminal.log(record);
        }
        let mark = match record.level() {
            Level::Error | Level::Warn => '#',
            Level::Info => '*',
            Level::Debug => '-',
            Level::Trace => '.',
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let role = if IS_REPLICA.load(Relaxed) { 'S' } else { 'M' };
        let line = format!("{}:{role} {} {mark} {}\n", self.pid, date(now.as_millis() as u64), record.args());
        // A log that cannot be written to has no better place to say so.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {
        let _ = std::io::stdout().flush();
    }
}

/// `20 Nov 2026 05:44:44.974`, in UTC.
fn date(unix_ms: u64) -> String {
    let (days, ms) = ((unix_ms / 86_400_000) as i64, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{day:02} {} {year} {h:02}:{m:02}:{s:02}.{:03}", MONTHS[month as usize - 1], ms % 1000)
}

/// Year, month and day of a day counted from 1970. After Howard Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "01 Jan 1970 00:00:00.000");
        assert_eq!(date(1_795_153_484_974), "20 Nov 2026 05:44:44.974");
        assert_eq!(date(951_782_400_000), "29 Feb 2000 00:00:00.000");
    }
}
