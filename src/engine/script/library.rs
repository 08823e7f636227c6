//! Libraries of functions: loading, listing, dumping and calling them.

use super::Name;
use super::flags::{Header, NAMES, named, of_library, script_flag};
use super::run::ToRun;
use crate::base::limit::LIBRARY_LOAD_MS_MAX;
use crate::base::lossless;
use crate::base::number::parse_i64;
use crate::engine::error::{CmdError, CmdResult};
use crate::engine::{Call, Engine, Host};
use crate::lua::native::Failure;
use crate::lua::stack::{Answer, Request};
use crate::lua::vm::{Ask, Ended, Purpose, ScriptHost, Vm};
use crate::persist::rdb;
use bytes::Bytes;
use mlua::{Function as LuaFunction, Lua, RegistryKey, Table, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A function of a library.
pub struct Function {
    /// Its name, as it was registered.
    pub name: String,
    /// What it says about itself.
    pub description: Option<Bytes>,
    /// Bits of [`script_flag`].
    pub flags: u32,
    /// Where the interpreter keeps it.
    callback: RegistryKey,
}

impl Function {
    /// Names of its flags.
    pub fn flag_names(&self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(|(bit, _)| self.flags & bit != 0).map(|(_, name)| *name)
    }
}

/// A library.
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its text, first line included.
    pub code: Bytes,
    /// Its functions by name in small letters.
    pub functions: BTreeMap<String, Function>,
}

/// All libraries.
#[derive(Default)]
pub struct Libraries {
    vm: Option<Rc<Vm>>,
    /// By name.
    by_name: BTreeMap<String, Library>,
    /// The library of each function, by the function's name in small letters.
    by_function: BTreeMap<String, String>,
}

impl Libraries {
    /// All libraries, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Library> {
        self.by_name.values()
    }

    /// How many libraries there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no library.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many functions there are.
    pub fn functions(&self) -> usize {
        self.by_function.len()
    }

    /// The interpreter, once it was needed.
    pub(super) fn interpreter(&self) -> Option<&Rc<Vm>> {
        self.vm.as_ref()
    }

    /// Memory of the interpreter, in bytes; 0 before it was needed.
    pub fn vm_bytes(&self) -> usize {
        self.vm.as_ref().map_or(0, |vm| vm.used_bytes())
    }

    /// Memory of the libraries outside of their interpreter, in bytes.
    pub fn bytes(&self) -> usize {
        let of_function = |function: &Function| {
            function.name.len() * 2
                + function.description.as_ref().map_or(0, Bytes::len)
                + size_of::<Function>()
                + 2 * size_of::<String>()
        };
        let libraries = self.by_name.values().map(|library| {
            size_of::<Library>()
                + library.name.len() * 2
                + library.code.len()
                + library.functions.values().map(of_function).sum::<usize>()
        });
        libraries.sum()
    }

    fn find(&self, function: &[u8]) -> Option<&Function> {
        let name = String::from_utf8_lossy(function).to_ascii_lowercase();
        let library = self.by_name.get(self.by_function.get(&name)?)?;
        library.functions.get(&name)
    }

    /// The flags of a function, bits of [`script_flag`].
    pub(super) fn function_flags(&self, function: &[u8]) -> Option<u32> {
        self.find(function).map(|function| function.flags)
    }

    fn add(&mut self, library: Library) {
        for name in library.functions.keys() {
            self.by_function.insert(name.clone(), library.name.clone());
        }
        self.by_name.insert(library.name.clone(), library);
    }

    fn remove(&mut self, name: &str) -> Option<Library> {
        let library = self.by_name.remove(name)?;
        for function in library.functions.keys() {
            self.by_function.remove(function);
        }
        Some(library)
    }
}

