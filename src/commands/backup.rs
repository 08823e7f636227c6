//! BACKUP: a copy of the dataset is made ready while everybody is served.

use super::help::help_row;
use crate::engine::blocking::{Block, BlockOn};
use crate::engine::disk::{DiskError, ErrorKind};
use crate::engine::durability::BackupState;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Done, Engine, Host};

const WHY: &str = "a backup is of the whole server";

pub(super) const COMMANDS: &[Spec] = &[Spec::container("backup", SUBCOMMANDS)
    .doc(Group::Server, "8.10.0", "Depends on subcommand.", "Groups the commands about backups.")
    .help(HELP)];

const SUBCOMMANDS: &[Spec] = &[
    Spec::global("abort", 2, abort, WHY).flags(ADMIN | NOSCRIPT).doc(
        Group::Server,
        "8.10.0",
        "O(1)",
        "Gives up a backup that is not sealed.",
    ),
    Spec::global("cleanup", 2, cleanup, WHY).flags(ADMIN | NOSCRIPT).doc(
        Group::Server,
        "8.10.0",
        "O(1)",
        "Removes the files of a backup.",
    ),
    help_row(Group::Server, "8.10.0", 0),
    Spec::global("list", 2, list, WHY).flags(ADMIN | STALE).doc(
        Group::Server,
        "8.10.0",
        "O(1)",
        "Lists the files of the backup that do not change any more.",
    ),
    Spec::global("seal", 2, seal, WHY).flags(ADMIN | NOSCRIPT).doc(
        Group::Server,
        "8.10.0",
        "O(1)",
        "Ends the backup: its files are whole from then on.",
    ),
    Spec::global("start", 2, start, WHY).flags(ADMIN | NOSCRIPT).doc(
        Group::Server,
        "8.10.0",
        "O(1)",
        "Begins a backup.",
    ),
    Spec::global("status", 2, status, WHY).flags(ADMIN | STALE).doc(
        Group::Server,
        "8.10.0",
        "O(1)",
        "Tells how far the backup is.",
    ),
];

const HELP: &[&str] = &[
    "ABORT",
    "    Give up the backup that is under way and remove its files.",
    "CLEANUP",
    "    Remove the files of a sealed or failed backup.",
    "LIST",
    "    List the paths of the files that do not change any more.",
    "SEAL",
    "    End the backup at this moment: base, increment and manifest.",
    "START",
    "    Begin a backup in the directory 'backupdirname'.",
    "STATUS",
    "    Tell the state of the backup, its error and its times.",
];

const IN_PROGRESS: CmdError = CmdError::coded("ERR A backup is already in progress, ABORT it first");
const IS_SEALED: CmdError = CmdError::coded("ERR A sealed backup exists, CLEANUP it first");
const NOT_READY: CmdError =
    CmdError::coded("ERR No backup ready to seal (must be in the incrementing state)");
const NONE: CmdError = CmdError::coded("ERR No backup in progress");
const RUNNING: CmdError = CmdError::coded("ERR Backup is in progress");

/// What a client is told of an error.
fn refusal(error: &DiskError) -> CmdError {
    match error.kind {
        ErrorKind::GivenUp => CmdError::err(&error.text),
        _ => CmdError::err(format!("Backup failed: {} {}: {}", error.op, error.name, error.text)),
    }
}

/// The verdict for a client that waited.
fn went(_: &mut Engine, _: &mut dyn Host, done: Done) -> Result<(), CmdError> {
    done.file().map(drop).map_err(|error| refusal(&error))
}

/// OK when a job is done, or at once where nobody can wait.
fn when_done(engine: &mut Engine, call: &mut Call<'_>, job: Option<u64>) -> CmdResult {
    let Some(job) = job.filter(|_| !engine.is_nested()) else {
        engine.reply(call.slot).ok();
        return Ok(Outcome::Done);
    };
    engine.wait_for_job(job, call.id, went);
    Ok(Outcome::Block(Block { on: BlockOn::Job(job), deadline_us: None }))
}

fn start(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.durability.backup.is_in_the_way() {
        return Err(IN_PROGRESS);
    }
    if engine.durability.backup.state() == BackupState::Sealed {
        return Err(IS_SEALED);
    }
    let job = engine.begin_backup(call.host).map_err(|error| refusal(&error))?;
    when_done(engine, call, job)
}

fn seal(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.durability.backup.state() != BackupState::Incrementing {
        return Err(NOT_READY);
    }
    let job = engine.seal_backup();
    when_done(engine, call, job)
}

fn abort(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if !engine.durability.backup.is_in_progress() {
        return Err(NONE);
    }
    let job = engine.abort_backup();
    when_done(engine, call, Some(job))
}

fn cleanup(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.durability.backup.is_in_progress() {
        return Err(RUNNING);
    }
    let job = engine.clean_backup();
    when_done(engine, call, Some(job))
}

fn status(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let backup = &engine.durability.backup;
    let (state, error) = (backup.state_name(), backup.error.clone());
    let (start, end) = (backup.start_unix_s as i64, backup.end_unix_s as i64);
    let mut reply = engine.reply(call.slot);
    reply.map(4);
    reply.bulk(b"state");
    reply.bulk(state.as_bytes());
    reply.bulk(b"error");
    reply.bulk(error.as_bytes());
    reply.bulk(b"start_time");
    reply.int(start);
    reply.bulk(b"end_time");
    reply.int(end);
    Ok(Outcome::Done)
}

fn list(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let files: Vec<String> = engine.durability.backup.files().collect();
    let mut reply = engine.reply(call.slot);
    reply.array(files.len());
    files.iter().for_each(|file| reply.bulk(file.as_bytes()));
    Ok(Outcome::Done)
}
