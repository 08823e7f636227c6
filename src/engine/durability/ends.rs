//! The beginning and the end of the append-only log ([`super::log`]): its folder, its first base, and what is said of it when it is
//! closed.

use super::super::disk::{DiskError, FileJob, FileResult, LogJob};
use super::super::{Engine, Host, Job};
use super::log::Stage;
use crate::config::AppendFsync;
use crate::persist::aof::manifest::Manifest;

/// The beginning and the end of the log.
impl Engine {
    /// The folder of the log is there.
    pub(super) fn make_log_folder(&mut self, host: &mut dyn Host) -> FileResult {
        let folder = self.next_folder();
        let jobs = vec![
            FileJob::OpenFolder(folder, self.conf.dir.clone()),
            FileJob::MakeFolder(folder, self.conf.appenddirname.clone()),
            FileJob::SyncFolder(folder),
            FileJob::CloseFolder(folder),
        ];
        self.disk_at_once(host, jobs)
    }

    /// The first base is there, and the temporary increment has its name.
    pub(super) fn log_has_begun(&mut self, manifest: &Manifest) {
        let log = &mut self.durability.log;
        log.set_stage(Stage::On);
        self.update_gate();
        if self.conf.appendfsync != AppendFsync::No {
            self.sync_log();
        }
        let log = &mut self.durability.log;
        if let Some(last) = manifest.increments().last() {
            log.file_name = String::from_utf8_lossy(&last.name).into_owned();
        }
    }

    /// Makes all durable that was logged, and closes the file; the manifest then says where it ends. False when no file is
    /// open.
    pub(in crate::engine) fn close_log(&mut self) -> bool {
        self.commit();
        self.hand_over_buffer();
        let Some(file) = self.durability.log.file() else { return false };
        let sync = self.log_job(LogJob::Sync(file));
        self.jobs.then(sync, |engine, host, job, result| {
            if let Err(error) = &result
                && engine.conf.appendfsync == AppendFsync::Always
                && !engine.durability.backup.owns_log()
            {
                return engine.end_for_error(error);
            }
            engine.let_go_behind_log(job);
            match result {
                Ok(_) => engine.write_manifest_of_closed(),
                Err(error) => {
                    log::warn!("Fail to fsync the AOF file: {}", error.text);
                    engine.log_was_closed(host);
                }
            }
        });
        self.log_job(LogJob::Close(file));
        let end = self.replication.offset() as i64;
        self.durability.log.manifest.close_increment(end);
        self.durability.log.close(sync);
        true
    }

    /// With `always` what was not acknowledged must not happen either: there is no way but to end.
    pub(super) fn end_for_error(&mut self, error: &DiskError) {
        if error.op == "write" {
            log::warn!("Error writing to the AOF file: {}", error.text);
            log::warn!(
                "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..."
            );
        } else {
            log::warn!(
                "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {}. Exiting...",
                error.text
            );
        }
        self.durability.log.give_up();
        self.jobs.queue.push_back(Job::Exit(1));
    }

    /// All is durable that was logged, and whoever has waited for that goes.
    fn let_go_behind_log(&mut self, sync: u64) {
        self.durability.log.was_closed(sync);
        self.update_gate();
        self.release_gate();
    }

    fn write_manifest_of_closed(&mut self) {
        let manifest = self.durability.log.manifest.clone();
        let folder = self.next_folder();
        self.file_job(FileJob::OpenFolder(folder, self.log_path()));
        let replace = self.manifest_in(folder, &manifest);
        let job = self.file_job(FileJob::Replace(replace));
        self.jobs.then(job, |engine, host, _, _| engine.log_was_closed(host));
        self.file_job(FileJob::CloseFolder(folder));
    }
}
