//! Which connections CLIENT LIST and CLIENT KILL are about.
//!
//! A filter is a list of conditions that all have to hold; each may be given the other way round, as `NOT-` and its name.
//! Redis 8.0 has ID, TYPE, ADDR, LADDR, USER, SKIPME and MAXAGE, and not all of them for CLIENT LIST; the others are
//! Valkey's. Where one is given twice the last counts.

use crate::base::number::parse_i64;
use crate::engine::acl::UserId;
use crate::engine::client::{Client, state};
use crate::engine::connections::flag_letters;
use crate::engine::error::{CmdError, quoted};
use crate::engine::{Call, Engine};
use crate::resp::Args;
use bytes::Bytes;

/// The flags that can be asked for: all that CLIENT LIST may show in any mode of Redis or Valkey.
const FLAGS: &[u8] = b"OSMPxbtRBdcuAUreTIiEN";

/// The kinds of `TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Normal,
    Pubsub,
    /// Replicas. A monitor is none, though Redis treats it as one where commands on keys are concerned.
    Replica,
    /// The link to a primary.
    Primary,
}

impl Class {
    fn named(name: &[u8]) -> Result<Class, CmdError> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Class::Normal),
            b"pubsub" => Ok(Class::Pubsub),
            b"slave" | b"replica" => Ok(Class::Replica),
            b"master" | b"primary" => Ok(Class::Primary),
            _ => Err(CmdError::err(format!("Unknown client type '{}'", quoted(name)))),
        }
    }

    fn of(client: &Client) -> Class {
        match () {
            () if client.is(state::PRIMARY) => Class::Primary,
            () if client.is(state::REPLICA) => Class::Replica,
            () if client.is(state::PUBSUB) => Class::Pubsub,
            () => Class::Normal,
        }
    }
}

/// What is asked of a connection.
#[derive(Debug)]
enum Condition {
    /// It has one of these numbers.
    Id(Vec<i64>),
    Type(Class),
    /// Its other end is here.
    Addr(String),
    /// Its end at the server is here.
    Laddr(String),
    /// The other end is at this address, whatever its port.
    Ip(String),
    /// Its user is this one.
    User(UserId),
    /// It has been there for so many seconds.
    MaxAge(i64),
    /// It has been idle for so many seconds.
    Idle(i64),
    /// It has all of these flags.
    Flags(String),
    Name(Bytes),
    LibName(Bytes),
    LibVer(Bytes),
    Db(u32),
    /// It has said that it can follow a redirection, if any letter stands here.
    Capa(String),
}

impl Condition {
    /// Reads a condition by its name in small letters; none for a name that there is not.
    fn parse(
        engine: &Engine,
        name: &[u8],
        is_not: bool,
        value: &Bytes,
    ) -> Option<Result<Condition, CmdError>> {
        let text = || quoted(value).into_owned();
        Some(Ok(match name {
            b"type" => return Some(Class::named(value).map(Condition::Type)),
            b"addr" => Condition::Addr(text()),
            b"laddr" => Condition::Laddr(text()),
            b"ip" => Condition::Ip(text()),
            b"user" => match engine.acl.users.find(value) {
                Some(user) => Condition::User(user),
                None => return Some(Err(CmdError::err(format!("No such user '{}'", text())))),
            },
            b"maxage" if !is_not => return Some(seconds("maxage", value).map(Condition::MaxAge)),
            b"idle" if !is_not => return Some(seconds("idle", value).map(Condition::Idle)),
            b"flags" if value.iter().all(|letter| FLAGS.contains(letter)) => Condition::Flags(text()),
            b"flags" => return Some(Err(unknown_letters("flags", is_not, &text()))),
            b"capa" if value.iter().all(|letter| *letter == b'r') => Condition::Capa(text()),
            b"capa" => return Some(Err(unknown_letters("capa", is_not, &text()))),
            b"name" => Condition::Name(value.clone()),
            b"lib-name" => Condition::LibName(value.clone()),
            b"lib-ver" => Condition::LibVer(value.clone()),
            b"db" => return Some(database(engine, is_not, value)),
            _ => return None,
        }))
    }

    fn holds(&self, engine: &Engine, slot: usize) -> bool {
        let client = &engine.clients[slot];
        let seconds_since = |us: u64| (engine.now.mono_us.saturating_sub(us) / 1_000_000) as i64;
        let labels = client.labels.as_deref();
        match self {
            Condition::Id(ids) => ids.contains(&(client.id as i64)),
            Condition::Type(class) => Class::of(client) == *class,
            Condition::Addr(text) => *text == engine.peer_text(slot),
            Condition::Laddr(text) => *text == engine.local_text(slot),
            Condition::Ip(text) => is_at(&engine.peer_text(slot), text),
            Condition::User(user) => client.user == *user,
            Condition::MaxAge(s) => seconds_since(client.since_us) >= *s,
            Condition::Idle(s) => seconds_since(client.active_us) >= *s,
            Condition::Flags(letters) => {
                let shown = flag_letters(client);
                letters.chars().all(|letter| shown.contains(letter))
            }
            Condition::Name(name) => !client.name().is_empty() && client.name() == &name[..],
            Condition::LibName(name) => labels.is_some_and(|l| !l.lib_name.is_empty() && l.lib_name == *name),
            Condition::LibVer(version) => {
                labels.is_some_and(|l| !l.lib_ver.is_empty() && l.lib_ver == *version)
            }
            Condition::Db(db) => client.db == *db,
            Condition::Capa(letters) => letters.is_empty() || client.is(state::CAPA_REDIRECT),
        }
    }
}

