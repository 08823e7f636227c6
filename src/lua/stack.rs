//! Where a script and its commands meet: on the interpreter's own stack, without the wrapper's guards.
//!
//! mlua protects each value that is pushed, since the memory of scripts is bounded and a push may fail; for a script of
//! one command that costs more than the command. The three functions here are called by the interpreter like those of
//! its own libraries. An error jumps from within a push to whoever caught it, over the frames between, which gives one
//! rule for all of this file: **no frame that pushes owns anything.** What acts on the server returns before the first
//! push, and leaves numbers and borrowed slices.
#![allow(
    unsafe_code,
    reason = "EVALSHA takes half the instructions when values are pushed without a guard each"
)]

use super::reply::{Decoder, Token};
use super::vm::LENT;
use crate::base::number::{format_double, format_i64};
use crate::resp::{Args, Span};
use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua};
use std::ffi::{CStr, c_int};
use std::slice;

/// The request of a command that a script calls.
#[derive(Default)]
pub struct Request {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Request {
    /// Its arguments.
    pub fn args(&self) -> Args<'_> {
        Args::Spans(&self.bytes, &self.spans)
    }

    /// Forgets the arguments and keeps their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Memory for the arguments, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends an argument.
    pub fn push(&mut self, text: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.end(start);
    }

    /// Appends a number: an integer where it is one up to 2^62, zero without a sign.
    pub fn push_number(&mut self, number: f64) {
        const WHOLE_MAX: u64 = 1 << 62;
        let start = self.bytes.len();
        let whole = number as i64;
        if whole as f64 == number && whole.unsigned_abs() <= WHOLE_MAX {
            self.bytes.extend_from_slice(format_i64(whole, &mut [0; 20]));
        } else {
            // C shows the sign of what is no number.
            if number.is_nan() && number.is_sign_negative() {
                self.bytes.push(b'-');
            }
            format_double(number, &mut self.bytes);
        }
        self.end(start);
    }

    fn end(&mut self, start: usize) {
        self.spans.push(Span { start: start as u32, end: self.bytes.len() as u32 });
    }
}

/// What a command of a script is answered with.
pub enum Answer<'a> {
    /// A reply.
    Reply {
        /// As it would go to a client.
        bytes: &'a [u8],
        /// Null is nil, not false: the script speaks RESP3.
        has_nil: bool,
    },
    /// An error from before the command: its text with the code.
    Refused {
        /// The text.
        text: &'a [u8],
        /// The statistics know it.
        is_counted: bool,
    },
}

/// What the function of [`runner`] is asked to run, its fourth argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A script, which finds KEYS and ARGV among the globals.
    Script = 0,
    /// A function of a library, which is given both.
    Function = 1,
    /// The text of a library, which has neither.
    Library = 2,
}

/// `redis.call`: the reply, or the error raised.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn call(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: `raising_call` keeps to what the interpreter asks of its functions; see there.
    unsafe { lua.create_c_function(raising_call) }
}

/// `redis.pcall`: the reply, or the error as a value.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn pcall(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: as in `call`.
    unsafe { lua.create_c_function(quiet_call) }
}

/// What runs scripts: takes a function, the globals, the handler of errors and a [`Kind`], and returns whether the
/// function succeeded and its result or error. The keys and arguments come from the server that is lent.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn runner(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: as in `call`.
    unsafe { lua.create_c_function(run) }
}

// SAFETY, for the three functions and what they call: the interpreter passes a state that is good for the length of the
// call, with the arguments alone on its stack and 20 places free. No frame owns anything when it pushes, as the head of
// this file has it, so that an error may jump over it.

unsafe extern "C-unwind" fn raising_call(state: *mut lua_State) -> c_int {
    if unsafe { push_answer(state) } {
        unsafe { ffi::lua_error(state) }
    }
    1
}

unsafe extern "C-unwind" fn quiet_call(state: *mut lua_State) -> c_int {
    unsafe { push_answer(state) };
    1
}

