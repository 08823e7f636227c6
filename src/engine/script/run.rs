//! A script while it runs: its commands, its time, its end.

use super::flags::script_flag;
use super::{Name, Running};
use crate::base::lossless;
use crate::engine::admission::{Asker, Refusal};
use crate::engine::client::state;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag;
use crate::engine::table::Row;
use crate::engine::{Call, Engine};
use crate::lua::debugger::Console;
use crate::lua::native::{Failure, number_of};
use crate::lua::pace::Pace;
use crate::lua::reply::Encoder;
use crate::lua::stack::{Answer, Request};
use crate::lua::vm::{Ask, Ended, ScriptHost, Vm};
use crate::replication::batch::target;
use crate::resp::{Args, Output};
use bytes::Bytes;
use mlua::{Function, Lua, Value};
use std::borrow::Cow;
use std::rc::Rc;

/// What is to be run.
pub(super) struct ToRun {
    /// The interpreter that compiled it.
    pub vm: Rc<Vm>,
    /// The script, or the function of a library.
    pub function: Function,
    /// SHA1 of the script, or name of the function.
    pub name: Name,
    /// Bits of [`script_flag`].
    pub flags: u32,
    /// FCALL, not EVAL.
    pub is_function: bool,
    /// The command that runs it is one of the `_RO` ones.
    pub is_read_only: bool,
    /// Keys among the arguments, from the fourth on.
    pub keys: usize,
}

/// What others are told while a script takes too long.
const BUSY_SCRIPT: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

/// What others are told while a script, or a function, takes too long.
pub(super) fn busy_text(is_function: bool) -> &'static str {
    if is_function { BUSY_FUNCTION } else { BUSY_SCRIPT }
}

/// Arguments before the keys: the command, the script or function, and how many keys there are.
const FIXED_ARGUMENTS: usize = 3;

/// The error of a call in a script that has to end.
const ENDS: &str = "ERR the script has to end";

/// Memory for requests that is kept for the next script.
const KEPT_REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Milliseconds between two pauses for breath of a slow script.
const BREATH_MS: u64 = 1;

