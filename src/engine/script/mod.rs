//! Scripts and functions: what is compiled, what runs, and how EVAL, FCALL and their kind run it.
//!
//! There are two interpreters, made when they are first needed: one for the scripts of EVAL, one for libraries, so that
//! throwing away the scripts does not touch the functions. Scripts that EVAL brought are kept for EVALSHA, the latest
//! [`EVAL_SCRIPTS_MAX`] of them; those of SCRIPT LOAD stay.

mod debugger;
pub mod flags;
pub mod library;
mod run;

use super::error::{CmdError, CmdResult};
use super::table::Row;
use super::{Call, Engine, Host};
use crate::base::id::ClientId;
use crate::base::limit::EVAL_SCRIPTS_MAX;
use crate::base::number::parse_i64;
use crate::config::LogLevel;
use crate::lua::native::{Failure, number_of};
use crate::lua::vm::{Chance, Purpose, Vm};
use crate::lua::{debugger::Console, stack};
use crate::resp::{Args, Output};
use bytes::Bytes;
use flags::script_flag;
use library::Libraries;
use mlua::{Lua, RegistryKey, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A digest of SHA-1.
type Sha = [u8; 20];

/// A script that EVALSHA finds.
struct Script {
    text: Bytes,
    /// Where the interpreter keeps the function.
    function: RegistryKey,
    /// Bits of [`script_flag`].
    flags: u32,
    /// Its place among those that may be forgotten; none for one that was loaded to stay.
    used: Option<u64>,
}

/// What a script is called.
#[derive(Clone)]
pub enum Name {
    /// Its digest.
    Sha([u8; 20]),
    /// The name of a function.
    Function(Rc<str>),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Sha(sha) => f.write_str(&hex(sha)),
            Name::Function(name) => f.write_str(name),
        }
    }
}

/// The script that runs.
pub struct Running {
    /// SHA1 of the script, or name of the function.
    pub name: Name,
    /// FCALL, not EVAL.
    pub is_function: bool,
    /// Who asked for it.
    pub client: ClientId,
    /// The request, of a function.
    pub command: Vec<Bytes>,
    /// Ticks of the host at its begin.
    pub begin_ticks: u64,
    /// It may not change the keyspace.
    pub is_read_only: bool,
    /// It may use memory beyond the limit.
    pub allows_oom: bool,
    /// It has run a command that may change the keyspace.
    pub has_written: bool,
    /// It has to end.
    pub is_killed: bool,
    /// It takes so long that others are told.
    pub is_slow: bool,
    /// The wall clock when others last spoke, in microseconds: TIME goes on then, deadlines do not.
    pub clock_us: Option<u64>,
    /// Version of the protocol that its client speaks, which is not that of the commands in it.
    pub client_resp: u8,
    /// Where it was when it had to end.
    pub ended_at: Option<(String, usize)>,
    /// What is propagated: see [`repl`].
    pub replicates: u8,
    /// Protocol version of the replies that it gets.
    pub resp: u8,
}

/// All scripts and functions.
#[derive(Default)]
pub struct Scripts {
    vm: Option<Rc<Vm>>,
    cached: BTreeMap<Sha, Script>,
    /// Those that may be forgotten, least recently used first.
    recent: BTreeMap<u64, Sha>,
    uses: u64,
    /// Libraries of functions.
    pub libraries: Libraries,
    chance: Chance,
    /// The one that runs.
    pub running: Option<Running>,
    /// Where the replies to commands of a script go.
    scratch: Output,
    /// Memory for the requests of scripts.
    request: stack::Request,
    /// The connection of the debugger that runs the script.
    console: Option<Box<Console>>,
}

impl Scripts {
    /// Scripts that EVALSHA finds.
    pub fn cached(&self) -> usize {
        self.cached.len()
    }

    /// Memory of the interpreter of EVAL, in bytes; 0 before it was needed.
    pub fn vm_bytes(&self) -> usize {
        self.vm.as_ref().map_or(0, |vm| vm.used_bytes())
    }

    /// Lets the collectors of both interpreters do some of their work, before their memory is told.
    pub fn tidy(&self) {
        for vm in [self.vm.as_ref(), self.libraries.interpreter()].into_iter().flatten() {
            vm.tidy();
        }
    }

    /// Memory of the cached scripts outside of their interpreter, in bytes.
    pub fn cached_bytes(&self) -> usize {
        self.cached.values().map(|script| script.text.len() + size_of::<(Sha, Script)>() + 32).sum()
    }
}

/// What stands for a character that is no hexadecimal digit.
const NO_DIGIT: u8 = 0x80;

/// The digest that a request names.
fn parse_sha(hex: &[u8]) -> Option<Sha> {
    let mut sha = [0; 20];
    if hex.len() != 40 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => NO_DIGIT,
    };
    let mut seen = 0;
    for (byte, pair) in sha.iter_mut().zip(hex.as_chunks::<2>().0) {
        let (high, low) = (digit(pair[0]), digit(pair[1]));
        seen |= high | low;
        *byte = high << 4 | (low & 0xf);
    }
    (seen & NO_DIGIT == 0).then_some(sha)
}