/// Runs the command that the arguments name and pushes the answer. Returns whether it is an error.
unsafe fn push_answer(state: *mut lua_State) -> bool {
    if !LENT.is_set() {
        unsafe { push_error(state, b"ERR no script is running", false) };
        return true;
    }
    // SAFETY: the answer lies in what the script was lent, and stays until the next command. None can run while it is
    // pushed: only a finalizer could, and scripts have none (see `newproxy` in the prelude).
    let answer = LENT.with(|server| unsafe {
        let answer = server.call(&mut |request| read_request(state, request));
        std::mem::transmute::<Answer<'_>, Answer<'static>>(answer)
    });
    // The arguments were read, and may fill the stack.
    unsafe { ffi::lua_settop(state, 0) };
    match answer {
        Answer::Refused { text, is_counted } => {
            unsafe { push_error(state, text, is_counted) };
            true
        }
        Answer::Reply { bytes, has_nil } => unsafe {
            push_reply(state, &mut Decoder { bytes, at: 0 }, has_nil)
        },
    }
}

/// Writes the arguments on the stack as a request; false when one is neither a string nor a number. Nothing is pushed.
unsafe fn read_request(state: *mut lua_State, request: &mut Request) -> bool {
    request.clear();
    for index in 1..=unsafe { ffi::lua_gettop(state) } {
        match unsafe { ffi::lua_type(state, index) } {
            ffi::LUA_TSTRING => {
                let mut len = 0;
                let text = unsafe { ffi::lua_tolstring(state, index, &raw mut len) };
                // SAFETY: the string is on the stack, so it lives; it is one already, so it is not made anew.
                request.push(unsafe { slice::from_raw_parts(text.cast(), len) });
            }
            ffi::LUA_TNUMBER => request.push_number(unsafe { ffi::lua_tonumber(state, index) }),
            _ => return false,
        }
    }
    true
}

unsafe extern "C-unwind" fn run(state: *mut lua_State) -> c_int {
    const FUNCTION: c_int = 1;
    const GLOBALS: c_int = 2;
    const HANDLER: c_int = 3;
    const KIND: c_int = 4;
    let kind = unsafe { ffi::lua_tonumber(state, KIND) } as u8;
    let (keys, args) = LENT.with(|host| host.counts());
    unsafe {
        let status = if kind == Kind::Function as u8 {
            ffi::lua_pushvalue(state, FUNCTION);
            push_arguments(state, 0, keys);
            push_arguments(state, keys, args);
            ffi::lua_pcall(state, 2, 1, HANDLER)
        } else {
            let is_script = kind == Kind::Script as u8;
            push_text(state, b"KEYS");
            if is_script {
                push_arguments(state, 0, keys)
            } else {
                ffi::lua_pushnil(state)
            }
            ffi::lua_rawset(state, GLOBALS);
            push_text(state, b"ARGV");
            if is_script {
                push_arguments(state, keys, args)
            } else {
                ffi::lua_pushnil(state)
            }
            ffi::lua_rawset(state, GLOBALS);
            ffi::lua_pushvalue(state, FUNCTION);
            ffi::lua_pcall(state, 0, 1, HANDLER)
        };
        ffi::lua_pushboolean(state, c_int::from(status == ffi::LUA_OK));
        ffi::lua_insert(state, -2);
    }
    2
}

/// Pushes an array of `count` of the keys and arguments, from `first` on.
unsafe fn push_arguments(state: *mut lua_State, first: usize, count: usize) {
    unsafe { ffi::lua_createtable(state, count as c_int, 0) };
    for index in 0..count {
        // SAFETY: the request of EVAL lies still as long as its script runs.
        let text: &'static [u8] =
            LENT.with(|server| unsafe { std::mem::transmute::<&[u8], _>(server.argument(first + index)) });
        unsafe {
            push_text(state, text);
            ffi::lua_rawseti_(state, -2, (index + 1) as c_int);
        }
    }
}

unsafe fn push_text(state: *mut lua_State, text: &[u8]) {
    unsafe { ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len()) };
}

