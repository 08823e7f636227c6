//! The machine that reads a dump file.
//!
//! It stands between two items, or within the value of a key, and reads on from where it stands. What it needs at once, the
//! name of a key, an element of a collection, waits in [`Input`] until it is there as a whole; a large string is gathered in
//! a buffer of its own, so that it is not copied again. A short string is lent out of the input, without a copy.

use super::{BadData, Dialect, Item, Key, Next, ReadOptions, header, module, opcode};
use crate::base::number::parse_i64;
use crate::keyspace::{NewValue, Tuning};
use crate::persist::input::Input;
use crate::persist::rdb::decode::{self, Growing, Grown};
use crate::persist::rdb::error::Stop;
use crate::persist::rdb::kind;
use crate::persist::rdb::read::{Head, Reader, Span, unpack};
use bytes::Bytes;
use std::borrow::Cow;

/// The first version with a checksum at the end.
const VERSION_OF_CHECKSUMS: u16 = 5;
/// A string that is not all there and longer than this is gathered.
const GATHER_FROM_BYTES: u64 = 64 << 10;
/// Room that a gathered string gets at first, whatever length it claims.
const GATHER_ROOM_BYTES: usize = 256 << 10;
/// Parts of a module's data that one call passes over.
const MODULE_PARTS_PER_CALL: usize = 1024;
/// Slots of a cluster.
const SLOTS: u64 = 16384;

/// Reads a dump file. See the head of the file.
#[derive(Debug)]
pub struct FileReader {
    input: Input,
    /// All bytes of the file were fed.
    is_fed: bool,
    machine: Machine,
}

/// Where a reader stands, for whoever has to say what is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What is being read, in the words of `redis-check-rdb`.
    pub doing: &'static str,
    /// The key whose value is being read.
    pub key: Option<&'a [u8]>,
    /// The type of the value.
    pub kind: Option<u8>,
}

/// All of a reader but its bytes.
#[derive(Debug)]
struct Machine {
    options: ReadOptions,
    state: State,
    version: u16,
    dialect: Dialect,
    db: u32,
    /// The key whose value is being read, or was read last.
    key: Vec<u8>,
    /// The type of a value whose key, or which itself, is being read.
    kind: Option<u8>,
    /// The value of `key` is being read.
    is_in_value: bool,
    attributes: Attributes,
    doing: &'static str,
}

/// What was said of the key that follows.
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    deadline: Option<u64>,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

/// Before or within what a reader stands.
#[derive(Debug)]
enum State {
    /// Before the first byte.
    Magic,
    /// Before an item.
    Between,
    /// Before the value of a key, which is a string.
    Text,
    /// Within a large string.
    Gather(Gather),
    /// Within a collection.
    Value(Box<Growing>),
    /// Within the data of a module, which stand beside the keys, or are the value of one.
    ModuleAux,
    ModuleValue,
    /// Before the checksum.
    Checksum,
    Ended,
}

/// A large string of which a part is there.
#[derive(Debug)]
struct Gather {
    bytes: Vec<u8>,
    /// Bytes to come.
    left: u64,
    /// Bytes that it has when it is not compressed any more.
    unpacked: Option<u64>,
}

