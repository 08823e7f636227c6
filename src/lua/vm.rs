//! An interpreter of Lua 5.1 in which scripts run: made once, shown to every script through the prelude.
//!
//! The functions that scripts call live as long as the interpreter, but what they act on, the host in the middle of a
//! command, is only lent for as long as a script runs. It lies meanwhile behind [`LENT`], a scoped thread-local
//! reference: safe, and 0.3 microseconds a script cheaper than functions that are made anew for each one.

use super::debugger::{self, Console};
use super::face;
use super::native::{self, Failure, Native};
use super::pace::{INSTRUCTIONS_PER_LOOK, Pace};
use super::stack::{self, Answer, Kind, Request};
use crate::base::limit::SCRIPT_MEMORY_BYTES_MAX;
use crate::base::lossless;
use mlua::chunk::ChunkMode;
use mlua::{
    Function, HookTriggers, IntoLua, Lua, LuaOptions, MultiValue, RegistryKey, StdLib, Table, Value, VmState,
};
use std::cell::Cell;
use std::rc::Rc;

/// What a script may ask of whoever runs it. Each returns whether it succeeded, then results or an error.
pub trait ScriptHost {
    /// How many keys and how many other arguments the script is given.
    fn counts(&self) -> (usize, usize) {
        (0, 0)
    }
    /// One of the keys, or, after them, of the other arguments. It lies still as long as the script runs.
    fn argument(&self, _index: usize) -> &[u8] {
        &[]
    }
    /// `redis.call` and `redis.pcall`: runs the command that `read` writes as a request; it returns false when one of the
    /// arguments can be none. The answer lies still until the next command.
    fn call(&mut self, read: &mut dyn FnMut(&mut Request) -> bool) -> Answer<'_>;
    /// `redis.log`, `redis.setresp` and their kind.
    ///
    /// # Errors
    ///
    /// An error text with its code, or what the interpreter itself fails with.
    fn ask(&mut self, lua: &Lua, what: Ask, args: &[Value]) -> Result<Vec<Value>, Failure>;
    /// Some instructions were executed; false when the script has to end.
    fn goes_on(&mut self) -> bool;
    /// How often it is looked at.
    fn pace(&self) -> Option<&Pace> {
        None
    }
    /// It ends here, in this line of this file.
    fn ends_at(&mut self, place: Option<(String, usize)>);
    /// The connection of the debugger, when the script runs in one.
    fn console(&mut self) -> Option<&mut Console> {
        None
    }
    /// Sends what was said on the console and waits for the next command of its client. None: there will be no more.
    fn next_command(&mut self) -> Option<Vec<Vec<u8>>> {
        None
    }
    /// Whether the script has been running in the debugger for so long that the client gets it back.
    fn is_late(&mut self) -> bool {
        false
    }
    /// Whether the script has to end; unlike [`ScriptHost::goes_on`] it lets nobody else speak.
    fn has_to_end(&mut self) -> bool {
        false
    }
}

/// The functions of the table `redis`, but for `call` and `pcall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `redis.log(level, text...)`.
    Log,
    /// `redis.setresp(version)`.
    SetResp,
    /// `redis.set_repl(flags)`.
    SetRepl,
    /// `redis.acl_check_cmd(command, argument...)`.
    AclCheck,
    /// `redis.breakpoint()`.
    Breakpoint,
    /// `redis.debug(value...)`.
    Debug,
    /// `redis.register_function(...)`.
    Register,
}

