//! Dump files: SAVE, BGSAVE, LASTSAVE, and SHUTDOWN, which saves.

use crate::config::ShutdownOn;
use crate::engine::blocking::{Block, BlockOn};
use crate::engine::disk::{DiskError, ErrorKind};
use crate::engine::durability::Why;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Done, Engine, Host};

pub(super) const COMMANDS: &[Spec] = &[
    Spec::global("save", 1, save, "the whole server is saved, and its client waits for that")
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI)
        .doc(
            Group::Server,
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
            "Saves a dump file and replies when it is there.",
        ),
    Spec::global("bgsave", -1, bgsave, "the whole server is saved")
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING)
        .doc(Group::Server, "1.0.0", "O(1)", "Saves a dump file while everybody is served.")
        .syntax("operation(SCHEDULE#3.2.2 | CANCEL#8.1.0)?")
        .history(&[
            ("3.2.2", "The option `SCHEDULE`."),
            ("8.1.0", "The option `CANCEL`."),
        ]),
    Spec::global("bgrewriteaof", 1, bgrewriteaof, "the log belongs to the server")
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING)
        .doc(Group::Server, "1.0.0", "O(1)", "Rewrites the append-only file while everybody is served."),
    Spec::global("lastsave", 1, lastsave, "the time of the last save belongs to the server")
        .flags(LOADING | STALE | FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .tips(&["nondeterministic_output"])
        .doc(Group::Server, "1.0.0", "O(1)", "Tells when the last dump file was written."),
    Spec::global("shutdown", -1, shutdown, "ends the server")
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY)
        .doc(
            Group::Server,
            "1.0.0",
            "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
            "Ends the server in order.",
        )
        .syntax("save-selector(NOSAVE | SAVE)? NOW?#7.0.0 FORCE?#7.0.0 ABORT?#7.0.0")
        .history(&[("7.0.0", "The modifiers `NOW`, `FORCE` and `ABORT`.")]),
];

const IN_PROGRESS: CmdError = CmdError::coded("ERR Background save already in progress");

const REWRITING: CmdError = CmdError::coded(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE \
     whenever possible.",
);

/// The verdict for a client that waited for a save.
fn was_saved(_: &mut Engine, _: &mut dyn Host, done: Done) -> Result<(), CmdError> {
    done.file().map(drop).map_err(|error: DiskError| match error.kind {
        ErrorKind::GivenUp => CmdError::err(error.text),
        // Redis says no more than that.
        _ => CmdError::coded("ERR"),
    })
}

fn save(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.durability.saving().is_some() && !engine.is_rewriting() {
        return Err(IN_PROGRESS);
    }
    engine.begin_save_of_client(call.host);
    let job = engine.wait_for_save();
    engine.wait_for_job(job, call.id, was_saved);
    Ok(Outcome::Block(Block { on: BlockOn::Job(job), deadline_us: None }))
}

fn bgsave(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let schedules = match call.args.len() {
        1 => false,
        2 if call.args.is(1, "schedule") => true,
        2 if call.args.is(1, "cancel") => return cancel(engine, call),
        _ => return Err(CmdError::Syntax),
    };
    let text = if engine.durability.saving() == Some(Why::Background) {
        return Err(IN_PROGRESS);
    } else if engine.is_nested() || engine.durability.saving().is_some() {
        if !schedules && !engine.is_nested() {
            return Err(if engine.is_rewriting() { REWRITING } else { IN_PROGRESS });
        }
        engine.schedule_save();
        "Background saving scheduled"
    } else {
        engine.begin_save(call.host, Why::Background);
        "Background saving started"
    };
    engine.reply(call.slot).status(text);
    Ok(Outcome::Done)
}

fn cancel(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let text = if engine.cancel_background_save() {
        log::info!("Background saving will be aborted due to user request");
        "Background saving cancelled"
    } else if engine.unschedule_save() {
        log::info!("Scheduled background saving will be cancelled due to user request");
        "Scheduled background saving cancelled"
    } else {
        return Err(CmdError::coded("ERR Background saving is currently not in progress or scheduled"));
    };
    engine.reply(call.slot).status(text);
    Ok(Outcome::Done)
}

fn bgrewriteaof(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let text = if engine.is_rewrite_in_progress() {
        return Err(CmdError::err("Background append only file rewriting already in progress"));
    } else if engine.is_nested()
        || engine.durability.saving().is_some()
        || engine.durability.backup.holds_rewrites()
    {
        engine.schedule_rewrite();
        "Background append only file rewriting scheduled"
    } else {
        engine.begin_rewrite(call.host);
        "Background append only file rewriting started"
    };
    engine.reply(call.slot).status(text);
    Ok(Outcome::Done)
}

fn lastsave(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let saved = engine.durability.last_save_unix_s;
    engine.reply(call.slot).int(saved as i64);
    Ok(Outcome::Done)
}

fn shutdown(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let (mut how, mut aborts) = (ShutdownOn::default(), false);
    for word in call.args.iter_from(1) {
        match word.to_ascii_lowercase().as_slice() {
            b"nosave" => how.nosave = true,
            b"save" => how.save = true,
            b"now" => how.now = true,
            b"force" => how.force = true,
            b"abort" => aborts = true,
            _ => return Err(CmdError::Syntax),
        }
    }
    if (aborts && how != ShutdownOn::default()) || (how.save && how.nosave) {
        return Err(CmdError::Syntax);
    }
    if aborts {
        if !engine.abort_shutdown(call.host) {
            return Err(CmdError::coded("ERR No shutdown in progress."));
        }
        engine.reply(call.slot).ok();
        return Ok(Outcome::Done);
    }
    if engine.is_nested() && !how.now {
        return Err(CmdError::err("SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client"));
    }
    if !how.nosave && engine.scripts.running.is_some() {
        return Err(CmdError::coded(
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        ));
    }
    if !engine.is_shutting_down() {
        engine.shut_down(call.host, how);
    }
    if engine.is_nested() {
        return Ok(Outcome::Done);
    }
    let job = engine.wait_for_shutdown();
    engine.wait_for_job(job, call.id, Engine::shutdown_failed);
    Ok(Outcome::Block(Block { on: BlockOn::Job(job), deadline_us: None }))
}
