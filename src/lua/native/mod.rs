//! The libraries of scripts that need no server: bit, cjson, cmsgpack and struct, and `redis.sha1hex` and its kind.
//!
//! A function takes the arguments of the call and returns results or a message, which is raised with the line of the
//! script before it. Only a userdata can be raised from here; the prelude lets scripts see what it stands for.

mod bit;
pub mod cjson;
pub mod cmsgpack;
mod format;
mod structs;

use crate::base::lossless;
use mlua::{IntoLua, Lua, MultiValue, Value};

/// Why a function failed.
#[derive(Debug)]
pub enum Failure {
    /// What the script is told.
    Text(String),
    /// An argument, counted from 1, that the function does not take, and why.
    Argument(usize, Vec<u8>),
    /// What the interpreter itself fails with: mostly a lack of memory.
    Lua(mlua::Error),
}

impl Failure {
    /// A message.
    pub fn text(text: impl Into<String>) -> Failure {
        Failure::Text(text.into())
    }

    /// An argument, counted from 1, that a function does not take.
    pub fn argument(number: usize, why: impl Into<Vec<u8>>) -> Failure {
        Failure::Argument(number, why.into())
    }

    /// As an error reply, which scripts see as a table: the message with its code.
    pub fn into_reply(self) -> mlua::Error {
        match self {
            Failure::Text(text) => Raised {
                text: lossless::to_bytes(&format!("ERR {text}")).into_owned(),
                is_reply: true,
                is_counted: false,
            }
            .into_error(),
            Failure::Argument(number, why) => {
                let why = lossless::from_bytes(&why);
                Failure::Text(format!("bad argument #{number} ({why})")).into_reply()
            }
            Failure::Lua(error) => error,
        }
    }
}

/// An error on its way through the interpreter.
#[derive(Debug, Clone)]
pub struct Raised {
    text: Vec<u8>,
    /// An error reply, not a message.
    is_reply: bool,
    /// The statistics know it.
    is_counted: bool,
}

impl Raised {
    /// An error reply that is a value already.
    pub fn of_value(value: &Value) -> Raised {
        let mut raised = Raised { text: b"ERR unknown error".to_vec(), is_reply: true, is_counted: false };
        if let Value::Table(table) = value {
            if let Ok(Value::String(text)) = table.raw_get::<Value>("err") {
                raised.text = text.as_bytes().to_vec();
            }
            let counted = table.raw_get::<Value>("ignore_error_stats_update");
            raised.is_counted = matches!(counted, Ok(Value::Boolean(true)));
        }
        raised
    }

    /// As what a function of the interpreter returns.
    pub fn into_error(self) -> mlua::Error {
        mlua::Error::external(self)
    }
}

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for Raised {}

/// What scripts see of an error that was raised from here: an error reply as a table, all else as a message.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn seen(lua: &Lua, raised: Value) -> mlua::Result<Value> {
    let Value::Error(error) = &raised else { return Ok(raised) };
    let Some(found) = error.downcast_ref::<Raised>() else {
        return super::vm::text_of(error).into_lua(lua);
    };
    if !found.is_reply {
        return Ok(Value::String(lua.create_string(&found.text)?));
    }
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("err", lua.create_string(&found.text)?)?;
    if found.is_counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(Value::Table(table))
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Failure {
        Failure::Lua(error)
    }
}

/// A function of a library.
pub type Native = fn(&Lua, &[Value]) -> Result<Vec<Value>, Failure>;

/// The libraries with their functions; cjson, whose functions share settings, adds its own.
pub const LIBRARIES: &[(&str, &[(&str, Native)])] = &[
    ("bit", bit::FUNCTIONS),
    ("cjson", &[]),
    ("cmsgpack", cmsgpack::FUNCTIONS),
    ("struct", structs::FUNCTIONS),
];

/// Functions of the table `redis` that need nothing but their arguments.
pub const REDIS: &[(&str, Native)] = &[
    ("sha1hex", sha1hex),
    ("error_reply", |lua, args| single_field(lua, args, "err")),
    ("status_reply", |lua, args| single_field(lua, args, "ok")),
    ("replicate_commands", |_, _| Ok(vec![Value::Boolean(true)])),
];

/// Strings, tables and the like that a function takes: an interpreter lends no more than 8000 of them at a time, for
/// arguments, results and all that the function looks at.
const ARGUMENTS_MAX: usize = 1000;

/// Results that a function gives.
pub(super) const RESULTS_MAX: usize = 4000;

/// Tables within tables that a function follows.
pub(super) const DEPTH_MAX: i32 = 1000;