scoped_tls_hkt::scoped_thread_local!(pub(super) static mut LENT: for<'a> &'a mut (dyn ScriptHost + 'a));

/// What a script ended with.
pub enum Ended {
    /// A value.
    Value(Value),
    /// An error: a table with `err` and perhaps `source` and `line`, or a string.
    Failed(Value),
}

/// So much more memory than at the last look is worth one: scripts leave garbage.
const GARBAGE_BYTES: usize = 32 << 20;

/// Steps of the collector after such a script: of 2 KiB each, less than a millisecond together.
const COLLECTOR_STEPS: u32 = 500;

/// Steps of the collector after a library: their texts leave garbage, and are seldom loaded by the thousand.
const STEPS_PER_LIBRARY: u32 = 32;

/// What an interpreter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The scripts of EVAL.
    Scripts,
    /// The functions of libraries, which have nothing of what only scripts need: the debugger's functions, and
    /// `redis.replicate_commands`.
    Functions,
}

/// Where the random numbers of all scripts and functions come from.
pub type Chance = Rc<Cell<Lrand48>>;

/// An interpreter.
pub struct Vm {
    lua: Lua,
    run: Function,
    handler: Function,
    show_loading: Function,
    /// The real globals.
    globals: Table,
    /// What scripts see of them.
    shown: Table,
    collector: Collector,
}

/// How far the collector was driven, beside what it does of its own accord.
struct Collector {
    /// Memory in use beyond which it is driven.
    from_bytes: Cell<usize>,
    /// Cycles that it was not driven through yet.
    cycles_due: Cell<u32>,
}

impl Vm {
    /// An interpreter for `purpose`, which draws from `chance`; `deprecated`: with the functions that were withdrawn for safety.
    ///
    /// # Errors
    ///
    /// When the memory does not suffice.
    pub fn new(purpose: Purpose, chance: &Chance, deprecated: bool) -> mlua::Result<Vm> {
        let lua = Lua::new_with(libraries(), options())?;
        lua.set_memory_limit(SCRIPT_MEMORY_BYTES_MAX)?;
        let made = run_prelude(&lua, server_table(&lua, purpose, chance)?, deprecated)?;
        look_after(&lua, INSTRUCTIONS_PER_LOOK)?;
        Vm::made(lua, &made)
    }

    /// An interpreter whose scripts stop for a debugger; `source` is the text that the debugger shows. It is good for one
    /// script, which has to be named `user_script`.
    ///
    /// # Errors
    ///
    /// When the memory does not suffice.
    pub fn for_debugger(chance: &Chance, deprecated: bool, source: &[u8]) -> mlua::Result<Vm> {
        let (lua, frames) = debugger::interpreter::new(libraries(), options())?;
        lua.set_memory_limit(SCRIPT_MEMORY_BYTES_MAX)?;
        let server = server_table(&lua, Purpose::Scripts, chance)?;
        let apis = [server.raw_get::<Table>("redis")?, server.raw_get("server")?];
        let debugger = lua.load(include_str!("debugger/debugger.lua")).set_name(PRELUDE);
        let client = debugger::client_table(&lua)?;
        let lines = debugger::lines_of(&lua, source)?;
        let debugger: Table = debugger.set_mode(ChunkMode::Text).call((frames, client, lines, apis))?;
        let made = run_prelude(&lua, server, deprecated)?;
        let shown = (made.raw_get::<Table>("globals")?, made.raw_get::<Function>("seen")?);
        debugger.raw_get::<Function>("begin")?.call::<()>(shown)?;
        let reach: Function = debugger.raw_get("reach")?;
        let triggers = every(INSTRUCTIONS_PER_LOOK).every_line();
        lua.set_global_hook(triggers, move |lua, event| debugger::at_event(lua, event, &reach))?;
        Vm::made(lua, &made)
    }

    fn made(lua: Lua, made: &Table) -> mlua::Result<Vm> {
        Ok(Vm {
            run: stack::runner(&lua)?,
            handler: made.raw_get("handler")?,
            show_loading: made.raw_get("show_loading")?,
            globals: made.raw_get("real_globals")?,
            shown: made.raw_get("globals")?,
            collector: Collector { from_bytes: Cell::new(GARBAGE_BYTES), cycles_due: Cell::new(0) },
            lua,
        })
    }

    /// Memory in use, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a script; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// What the compiler says, with the line.
    pub fn compile(&self, text: &[u8], name: &str) -> Result<Function, String> {
        const COMPILED: u8 = 0x1B;
        if text.first() == Some(&COMPILED) {
            // Elsewhere; here it is a text that begins with this sign.
            return Err(format!("{name}:1: unexpected symbol near 'char({COMPILED})'"));
        }
        let chunk = self.lua.load(text).set_name(format!("@{name}")).set_mode(ChunkMode::Text);
        let made = chunk.set_environment(self.shown.clone()).into_function();
        made.map_err(|error| match text_of(&error) {
            lossy if lossy.contains(char::REPLACEMENT_CHARACTER) => {
                self.fault_of(text, name).unwrap_or(lossy)
            }
            whole => whole,
        })
    }

    /// What is wrong with a text, in the very bytes that the interpreter's API would lose: [`lossless`].
    fn fault_of(&self, text: &[u8], name: &str) -> mlua::Result<String> {
        let load: Function = self.globals.raw_get("loadstring")?;
        let arguments = (self.lua.create_string(text)?, format!("@{name}"));
        let (_, fault): (Value, mlua::LuaString) = load.call(arguments)?;
        Ok(lossless::from_bytes(&fault.as_bytes()).into_owned())
    }

    /// Runs a script, or a function of a library, with the keys and arguments of its host.
    pub fn run(&self, host: &mut dyn ScriptHost, script: &Function, is_function: bool) -> Ended {
        self.call(host, script, if is_function { Kind::Function } else { Kind::Script })
    }

    /// Runs the text of a library, which registers its functions.
    pub fn load(&self, host: &mut dyn ScriptHost, text: &Function) -> Ended {
        if let Err(error) = self.show_loading.call::<()>(true) {
            return Ended::Failed(self.error_value(&error));
        }
        let ended = self.call(host, text, Kind::Library);
        self.advance(STEPS_PER_LIBRARY);
        match self.show_loading.call::<()>(false) {
            Ok(()) => ended,
            Err(error) => Ended::Failed(self.error_value(&error)),
        }
    }

    fn call(&self, host: &mut dyn ScriptHost, function: &Function, kind: Kind) -> Ended {
        let args = (function, &self.globals, &self.handler, kind as u8);
        let done = LENT.set(&mut *host, || self.run.call::<(bool, Value)>(args));
        self.collect_some();
        if !host.goes_on() || host.pace().is_some_and(Pace::is_slow) {
            self.look_seldom();
        }
        match done {
            Ok((true, value)) => Ended::Value(value),
            Ok((false, error)) => Ended::Failed(error),
            Err(error) => Ended::Failed(self.error_value(&error)),
        }
    }

    /// Lets the collector end its cycle and go through one more, as far as it gets with as many steps as after a script: what
    /// is told of a small interpreter's memory does not hang on when its collector ran last.
    pub fn tidy(&self) {
        self.advance(COLLECTOR_STEPS);
    }

    /// At most so many steps of the collector, and no more than it needs to find what is garbage now.
    fn advance(&self, steps: u32) {
        let mut cycles = 0;
        for _ in 0..steps {
            match self.lua.gc_step() {
                Ok(is_over) => cycles += u32::from(is_over),
                Err(error) => return log::warn!("The interpreter of scripts failed: {error}"),
            }
            if cycles == 2 {
                return;
            }
        }
    }

    /// Lets the collector go on. Left alone it works only when scripts allocate, so one large script would leave its garbage
    /// to count as memory of the server, and the next script would find too little.
    fn collect_some(&self) {
        let Collector { from_bytes, cycles_due } = &self.collector;
        if cycles_due.get() == 0 {
            let used_bytes = self.used_bytes();
            if used_bytes <= from_bytes.get() {
                // What is not used any more is no script that is kept.
                return from_bytes.set(from_bytes.get().min(used_bytes + GARBAGE_BYTES));
            }
            // What became garbage while a cycle was under way is found by the next one.
            cycles_due.set(2);
        }
        for _ in 0..COLLECTOR_STEPS {
            match self.lua.gc_step() {
                Ok(is_over) => cycles_due.set(cycles_due.get() - u32::from(is_over)),
                Err(error) => return log::warn!("The interpreter of scripts failed: {error}"),
            }
            if cycles_due.get() == 0 {
                // The rest is scripts that are kept.
                return from_bytes.set(self.used_bytes() + GARBAGE_BYTES);
            }
        }
    }

    /// Runs what reads values of the interpreter, with all the memory that this takes: an answer that has been begun is
    /// given to its end, also after a script that used up what there was.
    pub fn reading<T>(&self, read: impl FnOnce() -> T) -> T {
        let limit = self.lua.set_memory_limit(0);
        let done = read();
        if let Err(error) = limit.and_then(|limit| self.lua.set_memory_limit(limit)) {
            log::warn!("The interpreter of scripts failed: {error}");
        }
        done
    }

    /// After a script that was looked at after every instruction.
    fn look_seldom(&self) {
        self.lua.remove_hook();
        if let Err(error) = look_after(&self.lua, INSTRUCTIONS_PER_LOOK) {
            log::warn!("The interpreter of scripts failed: {error}");
        }
    }

    fn error_value(&self, error: &mlua::Error) -> Value {
        text_of(error).into_lua(&self.lua).unwrap_or(Value::Nil)
    }

    /// Keeps a function; there may be any number of them.
    ///
    /// # Errors
    ///
    /// When the memory does not suffice.
    pub fn keep(&self, function: Function) -> mlua::Result<RegistryKey> {
        self.lua.create_registry_value(function)
    }

    /// A function that is kept.
    ///
    /// # Errors
    ///
    /// When the memory does not suffice.
    pub fn kept(&self, key: &RegistryKey) -> mlua::Result<Function> {
        self.lua.registry_value(key)
    }

    /// Lets go of functions whose keys were dropped.
    pub fn forget_dropped(&self) {
        self.lua.expire_registry_values();
    }
}

/// The libraries of Lua that scripts use, or what stands for them.
fn libraries() -> StdLib {
    StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::OS
}

fn options() -> LuaOptions {
    LuaOptions::new().catch_rust_panics(false)
}

/// Makes the globals of scripts and what runs them.
fn run_prelude(lua: &Lua, server: Table, deprecated: bool) -> mlua::Result<Table> {
    let prelude = lua.load(include_str!("prelude.lua")).set_name(PRELUDE).set_mode(ChunkMode::Text);
    prelude.call((server, deprecated))
}

/// The name of the prelude, which no script can have.
const PRELUDE: &str = "=(server)";

fn every(instructions: u32) -> HookTriggers {
    HookTriggers::new().every_nth_instruction(instructions)
}

/// Has scripts looked at after so many instructions, or as many as their pace asks for then.
fn look_after(lua: &Lua, instructions: u32) -> mlua::Result<()> {
    lua.set_global_hook(every(instructions), |lua, _| {
        let state = look(lua)?;
        if LENT.is_set()
            && let Some(instructions) = LENT.with(|host| host.pace().and_then(Pace::change))
        {
            look_after(lua, instructions)?;
        }
        Ok(state)
    })
}

/// Called now and then while a script runs. One that has to end gets an error at this instruction, and, should it catch
/// that, at the next one, until nothing is left of it.
pub(super) fn look(lua: &Lua) -> mlua::Result<VmState> {
    if !LENT.is_set() || LENT.with(|host| host.goes_on()) {
        return Ok(VmState::Continue);
    }
    end(lua)
}

/// Ends the script that runs.
pub(super) fn end(lua: &Lua) -> mlua::Result<VmState> {
    let place = where_it_failed(lua, 0);
    LENT.with(|host| host.ends_at(place));
    lua.set_hook(every(1), |_, _| match LENT.is_set() && !LENT.with(|host| host.goes_on()) {
        true => Err(mlua::Error::runtime("the script has to end")),
        false => Ok(VmState::Continue),
    })?;
    Err(mlua::Error::runtime("the script has to end"))
}

/// The text of an error of the interpreter, without where it was caught.
pub fn text_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        mlua::Error::CallbackError { cause, .. } => text_of(cause),
        mlua::Error::RuntimeError(text) => text.lines().next().unwrap_or_default().to_owned(),
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// All that the prelude makes the globals of scripts from.
fn server_table(lua: &Lua, purpose: Purpose, chance: &Chance) -> mlua::Result<Table> {
    let server = lua.create_table()?;
    server.raw_set("raised", lua.create_function(|lua, raised: Value| native::seen(lua, raised))?)?;
    server.raw_set("look", lua.create_function(|lua, ()| look(lua).map(drop))?)?;
    server.raw_set("where", lua.create_function(|lua, ()| Ok(where_it_was_raised(lua).unzip()))?)?;
    let libraries = lua.create_table()?;
    for (name, functions) in native::LIBRARIES {
        let library = lua.create_table()?;
        for (name, function) in *functions {
            library.raw_set(*name, native_function(lua, *function)?)?;
        }
        libraries.raw_set(*name, library)?;
    }
    native::cjson::add_functions(lua, &libraries.raw_get("cjson")?)?;
    native::cmsgpack::add_constants(&libraries.raw_get("cmsgpack")?)?;
    server.raw_set("libraries", libraries)?;
    server.raw_set("array_metatable", native::cjson::array_metatable(lua)?)?;
    server.raw_set("redis", api(lua, Api::Redis, purpose)?)?;
    server.raw_set("server", api(lua, Api::Server, purpose)?)?;
    server.raw_set("loading", api(lua, Api::Loading, purpose)?)?;
    face::add_makers(lua, &server)?;
    let (own, state) = (Rc::clone(chance), Rc::clone(chance));
    server.raw_set(
        "seed",
        lua.create_function(move |_, seed: f64| {
            own.set(Lrand48::new(seed as i64 as u32));
            Ok(())
        })?,
    )?;
    server.raw_set(
        "draw",
        lua.create_function(move |_, ()| {
            let mut generator = state.get();
            let drawn = generator.next();
            state.set(generator);
            Ok(f64::from(drawn % i32::MAX as u32) / f64::from(i32::MAX))
        })?,
    )?;
    Ok(server)
}

/// The tables through which scripts reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    /// `redis`.
    Redis,
    /// `server`, which Valkey has beside it.
    Server,
    /// What a library finds under these names while it is loaded.
    Loading,
}

