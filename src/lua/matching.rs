//! `string.find`, `match`, `gmatch` and `gsub`, upon a matcher that lets a script be ended: [`super::pattern`].
//!
//! The stock functions work through a whole text at once. A pattern can take them years, and nobody could end the
//! script. These give the same results and errors.
//!
//! As in [`super::stack`] an error may jump over any frame that calls the interpreter: **no frame owns anything.** The
//! buffer of `gsub` is that of the interpreter's own library, which lies on its stack.
#![allow(
    unsafe_code,
    reason = "a matcher that can be ended has to take the place of a function of the interpreter"
)]

use super::pattern::{CAPTURES_MAX, Capture, ESCAPE, Matcher, Stop};
use super::vm::LENT;
use mlua::ffi::{self, lua_State, luaL_Buffer};
use std::ffi::{c_char, c_int};
use std::{mem, slice};

/// The functions by name. Each is a closure over the function that ends a script that has to end.
pub const FUNCTIONS: &[(&str, ffi::lua_CFunction)] =
    &[("find", find), ("match", match_once), ("gmatch", gmatch), ("gsub", gsub)];

/// The matcher calls itself for items of a pattern, and the stack of the process ends somewhere.
const PATTERN_BYTES_MAX: usize = 8000;

/// Characters without which a pattern is a plain text.
const MAGIC: &[u8] = b"^$*+?.([%-";

const LOOK: c_int = ffi::lua_upvalueindex(1);

// SAFETY, for all functions below: the interpreter passes a state that is good for the length of the call, with the
// arguments alone on its stack and 20 places free; no frame owns anything. A text that is borrowed is an argument or an
// own value of the function, so it lives as long as the call.

/// Whether the script that runs may go on.
fn goes_on() -> bool {
    !LENT.is_set() || LENT.with(|host| host.goes_on())
}

/// The text of an argument; an error when it is none.
unsafe fn text_at(state: *mut lua_State, index: c_int) -> &'static [u8] {
    let mut len = 0;
    unsafe {
        let text = ffi::luaL_checklstring(state, index, &raw mut len);
        slice::from_raw_parts(text.cast(), len)
    }
}

unsafe fn fail(state: *mut lua_State, stop: Stop) -> c_int {
    unsafe {
        match stop {
            Stop::Wrong(text) => ffi::luaL_error(state, c"%s".as_ptr(), text.as_ptr()),
            Stop::Ends => {
                ffi::lua_pushvalue(state, LOOK);
                ffi::lua_call(state, 0, 0);
                // It ends the script; should it not, there is no answer.
                ffi::luaL_error(state, c"the script has to end".as_ptr())
            }
        }
    }
}

/// Takes what a matcher gives, or ends the function with the error.
macro_rules! given {
    ($state:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(stop) => {
                #[allow(unused_unsafe, reason = "some callers stand within such a block")]
                let results = unsafe { fail($state, stop) };
                return results;
            }
        }
    };
}

unsafe fn check_pattern(state: *mut lua_State, pattern: &[u8]) {
    if pattern.len() > PATTERN_BYTES_MAX {
        unsafe { ffi::luaL_error(state, c"pattern too complex".as_ptr()) };
    }
}

unsafe extern "C-unwind" fn find(state: *mut lua_State) -> c_int {
    unsafe { look_for(state, true) }
}

unsafe extern "C-unwind" fn match_once(state: *mut lua_State) -> c_int {
    unsafe { look_for(state, false) }
}

unsafe fn look_for(state: *mut lua_State, is_find: bool) -> c_int {
    let (text, pattern) = unsafe { (text_at(state, 1), text_at(state, 2)) };
    let from = unsafe { ffi::luaL_optinteger(state, 3, 1) };
    let from = match usize::try_from(from) {
        Ok(0) => 0,
        Ok(place) => (place - 1).min(text.len()),
        // From the end.
        Err(_) => text.len().saturating_sub(from.unsigned_abs() as usize),
    };
    let mut matcher = Matcher::new(text, pattern, goes_on);
    let up_to_nul = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_plain = is_find
        && (unsafe { ffi::lua_toboolean(state, 4) } != 0
            || !up_to_nul.iter().any(|byte| MAGIC.contains(byte)));
    if is_plain {
        let found = given!(state, matcher.find_plain(from, pattern));
        return match found {
            Some(start) => unsafe { push_bounds(state, start, start + pattern.len()) },
            None => unsafe { push_nil(state) },
        };
    }
    unsafe { check_pattern(state, pattern) };
    let is_anchored = pattern.first() == Some(&b'^');
    for start in from..=text.len() {
        let found = given!(state, matcher.match_at(start, usize::from(is_anchored)));
        if let Some(end) = found {
            return unsafe {
                match is_find {
                    true => {
                        let bounds = push_bounds(state, start, end);
                        bounds + given!(state, push_captures(state, &matcher, text, None))
                    }
                    false => given!(state, push_captures(state, &matcher, text, Some((start, end)))),
                }
            };
        }
        if is_anchored {
            break;
        }
    }
    unsafe { push_nil(state) }
}

