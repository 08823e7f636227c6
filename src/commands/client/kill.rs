//! CLIENT LIST and CLIENT KILL: which connections a filter names.

use crate::base::number::parse_i64;
use crate::engine::acl::UserId;
use crate::engine::client::{Client, state};
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::{Call, Engine};

/// The kinds of `TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Normal,
    Pubsub,
    /// Replicas, among which monitors count in Redis.
    Replica,
    /// The link to a primary.
    Primary,
}

fn class_named(name: &[u8]) -> Result<Class, CmdError> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(Class::Normal),
        b"pubsub" => Ok(Class::Pubsub),
        b"slave" | b"replica" => Ok(Class::Replica),
        b"master" | b"primary" => Ok(Class::Primary),
        _ => Err(CmdError::err(format!("Unknown client type '{}'", quoted(name)))),
    }
}

fn class_of(client: &Client) -> Class {
    if client.is(state::PUBSUB) {
        Class::Pubsub
    } else if client.is(state::MONITOR) {
        Class::Replica
    } else {
        Class::Normal
    }
}

pub(super) fn list(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let args = call.args;
    let mut slots: Vec<usize> = Vec::new();
    if args.len() == 4 && args.is(2, "type") {
        let class = class_named(args.at(3))?;
        slots.extend(all_slots(engine).filter(|&slot| class_of(&engine.clients[slot]) == class));
    } else if args.len() >= 4 && args.is(2, "id") {
        for id in args.iter_from(3) {
            let id = parse_i64(id).ok_or(CmdError::coded("ERR Invalid client ID"))?;
            slots.extend(engine.client_by_id(id as u64).and_then(|handle| engine.slot_of(handle)));
        }
    } else if args.len() == 2 {
        slots.extend(all_slots(engine));
    } else {
        return Err(CmdError::Syntax);
    }
    let mut text = String::new();
    for slot in slots {
        engine.reply_model(slot);
        let running = if slot == call.slot { args.wire_bytes() } else { 0 };
        text += &engine.describe_running(slot, running);
        text.push('\n');
    }
    engine.reply(call.slot).verbatim("txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn all_slots(engine: &Engine) -> impl Iterator<Item = usize> {
    engine.clients_by_age().into_iter().map(|handle| handle.slot as usize)
}

/// What CLIENT KILL looks for.
#[derive(Debug, Default)]
struct Filter {
    id: Option<u64>,
    class: Option<Class>,
    address: Option<String>,
    local: Option<String>,
    user: Option<UserId>,
    older_than_s: Option<u64>,
    spares_me: bool,
}

impl Filter {
    fn parse(engine: &Engine, call: &Call<'_>) -> Result<Filter, CmdError> {
        let args = call.args;
        let mut filter = Filter { spares_me: true, ..Filter::default() };
        let mut at = 2;
        while at < args.len() {
            let Some(value) = args.get(at + 1) else { return Err(CmdError::Syntax) };
            let text = || quoted(value).into_owned();
            if args.is(at, "id") {
                let id = parse_i64(value).filter(|id| *id > 0);
                let id = id.ok_or(CmdError::coded("ERR client-id should be greater than 0"))?;
                filter.id = Some(id as u64);
            } else if args.is(at, "maxage") {
                let age = parse_i64(value)
                    .ok_or(CmdError::coded("ERR maxage is not an integer or out of range"))?;
                if age <= 0 {
                    return Err(CmdError::coded("ERR maxage should be greater than 0"));
                }
                filter.older_than_s = Some(age as u64);
            } else if args.is(at, "type") {
                filter.class = Some(class_named(value)?);
            } else if args.is(at, "addr") {
                filter.address = Some(text());
            } else if args.is(at, "laddr") {
                filter.local = Some(text());
            } else if args.is(at, "user") {
                let user = engine.acl.users.find(value);
                filter.user = Some(user.ok_or_else(|| CmdError::err(format!("No such user '{}'", text())))?);
            } else if args.is(at, "skipme") {
                filter.spares_me = match value.to_ascii_lowercase().as_slice() {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(CmdError::Syntax),
                };
            } else {
                return Err(CmdError::Syntax);
            }
            at += 2;
        }
        Ok(filter)
    }

    fn names(&self, engine: &Engine, slot: usize) -> bool {
        let client = &engine.clients[slot];
        let age_s = engine.now.mono_us.saturating_sub(client.since_us) / 1_000_000;
        self.id.is_none_or(|id| client.id == id)
            && self.class.is_none_or(|class| class_of(client) == class)
            && self.address.as_ref().is_none_or(|text| *text == engine.peer_text(slot))
            && self.local.as_ref().is_none_or(|text| *text == engine.local_text(slot))
            && self.user.is_none_or(|user| client.user == user)
            && self.older_than_s.is_none_or(|s| age_s >= s)
    }
}

pub(super) fn kill(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let old_form = call.args.len() == 3;
    let filter = if old_form {
        let address = String::from_utf8_lossy(call.args.at(2)).into_owned();
        Filter { address: Some(address), ..Filter::default() }
    } else {
        Filter::parse(engine, call)?
    };
    let mut killed = 0;
    let mut suicide = false;
    for slot in all_slots(engine).collect::<Vec<_>>() {
        if !filter.names(engine, slot) || engine.clients[slot].is(state::CLOSE_ASAP) {
            continue;
        }
        if slot == call.slot {
            if filter.spares_me {
                continue;
            }
            suicide = true;
        } else {
            engine.kill(slot);
        }
        killed += 1;
        if old_form {
            break;
        }
    }
    match (old_form, killed) {
        (true, 0) => return Err(CmdError::coded("ERR No such client")),
        (true, _) => engine.reply(call.slot).ok(),
        (false, n) => engine.reply(call.slot).int(n),
    }
    if suicide {
        engine.clients[call.slot].set(state::CLOSE_AFTER_REPLY, true);
    }
    Ok(Outcome::Done)
}
