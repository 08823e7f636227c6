//! What servers that were killed have left in the folder of dump files: files that were being written.
//!
//! ```text
//! temp-PID.rdb  temp-PID.N.rdb  temp-PID-reload.rdb      dump files
//! temp-rewriteaof-bg-PID.aof  temp-rewriteaof-PID.aof    bases of the append-only file
//! ```
//!
//! They are looked for at the start, before anything is written. One goes whose process does not live any more, or is this one:
//! what is there under its own number at its start was left by another, as in a container, where it is always the same. Another
//! server may live in the same folder, and keeps its files. (Redis leaves all of them for ever.)

use super::super::disk::{FileDone, FileJob, Found};
use super::super::host::Request;
use super::super::{Engine, Host};

impl Engine {
    /// Removes them. To be called once, before the first job for the disk.
    pub fn remove_leftovers(&mut self, host: &mut dyn Host) {
        let folder = self.next_folder();
        let open = || FileJob::OpenFolder(folder, self.conf.dir.clone());
        let mut listed = Ok(FileDone::default());
        let asked = host.apply(Request::Disk(vec![open(), FileJob::List(folder)], &mut listed));
        let (Ok(_), Ok(FileDone { found: Found::Names(names), .. })) = (asked, listed) else { return };
        let (own, dump) = (self.process.names.pid, &self.conf.dbfilename);
        let mut lives = |pid: u32| {
            let mut lives = true;
            pid != own && (host.apply(Request::IsAlive(pid, &mut lives)).is_err() || lives)
        };
        let left =
            names.into_iter().filter(|name| name != dump && writer(name).is_some_and(|pid| !lives(pid)));
        let jobs: Vec<FileJob> = std::iter::once(open())
            .chain(left.map(|name| {
                log::info!("Removing {name}, which a server that was killed has left.");
                FileJob::Remove(folder, name)
            }))
            .chain([FileJob::CloseFolder(folder)])
            .collect();
        for job in jobs {
            self.file_job(job);
        }
    }
}

/// The process that writes a file of this name, if it is one that only exists while it is written.
fn writer(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("temp-")?;
    if let Some(rest) = rest.strip_suffix(".aof") {
        return number(rest.strip_prefix("rewriteaof-bg-").or_else(|| rest.strip_prefix("rewriteaof-"))?);
    }
    let rest = rest.strip_suffix(".rdb")?;
    match rest.split_once('.') {
        Some((pid, count)) => number(count).and(number(pid)),
        None => number(rest.strip_suffix("-reload").unwrap_or(rest)),
    }
}

/// A number in digits, and nothing else.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_files_that_are_being_written_say_whose_they_are() {
        for name in ["temp-7.rdb", "temp-7.12.rdb", "temp-7-reload.rdb"] {
            assert_eq!(writer(name), Some(7), "{name}");
        }
        for name in ["temp-rewriteaof-bg-7.aof", "temp-rewriteaof-7.aof"] {
            assert_eq!(writer(name), Some(7), "{name}");
        }
        for name in [
            "dump.rdb",
            "temp-.rdb",
            "temp-+7.rdb",
            "temp-7.rdb.bak",
            "temp-7.x.rdb",
            "temp-7.1.2.rdb",
            "temp-x7.rdb",
            "temp-99999999999.rdb",
            "temp-7.aof",
            "temp-rewriteaof-bg-.aof",
            "7.rdb",
        ] {
            assert_eq!(writer(name), None, "{name}");
        }
    }
}
