//! Functions of the prelude as scripts see them: functions of C.
//!
//! A function in Lua that stands before a stock one would show. Called in the last act of a function it takes the place
//! of its caller on the stack, and the line and the name of the script are lost to errors; called by another name its
//! errors have the wrong one; and a coroutine can be made of it. So each stands behind a function of C, which calls it,
//! and, if it has nothing to say, runs the stock function in its own place, whose errors are then right to the letter.
//!
//! As in [`super::stack`] an error may jump over any frame that calls the interpreter: **no frame owns anything.**
#![allow(
    unsafe_code,
    reason = "the wrapper of the interpreter has no functions that take the place of others"
)]

use super::matching;
use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Table, Value};
use std::ffi::c_int;

/// Gives the prelude what makes these functions.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn add_makers(lua: &Lua, server: &Table) -> mlua::Result<()> {
    server.raw_set(
        "guarded",
        lua.create_function(|lua, (before, stock, after): (Value, Value, Value)| {
            closure(lua, guarded, [before, stock, after])
        })?,
    )?;
    server.raw_set("pcall", lua.create_function(|lua, seen: Value| closure(lua, pcall, [seen]))?)?;
    server.raw_set("xpcall", lua.create_function(|lua, seen: Value| closure(lua, xpcall, [seen]))?)?;
    server.raw_set(
        "wrapped",
        lua.create_function(|lua, (thread, resume, seen): (Value, Value, Value)| {
            closure(lua, wrapped, [thread, resume, seen])
        })?,
    )?;
    let matchers = |lua: &Lua, look: Value| {
        let table = lua.create_table()?;
        for (name, function) in matching::FUNCTIONS {
            table.raw_set(*name, closure(lua, *function, [look.clone()])?)?;
        }
        Ok(table)
    };
    server.raw_set("matchers", lua.create_function(matchers)?)
}

/// A function of C with values of its own.
fn closure<const N: usize>(
    lua: &Lua,
    function: ffi::lua_CFunction,
    own: [Value; N],
) -> mlua::Result<Function> {
    let own: mlua::MultiValue = own.into_iter().collect();
    // SAFETY: the values lie on the stack, and the call leaves one function in their place.
    unsafe { lua.exec_raw(own, |state| ffi::lua_pushcclosure(state, function, N as c_int)) }
}

// SAFETY, for all functions below: the interpreter passes a state that is good for the length of the call, with the
// arguments alone on its stack and 20 places free; no frame owns anything.

/// Places that a call takes beside its arguments.
const PLACES: c_int = 4;

/// Runs `before`; where it gives nothing, the stock function; and lets `after` have its results.
unsafe extern "C-unwind" fn guarded(state: *mut lua_State) -> c_int {
    const BEFORE: c_int = ffi::lua_upvalueindex(1);
    const STOCK: c_int = ffi::lua_upvalueindex(2);
    const AFTER: c_int = ffi::lua_upvalueindex(3);
    unsafe {
        let count = ffi::lua_gettop(state);
        if ffi::lua_isnil(state, BEFORE) == 0 {
            ffi::luaL_checkstack_(state, count + PLACES, c"too many arguments".as_ptr());
            ffi::lua_pushvalue(state, BEFORE);
            (1..=count).for_each(|index| ffi::lua_pushvalue(state, index));
            ffi::lua_call(state, count, ffi::LUA_MULTRET);
            let results = ffi::lua_gettop(state) - count;
            if results > 0 && ffi::lua_toboolean(state, count + 1) != 0 {
                return results - 1;
            }
            ffi::lua_settop(state, count);
        }
        let Some(stock) = ffi::lua_tocfunction(state, STOCK) else { return 0 };
        let results = stock(state);
        if ffi::lua_isnil(state, AFTER) != 0 {
            return results;
        }
        let below = ffi::lua_gettop(state) - results;
        ffi::luaL_checkstack_(state, PLACES, c"too many results".as_ptr());
        ffi::lua_pushvalue(state, AFTER);
        ffi::lua_insert(state, below + 1);
        ffi::lua_call(state, results, ffi::LUA_MULTRET);
        ffi::lua_gettop(state) - below
    }
}

/// Replaces the error on top by what scripts see of it.
unsafe fn see(state: *mut lua_State, seen: c_int) {
    unsafe {
        ffi::lua_pushvalue(state, seen);
        ffi::lua_insert(state, -2);
        ffi::lua_call(state, 1, 1);
    }
}

/// `pcall`: of an error of a command its text is caught.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    unsafe {
        // Without anything to call Redis calls the truth.
        if ffi::lua_gettop(state) == 0 {
            ffi::lua_pushboolean(state, 1);
        }
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        if ffi::lua_pcall(state, ffi::lua_gettop(state) - 2, ffi::LUA_MULTRET, 0) == ffi::LUA_OK {
            return ffi::lua_gettop(state);
        }
        ffi::lua_settop(state, 2);
        see(state, ffi::lua_upvalueindex(1));
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            ffi::lua_getfield(state, -1, c"err".as_ptr());
            // What is no text follows as a result of its own.
            if ffi::lua_isstring(state, -1) != 0 {
                ffi::lua_replace(state, -2);
            }
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_replace(state, 1);
        ffi::lua_gettop(state)
    }
}

/// Handlers of errors within handlers, until it is given up.
const HANDLERS_MAX: usize = 190;

/// `xpcall`. The handler runs when the stack is unwound: within the error itself nothing could end a handler that loops
/// for ever. Scripts cannot look at the stack, so they see no difference.
unsafe extern "C-unwind" fn xpcall(state: *mut lua_State) -> c_int {
    const HANDLER: c_int = 2;
    unsafe {
        ffi::luaL_checkany(state, HANDLER);
        ffi::lua_settop(state, HANDLER);
        ffi::lua_pushvalue(state, 1);
        if ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 0) == ffi::LUA_OK {
            ffi::lua_pushboolean(state, 1);
            ffi::lua_replace(state, HANDLER);
            return ffi::lua_gettop(state) - 1;
        }
        // What the handler fails with is handled, too.
        let mut is_handled = false;
        for _ in 0..HANDLERS_MAX {
            see(state, ffi::lua_upvalueindex(1));
            ffi::lua_pushvalue(state, HANDLER);
            ffi::lua_insert(state, -2);
            is_handled = ffi::lua_pcall(state, 1, 1, 0) == ffi::LUA_OK;
            if is_handled {
                break;
            }
        }
        if !is_handled {
            ffi::lua_pushstring(state, c"error in error handling".as_ptr());
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_insert(state, -2);
    }
    2
}

/// What `coroutine.wrap` gives. A message that leaves the coroutine gets the line of the caller before it.
unsafe extern "C-unwind" fn wrapped(state: *mut lua_State) -> c_int {
    const THREAD: c_int = ffi::lua_upvalueindex(1);
    const RESUME: c_int = ffi::lua_upvalueindex(2);
    const SEEN: c_int = ffi::lua_upvalueindex(3);
    unsafe {
        ffi::lua_pushvalue(state, THREAD);
        ffi::lua_insert(state, 1);
        let Some(resume) = ffi::lua_tocfunction(state, RESUME) else { return 0 };
        let results = resume(state);
        if ffi::lua_toboolean(state, -results) != 0 {
            return results - 1;
        }
        see(state, SEEN);
        if ffi::lua_isstring(state, -1) != 0 {
            ffi::luaL_where(state, 1);
            ffi::lua_insert(state, -2);
            ffi::lua_concat(state, 2);
        }
        ffi::lua_error(state)
    }
}
