//! `preload-file`: what is loaded at a start in place of anything else, a dump, a log, or the manifest of one with its files.
//!
//! It is only read. A server that logs begins with a base of what was loaded, which takes the place of an older log; one that does
//! not saves it as everything else. What cannot be loaded ends the start.

use super::super::disk::DiskError;
use super::super::host::Request;
use super::super::{Engine, Host, Job};
use super::replay::Part;
use crate::persist::aof::manifest::{File, Manifest, Names};
use std::collections::VecDeque;

impl Engine {
    /// Whether something is to be loaded that is not what the server itself has written.
    pub(super) fn preloads(&self) -> bool {
        let own = format!("aof:{}/{}", self.log_path(), Names(&self.conf.appendfilename).manifest());
        let is_own = self.conf.appendonly && self.conf.preload_file == own;
        !self.conf.preload_file.is_empty() && !is_own
    }

    /// Begins to load it.
    pub(super) fn begin_preload(&mut self, host: &mut dyn Host) {
        let file = self.conf.preload_file.clone();
        let (kind, path) = file.split_once(':').unwrap_or(("rdb", &file));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = if folder.is_empty() { "/" } else { folder };
        log::info!("Loading {path}, as preload-file says");
        if let Err(error) = host.apply(Request::Exists(path)) {
            self.refuse_preload(&format!("{path}: {error}"));
        } else if kind == "rdb" {
            self.begin_loading_of(folder.to_owned(), name.to_owned());
        } else {
            match self.parts_to_preload(host, folder, name) {
                Ok(parts) => self.begin_replay(host, parts, None, Some(folder.to_owned())),
                Err(text) => self.refuse_preload(&text),
            }
        }
    }

    /// The files that a log consists of: those of a manifest, or one that is no manifest.
    fn parts_to_preload(
        &mut self,
        host: &mut dyn Host,
        folder: &str,
        name: &str,
    ) -> Result<VecDeque<Part>, String> {
        let files: Vec<File> = if name.ends_with(".manifest") {
            let mut text = Vec::new();
            host.apply(Request::ReadFile(&format!("{folder}/{name}"), &mut text))?;
            let manifest = Manifest::parse(&text).map_err(|bad| bad.log_lines().join("\n"))?;
            manifest.needed().cloned().collect()
        } else {
            vec![File::alone(name)]
        };
        let told = |error: DiskError| format!("{}: {}", error.name, error.text);
        self.parts_in(host, folder, files).map_err(told)
    }

    fn refuse_preload(&mut self, text: &str) {
        log::warn!("Fatal error: preload-file cannot be loaded: {text}");
        self.jobs.queue.push_back(Job::Exit(1));
    }
}