unsafe fn push_nil(state: *mut lua_State) -> c_int {
    unsafe { ffi::lua_pushnil(state) };
    1
}

unsafe fn push_bounds(state: *mut lua_State, start: usize, end: usize) -> c_int {
    unsafe {
        ffi::lua_pushinteger(state, (start + 1) as ffi::lua_Integer);
        ffi::lua_pushinteger(state, end as ffi::lua_Integer);
    }
    2
}

unsafe fn push_text(state: *mut lua_State, text: &[u8]) {
    unsafe { ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len()) };
}

/// Pushes all captures, or, where there are none, the whole match if it is given.
unsafe fn push_captures(
    state: *mut lua_State,
    matcher: &Matcher<'_>,
    text: &[u8],
    whole: Option<(usize, usize)>,
) -> Result<c_int, Stop> {
    let count = match matcher.captures().len() {
        0 => usize::from(whole.is_some()),
        count => count,
    };
    unsafe { ffi::luaL_checkstack_(state, CAPTURES_MAX as c_int, c"too many captures".as_ptr()) };
    for index in 0..count {
        unsafe { push_capture(state, matcher, text, index, whole.unwrap_or_default())? };
    }
    Ok(count as c_int)
}

/// Pushes one capture; the first is the whole match where there are none.
unsafe fn push_capture(
    state: *mut lua_State,
    matcher: &Matcher<'_>,
    text: &[u8],
    index: usize,
    whole: (usize, usize),
) -> Result<(), Stop> {
    match matcher.captures().get(index) {
        None if index == 0 => unsafe { push_text(state, &text[whole.0..whole.1]) },
        None => return Err(Stop::Wrong(c"invalid capture index")),
        Some(Capture::Open(_)) => return Err(Stop::Wrong(c"unfinished capture")),
        Some(Capture::Place(place)) => unsafe {
            ffi::lua_pushinteger(state, (place + 1) as ffi::lua_Integer);
        },
        Some(&Capture::Closed(start, len)) => unsafe { push_text(state, &text[start..start + len]) },
    }
    Ok(())
}

unsafe extern "C-unwind" fn gmatch(state: *mut lua_State) -> c_int {
    unsafe {
        text_at(state, 1);
        check_pattern(state, text_at(state, 2));
        ffi::lua_settop(state, 2);
        ffi::lua_pushvalue(state, LOOK);
        ffi::lua_insert(state, 1);
        ffi::lua_pushinteger(state, 0);
        ffi::lua_pushcclosure(state, next_match, 4);
    }
    1
}

/// What `gmatch` gives: a function with the text, the pattern and the place to go on from.
unsafe extern "C-unwind" fn next_match(state: *mut lua_State) -> c_int {
    const PLACE: c_int = ffi::lua_upvalueindex(4);
    let (text, pattern) =
        unsafe { (text_at(state, ffi::lua_upvalueindex(2)), text_at(state, ffi::lua_upvalueindex(3))) };
    let from = unsafe { ffi::lua_tointeger(state, PLACE) } as usize;
    let mut matcher = Matcher::new(text, pattern, goes_on);
    for start in from..=text.len() {
        if let Some(end) = given!(state, matcher.match_at(start, 0)) {
            unsafe {
                // Behind an empty match the next one begins a character later.
                ffi::lua_pushinteger(state, (end + usize::from(end == start)) as ffi::lua_Integer);
                ffi::lua_replace(state, PLACE);
                return given!(state, push_captures(state, &matcher, text, Some((start, end))));
            }
        }
    }
    0
}