/// The members of one of these tables.
fn api(lua: &Lua, which: Api, purpose: Purpose) -> mlua::Result<Table> {
    let api = lua.create_table()?;
    let asks: &[(&str, Ask)] = match which {
        Api::Loading => &[("log", Ask::Log), ("register_function", Ask::Register)],
        _ if purpose == Purpose::Functions => &[
            ("log", Ask::Log),
            ("setresp", Ask::SetResp),
            ("set_repl", Ask::SetRepl),
            ("acl_check_cmd", Ask::AclCheck),
        ],
        Api::Redis | Api::Server => &[
            ("log", Ask::Log),
            ("setresp", Ask::SetResp),
            ("set_repl", Ask::SetRepl),
            ("acl_check_cmd", Ask::AclCheck),
            ("breakpoint", Ask::Breakpoint),
            ("debug", Ask::Debug),
        ],
    };
    for &(name, what) in asks {
        let ask = move |lua: &Lua, args: MultiValue| {
            let args = native::bounded(args)?;
            let done = LENT.with(|host| host.ask(lua, what, &args));
            done.map(|values| values.into_iter().collect::<MultiValue>()).map_err(Failure::into_reply)
        };
        api.raw_set(name, lua.create_function(ask)?)?;
    }
    if which != Api::Loading {
        add_commands(lua, &api, purpose)?;
    }
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].iter().enumerate() {
        api.raw_set(*name, level)?;
    }
    let version = crate::base::REDIS_VERSION;
    let number = version.split('.').fold(0, |all, part| all << 8 | part.parse::<u32>().unwrap_or(0));
    let prefixes = if which == Api::Server { &["REDIS", "SERVER"][..] } else { &["REDIS"] };
    for prefix in prefixes {
        api.raw_set(format!("{prefix}_VERSION"), version)?;
        api.raw_set(format!("{prefix}_VERSION_NUM"), number)?;
    }
    if which == Api::Server {
        api.raw_set("SERVER_NAME", "redis")?;
    }
    Ok(api)
}

