//! All rows, found by name.
//!
//! Rows of subcommands stand beside their container; each row has a number, under which the statistics keep it. The
//! look-up hashes the name without regard to case and allocates nothing. `rename-command` changes the names before the
//! server starts; afterwards the table lives as long as the process.

use super::spec::{Begin, Find, Spec, flag};
use crate::resp::Args;

/// A row in the table.
pub struct Row {
    /// What the command is.
    pub spec: &'static Spec,
    /// Number of the row.
    pub id: u16,
    /// Name as statistics and errors show it: `get`, `config|set`.
    pub full_name: &'static str,
    /// Bits of [`flag`], those that follow from the key specs included.
    pub flags: u32,
    /// Bits of [`super::spec::acl`].
    pub categories: u32,
    /// Argument that is the first key, should there be any; 0 without a fixed one.
    pub first_key: usize,
    /// Fewest arguments of a request.
    arity_min: usize,
    /// How many more it may have.
    arity_extra: usize,
    /// Rows of the subcommands.
    pub subs: Vec<u16>,
    /// Row of the container.
    pub parent: Option<u16>,
    /// Name under which clients call it; empty: nobody can.
    name: String,
}

impl Row {
    /// Whether a request of `count` arguments is complete.
    #[inline]
    pub fn admits(&self, count: usize) -> bool {
        count.wrapping_sub(self.arity_min) <= self.arity_extra
    }

    /// Whether any of the bits of [`flag`] is set.
    #[inline]
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Whether it only has subcommands, or has some.
    pub fn is_container(&self) -> bool {
        !self.subs.is_empty()
    }

    /// Whether this is a subcommand.
    pub fn is_sub(&self) -> bool {
        self.parent.is_some()
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.full_name)
    }
}

/// All rows.
pub struct Table {
    rows: Vec<Row>,
    /// Open addressing: row number + 1, 0 for empty.
    slots: Vec<u16>,
    /// Open addressing of the names of at most eight bytes.
    short: Vec<ShortName>,
}

/// A request that names no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRow {
    /// The first word is unknown.
    Command,
    /// The second word is no subcommand of the first; the row of the container.
    Subcommand(u16),
}

impl Table {
    /// A table of all rows of `families`.
    pub fn new(families: &[&'static [Spec]]) -> Table {
        let mut table = Table { rows: Vec::new(), slots: Vec::new(), short: Vec::new() };
        for spec in families.iter().flat_map(|f| f.iter()) {
            // Modules say their names in capitals.
            let name =
                if spec.module.is_some() { spec.name.to_ascii_uppercase() } else { spec.name.to_owned() };
            let id = table.add(spec, None, Box::leak(name.into_boxed_str()));
            let inherited = spec.flags & flag::INHERITED;
            for sub in spec.subs {
                let full = format!("{}|{}", spec.name, sub.name);
                let sub_id = table.add(sub, Some(id), Box::leak(full.into_boxed_str()));
                table.rows[sub_id as usize].flags |= inherited;
                table.rows[id as usize].subs.push(sub_id);
            }
        }
        table.index();
        table
    }

    fn add(&mut self, spec: &'static Spec, parent: Option<u16>, full_name: &'static str) -> u16 {
        let id = u16::try_from(self.rows.len()).expect("fewer than 65536 commands");
        let first_key = match spec.keys.first().map(|k| (k.begin, k.find)) {
            Some((Begin::Index(i), Find::Keynum { first, .. })) if i > 0 => (i + first) as usize,
            Some((Begin::Index(i), _)) if i > 0 => i as usize,
            _ => 0,
        };
        let found_by_position = spec
            .keys
            .iter()
            .all(|k| matches!(k.begin, Begin::Index(_)) && matches!(k.find, Find::Range { .. }));
        let movable = if found_by_position { 0 } else { flag::MOVABLEKEYS };
        self.rows.push(Row {
            spec,
            id,
            full_name,
            flags: spec.flags | movable,
            categories: spec.categories(),
            first_key,
            arity_min: usize::from(spec.arity.unsigned_abs()),
            arity_extra: if spec.arity < 0 { usize::MAX / 2 } else { 0 },
            subs: Vec::new(),
            parent,
            name: spec.name.to_owned(),
        });
        id
    }

    fn index(&mut self) {
        let size = (self.rows.len() * 4).next_power_of_two();
        self.slots = vec![0; size];
        for row in self.rows.iter().filter(|r| r.parent.is_none() && !r.name.is_empty()) {
            let mut at = hash(row.name.as_bytes()) as usize & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = row.id + 1;
        }
        self.short = vec![ShortName::default(); size];
        for row in self.rows.iter().filter(|r| r.parent.is_none() && (1..=8).contains(&r.name.len())) {
            let name = ShortName::new(row.name.as_bytes(), row.id);
            let mut at = short_slot(name.word, size);
            while self.short[at].row != 0 {
                at = (at + 1) & (size - 1);
            }
            self.short[at] = name;
        }
    }

    /// The row of a command whose name is in one word.
    #[inline]
    fn find_short(&self, word: u64, len: usize) -> Option<&Row> {
        let mut at = short_slot(word, self.short.len());
        loop {
            let known = &self.short[at];
            if known.row == 0 {
                return None;
            }
            // A zero byte at the end of a name is one more byte, though not of the word.
            if (known.word ^ word) & !known.letters == 0 && usize::from(known.len) == len {
                return Some(&self.rows[known.row as usize - 1]);
            }
            at = (at + 1) & (self.short.len() - 1);
        }
    }

    /// Lets clients call a command by another name, or by none.
    ///
    /// # Errors
    ///
    /// When there is no such command, or the new name is taken.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), &'static str> {
        let id = self.find(from).ok_or("No such command in rename-command")?.id;
        if !to.is_empty() && self.find(to).is_some() {
            return Err("Target command name already exists");
        }
        self.rows[id as usize].name = String::from_utf8_lossy(to).into_owned();
        self.index();
        Ok(())
    }

