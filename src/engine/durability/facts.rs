//! What a dump file says beside its keys.

use super::load::Counts;
use crate::base::limit::OFFSET_MAX;
use crate::persist::rdb::file::Item;

/// What a dump says about the history to which it belongs: its id, the offset, and the database in which the feed stands.
#[derive(Debug, Default)]
pub(super) struct History {
    id: Option<String>,
    offset: Option<u64>,
    pub db: Option<u32>,
}

impl History {
    /// Takes note of a fact; false when it is about something else.
    pub fn note(&mut self, name: &[u8], text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        match name {
            b"repl-id" => self.id = Some(text.into_owned()).filter(|id| id.len() == 40),
            b"repl-offset" => self.offset = text.parse().ok().filter(|offset| *offset <= OFFSET_MAX),
            b"repl-stream-db" => self.db = text.parse().ok(),
            _ => return false,
        }
        true
    }

    /// All of it, once it is known.
    pub fn take(&mut self) -> Option<(String, u64, u32)> {
        let (id, offset, db) = (self.id.clone()?, self.offset?, self.db?);
        *self = History::default();
        Some((id, offset, db))
    }
}

/// Takes note of an item that is no key. Returns when the file was made, in Unix seconds, if the item says so.
pub(super) fn note_item(
    item: Item<'_>,
    counts: &mut Counts,
    used_memory: &mut u64,
    begun_unix_s: u64,
) -> Option<i64> {
    match item {
        Item::Aux { name, text } => {
            let text = String::from_utf8_lossy(&text).into_owned();
            if name == b"used-mem" {
                *used_memory = text.parse().unwrap_or(0);
            }
            log_fact(&String::from_utf8_lossy(&name), &text, begun_unix_s);
            return (name == b"ctime").then(|| text.parse().ok()).flatten();
        }
        Item::EmptyKey(key) => {
            counts.empty += 1;
            log::info!("rdbLoadObject skipping empty key: {}", String::from_utf8_lossy(key));
        }
        Item::Checksum { is_there: false } => {
            log::info!("RDB file was saved with checksum disabled: no check performed.");
        }
        _ => {}
    }
    None
}

/// What the log says of a fact about the file.
fn log_fact(name: &str, text: &str, now_unix_s: u64) {
    match name {
        "redis-ver" => log::info!("Loading RDB produced by version {text}"),
        "valkey-ver" => log::info!("Loading RDB produced by Valkey version {text}"),
        "ctime" => {
            let age_s = now_unix_s.saturating_sub(text.parse().unwrap_or(now_unix_s));
            log::info!("RDB age {age_s} seconds");
        }
        "used-mem" => {
            let bytes: u64 = text.parse().unwrap_or(0);
            log::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / (1024.0 * 1024.0));
        }
        "redis-bits" | "aof-base" | "repl-stream-db" | "repl-id" | "repl-offset" | "aof-preamble" | "lua" => {
        }
        name if name.starts_with('%') => log::info!("RDB '{name}': {text}"),
        name => log::debug!("Unrecognized RDB AUX field: '{name}'"),
    }
}