/// Adds what runs commands, and what needs nothing of the server.
fn add_commands(lua: &Lua, api: &Table, purpose: Purpose) -> mlua::Result<()> {
    api.raw_set("call", stack::call(lua)?)?;
    api.raw_set("pcall", stack::pcall(lua)?)?;
    for (name, function) in native::REDIS {
        if *name == "replicate_commands" && purpose == Purpose::Functions {
            continue;
        }
        let function = *function;
        let run = move |lua: &Lua, args: MultiValue| {
            let args = native::bounded(args)?;
            let done = function(lua, &args);
            look(lua)?;
            if let Err(Failure::Text(text)) = &done
                && LENT.is_set()
            {
                LENT.with(|host| host.console().map(|console| console.log_error(&format!("ERR {text}"))));
            }
            done.map(|values| values.into_iter().collect::<MultiValue>()).map_err(Failure::into_reply)
        };
        api.raw_set(*name, lua.create_function(run)?)?;
    }
    for (name, value) in
        [("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)]
    {
        api.raw_set(name, value)?;
    }
    Ok(())
}

fn native_function(lua: &Lua, function: Native) -> mlua::Result<Function> {
    lua.create_function(move |lua, args: MultiValue| {
        let args = native::bounded(args)?;
        native::results(lua, function(lua, &args))
    })
}

/// File and line of the function that an error is blamed on, asked by the handler of errors: the one that raised it, or,
/// where that is a function of C, the one that called it. What the prelude does behind one of its faces nobody is to know.
fn where_it_was_raised(lua: &Lua) -> Option<(String, i64)> {
    /// Below stand this function and the handler.
    const RAISED_BY: usize = 2;
    const NO_LINE: i64 = -1;
    let is_of_c = |level| lua.inspect_stack(level, |frame| frame.source().what == "C");
    let is_hidden = |level| {
        let source =
            |frame: &mlua::debug::Debug<'_>| frame.source().source.is_some_and(|name| name == PRELUDE);
        lua.inspect_stack(level, source) == Some(true)
    };
    let mut level = RAISED_BY;
    while is_hidden(level) || is_of_c(level) == Some(true) && is_hidden(level + 1) {
        level += 1;
    }
    if is_of_c(level)? {
        level += 1;
    }
    lua.inspect_stack(level, |frame| {
        let source = frame.source().source.map(|text| text.into_owned()).unwrap_or_default();
        (source, frame.current_line().map_or(NO_LINE, |line| line as i64))
    })
}

/// File and line of the innermost function of a script that is running, from a level of the stack on.
fn where_it_failed(lua: &Lua, level: usize) -> Option<(String, usize)> {
    for level in level.. {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            (source.source.map(|text| text.into_owned()), frame.current_line())
        });
        match found? {
            (Some(source), Some(line)) if source.starts_with('@') => return Some((source, line)),
            _ => {}
        }
    }
    None
}

/// The generator of `lrand48` in POSIX: X(n+1) = (a X(n) + c) mod 2^48, of which the upper 31 bits count.
#[derive(Clone, Copy)]
pub struct Lrand48(u64);

impl Default for Lrand48 {
    /// What Redis begins with.
    fn default() -> Lrand48 {
        Lrand48(0x1234_abcd_330e)
    }
}

impl Lrand48 {
    fn new(seed: u32) -> Lrand48 {
        Lrand48(u64::from(seed) << 16 | 0x330e)
    }

    fn next(&mut self) -> u32 {
        self.0 = (self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb)) & ((1 << 48) - 1);
        (self.0 >> 17) as u32
    }
}

#[cfg(test)]
mod tests;