/// A number of seconds above zero.
fn seconds(name: &str, value: &[u8]) -> Result<i64, CmdError> {
    match parse_i64(value) {
        None => Err(CmdError::err(format!("{name} is not an integer or out of range"))),
        Some(s) if s <= 0 => Err(CmdError::err(format!("{name} should be greater than 0"))),
        Some(s) => Ok(s),
    }
}

fn database(engine: &Engine, is_not: bool, value: &[u8]) -> Result<Condition, CmdError> {
    let name = if is_not { "NOT-DB" } else { "DB" };
    let last = engine.dbs.count() as i64 - 1;
    match parse_i64(value).filter(|n| i32::try_from(*n).is_ok()) {
        None => Err(CmdError::err(format!("{name} is not an integer or out of range"))),
        Some(n) if (0..=last).contains(&n) => Ok(Condition::Db(n as u32)),
        Some(_) => Err(CmdError::err(format!("{name} number should be between 0 and {last}"))),
    }
}

fn unknown_letters(what: &str, is_not: bool, letters: &str) -> CmdError {
    let filter = if is_not {
        format!("the NOT-{} filter", what.to_uppercase())
    } else {
        "the provided filter".to_owned()
    };
    CmdError::err(format!("Unknown {what} found in {filter}: {letters}"))
}

/// Whether an address with its port, as CLIENT LIST shows it, is of this host. The unix socket is of none.
fn is_at(address: &str, host: &str) -> bool {
    let Some((found, port)) = address.rsplit_once(':') else { return false };
    let found = found.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(found);
    found == host && port != "0"
}

/// Which of the two commands asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// CLIENT LIST.
    List,
    /// CLIENT KILL.
    Kill,
}

/// Conditions that a connection has to meet.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Each with its name, and whether it has to hold or must not.
    conditions: Vec<(Vec<u8>, bool, Condition)>,
    /// Not the client that asks.
    pub skips_me: bool,
}

impl Filter {
    /// The old form of CLIENT KILL: nothing but an address.
    pub fn of_address(address: &[u8]) -> Filter {
        let address = Condition::Addr(String::from_utf8_lossy(address).into_owned());
        Filter { conditions: vec![(b"addr".to_vec(), false, address)], skips_me: false }
    }

    /// Reads the arguments of a command from the third on.
    pub fn parse(engine: &Engine, call: &Call<'_>, asked: Asked) -> Result<Filter, CmdError> {
        let args = call.args;
        let mut filter = Filter { conditions: Vec::new(), skips_me: asked == Asked::Kill };
        let mut at = 2;
        while at < args.len() {
            let name = args.at(at).to_ascii_lowercase();
            let (is_not, name) = match name.strip_prefix(b"not-") {
                Some(rest) => (true, rest.to_vec()),
                None => (false, name),
            };
            let Some(value) = args.get(at + 1) else { return Err(CmdError::Syntax) };
            let condition = match &name[..] {
                b"id" => {
                    let ids = ids(args, at + 1, asked)?;
                    // One step more for the name itself.
                    at += ids.len() - 1;
                    Condition::Id(ids)
                }
                b"skipme" if !is_not => {
                    filter.skips_me = match value.to_ascii_lowercase().as_slice() {
                        b"yes" => true,
                        b"no" => false,
                        _ => return Err(CmdError::Syntax),
                    };
                    at += 2;
                    continue;
                }
                name => {
                    Condition::parse(engine, name, is_not, &args.bytes(at + 1)).ok_or(CmdError::Syntax)??
                }
            };
            filter.conditions.retain(|(old, old_not, _)| *old != name || *old_not != is_not);
            filter.conditions.push((name, is_not, condition));
            at += 2;
        }
        Ok(filter)
    }

    /// Whether a connection meets all conditions, whoever asks.
    pub fn names(&self, engine: &Engine, slot: usize) -> bool {
        self.conditions.iter().all(|(_, is_not, condition)| condition.holds(engine, slot) != *is_not)
    }

    /// The numbers that were asked for, if that is all that was asked for: they are then shown in this order.
    pub fn only_ids(&self) -> Option<&[i64]> {
        match &self.conditions[..] {
            [(_, false, Condition::Id(ids))] if !self.skips_me => Some(ids),
            _ => None,
        }
    }
}

/// The numbers after ID, up to the next name; at least one.
fn ids(args: Args<'_>, from: usize, asked: Asked) -> Result<Vec<i64>, CmdError> {
    let mut ids = Vec::new();
    for index in from..args.len() {
        let id = parse_i64(args.at(index));
        match asked {
            _ if id.is_none() && !ids.is_empty() && index + 1 < args.len() => break,
            Asked::Kill if id.is_none() && !ids.is_empty() => return Err(CmdError::Syntax),
            Asked::Kill if id.is_none_or(|id| id < 1) => {
                return Err(CmdError::coded("ERR client-id should be greater than 0"));
            }
            _ => ids.push(id.ok_or(CmdError::coded("ERR Invalid client ID"))?),
        }
    }
    Ok(ids)
}