unsafe extern "C-unwind" fn gsub(state: *mut lua_State) -> c_int {
    const REPLACEMENT: c_int = 3;
    let (text, pattern) = unsafe { (text_at(state, 1), text_at(state, 2)) };
    let kind = unsafe { ffi::lua_type(state, REPLACEMENT) };
    let times = unsafe { ffi::luaL_optinteger(state, 4, (text.len() + 1) as ffi::lua_Integer) } as c_int;
    unsafe {
        if !matches!(kind, ffi::LUA_TNUMBER | ffi::LUA_TSTRING | ffi::LUA_TFUNCTION | ffi::LUA_TTABLE) {
            ffi::luaL_argerror(state, REPLACEMENT, c"string/function/table expected".as_ptr());
        }
        check_pattern(state, pattern);
    }
    let is_anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(text, pattern, goes_on);
    // SAFETY: the library fills it in before anything reads it, and it stays where it is.
    let mut buffer: luaL_Buffer = unsafe { mem::zeroed() };
    unsafe { ffi::luaL_buffinit(state, &raw mut buffer) };
    let (mut at, mut count) = (0, 0);
    while count < times {
        let found = given!(state, matcher.match_at(at, usize::from(is_anchored)));
        if let Some(end) = found {
            count += 1;
            given!(state, unsafe {
                add_replacement(state, &mut buffer, &mut matcher, text, (at, end), kind)
            });
        }
        match found {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                unsafe { ffi::luaL_addchar(&raw mut buffer, text[at] as c_char) };
                at += 1;
            }
            _ => break,
        }
        if is_anchored {
            break;
        }
    }
    unsafe {
        add(&mut buffer, &text[at..]);
        ffi::luaL_pushresult(&raw mut buffer);
        ffi::lua_pushinteger(state, count as ffi::lua_Integer);
    }
    2
}

unsafe fn add(buffer: &mut luaL_Buffer, text: &[u8]) {
    unsafe { ffi::luaL_addlstring(buffer, text.as_ptr().cast(), text.len()) };
}

/// Adds what stands for a match.
unsafe fn add_replacement(
    state: *mut lua_State,
    buffer: &mut luaL_Buffer,
    matcher: &mut Matcher<'_>,
    text: &[u8],
    found: (usize, usize),
    kind: c_int,
) -> Result<(), Stop> {
    const REPLACEMENT: c_int = 3;
    unsafe {
        match kind {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, REPLACEMENT);
                let count = push_captures(state, matcher, text, Some(found))?;
                ffi::lua_call(state, count, 1);
            }
            ffi::LUA_TTABLE => {
                push_capture(state, matcher, text, 0, found)?;
                ffi::lua_gettable(state, REPLACEMENT);
            }
            _ => return add_template(state, buffer, matcher, text, found),
        }
        if ffi::lua_toboolean(state, -1) == 0 {
            ffi::lua_settop(state, -2);
            push_text(state, &text[found.0..found.1]);
        } else if ffi::lua_isstring(state, -1) == 0 {
            let name = ffi::luaL_typename(state, -1);
            ffi::luaL_error(state, c"invalid replacement value (a %s)".as_ptr(), name);
        }
        ffi::luaL_addvalue(buffer);
    }
    Ok(())
}

/// Adds a text in which `%1` and its kind stand for captures, `%0` for the match.
unsafe fn add_template(
    state: *mut lua_State,
    buffer: &mut luaL_Buffer,
    matcher: &mut Matcher<'_>,
    text: &[u8],
    found: (usize, usize),
) -> Result<(), Stop> {
    const BYTES_PER_STEP: usize = 8;
    // A number is a text from here on.
    let template = unsafe { text_at(state, 3) };
    matcher.step(template.len() / BYTES_PER_STEP)?;
    let mut at = 0;
    while at < template.len() {
        let plain = template[at..].iter().position(|byte| *byte == ESCAPE).unwrap_or(template.len() - at);
        unsafe { add(buffer, &template[at..at + plain]) };
        at += plain;
        if at == template.len() {
            break;
        }
        // Behind the last character stands a NUL.
        match template.get(at + 1).copied().unwrap_or(0) {
            b'0' => unsafe { add(buffer, &text[found.0..found.1]) },
            digit @ b'1'..=b'9' => unsafe {
                push_capture(state, matcher, text, usize::from(digit - b'1'), found)?;
                ffi::luaL_addvalue(buffer);
            },
            other => unsafe { add(buffer, &[other]) },
        }
        at += 2;
    }
    Ok(())
}