fn digest(text: &[u8]) -> Sha {
    sha1_smol::Sha1::from(text).digest().bytes()
}

/// A digest in hexadecimal.
fn hex(sha: &Sha) -> String {
    sha.iter().map(|byte| format!("{byte:02x}")).collect()
}

const NO_SCRIPT: CmdError = CmdError::coded("NOSCRIPT No matching script. Please use EVAL.");

/// What a client is told when an interpreter may use no more memory.
const NO_MEMORY: CmdError = CmdError::coded("ERR not enough memory");

impl From<mlua::Error> for CmdError {
    fn from(error: mlua::Error) -> CmdError {
        log::warn!("The interpreter of scripts failed: {error}");
        NO_MEMORY
    }
}

impl Engine {
    /// EVAL and EVAL_RO.
    ///
    /// # Errors
    ///
    /// When it cannot be compiled or begun, and what it fails with.
    pub fn eval(&mut self, call: &mut Call<'_>, is_read_only: bool) -> CmdResult {
        self.announce(call);
        if self.debugs_scripts(call.slot) {
            return self.eval_in_debugger(call, is_read_only);
        }
        let keys = number_of_keys(call.args)?;
        let sha = digest(call.args.at(1));
        if !self.scripts.cached.contains_key(&sha) {
            self.compile_script(sha, call.args.bytes(1), false)?;
        }
        self.run_cached(call, sha, keys, is_read_only)
    }

    /// EVALSHA and EVALSHA_RO.
    ///
    /// # Errors
    ///
    /// When there is no such script, it cannot be begun, and what it fails with.
    pub fn eval_sha(&mut self, call: &mut Call<'_>, is_read_only: bool) -> CmdResult {
        self.announce(call);
        let sha = parse_sha(call.args.at(1)).ok_or(NO_SCRIPT)?;
        if self.debugs_scripts(call.slot) {
            return Err(CmdError::err("Please use EVAL instead of EVALSHA for debugging"));
        }
        let keys = number_of_keys(call.args)?;
        self.run_cached(call, sha, keys, is_read_only)
    }

    fn run_cached(&mut self, call: &mut Call<'_>, sha: Sha, keys: usize, is_read_only: bool) -> CmdResult {
        let scripts = &mut self.scripts;
        let (Some(script), Some(vm)) = (scripts.cached.get_mut(&sha), &scripts.vm) else {
            return Err(NO_SCRIPT);
        };
        if let Some(used) = &mut script.used {
            scripts.recent.remove(used);
            scripts.uses += 1;
            *used = scripts.uses;
            scripts.recent.insert(scripts.uses, sha);
        }
        let to_run = run::ToRun {
            vm: Rc::clone(vm),
            function: vm.kept(&script.function)?,
            name: Name::Sha(sha),
            flags: script.flags,
            is_function: false,
            is_read_only,
            keys,
        };
        self.run_script(call, to_run)
    }

    /// SCRIPT LOAD: keeps a script for EVALSHA; returns its digest in hexadecimal.
    ///
    /// # Errors
    ///
    /// When it cannot be compiled.
    pub fn load_script(&mut self, text: Bytes) -> Result<String, CmdError> {
        let sha = digest(&text);
        match self.scripts.cached.get_mut(&sha) {
            Some(script) => {
                if let Some(used) = script.used.take() {
                    self.scripts.recent.remove(&used);
                }
            }
            None => self.compile_script(sha, text, true)?,
        }
        Ok(hex(&sha))
    }

    /// The text of a script that EVALSHA finds.
    pub fn script_text(&self, hex: &[u8]) -> Option<Bytes> {
        let sha = parse_sha(hex)?;
        self.scripts.cached.get(&sha).map(|script| script.text.clone())
    }

    /// SCRIPT FLUSH: forgets all scripts and their interpreter.
    pub fn flush_scripts(&mut self) {
        self.stats.lazyfreed_objects += self.scripts.cached.len() as u64;
        self.scripts.cached.clear();
        self.scripts.recent.clear();
        self.scripts.vm = None;
    }

    fn compile_script(&mut self, sha: Sha, text: Bytes, stays: bool) -> Result<(), CmdError> {
        let shebang = flags::of_script(&text).map_err(|text| CmdError::Text(text.into()))?;
        let vm = self.eval_vm()?;
        let function = vm
            .compile(&text[shebang.bytes..], "user_script")
            .map_err(|error| CmdError::err(format!("Error compiling script (new function): {error}")))?;
        let function = vm.keep(function)?;
        let scripts = &mut self.scripts;
        let used = (!stays).then(|| {
            scripts.uses += 1;
            scripts.uses
        });
        if let Some(used) = used {
            if scripts.recent.len() >= EVAL_SCRIPTS_MAX
                && let Some((_, oldest)) = scripts.recent.pop_first()
            {
                scripts.cached.remove(&oldest);
                vm.forget_dropped();
                self.stats.evicted_scripts += 1;
            }
            scripts.recent.insert(used, sha);
        }
        scripts.cached.insert(sha, Script { text, function, flags: shebang.flags, used });
        Ok(())
    }