/// What one step has found.
enum Found {
    /// Nothing that anybody needs to know.
    Nothing,
    /// A part of something large.
    More,
    Item(Item<'static>),
    /// A string of so many bytes, which are those that were read last.
    Lies(usize),
    Value(NewValue<'static>),
    EmptyKey,
    End,
}

/// Why no item comes: bytes are missing, or wrong.
enum Fault {
    Stop(Stop),
    /// The bytes are wrong in a way that takes more than fixed words.
    Told(Cow<'static, str>),
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Fault {
        Fault::Stop(stop)
    }
}

const BAD_WHEN: Fault = Fault::Stop(Stop::Bad("bad when_opcode"));
const BAD_SLOTS: Fault = Fault::Stop(Stop::Bad("Invalid slot import range in RDB"));

impl FileReader {
    /// A reader at the beginning of a file.
    pub fn new(options: ReadOptions) -> FileReader {
        let machine = Machine {
            options,
            state: State::Magic,
            version: 0,
            dialect: Dialect::Redis,
            db: 0,
            key: Vec::new(),
            kind: None,
            is_in_value: false,
            attributes: Attributes::default(),
            doing: "start",
        };
        FileReader { input: Input::new(options.check_crc), is_fed: false, machine }
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, piece: &[u8]) {
        self.input.feed(piece);
    }

    /// There are no more bytes: the file must end with what was fed.
    pub fn finish(&mut self) {
        self.is_fed = true;
    }

    /// Bytes of the file that were read.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Who wrote the file, as far as its first bytes say.
    pub fn dialect(&self) -> Dialect {
        self.machine.dialect
    }

    /// Where it stands.
    pub fn place(&self) -> Place<'_> {
        let machine = &self.machine;
        let key = machine.is_in_value.then_some(&machine.key[..]);
        Place { doing: machine.doing, key, kind: machine.kind }
    }

    /// The bytes after the end of the file that were fed with it.
    pub fn behind_end(&self) -> &[u8] {
        self.input.rest()
    }

    /// Reads on: up to the next item, or about as much of a value as should be read in one go.
    ///
    /// # Errors
    ///
    /// [`BadData`] when the file is not what it should be; the reader is of no use then.
    #[inline]
    pub fn next(&mut self, tuning: &Tuning) -> Result<Next<'_>, BadData> {
        loop {
            let mut reader = Reader::new(self.input.rest());
            let found = match self.machine.state {
                State::Between => self.machine.between(&mut reader, tuning),
                State::Checksum => break,
                _ => self.machine.step(&mut reader, tuning),
            };
            let (kept, began) = (reader.kept(), reader.began());
            match found {
                Ok(found) => {
                    self.input.consume(kept);
                    if !matches!(found, Found::Nothing) {
                        return Ok(self.present(found));
                    }
                }
                Err(Fault::Stop(Stop::Short)) => {
                    self.input.consume(kept);
                    return if self.is_fed { Err(self.ends_early()) } else { Ok(Next::Need) };
                }
                Err(Fault::Stop(Stop::Bad(what))) => return Err(self.bad(began, what.into())),
                Err(Fault::Told(what)) => return Err(self.bad(began, what)),
            }
        }
        self.checksum()
    }

    /// An error so many bytes after what was read for good.
    #[cold]
    fn bad(&self, behind: usize, what: Cow<'static, str>) -> BadData {
        BadData { at: self.input.offset() + behind as u64, what }
    }

    #[cold]
    fn ends_early(&self) -> BadData {
        self.bad(self.input.rest().len(), "Unexpected EOF reading RDB file".into())
    }

    /// What was found, for whoever asked.
    #[inline]
    fn present(&mut self, found: Found) -> Next<'_> {
        let value = match found {
            Found::Nothing | Found::More => return Next::More,
            Found::End => return Next::End,
            Found::Item(item) => return Next::Item(item),
            Found::EmptyKey => {
                self.machine.leave_key();
                return Next::Item(Item::EmptyKey(&self.machine.key));
            }
            Found::Lies(len) => NewValue::Copied(self.input.last(len)),
            Found::Value(value) => value,
        };
        let Attributes { deadline, idle_s, frequency } = self.machine.leave_key();
        let Machine { db, key, .. } = &self.machine;
        Next::Item(Item::Key(Key { db: *db, key, deadline, idle_s, frequency, value }))
    }