/// Gives the table on top a field with the value that `push` pushes.
macro_rules! field {
    ($state:expr, $name:expr, $push:expr) => {{
        push_text($state, $name);
        $push;
        ffi::lua_rawset($state, -3);
    }};
}

/// Pushes an error as scripts see it.
unsafe fn push_error(state: *mut lua_State, text: &[u8], is_counted: bool) {
    unsafe {
        ffi::lua_createtable(state, 0, 4);
        field!(state, b"err", push_text(state, text));
        if is_counted {
            field!(state, b"ignore_error_stats_update", ffi::lua_pushboolean(state, 1));
        }
    }
}

/// Places on the stack that a reply takes beside what it holds: a table, its field, a table in that, a key and a value.
const PLACES: c_int = 6;

const TOO_DEEP: &CStr = c"reply nested too deeply";

/// Pushes the next reply; returns whether it is an error.
unsafe fn push_reply(state: *mut lua_State, replies: &mut Decoder<'_>, has_nil: bool) -> bool {
    unsafe {
        ffi::luaL_checkstack_(state, PLACES, TOO_DEEP.as_ptr());
        match replies.next() {
            Token::Bulk(text) => push_text(state, text),
            Token::Int(number) => ffi::lua_pushnumber(state, number as f64),
            Token::Null if has_nil => ffi::lua_pushnil(state),
            Token::Null => ffi::lua_pushboolean(state, 0),
            Token::Nothing => ffi::lua_pushnil(state),
            Token::Bool(value) => ffi::lua_pushboolean(state, c_int::from(value)),
            Token::Status(text) => {
                ffi::lua_createtable(state, 0, 1);
                field!(state, b"ok", push_text(state, text));
            }
            Token::Error(text) => {
                // The command that failed was counted.
                push_error(state, text, true);
                return true;
            }
            Token::Array(len) => {
                // Nulls of version 3 leave holes; where a table with holes ends depends on how it came to be.
                ffi::lua_createtable(state, if has_nil { 0 } else { len as c_int }, 0);
                for index in 1..=len {
                    push_reply(state, replies, has_nil);
                    ffi::lua_rawseti_(state, -2, index as c_int);
                }
            }
            Token::Map(len) => {
                ffi::lua_createtable(state, 0, 1);
                field!(state, b"map", push_pairs(state, replies, len, has_nil));
            }
            Token::Set(len) => {
                ffi::lua_createtable(state, 0, 1);
                field!(state, b"set", {
                    // Not made for so many members: in what order a script finds them depends on how the table grew.
                    ffi::lua_createtable(state, 0, 0);
                    for _ in 0..len {
                        push_reply(state, replies, has_nil);
                        ffi::lua_pushboolean(state, 1);
                        ffi::lua_rawset(state, -3);
                    }
                });
            }
            Token::Double(number) => {
                ffi::lua_createtable(state, 0, 1);
                field!(state, b"double", ffi::lua_pushnumber(state, number));
            }
            Token::BigNumber(digits) => {
                ffi::lua_createtable(state, 0, 1);
                field!(state, b"big_number", push_text(state, digits));
            }
            Token::Verbatim { format, text } => {
                ffi::lua_createtable(state, 0, 1);
                field!(state, b"verbatim_string", {
                    ffi::lua_createtable(state, 0, 2);
                    field!(state, b"format", push_text(state, format));
                    field!(state, b"string", push_text(state, text));
                });
            }
            // What an attribute says about the reply after it is dropped.
            Token::Attribute(len) => {
                push_pairs(state, replies, len, has_nil);
                ffi::lua_settop(state, -2);
                return push_reply(state, replies, has_nil);
            }
        }
    }
    false
}

/// Pushes a table of so many pairs of replies. As with sets, it grows as Redis's does, and so has its order.
unsafe fn push_pairs(state: *mut lua_State, replies: &mut Decoder<'_>, len: usize, has_nil: bool) {
    unsafe {
        ffi::lua_createtable(state, 0, 0);
        for _ in 0..len {
            push_reply(state, replies, has_nil);
            push_reply(state, replies, has_nil);
            ffi::lua_rawset(state, -3);
        }
    }
}