impl Engine {
    /// Runs a script, with the keys and arguments of a call, and answers with its result.
    pub(super) fn run_script(&mut self, call: &mut Call<'_>, script: ToRun) -> CmdResult {
        let slot = call.slot;
        if script.flags & script_flag::COMPATIBLE == 0 {
            let by = Asker::ScriptStart { flags: script.flags, is_read_only: script.is_read_only };
            if let Err(Refusal::Error(error)) = self.admit_script(call.host, slot, call.args, call.row, by) {
                return Err(error);
            }
        } else {
            self.admit_old_script(slot)?;
        }
        let is_strict = script.flags & script_flag::COMPATIBLE == 0;
        let begin_ticks = call.host.ticks();
        self.scripts.running = Some(Running {
            name: script.name.clone(),
            is_function: script.is_function,
            client: call.id,
            command: if script.is_function { call.args.to_owned_args() } else { Vec::new() },
            begin_ticks,
            is_read_only: script.is_read_only || is_strict && script.flags & script_flag::NO_WRITES != 0,
            allows_oom: is_strict && script.flags & script_flag::ALLOW_OOM != 0,
            has_written: false,
            is_killed: false,
            is_slow: false,
            ended_at: None,
            clock_us: None,
            client_resp: self.clients[slot].resp,
            replicates: target::ALL,
            resp: 2,
        });
        let client = &mut self.clients[slot];
        let (db, resp) = (client.db, std::mem::replace(&mut client.resp, 2));
        let muted = client.state & state::MUTED;
        client.state &= !state::MUTED;
        let out = std::mem::replace(&mut client.out, std::mem::take(&mut self.scripts.scratch));
        let request = std::mem::take(&mut self.scripts.request);
        let ended = self.nest(
            |nesting| nesting.script = true,
            |engine| {
                let mut session = Session {
                    next_look: begin_ticks.saturating_add(engine.busy_after_ticks()),
                    pace: Pace::new(begin_ticks),
                    engine: &mut *engine,
                    call,
                    out: Some(out),
                    resp,
                    request,
                    keys: script.keys,
                    answer: None,
                    whole: Bytes::new(),
                    error: Vec::new(),
                };
                let ended = script.vm.run(&mut session, &script.function, script.is_function);
                session.forget_answer();
                let (out, request) = (session.out, session.request);
                if request.capacity() <= KEPT_REQUEST_BYTES_MAX {
                    engine.scripts.request = request;
                }
                (ended, out)
            },
        );
        let (ended, out) = ended;
        let client = &mut self.clients[slot];
        self.scripts.scratch = std::mem::replace(&mut client.out, out.unwrap_or_default());
        client.db = db;
        client.resp = resp;
        client.state |= muted;
        let running = self.scripts.running.take();
        let version = running.as_ref().map_or(2, |running| running.resp);
        let is_killed = running.as_ref().is_some_and(|running| running.is_killed);
        let aborted = self.scripts.console.as_ref().and_then(|console| console.ends);
        let is_killed = is_killed || aborted.is_some();
        let killed_at = running.and_then(|running| running.ended_at);
        match ended {
            Ended::Value(value) if !is_killed => script.vm.reading(|| self.answer(slot, &value, version)),
            Ended::Failed(error) if !is_killed => script.vm.reading(|| self.fail(slot, &script, &error)),
            Ended::Value(_) | Ended::Failed(_) => {
                let verb = if script.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
                let place = match (killed_at, &ended) {
                    (Some((source, line)), _) => format!(" script: {}, on {source}:{line}.", script.name),
                    (None, Ended::Failed(error)) => place_of(error, &script.name),
                    (None, Ended::Value(_)) => String::new(),
                };
                Err(match aborted {
                    Some(why) => CmdError::err(format!("{why}{place}")),
                    None => CmdError::err(format!("Script killed by user with {verb}...{place}")),
                })
            }
        }
    }

    /// Ticks after which a script is slow.
    fn busy_after_ticks(&self) -> u64 {
        match self.conf.busy_reply_threshold_ms {
            ..=0 => u64::MAX,
            ms => ms.saturating_mul(self.ticker.per_ms),
        }
    }

    fn answer(&mut self, slot: usize, value: &Value, version: u8) -> CmdResult {
        let mut reply = self.reply(slot);
        let mut encoder = Encoder { reply: &mut reply, version, errors: Vec::new(), is_error: false };
        if let Err(error) = encoder.write(value, 0) {
            log::warn!("The result of a script could not be read: {error}");
        }
        let (errors, is_error) = (encoder.errors, encoder.is_error);
        for text in &errors {
            self.stats.count_error(text);
        }
        Ok(if errors.is_empty() && !is_error { Outcome::Done } else { Outcome::Failed })
    }

    /// Answers with the error that ended a script.
    fn fail(&mut self, slot: usize, script: &ToRun, error: &Value) -> CmdResult {
        let mut text = None;
        let place = place_of(error, &script.name);
        let mut is_counted = false;
        match error {
            Value::Table(table) => {
                if let Ok(Value::String(found)) = table.raw_get::<Value>("err") {
                    text = Some(up_to_nul(&found));
                }
                let flag = table.raw_get::<Value>("ignore_error_stats_update");
                is_counted = matches!(flag, Ok(Value::Boolean(true)));
            }
            Value::String(found) => {
                text = Some(format!("ERR {}", up_to_nul(found)));
            }
            _ => {}
        }
        let text = text.unwrap_or_else(|| "ERR unknown error".to_owned());
        let text = format!("{text}{place}");
        if is_counted {
            self.reply(slot).error(&text);
            return Ok(Outcome::Failed);
        }
        Err(CmdError::Text(text.into()))
    }
}