    fn eval_vm(&mut self) -> Result<Rc<Vm>, CmdError> {
        if let Some(vm) = &self.scripts.vm {
            return Ok(Rc::clone(vm));
        }
        let vm = self.new_vm(Purpose::Scripts)?;
        self.scripts.vm = Some(Rc::clone(&vm));
        Ok(vm)
    }

    fn new_vm(&mut self, purpose: Purpose) -> Result<Rc<Vm>, CmdError> {
        let deprecated = self.conf.lua_enable_deprecated_api;
        Ok(Rc::new(Vm::new(purpose, &self.scripts.chance, deprecated)?))
    }

    /// Memory of both interpreters, in bytes: it counts apart from that of the data.
    pub fn interpreter_bytes(&self) -> usize {
        self.scripts.vm_bytes() + self.scripts.libraries.vm_bytes()
    }

    /// The flags of an EVAL with those of its script.
    pub fn flags_of_script(&self, _: usize, row: &Row, args: Args<'_>) -> u32 {
        let shebang = args.get(1).and_then(|text| flags::of_script(text).ok());
        flags::of_command(row.flags, shebang.map_or(script_flag::COMPATIBLE, |shebang| shebang.flags))
    }

    /// The flags of an EVALSHA with those of its script.
    pub fn flags_of_digest(&self, _: usize, row: &Row, args: Args<'_>) -> u32 {
        let sha = args.get(1).and_then(parse_sha);
        let script = sha.and_then(|sha| self.scripts.cached.get(&sha));
        flags::of_command(row.flags, script.map_or(script_flag::COMPATIBLE, |script| script.flags))
    }

    /// The flags of an FCALL with those of its function.
    pub fn flags_of_function(&self, _: usize, row: &Row, args: Args<'_>) -> u32 {
        let found = args.get(1).and_then(|name| self.scripts.libraries.function_flags(name));
        flags::of_command(row.flags, found.unwrap_or(script_flag::COMPATIBLE))
    }

    /// SCRIPT KILL and FUNCTION KILL.
    ///
    /// # Errors
    ///
    /// When nothing runs that may be killed by this command.
    pub fn kill_script(&mut self, is_function: bool) -> Result<(), CmdError> {
        let Some(running) = self.scripts.running.as_mut().filter(|_| self.outermost.busy.is_some()) else {
            return Err(CmdError::coded("NOTBUSY No scripts in execution right now."));
        };
        if running.is_function != is_function {
            return Err(CmdError::coded(run::busy_text(running.is_function)));
        }
        if running.has_written {
            return Err(CmdError::coded(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait \
                 the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
            ));
        }
        running.is_killed = true;
        match is_function {
            true => log::info!("Lua script killed by user with FUNCTION KILL."),
            false => log::info!("Lua script killed by user with SCRIPT KILL."),
        }
        Ok(())
    }

    /// The wall clock in microseconds as TIME tells it: that of the command, or when a slow script last let others speak.
    pub fn clock_us(&self) -> u64 {
        self.scripts.running.as_ref().and_then(|running| running.clock_us).unwrap_or(self.now.unix_us)
    }

    /// Milliseconds for which the script that runs has been running.
    pub fn script_ms(&self, host: &mut dyn Host) -> u64 {
        let begin = self.scripts.running.as_ref().map_or(0, |running| running.begin_ticks);
        host.ticks().saturating_sub(begin) / self.ticker.per_ms
    }
}

/// The number of keys in a call of EVAL.
fn number_of_keys(args: Args<'_>) -> Result<usize, CmdError> {
    let number = parse_i64(args.at(2)).ok_or(CmdError::NotInteger)?;
    if number > args.len() as i64 - 3 {
        return Err(CmdError::err("Number of keys can't be greater than number of args"));
    }
    usize::try_from(number).map_err(|_| CmdError::err("Number of keys can't be negative"))
}

/// `redis.log(level, text...)`.
fn log_from_script(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    if args.len() < 2 {
        return Err(Failure::text("redis.log() requires two arguments or more."));
    }
    let level = match &args[0] {
        Value::String(_) => lua.coerce_number(args[0].clone())?,
        number => number_of(number),
    };
    let level = level.ok_or_else(|| Failure::text("First argument must be a number (log level)."))?;
    let level = match level as i64 {
        0 => LogLevel::Debug,
        1 => LogLevel::Verbose,
        2 => LogLevel::Notice,
        3 => LogLevel::Warning,
        _ => return Err(Failure::text("Invalid log level.")),
    };
    let mut words = Vec::new();
    for arg in &args[1..] {
        if let Some(text) = lua.coerce_string(arg.clone())? {
            words.push(String::from_utf8_lossy(&text.as_bytes()).into_owned());
        }
    }
    let text = words.join(" ");
    match level {
        LogLevel::Debug => log::trace!("{text}"),
        LogLevel::Verbose => log::debug!("{text}"),
        LogLevel::Notice | LogLevel::Nothing => log::info!("{text}"),
        LogLevel::Warning => log::warn!("{text}"),
    }
    Ok(Vec::new())
}
