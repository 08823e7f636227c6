//! What a server finds at its start: a backup that an earlier one has sealed, or what is left of one that was not.

use super::super::super::disk::{DiskError, FileJob, Found};
use super::super::super::host::Request;
use super::super::super::{Engine, Host};
use super::end::log_names;
use super::{Backup, MARK, State, text_of};
use crate::persist::aof::manifest::{Manifest, Names};
use crate::persist::aof::seal::Seal;

impl Engine {
    /// Looks at the folder of backups, before the log is looked at. A sealed backup is known from then on; what is left of another
    /// is removed, and the log that was written for it alone.
    pub(in super::super) fn find_backup(&mut self, host: &mut dyn Host) {
        let path = format!("{}/{}", self.conf.dir, self.conf.backupdirname);
        let Ok(names) = self.names_in(host, &path) else { return };
        self.durability.backup.path.clone_from(&path);
        if names.iter().any(|name| name == MARK)
            && let Err(error) = self.remove_log_that_was_left(host)
        {
            log::warn!("Can't remove the temporary log {}: {}", error.name, error.text);
        }
        let manifest = Names(&self.conf.appendfilename).manifest();
        let appendfilename = self.conf.appendfilename.clone();
        let is_rest = |name: &String| *name == manifest || is_of_backup(Names(&appendfilename), name);
        let mut text = Vec::new();
        // An empty one is what is left of a removal.
        let is_empty = names.contains(&manifest)
            && host.apply(Request::ReadFile(&format!("{path}/{manifest}"), &mut text)).is_ok()
            && text.is_empty();
        if names.contains(&manifest) && !is_empty {
            match self.sealed_backup(host, &path, &names) {
                Ok(backup) => {
                    self.durability.backup = backup;
                    self.arm_backup_ttl();
                }
                Err(what) => {
                    log::warn!("The backup in {path} cannot be used: {what}");
                    self.durability.backup = Backup {
                        state: State::Failed,
                        error: format!("The backup that was found cannot be used: {what}"),
                        path,
                        is_ours: true,
                        is_doubtful: true,
                        given: names.into_iter().filter(is_rest).collect(),
                        ..Backup::default()
                    };
                }
            }
            return;
        }
        let left: Vec<String> = names.into_iter().filter(is_rest).collect();
        let folder = self.next_folder();
        self.file_job(FileJob::OpenFolder(folder, path));
        for name in left {
            log::info!("Removing {name} of a backup that was not sealed.");
            self.file_job(FileJob::Remove(folder, name));
        }
        self.file_job(FileJob::CloseFolder(folder));
    }

    fn names_in(&mut self, host: &mut dyn Host, path: &str) -> Result<Vec<String>, DiskError> {
        let folder = self.next_folder();
        let jobs = vec![FileJob::OpenFolder(folder, path.to_owned()), FileJob::List(folder)];
        match self.disk_at_once(host, jobs)?.found {
            Found::Names(names) => Ok(names),
            _ => Ok(Vec::new()),
        }
    }

    /// The backup of a folder with these names.
    fn sealed_backup(&self, host: &mut dyn Host, path: &str, names: &[String]) -> Result<Backup, String> {
        let name = Names(&self.conf.appendfilename).manifest();
        let mut text = Vec::new();
        host.apply(Request::ReadFile(&format!("{path}/{name}"), &mut text))?;
        let manifest = Manifest::parse(&text).map_err(|bad| bad.to_string())?;
        // Another server seals without a word about when.
        let now_s = self.now.unix_s();
        let seal =
            Seal::parse(&text)?.unwrap_or(Seal { start_unix_s: now_s, end_unix_s: now_s, sums: Vec::new() });
        let files: Vec<String> = manifest.needed().map(text_of).collect();
        // What an earlier one has left lies there, too, where the disk has not kept that it was removed.
        let appendfilename = Names(&self.conf.appendfilename);
        let given = names.iter().filter(|name| files.contains(name) || is_of_backup(appendfilename, name));
        if let Some(missing) = files.iter().find(|file| !names.contains(file)) {
            return Err(format!("{missing} is missing"));
        }
        Ok(Backup {
            state: State::Sealed,
            start_unix_s: seal.start_unix_s,
            end_unix_s: seal.end_unix_s,
            path: path.to_owned(),
            is_ours: true,
            given: given.cloned().collect(),
            pinned: files.into_iter().chain([name]).collect(),
            manifest,
            ..Backup::default()
        })
    }

    /// A server that was killed had begun to log for a backup alone, where there was no log: its files go before anybody takes
    /// them for one.
    fn remove_log_that_was_left(&mut self, host: &mut dyn Host) -> Result<(), DiskError> {
        let there = self.names_in(host, &self.log_path()).unwrap_or_default();
        let appendfilename = self.conf.appendfilename.clone();
        let names = Names(&appendfilename);
        let manifest = self.manifest_on_disk(host).unwrap_or_default();
        let folder = self.next_folder();
        let mut jobs = vec![FileJob::OpenFolder(folder, self.log_path())];
        if there.contains(&names.manifest()) {
            jobs.extend([FileJob::Remove(folder, names.manifest()), FileJob::SyncFolder(folder)]);
        }
        let others = log_names(names, &manifest).into_iter().filter(|name| there.contains(name));
        jobs.extend(others.map(|name| FileJob::Remove(folder, name)));
        jobs.push(FileJob::SyncFolder(folder));
        if !there.is_empty() {
            log::info!("Removing the log that was written for a backup alone.");
            self.disk_at_once(host, jobs)?;
        }
        let folder = self.next_folder();
        let path = self.durability.backup.path.clone();
        let jobs = vec![
            FileJob::OpenFolder(folder, path),
            FileJob::Remove(folder, MARK.to_owned()),
            FileJob::SyncFolder(folder),
        ];
        self.disk_at_once(host, jobs).map(drop)
    }
}

/// Whether a file in the folder is one that a backup without a manifest can have.
fn is_of_backup(names: Names<'_>, name: &str) -> bool {
    if name == names.temporary_manifest() {
        return true;
    }
    let rest = name.strip_prefix(names.0).and_then(|rest| rest.strip_prefix('.'));
    let Some((number, ending)) = rest.and_then(|rest| rest.split_once('.')) else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && matches!(ending, "base.rdb" | "base.aof" | "incr.aof")
}