    /// The row of a command.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Row> {
        let mask = self.slots.len() - 1;
        let mut at = hash(name) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let row = &self.rows[slot as usize - 1];
            if row.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(row);
            }
            at = (at + 1) & mask;
        }
    }

    /// The row that a request names: of the subcommand, where the command has some.
    ///
    /// # Errors
    ///
    /// [`NoRow`] when there is none. A container without a second word is its own row.
    #[inline]
    pub fn resolve(&self, args: &Args<'_>) -> Result<&Row, NoRow> {
        let row = match args.short_name() {
            Some((word, len)) => self.find_short(word, len),
            None => self.find(args.at(0)),
        };
        let row = row.ok_or(NoRow::Command)?;
        if row.subs.is_empty() {
            return Ok(row);
        }
        match args.get(1) {
            None => Ok(row),
            Some(word) => match self.find_sub(row, word) {
                Some(sub) => Ok(sub),
                None => Err(NoRow::Subcommand(row.id)),
            },
        }
    }

    /// As [`Table::resolve`], for a request that was propagated: where the name is none by which clients call a command it is
    /// one that no `rename-command` has touched, since what is propagated in other words than it came in has those.
    ///
    /// # Errors
    ///
    /// [`NoRow`] when there is none.
    pub fn resolve_propagated(&self, args: &Args<'_>) -> Result<&Row, NoRow> {
        match self.resolve(args) {
            Err(NoRow::Command) => {}
            found => return found,
        }
        let row = self.find_original(args.at(0)).filter(|row| !row.is_sub()).ok_or(NoRow::Command)?;
        match args.get(1) {
            Some(word) if row.is_container() => self.find_sub(row, word).ok_or(NoRow::Subcommand(row.id)),
            _ => Ok(row),
        }
    }

    /// The subcommand of a container by its name.
    pub fn find_sub(&self, row: &Row, name: &[u8]) -> Option<&Row> {
        row.subs.iter().map(|&id| self.at(id)).find(|r| r.spec.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The row of a full name, with its container where it has one: `get`, `config|set`.
    pub fn find_full(&self, name: &[u8]) -> Option<&Row> {
        match name.iter().position(|&b| b == b'|') {
            None => self.find(name),
            Some(bar) => self.find(&name[..bar]).and_then(|row| self.find_sub(row, &name[bar + 1..])),
        }
    }

    /// The row of a full name that no `rename-command` has touched: what rules about users speak of.
    pub fn find_original(&self, name: &[u8]) -> Option<&Row> {
        self.rows.iter().find(|row| row.full_name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The row of a number.
    #[inline]
    pub fn at(&self, id: u16) -> &Row {
        &self.rows[id as usize]
    }

    /// All rows, subcommands after their containers.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// All commands, without subcommands and without those that nobody can call.
    pub fn commands(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|r| r.parent.is_none() && !r.name.is_empty())
    }
}

/// A name of at most eight bytes in one word, so that it is compared at once, without regard to case.
#[derive(Clone, Copy, Default)]
struct ShortName {
    /// The bytes, as the row has them.
    word: u64,
    /// The bit that tells capitals from small letters, in each byte that is a letter.
    letters: u64,
    /// Row number + 1; 0 for an empty slot.
    row: u16,
    /// Bytes of the name.
    len: u8,
}

impl ShortName {
    fn new(name: &[u8], id: u16) -> ShortName {
        let mut bytes = [0; 8];
        bytes[..name.len()].copy_from_slice(name);
        let letters = bytes.map(|b| if b.is_ascii_alphabetic() { CASE } else { 0 });
        ShortName {
            word: u64::from_le_bytes(bytes),
            letters: u64::from_le_bytes(letters),
            row: id + 1,
            len: name.len() as u8,
        }
    }
}

/// The bit that tells a capital from its small letter.
const CASE: u8 = 0x20;

/// Where the search for a name begins: the same for all its spellings.
#[inline]
fn short_slot(word: u64, size: usize) -> usize {
    let folded = word | u64::from_le_bytes([CASE; 8]);
    // Fibonacci hashing: the product spreads all bits into the highest ones.
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (size - 1)
}

/// FNV-1a over the letters in small.
#[inline]
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b | 0x20)).wrapping_mul(0x0100_0193))
}
