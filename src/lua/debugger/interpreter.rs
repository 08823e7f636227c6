//! An interpreter with Lua's debug library, which mlua gives only to those who answer for what it can break.
//!
//! The library can reach what mlua keeps for itself: the registry, the metatables of its objects, the upvalues of its
//! functions. So two conditions hold. Of its functions only `getinfo` and `getlocal`, which look and change nothing, are
//! taken out, for `debugger.lua`. And nobody finds the library itself any more, not even who has the real globals.
#![allow(unsafe_code, reason = "locals and calls of a script can be seen only through Lua's debug library")]

use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};

/// An interpreter with the libraries that are named, and a table with `getinfo` and `getlocal`.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn new(libraries: StdLib, options: LuaOptions) -> mlua::Result<(Lua, Table)> {
    // SAFETY: what makes the constructor unsafe are modules in C, which only the library `package` loads, and the debug
    // library. The former is not asked for. The latter is emptied here, before any code has run, so that all tables that
    // refer to it, globals and registry, are left with an empty table. What remains of it only reads the stack.
    let lua = unsafe { Lua::unsafe_new_with((libraries | StdLib::DEBUG) & !StdLib::PACKAGE, options) };
    let library: Table = lua.globals().raw_get("debug")?;
    let frames = lua.create_table()?;
    for name in ["getinfo", "getlocal"] {
        frames.raw_set(name, library.raw_get::<Function>(name)?)?;
    }
    library.clear()?;
    lua.globals().raw_set("debug", Value::Nil)?;
    Ok((lua, frames))
}