/// Where an error came from, as clients are told.
fn place_of(error: &Value, name: &Name) -> String {
    let Value::Table(table) = error else { return String::new() };
    let (source, line) = (table.raw_get::<Value>("source"), table.raw_get::<Value>("line"));
    if let (Ok(Value::String(source)), Ok(line)) = (source, line)
        && let Some(line) = number_of(&line)
    {
        return format!(" script: {name}, on {}:{line}.", String::from_utf8_lossy(&source.as_bytes()));
    }
    String::new()
}

/// The text of an error, which ends at a NUL, as a string of C does.
fn up_to_nul(text: &mlua::LuaString) -> String {
    let text = text.as_bytes();
    lossless::from_bytes(text.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// The value of a number, or of a text that is one; 0 of anything else.
fn number_or_text(lua: &Lua, value: &Value) -> mlua::Result<f64> {
    let number = match value {
        Value::String(_) => lua.coerce_number(value.clone())?,
        number => number_of(number),
    };
    Ok(number.unwrap_or(0.0))
}

/// A script that runs, with what it was lent.
pub(super) struct Session<'a, 'b> {
    pub(super) engine: &'a mut Engine,
    pub(super) call: &'a mut Call<'b>,
    /// When the clock is to be looked at next, in ticks of the host.
    next_look: u64,
    pace: Pace,
    /// The real output of the client; what its commands answer goes elsewhere.
    out: Option<Output>,
    /// The real protocol version of the client.
    resp: u8,
    /// The request of the command that is called.
    request: Request,
    /// Keys among the arguments.
    keys: usize,
    /// The answer to the last command, taken from the client.
    answer: Option<Output>,
    /// The same where it was not in one piece.
    whole: Bytes,
    /// Or the error that it ended with before it began.
    error: Vec<u8>,
}

impl Session<'_, '_> {
    pub(super) fn running(&mut self) -> &mut Running {
        self.engine.scripts.running.as_mut().expect("a script runs")
    }

    /// An error that scripts see, with its code already, which was counted.
    fn refused(&mut self, row: Option<&Row>, text: impl Into<Cow<'static, str>>) -> Answer<'_> {
        let text = text.into();
        self.engine.stats.count_error(&text);
        if let Some(row) = row {
            self.engine.stats.rows[row.id as usize].rejected += 1;
        }
        self.failed(&text, true)
    }

    /// An error that scripts see, of a call that names no command.
    fn unusable(&mut self, text: &'static str) -> Answer<'_> {
        self.failed(text, false)
    }

    fn failed(&mut self, text: &str, is_counted: bool) -> Answer<'_> {
        if let Some(console) = &mut self.engine.scripts.console {
            console.log_error(text);
        }
        self.error = lossless::to_bytes(text).into_owned();
        Answer::Refused { text: &self.error, is_counted }
    }

    /// Gives the client back what the answer to the last command lay in.
    fn forget_answer(&mut self) {
        if let Some(mut answer) = self.answer.take() {
            answer.forget();
            self.engine.clients[self.call.slot].out = answer;
        }
        self.whole = Bytes::new();
    }
}

impl ScriptHost for Session<'_, '_> {
    fn counts(&self) -> (usize, usize) {
        (self.keys, self.call.args.len() - FIXED_ARGUMENTS - self.keys)
    }

    fn argument(&self, index: usize) -> &[u8] {
        self.call.args.at(FIXED_ARGUMENTS + index)
    }

    fn call(&mut self, read: &mut dyn FnMut(&mut Request) -> bool) -> Answer<'_> {
        self.forget_answer();
        if self.has_to_end() {
            return Answer::Refused { text: ENDS.as_bytes(), is_counted: false };
        }
        let mut request = std::mem::take(&mut self.request);
        let is_request = read(&mut request);
        let done = match request.args() {
            _ if !is_request => Err("ERR Lua redis lib command arguments must be strings or integers"),
            args if args.is_empty() => {
                Err("ERR Please specify at least one argument for this redis lib call")
            }
            args => Ok(self.call_command(args)),
        };
        self.request = request;
        match done {
            Ok(Ok(())) => {
                // Calls can take long, and their number between two looks of the hook may be large.
                let ticks = self.engine.outermost.last_ticks;
                self.pace.looked(ticks, self.engine.ticker.per_ms);
                if ticks >= self.next_look && !self.goes_on() {
                    return Answer::Refused { text: ENDS.as_bytes(), is_counted: false };
                }
                let has_nil = self.running().resp == 3;
                let answer = self.answer.as_ref().and_then(Output::one_piece);
                Answer::Reply { bytes: answer.unwrap_or(&self.whole), has_nil }
            }
            Ok(Err((row, text))) => self.refused(row, text),
            Err(text) => self.unusable(text),
        }
    }

    fn ask(&mut self, lua: &Lua, what: Ask, args: &[Value]) -> Result<Vec<Value>, Failure> {
        let done = self.answer_ask(lua, what, args);
        if let (Err(Failure::Text(text)), Some(console)) = (&done, self.debugger()) {
            console.log_error(&format!("ERR {text}"));
        }
        done
    }

    fn goes_on(&mut self) -> bool {
        if self.has_to_end() {
            return false;
        }
        let ticks = self.call.host.ticks();
        self.pace.looked(ticks, self.engine.ticker.per_ms);
        if ticks < self.next_look {
            return true;
        }
        self.next_look = ticks.saturating_add(BREATH_MS * self.engine.ticker.per_ms);
        let ms = ticks.saturating_sub(self.running().begin_ticks) / self.engine.ticker.per_ms;
        let running = self.running();
        let is_function = running.is_function;
        if !std::mem::replace(&mut running.is_slow, true) {
            let verb = if is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
            log::warn!(
                "Slow script detected: still in execution after {ms} milliseconds. You can try killing the script using \
                 the {verb} command. Script name is: {}.",
                self.running().name
            );
        }
        self.breathe(busy_text(is_function), 0);
        let resumed = self.call.host.ticks();
        self.pace.paused(ticks, resumed);
        !self.running().is_killed
    }

    fn pace(&self) -> Option<&Pace> {
        Some(&self.pace)
    }

    fn ends_at(&mut self, place: Option<(String, usize)>) {
        let running = self.running();
        running.ended_at = running.ended_at.take().or(place);
    }

    fn console(&mut self) -> Option<&mut Console> {
        self.debugger()
    }

    fn next_command(&mut self) -> Option<Vec<Vec<u8>>> {
        self.wait_for_command()
    }

    fn is_late(&mut self) -> bool {
        self.has_run_for_long()
    }

    fn has_to_end(&mut self) -> bool {
        self.running().is_killed || self.debugger().is_some_and(|console| console.ends.is_some())
    }
}

impl Session<'_, '_> {
    fn answer_ask(&mut self, lua: &Lua, what: Ask, args: &[Value]) -> Result<Vec<Value>, Failure> {
        match what {
            Ask::Log => super::log_from_script(lua, args),
            Ask::SetResp => {
                let [version] = args else {
                    return Err(Failure::text("redis.setresp() requires one argument."));
                };
                match number_or_text(lua, version)? as i64 {
                    2 => self.running().resp = 2,
                    3 => self.running().resp = 3,
                    _ => return Err(Failure::text("RESP version must be 2 or 3.")),
                }
                let version = self.running().resp;
                self.engine.clients[self.call.slot].resp = version;
                Ok(Vec::new())
            }
            Ask::SetRepl => {
                let [flags] = args else {
                    return Err(Failure::text("redis.set_repl() requires one argument."));
                };
                let flags = number_or_text(lua, flags)? as i64;
                if flags & !i64::from(target::ALL) != 0 {
                    return Err(Failure::text(
                        "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
                    ));
                }
                self.running().replicates = flags as u8;
                Ok(Vec::new())
            }
            Ask::AclCheck => {
                if args.is_empty() {
                    return Err(Failure::text(
                        "Please specify at least one argument for this redis lib call",
                    ));
                }
                let mut request = Request::default();
                for arg in args {
                    match (arg, number_of(arg)) {
                        (Value::String(text), _) => request.push(&text.as_bytes()),
                        (_, Some(number)) => request.push_number(number),
                        _ => {
                            return Err(Failure::text(
                                "Lua redis lib command arguments must be strings or integers",
                            ));
                        }
                    }
                }
                let args = request.args();
                match self.engine.table.resolve(&args) {
                    Ok(row) if !row.admits(args.len()) => {
                        Err(Failure::text("Wrong number of args for redis.acl_check_cmd()"))
                    }
                    Ok(row) => {
                        let may = self.engine.may(self.call.slot, row, args).is_ok();
                        Ok(vec![Value::Boolean(may)])
                    }
                    Err(_) => Err(Failure::text("Invalid command passed to redis.acl_check_cmd()")),
                }
            }
            Ask::Breakpoint => Ok(vec![Value::Boolean(false)]),
            Ask::Debug => Ok(Vec::new()),
            Ask::Register => {
                Err(Failure::text("redis.register_function can only be called on FUNCTION LOAD command"))
            }
        }
    }

    /// Runs a command and keeps its answer, or tells why it may not run.
    fn call_command(&mut self, args: Args<'_>) -> Result<(), (Option<&'static Row>, Cow<'static, str>)> {
        if let Some(console) = self.debugger() {
            console.log_command(args.iter_from(0));
        }
        let Ok(row) = self.engine.table.resolve(&args) else {
            return Err((None, Cow::Borrowed("ERR Unknown Redis command called from script")));
        };
        let slot = self.call.slot;
        let admitted = self.engine.admit_script(self.call.host, slot, args, row, Asker::ScriptCall);
        if let Err(Refusal::Error(error)) = admitted {
            return Err((Some(row), Cow::Owned(error.to_string())));
        }
        self.running().has_written |= row.has(flag::WRITE);
        let targets = self.running().replicates;
        self.engine.propagation.set_targets(targets);
        self.engine.run_admitted(&mut *self.call.host, slot, args, row, None);
        self.engine.propagation.set_targets(target::ALL);
        let answer = std::mem::take(&mut self.engine.clients[slot].out);
        match answer.one_piece() {
            Some(_) => self.answer = Some(answer),
            None => self.whole = answer.into_bytes(),
        }
        if let Some(console) = &mut self.engine.scripts.console {
            console.log_reply(self.answer.as_ref().and_then(Output::one_piece).unwrap_or(&self.whole));
        }
        Ok(())
    }

    /// Lets the shell serve others, and sleep for so many milliseconds if nobody has anything to say. Its own client gets
    /// back for that time what belongs to it: its output, or what the debugger has said.
    pub(super) fn breathe(&mut self, refusal: &'static str, wait_ms: u64) {
        let (engine, slot) = (&mut *self.engine, self.call.slot);
        let real = match &mut engine.scripts.console {
            Some(console) => std::mem::take(&mut console.out),
            None => self.out.take().unwrap_or_default(),
        };
        let is_debugging = engine.scripts.console.is_some();
        let scratch = std::mem::replace(&mut engine.clients[slot].out, real);
        let version = std::mem::replace(&mut engine.clients[slot].resp, self.resp);
        let (now, now_ticks) = (engine.now, engine.ticker.now_ticks);
        if is_debugging && !engine.clients[slot].out.is_empty() {
            engine.queue_output(slot);
        }
        engine.breathe(self.call, refusal, wait_ms);
        // A script keeps its time, but for what TIME says.
        (engine.now, engine.ticker.now_ticks) = (now, now_ticks);
        engine.clients[slot].resp = version;
        let real = std::mem::replace(&mut engine.clients[slot].out, scratch);
        match &mut engine.scripts.console {
            Some(console) => console.out = real,
            None => self.out = Some(real),
        }
        let clock_us = self.call.host.now().unix_us;
        self.running().clock_us = Some(clock_us);
        if self.engine.is_ending() {
            self.running().is_killed = true;
        }
    }
}
