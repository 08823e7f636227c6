//! The library `cjson`: values to JSON and back, with the settings and texts of lua-cjson 2.1.

mod decode;
mod encode;

use super::{Failure, bounded, bytes_at, number_at, results};
use mlua::{IntoLua, LightUserData, Lua, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What is done with numbers that JSON does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Taken,
    Null,
}

/// The settings of one instance of the library.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// A table with few of its indices is written as an object.
    sparse_converts: bool,
    /// Indices for each element from which a table counts as sparse; 0: never.
    sparse_ratio: i32,
    /// A table whose largest index is at most this is not sparse.
    sparse_safe: i32,
    encode_depth_max: i32,
    decode_depth_max: i32,
    encode_invalid: Invalid,
    decode_invalid: bool,
    /// Significant digits of numbers.
    precision: i32,
    keeps_buffer: bool,
    /// Arrays get a metatable by which they are known, also when they are empty.
    marks_arrays: bool,
}

const DEFAULT: Settings = Settings {
    sparse_converts: false,
    sparse_ratio: 2,
    sparse_safe: 10,
    encode_depth_max: 1000,
    decode_depth_max: 1000,
    encode_invalid: Invalid::Refused,
    decode_invalid: true,
    precision: 14,
    keeps_buffer: true,
    marks_arrays: false,
};

/// The value that stands for null.
fn null() -> Value {
    Value::LightUserData(LightUserData(std::ptr::null_mut()))
}

/// The field of a metatable by which an array is known.
const ARRAY_MARK: &str = "__is_cjson_array";

/// The metatable of arrays that are marked; one for all, which scripts see read-only.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn array_metatable(lua: &Lua) -> mlua::Result<Table> {
    const NAME: &str = "cjson array";
    if let Ok(Some(metatable)) = lua.named_registry_value::<Option<Table>>(NAME) {
        return Ok(metatable);
    }
    let metatable = lua.create_table()?;
    metatable.raw_set(ARRAY_MARK, true)?;
    lua.set_named_registry_value(NAME, &metatable)?;
    Ok(metatable)
}

type Setting = fn(&Lua, &mut Settings, &[Value]) -> Result<Vec<Value>, Failure>;

const SETTINGS: &[(&str, Setting)] = &[
    ("encode_sparse_array", |lua, s, args| {
        at_most(args, 3)?;
        s.sparse_converts = boolean(lua, args, 0, s.sparse_converts)?;
        s.sparse_ratio = integer(lua, args, 1, s.sparse_ratio, 0, i32::MAX)?;
        s.sparse_safe = integer(lua, args, 2, s.sparse_safe, 0, i32::MAX)?;
        let numbers = [s.sparse_ratio, s.sparse_safe].map(|n| Value::Number(n.into()));
        Ok([Value::Boolean(s.sparse_converts)].into_iter().chain(numbers).collect())
    }),
    ("encode_max_depth", |lua, s, args| {
        at_most(args, 1)?;
        s.encode_depth_max = integer(lua, args, 0, s.encode_depth_max, 1, i32::MAX)?;
        Ok(vec![Value::Number(s.encode_depth_max.into())])
    }),
    ("decode_max_depth", |lua, s, args| {
        at_most(args, 1)?;
        s.decode_depth_max = integer(lua, args, 0, s.decode_depth_max, 1, i32::MAX)?;
        Ok(vec![Value::Number(s.decode_depth_max.into())])
    }),
    ("encode_number_precision", |lua, s, args| {
        at_most(args, 1)?;
        s.precision = integer(lua, args, 0, s.precision, 1, 14)?;
        Ok(vec![Value::Number(s.precision.into())])
    }),
    ("encode_keep_buffer", |lua, s, args| {
        at_most(args, 1)?;
        s.keeps_buffer = boolean(lua, args, 0, s.keeps_buffer)?;
        Ok(vec![Value::Boolean(s.keeps_buffer)])
    }),
    ("encode_invalid_numbers", |lua, s, args| {
        at_most(args, 1)?;
        s.encode_invalid = match args.first() {
            None | Some(Value::Nil) => s.encode_invalid,
            Some(Value::Boolean(true)) => Invalid::Taken,
            Some(Value::Boolean(false)) => Invalid::Refused,
            Some(_) => match bytes_at(lua, args, 0)?.as_slice() {
                b"off" => Invalid::Refused,
                b"on" => Invalid::Taken,
                b"null" => Invalid::Null,
                other => return Err(invalid_option(other)),
            },
        };
        Ok(vec![match s.encode_invalid {
            Invalid::Refused => Value::Boolean(false),
            Invalid::Taken => Value::Boolean(true),
            Invalid::Null => "null".into_lua(lua)?,
        }])
    }),
    ("decode_array_with_array_mt", |lua, s, args| {
        at_most(args, 1)?;
        s.marks_arrays = boolean(lua, args, 0, s.marks_arrays)?;
        Ok(vec![Value::Boolean(s.marks_arrays)])
    }),
    ("decode_invalid_numbers", |lua, s, args| {
        at_most(args, 1)?;
        s.decode_invalid = boolean(lua, args, 0, s.decode_invalid)?;
        Ok(vec![Value::Boolean(s.decode_invalid)])
    }),
];

