//! A debugging session on the side of the engine: its begin, its waiting, its end.

use super::run::{Session, ToRun, busy_text};
use super::{Name, digest, flags, number_of_keys};
use crate::engine::client::state;
use crate::engine::error::{CmdError, CmdResult};
use crate::engine::{Call, Engine};
use crate::lua::debugger::Console;
use crate::lua::debugger::request::{Begin, parse};
use crate::lua::vm::Vm;
use std::rc::Rc;

/// Milliseconds for which the shell may sleep while a session waits for its client.
const WAIT_MS: u64 = 100;
/// Milliseconds for which a script runs between two stops when `busy-reply-threshold` has no limit.
const LATE_MS: u64 = 5000;
/// What a client gets that sends something else than commands.
const PROTOCOL_ERROR: &str = "protocol error";

impl Engine {
    /// Whether the next EVAL of a client runs in the debugger.
    pub fn debugs_scripts(&self, slot: usize) -> bool {
        self.clients[slot].is(state::DEBUGS_SCRIPTS)
    }

    /// SCRIPT DEBUG: the next EVAL of a client runs in the debugger, or does not.
    pub fn debug_scripts(&mut self, slot: usize, on: bool) {
        // What replays has nobody who could type commands.
        let on = on && !self.clients[slot].is(state::REPLAYS);
        self.clients[slot].set(state::DEBUGS_SCRIPTS, on);
    }

    /// EVAL in the debugger. Whatever comes of it, the session ends with its mark, the reply, and the connection's end.
    pub(super) fn eval_in_debugger(&mut self, call: &mut Call<'_>, is_read_only: bool) -> CmdResult {
        log::info!("Redis synchronous debugging eval session started");
        self.scripts.console = Some(Box::new(Console::default()));
        let result = self.run_in_debugger(call, is_read_only);
        log::info!("Redis synchronous debugging eval session ended");
        let client = &mut self.clients[call.slot];
        if let Some(mut console) = self.scripts.console.take() {
            console.log(b"<endsession>".to_vec());
            console.send();
            // Behind the lines comes what the client was to be sent before the session, and the reply of EVAL.
            let behind = std::mem::replace(&mut client.out, console.out).into_bytes();
            client.out.tail().extend_from_slice(&behind);
        }
        client.set(state::CLOSE_AFTER_REPLY, true);
        result
    }

    fn run_in_debugger(&mut self, call: &mut Call<'_>, is_read_only: bool) -> CmdResult {
        let keys = number_of_keys(call.args)?;
        let text = call.args.bytes(1);
        let sha = digest(&text);
        if !self.scripts.cached.contains_key(&sha) {
            self.compile_script(sha, text.clone(), false)?;
        }
        let shebang = flags::of_script(&text).map_err(|text| CmdError::Text(text.into()))?;
        let deprecated = self.conf.lua_enable_deprecated_api;
        let vm = Vm::for_debugger(&self.scripts.chance, deprecated, &text)?;
        let function = vm
            .compile(&text[shebang.bytes..], "user_script")
            .map_err(|error| CmdError::err(format!("Error compiling script: {error}")))?;
        let to_run = ToRun {
            vm: Rc::new(vm),
            function,
            name: Name::Sha(sha),
            flags: shebang.flags,
            is_function: false,
            is_read_only,
            keys,
        };
        self.run_script(call, to_run)
    }
}

impl Session<'_, '_> {
    /// The connection of the debugger, when the script runs in one.
    pub(super) fn debugger(&mut self) -> Option<&mut Console> {
        self.engine.scripts.console.as_deref_mut()
    }

    /// Sends what was said, and waits for the next command. None: the client is gone, or the script has to end.
    pub(super) fn wait_for_command(&mut self) -> Option<Vec<Vec<u8>>> {
        self.debugger()?.send();
        loop {
            let slot = self.call.slot;
            let client = &mut self.engine.clients[slot];
            match parse(&client.inbox.bytes) {
                Begin::Command(words, used) => {
                    client.inbox.bytes.drain(..used);
                    let ticks = self.call.host.ticks();
                    self.debugger()?.since_ticks = ticks;
                    return Some(words);
                }
                Begin::Wrong => {
                    client.inbox.bytes.clear();
                    self.debugger()?.ends = Some(PROTOCOL_ERROR);
                    return None;
                }
                Begin::Incomplete => {}
            }
            if client.is(state::CLOSE_ASAP | state::CLOSE_AFTER_REPLY | state::HALF_CLOSED) {
                self.debugger()?.is_gone = true;
                return None;
            }
            if self.running().is_killed {
                return None;
            }
            self.breathe(busy_text(false), WAIT_MS);
        }
    }

    /// Whether the client gets back its script, which runs for long without a stop.
    pub(super) fn has_run_for_long(&mut self) -> bool {
        let limit_ms = match self.engine.conf.busy_reply_threshold_ms {
            0 => LATE_MS,
            ms => ms,
        };
        let limit_ticks = limit_ms.saturating_mul(self.engine.ticker.per_ms);
        let ticks = self.call.host.ticks();
        let console = self.debugger();
        console.is_some_and(|console| {
            !console.is_gone && ticks.saturating_sub(console.since_ticks) >= limit_ticks
        })
    }
}