    /// Reads the checksum, where the version has one.
    fn checksum(&mut self) -> Result<Next<'_>, BadData> {
        self.machine.doing = "check-sum";
        if self.machine.version < VERSION_OF_CHECKSUMS {
            self.machine.state = State::Ended;
            return Ok(Next::End);
        }
        let Ok(written) = Reader::new(self.input.rest()).u64() else {
            return if self.is_fed { Err(self.ends_early()) } else { Ok(Next::Need) };
        };
        let is_there = written != 0;
        if self.machine.options.check_crc && is_there {
            let right = self.input.crc();
            if written != right {
                let what =
                    format!("Wrong RDB checksum expected: ({right:x}) but got ({written:x}). Aborting now.");
                return Err(self.bad(0, what.into()));
            }
        }
        self.input.consume(size_of::<u64>());
        self.machine.state = State::Ended;
        match self.machine.options.check_crc {
            true => Ok(Next::Item(Item::Checksum { is_there })),
            false => Ok(Next::End),
        }
    }
}

impl Machine {
    /// The key with its value was read: what was said of it.
    #[inline]
    fn leave_key(&mut self) -> Attributes {
        self.kind = None;
        self.is_in_value = false;
        std::mem::take(&mut self.attributes)
    }

    /// Reads from one item to the next: what is said of a key, its name, and the whole of a short value.
    #[inline]
    fn between(&mut self, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Found, Fault> {
        loop {
            self.doing = "read-type";
            match reader.byte()? {
                opcode::EXPIRE_TIME_MS => {
                    self.doing = "read-expire";
                    self.attributes.deadline = deadline(reader.u64()? as i64);
                }
                opcode::EXPIRE_TIME => {
                    self.doing = "read-expire";
                    let seconds = i64::from(i32::from_le_bytes(reader.array()?));
                    self.attributes.deadline = deadline(seconds * 1000);
                }
                opcode::FREQ => self.attributes.frequency = Some(reader.byte()?),
                opcode::IDLE => self.attributes.idle_s = Some(reader.len()?),
                code if code < opcode::SLOT_IMPORT => return self.key(code, reader, tuning),
                code => return self.opcode(code, reader),
            }
            reader.keep();
        }
    }

    /// Reads a key, and its value if that is there.
    #[inline]
    fn key(&mut self, kind: u8, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Found, Fault> {
        self.doing = "read-key";
        self.kind = Some(kind);
        let name = reader.span()?;
        if !decode::is_known(kind, self.dialect) {
            return self.other_key(kind, name, reader, tuning);
        }
        self.enter_value(name)?;
        reader.keep();
        if kind == kind::STRING {
            let found = self.text(reader);
            if let Err(Fault::Stop(Stop::Short)) = found {
                self.state = State::Text;
            }
            return found;
        }
        self.collection(Growing::new(kind, self.dialect), reader, tuning)
    }

    /// The value of a key with this name comes next.
    #[inline(always)]
    fn enter_value(&mut self, name: Span<'_>) -> Result<(), Stop> {
        self.key.clear();
        match name {
            Span::Plain(bytes) => self.key.extend_from_slice(bytes),
            name => self.key.extend_from_slice(&name.text()?),
        }
        self.doing = "read-object-value";
        self.is_in_value = true;
        Ok(())
    }

    /// Reads a collection, or as much of it as is there.
    #[inline(always)]
    fn collection(
        &mut self,
        mut growing: Growing,
        reader: &mut Reader<'_>,
        tuning: &Tuning,
    ) -> Result<Found, Fault> {
        let found = grown(growing.read_on(reader, tuning));
        if let Ok(Found::More) | Err(Fault::Stop(Stop::Short)) = found {
            self.state = State::Value(Box::new(growing));
        }
        found
    }

    /// Reads a string, or begins to gather it.
    #[inline]
    fn text(&mut self, reader: &mut Reader<'_>) -> Result<Found, Fault> {
        let (len, unpacked) = match reader.head()? {
            Head::Int(value) => {
                reader.keep();
                return Ok(Found::Value(NewValue::Int(value)));
            }
            Head::Plain(len) => (len, None),
            Head::Lzf(packed, len) => (packed, Some(len)),
        };
        if len > reader.left() as u64 {
            if len <= GATHER_FROM_BYTES {
                return Err(Stop::Short.into());
            }
            reader.keep();
            let bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(usize::MAX).min(GATHER_ROOM_BYTES));
            self.state = State::Gather(Gather { bytes, left: len, unpacked });
            return Ok(Found::Nothing);
        }
        let bytes = reader.take(len as usize)?;
        let found = match unpacked {
            None => {
                parse_i64(bytes).map_or(Found::Lies(bytes.len()), |value| Found::Value(NewValue::Int(value)))
            }
            Some(len) => Found::Value(unpacked_text(bytes, len)?),
        };
        reader.keep();
        Ok(found)
    }

    /// Reads what begins with an opcode and is about no single key.
    #[cold]
    fn opcode(&mut self, code: u8, reader: &mut Reader<'_>) -> Result<Found, Fault> {
        let found = match code {
            opcode::EOF => {
                self.state = State::Checksum;
                Found::Nothing
            }
            opcode::SELECT_DB => {
                self.doing = "read-len";
                self.db = u32::try_from(reader.len()?).unwrap_or(u32::MAX);
                Found::Item(Item::Database(self.db))
            }
            opcode::RESIZE_DB => {
                self.doing = "read-len";
                Found::Item(Item::Resize { keys: reader.len()?, expires: reader.len()? })
            }
            opcode::AUX => {
                self.doing = "read-aux";
                let (name, text) = (reader.span()?, reader.span()?);
                Found::Item(Item::Aux { name: name.text()?.into_vec(), text: text.text()?.into_vec() })
            }
            opcode::FUNCTION_2 => {
                self.doing = "read-functions";
                Found::Item(Item::Function(reader.text()?.into_vec()))
            }
            opcode::FUNCTION_PRE_GA => {
                return Err(Stop::Bad("Pre-release function format not supported.").into());
            }
            opcode::SLOT_INFO => {
                // The slot, its keys and those with a deadline: a hint.
                for _ in 0..3 {
                    reader.len()?;
                }
                Found::Nothing
            }
            opcode::SLOT_IMPORT if self.dialect == Dialect::Valkey => {
                pass_over_slot_import(reader)?;
                Found::Nothing
            }
            opcode::MODULE_AUX => {
                self.doing = "read-module-aux";
                let (id, before, _when) = (reader.len()?, reader.len()?, reader.len()?);
                if before != module::UNSIGNED {
                    return Err(BAD_WHEN);
                }
                let name = module::name(id);
                if !self.options.pass_over_modules {
                    return Err(Fault::Told(
                        format!(
                            "The RDB file contains AUX module data I can't load: no matching module '{name}'"
                        )
                        .into(),
                    ));
                }
                self.state = State::ModuleAux;
                Found::Item(Item::ModuleAux(name))
            }
            code => {
                reader.span()?;
                return Err(Fault::Told(format!("Unknown RDB encoding type {code}").into()));
            }
        };
        reader.keep();
        Ok(found)
    }

    /// Reads a vector set, or begins to pass over a value that another module wrote; of any other type that is not known nothing
    /// can be read.
    #[cold]
    fn other_key(
        &mut self,
        kind: u8,
        key: Span<'_>,
        reader: &mut Reader<'_>,
        tuning: &Tuning,
    ) -> Result<Found, Fault> {
        match kind {
            kind::MODULE_2 => {}
            kind::MODULE_PRE_GA => return Err(Stop::Bad("Pre-release module format not supported").into()),
            _ => return Err(Fault::Told(format!("Unknown RDB encoding type {kind}").into())),
        }
        let id = reader.len()?;
        if id == module::VECTOR_SET {
            self.enter_value(key)?;
            reader.keep();
            return self.collection(Growing::vectors(self.dialect, tuning), reader, tuning);
        }
        let name = module::name(id);
        if !self.options.pass_over_modules {
            return Err(Fault::Told(
                format!("The RDB file contains module data I can't load: no matching module type '{name}'")
                    .into(),
            ));
        }
        self.doing = "read-object-value";
        self.state = State::ModuleValue;
        reader.keep();
        Ok(Found::Nothing)
    }

    /// Goes on within something, or at one of the ends of the file.
    fn step(&mut self, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Found, Fault> {
        let found = match &mut self.state {
            State::Between | State::Checksum => Found::Nothing,
            State::Ended => Found::End,
            State::Magic => {
                (self.version, self.dialect) = header(reader.array()?, self.options).map_err(Fault::Told)?;
                reader.keep();
                self.state = State::Between;
                Found::Item(Item::Header { version: self.version, dialect: self.dialect })
            }
            State::Text => {
                self.state = State::Between;
                let found = self.text(reader);
                if let Err(Fault::Stop(Stop::Short)) = found {
                    self.state = State::Text;
                }
                return found;
            }
            State::Gather(gather) => {
                let there = gather.left.min(reader.left() as u64);
                gather.bytes.extend_from_slice(reader.take(there as usize)?);
                gather.left -= there;
                reader.keep();
                if gather.left > 0 {
                    return Err(Stop::Short.into());
                }
                let bytes = std::mem::take(&mut gather.bytes);
                let value = match gather.unpacked {
                    None => NewValue::Shared(Bytes::from(bytes)),
                    Some(len) => unpacked_text(&bytes, len)?,
                };
                self.state = State::Between;
                Found::Value(value)
            }
            State::Value(growing) => {
                let found = grown(growing.read_on(reader, tuning))?;
                if !matches!(found, Found::More) {
                    self.state = State::Between;
                }
                found
            }
            State::ModuleAux | State::ModuleValue => self.pass_over_module(reader)?,
        };
        Ok(found)
    }

    /// Passes over data of a module.
    fn pass_over_module(&mut self, reader: &mut Reader<'_>) -> Result<Found, Fault> {
        for _ in 0..MODULE_PARTS_PER_CALL {
            let was_end = !module::pass_over(reader)?;
            reader.keep();
            if was_end {
                let is_value = matches!(self.state, State::ModuleValue);
                self.state = State::Between;
                return Ok(match is_value {
                    true => Found::Item(Item::ModuleKey { deadline: self.leave_key().deadline }),
                    false => Found::Nothing,
                });
            }
        }
        Ok(Found::More)
    }
}

/// A time as files have it; times before 1970 have passed just as well.
fn deadline(ms: i64) -> Option<u64> {
    // Minus one stands for none, as it does within Redis.
    if ms == -1 { None } else { Some(u64::try_from(ms).unwrap_or(0)) }
}

/// A string that was compressed.
fn unpacked_text(packed: &[u8], len: u64) -> Result<NewValue<'static>, Stop> {
    let bytes = unpack(packed, usize::try_from(len).unwrap_or(usize::MAX))?;
    Ok(parse_i64(&bytes).map_or_else(|| NewValue::Shared(Bytes::from(bytes)), NewValue::Int))
}

fn grown(grown: Result<Grown, Stop>) -> Result<Found, Fault> {
    Ok(match grown? {
        Grown::More => Found::More,
        Grown::Whole(Some(value)) => Found::Value(NewValue::Whole(value)),
        Grown::Whole(None) => Found::EmptyKey,
    })
}

/// Passes over what Valkey notes of a move of slots: the name of the job, and ranges of slots.
fn pass_over_slot_import(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.span()?;
    let ranges = reader.len()?;
    if ranges > SLOTS {
        return Err(BAD_SLOTS);
    }
    for _ in 0..ranges {
        let (first, last) = (reader.len()?, reader.len()?);
        if first > last || last >= SLOTS {
            return Err(BAD_SLOTS);
        }
    }
    Ok(())
}