fn invalid_option(word: &[u8]) -> Failure {
    Failure::argument(1, [b"invalid option '", word, b"'"].concat())
}

fn at_most(args: &[Value], most: usize) -> Result<(), Failure> {
    match args.len() > most {
        true => Err(Failure::argument(most + 1, "found too many arguments")),
        false => Ok(()),
    }
}

fn boolean(lua: &Lua, args: &[Value], index: usize, old: bool) -> Result<bool, Failure> {
    match args.get(index) {
        None | Some(Value::Nil) => Ok(old),
        Some(Value::Boolean(value)) => Ok(*value),
        Some(_) => match bytes_at(lua, args, index)?.as_slice() {
            b"on" => Ok(true),
            b"off" => Ok(false),
            other => Err(invalid_option(other)),
        },
    }
}

/// A setting that is a number, or a text that is one, without its fraction and in 32 bits, as in C.
fn integer(lua: &Lua, args: &[Value], index: usize, old: i32, min: i32, max: i32) -> Result<i32, Failure> {
    if matches!(args.get(index), None | Some(Value::Nil)) {
        return Ok(old);
    }
    let value = number_at(lua, args, index)? as i64 as i32;
    match (min..=max).contains(&value) {
        true => Ok(value),
        false => {
            let why = format!("expected integer between {min} and {max}");
            Err(Failure::argument(1, why))
        }
    }
}

/// Adds the functions of an instance with settings of its own to a table.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn add_functions(lua: &Lua, library: &Table) -> mlua::Result<()> {
    let settings = Rc::new(Cell::new(DEFAULT));
    let own = Rc::clone(&settings);
    let encode = lua.create_function(move |lua, args: MultiValue| {
        let args = bounded(args)?;
        results(lua, encode::encode(lua, &args, own.get()))
    })?;
    let own = Rc::clone(&settings);
    let decode = lua.create_function(move |lua, args: MultiValue| {
        let args = bounded(args)?;
        results(lua, decode::decode(lua, &args, own.get()))
    })?;
    library.raw_set("encode", encode)?;
    library.raw_set("decode", decode)?;
    for (name, change) in SETTINGS {
        let (own, change) = (Rc::clone(&settings), *change);
        library.raw_set(
            *name,
            lua.create_function(move |lua, args: MultiValue| {
                let args = bounded(args)?;
                let mut changed = own.get();
                let done = change(lua, &mut changed, &args);
                if done.is_ok() {
                    own.set(changed);
                }
                results(lua, done)
            })?,
        )?;
    }
    library.raw_set(
        "new",
        lua.create_function(|lua, ()| {
            let library = lua.create_table()?;
            add_functions(lua, &library)?;
            Ok(library)
        })?,
    )?;
    library.raw_set("null", null())?;
    library.raw_set("_NAME", "cjson")?;
    library.raw_set("_VERSION", "2.1.0")
}