/// The arguments of a call.
///
/// # Errors
///
/// When there are too many to be looked at.
pub fn bounded(args: MultiValue) -> mlua::Result<Vec<Value>> {
    let lent = |value: &&Value| {
        !matches!(value, Value::Nil | Value::Boolean(_) | Value::Integer(_) | Value::Number(_))
    };
    if args.len() > ARGUMENTS_MAX && args.iter().filter(lent).count() > ARGUMENTS_MAX {
        let text = b"stack overflow (too many arguments)".to_vec();
        return Err(Raised { text, is_reply: false, is_counted: false }.into_error());
    }
    Ok(args.into_iter().collect())
}

/// What a function returns to the interpreter, if the script may go on: it could be one of a thousand calls between two
/// instructions at which that is looked at, and each may work for long. A message gets the line of the script before it.
///
/// # Errors
///
/// What the function failed with.
pub fn results(lua: &Lua, done: Result<Vec<Value>, Failure>) -> mlua::Result<MultiValue> {
    super::vm::look(lua)?;
    match done {
        Ok(values) => Ok(values.into_iter().collect()),
        Err(Failure::Lua(error)) => Err(error),
        Err(Failure::Text(text)) => Err(message(lua, text.as_bytes())),
        Err(Failure::Argument(number, why)) => {
            // A function that was not called by a name has none.
            let name = lua.inspect_stack(0, |frame| frame.names().name.map(|name| name.into_owned()));
            let name = name.flatten().unwrap_or_else(|| "?".to_owned());
            let text = [format!("bad argument #{number} to '{name}' (").as_bytes(), &why, b")"].concat();
            Err(message(lua, &text))
        }
    }
}

/// A message with the line of the script before it.
fn message(lua: &Lua, text: &[u8]) -> mlua::Error {
    let place = lua.inspect_stack(1, |frame| {
        let source = frame.source();
        let line = frame.current_line()?;
        source.short_src.map(|name| format!("{name}:{line}: "))
    });
    let text = [place.flatten().unwrap_or_default().as_bytes(), text].concat();
    Raised { text, is_reply: false, is_counted: false }.into_error()
}

/// The value of a number.
pub fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// What Lua calls the type of an argument that may not be there.
pub(super) fn type_name(value: Option<&Value>) -> &'static str {
    match value {
        None => "no value",
        Some(Value::LightUserData(_)) => "userdata",
        Some(value) => match value.type_name() {
            "integer" => "number",
            "error" => "userdata",
            name => name,
        },
    }
}

/// The bytes of a string, or of a number in decimal.
pub(super) fn bytes_at(lua: &Lua, args: &[Value], index: usize) -> Result<Vec<u8>, Failure> {
    let value = args.get(index);
    match value {
        Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Some(number @ (Value::Integer(_) | Value::Number(_))) => {
            let text = lua.coerce_string(number.clone())?;
            Ok(text.map(|text| text.as_bytes().to_vec()).unwrap_or_default())
        }
        _ => Err(expected(index, "string", value)),
    }
}

/// A number, or a string that is one.
pub(super) fn number_at(lua: &Lua, args: &[Value], index: usize) -> Result<f64, Failure> {
    let value = args.get(index);
    let number = match value {
        Some(Value::Number(number)) => Some(*number),
        Some(Value::Integer(number)) => Some(*number as f64),
        Some(text @ Value::String(_)) => lua.coerce_number(text.clone())?,
        _ => None,
    };
    number.ok_or_else(|| expected(index, "number", value))
}

/// The error of an argument of the wrong type.
pub(super) fn expected(index: usize, wanted: &str, got: Option<&Value>) -> Failure {
    Failure::argument(index + 1, format!("{wanted} expected, got {}", type_name(got)))
}

fn sha1hex(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    if args.len() != 1 {
        return Err(Failure::text("wrong number of arguments"));
    }
    // What is no text counts as an empty one.
    let text = bytes_at(lua, args, 0).unwrap_or_default();
    Ok(vec![sha1_smol::Sha1::from(text).digest().to_string().into_lua(lua)?])
}

/// `redis.error_reply` and `redis.status_reply`: a table with one field.
fn single_field(lua: &Lua, args: &[Value], field: &str) -> Result<Vec<Value>, Failure> {
    let table = lua.create_table_with_capacity(0, 1)?;
    match args {
        [Value::String(text)] if field == "err" => {
            table.raw_set("err", lua.create_string(with_code(&text.as_bytes()))?)?;
        }
        [Value::String(text)] => table.raw_set(field, text)?,
        _ => table.raw_set("err", "ERR wrong number or type of arguments")?,
    }
    Ok(vec![Value::Table(table)])
}

/// The text of an error reply, without the dash that it may begin with; a single word gets a code before it.
fn with_code(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    // In Redis it is a C string.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let text = &text[..end];
    match text.contains(&b' ') {
        true => text.to_vec(),
        false => [b"ERR ", text].concat(),
    }
}
