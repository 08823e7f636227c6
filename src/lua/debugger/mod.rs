//! SCRIPT DEBUG: a client steps through its own script.
//!
//! A session has an interpreter of its own, made for it, with Lua's debug library ([`interpreter`]) and a hook at every
//! line. What the client may do there is written in Lua (`debugger.lua`); it asks the server for three things only: to say
//! lines, for the next command of its client, and to run a command of Redis. The [`Console`] keeps what is said until it
//! is sent. While a session waits for its client, its host lets the rest of the server go on.

pub mod interpreter;
mod reply;
pub mod request;

use super::stack;
use super::vm::{LENT, end, look};
use crate::base::quote::repr;
use crate::resp::Output;
use mlua::debug::{Debug, DebugEvent};
use mlua::{Function, Lua, LuaString, Table, VmState};

/// Bytes to which values and replies are trimmed, unless the client says otherwise.
const MAXLEN_BYTES: usize = 256;

/// The connection of a debugging session.
#[derive(Debug)]
pub struct Console {
    /// Lines that were said and not sent.
    lines: Vec<Vec<u8>>,
    /// What is on its way to the client; all else that it is to be sent comes after.
    pub out: Output,
    /// Commands of the script are logged.
    pub steps: bool,
    /// Why the script has to end, as the client is told.
    pub ends: Option<&'static str>,
    /// Bytes to which values and replies are trimmed; 0: to none.
    maxlen: usize,
    /// The client knows that it can choose them.
    has_hinted: bool,
    /// Nobody is at the other end any more.
    pub is_gone: bool,
    /// When the script went on the last time, in ticks of the host.
    pub since_ticks: u64,
}

impl Default for Console {
    fn default() -> Console {
        Console {
            lines: Vec::new(),
            out: Output::default(),
            steps: true,
            ends: None,
            maxlen: MAXLEN_BYTES,
            has_hinted: false,
            is_gone: false,
            since_ticks: 0,
        }
    }
}

impl Console {
    /// Says a line.
    pub fn log(&mut self, mut line: Vec<u8>) {
        for byte in line.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
            *byte = b' ';
        }
        if !self.is_gone {
            self.lines.push(line);
        }
    }

    /// Says a line that may be trimmed.
    pub fn log_trimmed(&mut self, mut line: Vec<u8>) {
        if self.maxlen == 0 || line.len() <= self.maxlen {
            return self.log(line);
        }
        line.truncate(self.maxlen);
        line.extend_from_slice(b" ...");
        self.log(line);
        if !std::mem::replace(&mut self.has_hinted, true) {
            self.log(b"<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.".to_vec());
        }
    }

    /// Says which error a script gets, when its commands are logged; `text` has its code.
    pub fn log_error(&mut self, text: &str) {
        if self.steps {
            self.log(match text.strip_prefix("ERR ") {
                Some(text) => format!("<error> {text}").into_bytes(),
                None => format!("<error> -{text}").into_bytes(),
            });
        }
    }

    /// Says which command a script runs, when they are logged.
    pub fn log_command<'a>(&mut self, args: impl Iterator<Item = &'a [u8]>) {
        if self.steps {
            let mut line = b"<redis>".to_vec();
            for arg in args {
                line.push(b' ');
                line.extend_from_slice(arg);
            }
            self.log(line);
        }
    }

    /// Says what a command answered, when they are logged.
    pub fn log_reply(&mut self, bytes: &[u8]) {
        if !self.steps {
            return;
        }
        if bytes.first() == Some(&b'-') {
            let text = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
            self.log([b"<error> ", text].concat());
        }
        let mut line = b"<reply> ".to_vec();
        reply::describe(bytes, &mut line);
        self.log_trimmed(line);
    }

    /// Puts all lines that were said on their way, as one array.
    pub fn send(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if self.is_gone {
            return;
        }
        let tail = self.out.tail();
        tail.extend_from_slice(format!("*{}\r\n", lines.len()).as_bytes());
        for line in &lines {
            tail.push(b'+');
            tail.extend_from_slice(line);
            tail.extend_from_slice(b"\r\n");
        }
    }
}

/// The connection of the session, as `debugger.lua` is given it.
pub(super) fn client_table(lua: &Lua) -> mlua::Result<Table> {
    fn on_console(act: impl FnOnce(&mut Console)) {
        if LENT.is_set() {
            LENT.with(|host| host.console().map(act));
        }
    }
    let client = lua.create_table()?;
    let log = |_: &Lua, (line, is_trimmed): (LuaString, Option<bool>)| {
        let line = line.as_bytes().to_vec();
        on_console(|console| match is_trimmed {
            Some(true) => console.log_trimmed(line),
            _ => console.log(line),
        });
        Ok(())
    };
    client.raw_set("log", lua.create_function(log)?)?;
    let steps = |_: &Lua, on: bool| {
        on_console(|console| console.steps = on);
        Ok(())
    };
    client.raw_set("steps", lua.create_function(steps)?)?;
    let maxlen = |_: &Lua, bytes: f64| {
        on_console(|console| console.maxlen = bytes as usize);
        Ok(())
    };
    client.raw_set("maxlen", lua.create_function(maxlen)?)?;
    let abort = |_: &Lua, ()| {
        on_console(|console| console.ends = Some("script aborted for user request"));
        Ok(())
    };
    client.raw_set("abort", lua.create_function(abort)?)?;
    let next = |lua: &Lua, ()| match LENT.with(|host| host.next_command()) {
        Some(words) => {
            let words = words.iter().map(|word| lua.create_string(word)).collect::<mlua::Result<Vec<_>>>()?;
            lua.create_sequence_from(words).map(Some)
        }
        None => Ok(None),
    };
    client.raw_set("next", lua.create_function(next)?)?;
    client.raw_set("call", stack::pcall(lua)?)?;
    let quote = |_: &Lua, text: LuaString| Ok(repr(&text.as_bytes()));
    client.raw_set("quote", lua.create_function(quote)?)?;
    Ok(client)
}

/// The lines of a script; empty ones at its end do not count.
pub(super) fn lines_of(lua: &Lua, mut source: &[u8]) -> mlua::Result<Table> {
    while let [rest @ .., b'\r' | b'\n'] = source {
        source = rest;
    }
    let lines = lua.create_table()?;
    if !source.is_empty() {
        for line in source.split(|byte| *byte == b'\n') {
            lines.raw_push(lua.create_string(line)?)?;
        }
    }
    Ok(lines)
}

/// Called at each line and now and then while a script runs in the debugger; `reach` is its face in `debugger.lua`.
pub(super) fn at_event(lua: &Lua, event: &Debug<'_>, reach: &Function) -> mlua::Result<VmState> {
    if !LENT.is_set() {
        return Ok(VmState::Continue);
    }
    let is_line = event.event() == DebugEvent::Line;
    let is_script = event.source().source.is_some_and(|source| source == "@user_script");
    if is_script && (is_line || LENT.with(|host| host.is_late())) {
        reach.call::<()>((event.current_line(), !is_line))?;
    } else if !is_line {
        return look(lua);
    }
    match LENT.with(|host| host.has_to_end()) {
        true => end(lua),
        false => Ok(VmState::Continue),
    }
}