/// What FUNCTION RESTORE does with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All goes first.
    Flush,
    /// A library of the same name is an error.
    Append,
    /// A library of the same name goes.
    Replace,
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Engine {
    /// FUNCTION LOAD: compiles a library and registers its functions; returns its name.
    ///
    /// # Errors
    ///
    /// What is wrong with it; then all is as before.
    pub fn load_library(
        &mut self,
        host: &mut dyn Host,
        code: &Bytes,
        replace: bool,
    ) -> Result<String, CmdError> {
        let header = of_library(code).map_err(|text| CmdError::Text(text.into()))?;
        self.check_header(&header)?;
        if !replace && self.scripts.libraries.by_name.contains_key(&header.name) {
            return Err(CmdError::err(format!("Library '{}' already exists", header.name)));
        }
        let library = self.compile_library(host, code, header)?;
        let libraries = &mut self.scripts.libraries;
        let taken = |name: &&String| libraries.by_function.get(*name).is_some_and(|old| *old != library.name);
        if let Some(name) = library.functions.keys().find(taken) {
            let name = &library.functions[name].name;
            return Err(CmdError::err(format!("Function {name} already exists")));
        }
        let name = library.name.clone();
        libraries.remove(&name);
        libraries.add(library);
        Ok(name)
    }

    fn check_header(&self, header: &Header) -> Result<(), CmdError> {
        if !is_name(&header.name) {
            return Err(CmdError::err(
                "Library names can only contain letters, numbers, or underscores(_) and must be at least one character \
                 long",
            ));
        }
        if !header.engine.eq_ignore_ascii_case("lua") {
            return Err(CmdError::err(format!("Engine '{}' not found", header.engine)));
        }
        Ok(())
    }

    fn compile_library(
        &mut self,
        host: &mut dyn Host,
        code: &Bytes,
        header: Header,
    ) -> Result<Library, CmdError> {
        let vm = match &self.scripts.libraries.vm {
            Some(vm) => Rc::clone(vm),
            None => {
                let vm = self.new_vm(Purpose::Functions)?;
                self.scripts.libraries.vm = Some(Rc::clone(&vm));
                vm
            }
        };
        let text = vm
            .compile(&code[header.bytes..], "user_function")
            .map_err(|error| CmdError::err(format!("Error compiling function: {error}")))?;
        let end_ticks = host.ticks().saturating_add(LIBRARY_LOAD_MS_MAX * self.ticker.per_ms);
        let mut loader = Loader { host, end_ticks, is_late: false, functions: BTreeMap::new() };
        let ended = vm.load(&mut loader, &text);
        let (is_late, functions) = (loader.is_late, loader.functions);
        let failed = |text: &str| Err(CmdError::err(format!("Error registering functions: {text}")));
        match ended {
            _ if is_late => return failed("FUNCTION LOAD timeout"),
            Ended::Value(_) if functions.is_empty() => return Err(CmdError::err("No functions registered")),
            Ended::Value(_) => {}
            Ended::Failed(error) => return failed(&error_text(&error)),
        }
        Ok(Library { name: header.name, code: code.clone(), functions })
    }

    /// FUNCTION DELETE.
    ///
    /// # Errors
    ///
    /// When there is no such library.
    pub fn delete_library(&mut self, name: &[u8]) -> Result<(), CmdError> {
        let name = String::from_utf8_lossy(name);
        match self.scripts.libraries.remove(&name) {
            Some(_) => Ok(()),
            None => Err(CmdError::err("Library not found")),
        }
    }

    /// FUNCTION FLUSH: all libraries go, and the interpreter with all that they have left in it.
    pub fn flush_libraries(&mut self) {
        let interpreters = usize::from(self.scripts.libraries.vm.is_some());
        self.stats.lazyfreed_objects += (self.scripts.libraries.len() + interpreters) as u64;
        self.scripts.libraries = Libraries::default();
    }

    /// FUNCTION DUMP: all libraries as a payload.
    pub fn dump_libraries(&self) -> Vec<u8> {
        rdb::encode_functions(self.scripts.libraries.iter().map(|library| &library.code[..]))
    }

    /// FUNCTION RESTORE.
    ///
    /// # Errors
    ///
    /// What is wrong with the payload, or why it does not fit; then all is as before.
    pub fn restore_libraries(
        &mut self,
        host: &mut dyn Host,
        payload: &[u8],
        policy: Policy,
    ) -> Result<(), CmdError> {
        let codes = rdb::decode_functions(payload).map_err(CmdError::coded)?;
        let before = std::mem::take(&mut self.scripts.libraries);
        // Compiled apart from what is there, in an interpreter that all of the new ones share.
        let mut fresh = Vec::new();
        let mut names = BTreeSet::new();
        let mut failure = None;
        let own_vm = match policy {
            Policy::Flush => None,
            Policy::Append | Policy::Replace => before.vm.clone(),
        };
        self.scripts.libraries.vm = own_vm;
        for code in codes {
            let code = Bytes::from(code);
            let made = of_library(&code).map_err(|text| CmdError::Text(text.into())).and_then(|header| {
                self.check_header(&header)?;
                if !names.insert(header.name.clone()) {
                    return Err(CmdError::err(format!("Library '{}' already exists", header.name)));
                }
                self.compile_library(host, &code, header)
            });
            match made {
                Ok(library) => fresh.push(library),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let vm = self.scripts.libraries.vm.take();
        self.scripts.libraries = before;
        if let Some(error) = failure {
            return Err(error);
        }
        self.check_collisions(&fresh, policy)?;
        if policy == Policy::Flush {
            self.flush_libraries();
        }
        let libraries = &mut self.scripts.libraries;
        libraries.vm = vm;
        for library in &fresh {
            libraries.remove(&library.name);
        }
        fresh.into_iter().for_each(|library| libraries.add(library));
        Ok(())
    }

    fn check_collisions(&self, fresh: &[Library], policy: Policy) -> Result<(), CmdError> {
        let libraries = &self.scripts.libraries;
        if let Some(library) = fresh.iter().find(|library| libraries.by_name.contains_key(&library.name))
            && policy == Policy::Append
        {
            return Err(CmdError::err(format!("Library {} already exists", library.name)));
        }
        let mut seen = BTreeSet::new();
        for function in fresh.iter().flat_map(|library| &library.functions) {
            let old = libraries.by_function.get(function.0).filter(|_| policy != Policy::Flush);
            let stays = old.is_some_and(|old| fresh.iter().all(|library| library.name != *old));
            if stays || !seen.insert(function.0) {
                return Err(CmdError::err(format!("Function {} already exists", function.1.name)));
            }
        }
        Ok(())
    }

    /// FCALL and FCALL_RO.
    ///
    /// # Errors
    ///
    /// When there is no such function, it cannot be begun, and what it fails with.
    pub fn call_function(&mut self, call: &mut Call<'_>, is_read_only: bool) -> CmdResult {
        self.announce(call);
        let libraries = &self.scripts.libraries;
        let (Some(function), Some(vm)) = (libraries.find(call.args.at(1)), &libraries.vm) else {
            return Err(CmdError::err("Function not found"));
        };
        let keys = parse_i64(call.args.at(2)).ok_or(CmdError::coded("ERR Bad number of keys provided"))?;
        if keys > call.args.len() as i64 - 3 {
            return Err(CmdError::err("Number of keys can't be greater than number of args"));
        }
        let keys = usize::try_from(keys).map_err(|_| CmdError::err("Number of keys can't be negative"))?;
        let to_run = ToRun {
            vm: Rc::clone(vm),
            function: vm.kept(&function.callback)?,
            name: Name::Function(function.name.as_str().into()),
            flags: function.flags,
            is_function: true,
            is_read_only,
            keys,
        };
        self.run_script(call, to_run)
    }
}

/// The text of an error with which a library failed while it was loaded.
fn error_text(error: &Value) -> String {
    let shown = |text: &mlua::LuaString| lossless::from_bytes(&text.as_bytes()).into_owned();
    match error {
        Value::Table(table) => match table.raw_get::<Value>("err") {
            Ok(Value::String(text)) => shown(&text),
            _ => "unknown error".to_owned(),
        },
        Value::String(text) => shown(text),
        _ => "unknown error".to_owned(),
    }
}

/// A library while it is loaded.
struct Loader<'a> {
    host: &'a mut dyn Host,
    end_ticks: u64,
    is_late: bool,
    functions: BTreeMap<String, Function>,
}

impl ScriptHost for Loader<'_> {
    fn call(&mut self, _: &mut dyn FnMut(&mut Request) -> bool) -> Answer<'_> {
        // The table that a library sees while it is loaded has no such function.
        Answer::Refused { text: b"ERR no command runs while a library is loaded", is_counted: false }
    }

    fn ask(&mut self, lua: &Lua, what: Ask, args: &[Value]) -> Result<Vec<Value>, Failure> {
        match what {
            Ask::Log => super::log_from_script(lua, args),
            Ask::Register => self.register(lua, args).map(|()| Vec::new()),
            _ => Err(Failure::text("not while a library is loaded")),
        }
    }

    fn goes_on(&mut self) -> bool {
        self.is_late |= self.host.ticks() > self.end_ticks;
        !self.is_late
    }

    fn ends_at(&mut self, _: Option<(String, usize)>) {}
}

/// What `redis.register_function` is given.
#[derive(Default)]
struct Registration {
    name: Option<String>,
    callback: Option<LuaFunction>,
    description: Option<Bytes>,
    flags: u32,
}

impl Loader<'_> {
    fn register(&mut self, lua: &Lua, args: &[Value]) -> Result<(), Failure> {
        let wanted = match args {
            [Value::Table(named)] => named_arguments(named)?,
            [_] => {
                return Err(Failure::text(
                    "calling redis.register_function with a single argument is only applicable to Lua table \
                     (representing named arguments).",
                ));
            }
            [name @ (Value::String(_) | Value::Integer(_) | Value::Number(_)), Value::Function(callback)] => {
                Registration {
                    name: lua.coerce_string(name.clone())?.map(|name| name.to_string_lossy()),
                    callback: Some(callback.clone()),
                    ..Registration::default()
                }
            }
            [Value::String(_) | Value::Integer(_) | Value::Number(_), _] => {
                return Err(Failure::text("second argument to redis.register_function must be a function"));
            }
            [_, _] => {
                return Err(Failure::text("first argument to redis.register_function must be a string"));
            }
            _ => return Err(Failure::text("wrong number of arguments to redis.register_function")),
        };
        let name =
            wanted.name.ok_or(Failure::text("redis.register_function must get a function name argument"))?;
        let callback =
            wanted.callback.ok_or(Failure::text("redis.register_function must get a callback argument"))?;
        if !is_name(&name) {
            return Err(Failure::text(
                "Library names can only contain letters, numbers, or underscores(_) and must be at least one \
                 character long",
            ));
        }
        let key = name.to_ascii_lowercase();
        if self.functions.contains_key(&key) {
            return Err(Failure::text("Function already exists in the library"));
        }
        let callback = lua.create_registry_value(callback)?;
        let function = Function { name, description: wanted.description, flags: wanted.flags, callback };
        self.functions.insert(key, function);
        Ok(())
    }
}

fn named_arguments(named: &Table) -> Result<Registration, Failure> {
    let mut found = Registration::default();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = key else {
            return Err(Failure::text("named argument key given to redis.register_function is not a string"));
        };
        match (key.to_string_lossy().as_str(), value) {
            ("function_name", Value::String(name)) => found.name = Some(name.to_string_lossy()),
            ("function_name", _) => {
                return Err(Failure::text(
                    "function_name argument given to redis.register_function must be a string",
                ));
            }
            ("description", Value::String(text)) => {
                found.description = Some(Bytes::copy_from_slice(&text.as_bytes()));
            }
            ("description", _) => {
                return Err(Failure::text(
                    "description argument given to redis.register_function must be a string",
                ));
            }
            ("callback", Value::Function(callback)) => found.callback = Some(callback),
            ("callback", _) => {
                return Err(Failure::text(
                    "callback argument given to redis.register_function must be a function",
                ));
            }
            ("flags", Value::Table(flags)) => found.flags = flags_in(&flags)?,
            ("flags", _) => {
                return Err(Failure::text(
                    "flags argument to redis.register_function must be a table representing function flags",
                ));
            }
            _ => return Err(Failure::text("unknown argument given to redis.register_function")),
        }
    }
    Ok(found)
}

fn flags_in(table: &Table) -> Result<u32, Failure> {
    let mut flags = 0;
    for index in 1.. {
        match table.raw_get::<Value>(index)? {
            Value::Nil => break,
            Value::String(name) => {
                flags |= named(&name.as_bytes()).ok_or(Failure::text("unknown flag given"))?;
            }
            _ => return Err(Failure::text("unknown flag given")),
        }
    }
    debug_assert_eq!(flags & script_flag::COMPATIBLE, 0);
    Ok(flags)
}
