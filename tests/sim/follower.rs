//! A follower: an engine that is fed what another propagates, a second late, and must become the same.
//!
//! Its wall clock stands a month behind. A key never dies in it by itself, as on a replica: it leaves when the feed
//! says so. And a frame whose meaning depends on the clock, such as a relative deadline, has another meaning here.

use crate::support::World;
use crate::support::fingerprint::fingerprint;
use crate::support::reply::Resp;
use std::collections::VecDeque;
use waterwheel::keyspace::ValueRef;
use waterwheel::keyspace::types::stream::StreamId;
use waterwheel::resp::reply::encode_request;
use waterwheel::structures::listpack::Element;

/// How late the feed arrives, in microseconds.
const LATE_US: u64 = 1_000_000;

/// How far the clock of a follower is behind, in milliseconds.
const BEHIND_MS: i64 = 30 * 86_400_000;

/// A mistake in the way that the feed takes: whoever compares has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None.
    None,
    /// Deadlines are passed on relative to the clock of the leader.
    RelativeDeadline,
    /// Now and then an EXEC is lost.
    LostExec,
    /// Now and then the last change before an EXEC is lost: one of a transaction, or of a script.
    LostChange,
}

/// Of how many transactions one is damaged by a mistake.
const DAMAGED_ONE_IN: u64 = 8;

/// The engine that follows, and the way to it.
pub struct Follower {
    world: World,
    /// What is on its way, and when it arrives by the monotonic clock of the leader.
    under_way: VecDeque<(u64, Vec<u8>)>,
    fault: Fault,
    frames: u64,
    /// Transactions in the feed: of clients, of scripts, and of commands that change more than one thing.
    transactions: u64,
    /// What the follower refused.
    failure: Option<String>,
}

impl Follower {
    pub fn new(seed: u64, fault: Fault) -> Follower {
        let mut world = World::with_seed(seed);
        world.set_wall_by_ms(-BEHIND_MS);
        world.engine.switches.active_expire = false;
        Follower { world, under_way: VecDeque::new(), fault, frames: 0, transactions: 0, failure: None }
    }

    /// Takes what the leader has propagated, and applies what has arrived.
    pub fn follow(&mut self, leader: &mut World) {
        let now = leader.host.now;
        let mut bytes = Vec::new();
        let mut frames: Vec<Vec<Vec<u8>>> = leader.feed_requests().into_iter().map(raw_words).collect();
        self.frames += frames.len() as u64;
        if self.fault == Fault::RelativeDeadline {
            frames.iter_mut().for_each(|words| make_relative(words, now.unix_ms()));
        }
        for at in (0..frames.len()).rev().filter(|at| frames[*at][0] == b"EXEC").collect::<Vec<_>>() {
            self.transactions += 1;
            match self.fault {
                _ if !self.transactions.is_multiple_of(DAMAGED_ONE_IN) => {}
                Fault::LostExec => drop(frames.remove(at)),
                Fault::LostChange => drop(frames.remove(at - 1)),
                _ => {}
            }
        }
        frames.iter().for_each(|words| encode_request(words, &mut bytes));
        if !bytes.is_empty() {
            self.under_way.push_back((now.mono_us + LATE_US, bytes));
        }
        while self.under_way.front().is_some_and(|(due_us, _)| *due_us <= now.mono_us) {
            self.apply_next();
        }
    }

    /// Applies all that is under way, and compares. The leader must have expired whatever is due.
    pub fn catch_up(&mut self, leader: &mut World) -> Result<(), String> {
        self.follow(leader);
        while !self.under_way.is_empty() {
            self.apply_next();
        }
        if let Some(failure) = self.failure.take() {
            return Err(format!("a frame failed: {failure}"));
        }
        let (ours, theirs) = (fingerprint(&leader.engine), fingerprint(&self.world.engine));
        if ours == theirs {
            return Ok(());
        }
        Err(format!("after {} frames:\n{}", self.frames, differences(leader, &self.world)))
    }

    fn apply_next(&mut self) {
        let Some((_, bytes)) = self.under_way.pop_front() else { return };
        self.world.send_bytes("feed", &bytes);
        for reply in self.world.take_replies("feed").0 {
            if has_failed(&reply) && self.failure.is_none() {
                self.failure = Some(reply.shown());
            }
        }
    }
}

/// Whether a frame failed, or one of those between MULTI and EXEC.
fn has_failed(reply: &Resp) -> bool {
    match reply {
        Resp::Error(_) => true,
        Resp::Array(replies) => replies.iter().any(has_failed),
        _ => false,
    }
}

fn raw_words(request: Resp) -> Vec<Vec<u8>> {
    let Resp::Array(values) = request else { panic!("{request:?} is no request") };
    let word = |value| if let Resp::Bulk(bytes) = value { bytes } else { panic!("{value:?} is no word") };
    values.into_iter().map(word).collect()
}

/// The planted mistake: `SET key value PXAT time` becomes `SET key value PX duration`.
fn make_relative(words: &mut [Vec<u8>], now_ms: u64) {
    let Some(at) = words.iter().skip(3).position(|w| w.eq_ignore_ascii_case(b"PXAT")).map(|i| i + 3) else {
        return;
    };
    let time: u64 = String::from_utf8_lossy(&words[at + 1]).parse().expect("PXAT is followed by a time");
    if time > now_ms {
        words[at] = b"PX".to_vec();
        words[at + 1] = (time - now_ms).to_string().into_bytes();
    }
}

/// What a value holds, however it is kept.
fn shown(value: ValueRef<'_>) -> String {
    let text = |element: Element<'_>| element.to_vec().escape_ascii().to_string();
    let mut parts = Vec::new();
    match value {
        ValueRef::Inline(bytes, _) => parts.push(bytes.escape_ascii().to_string()),
        ValueRef::Shared(bytes) => parts.push(bytes.escape_ascii().to_string()),
        ValueRef::Int(value) => parts.push(value.to_string()),
        ValueRef::List(list) => list.walk(0, true, |item| {
            parts.push(item.to_vec().escape_ascii().to_string());
            true
        }),
        ValueRef::Stream(stream) => {
            let log = &stream.log;
            parts.push(format!("{:?} {:?} {}", log.last_id, log.max_deleted_id, log.entries_added));
            log.walk(StreamId::ZERO, StreamId::MAX, true, |entry| {
                parts.push(format!("{:?} {:?}", entry.id, entry.fields.collect::<Vec<_>>()));
                true
            });
            parts.extend(stream.groups().map(|(name, group)| format!("{} {group:?}", name.escape_ascii())));
        }
        ValueRef::Vector(vectors) => {
            let nodes = 0..vectors.len() as u32;
            parts.extend(nodes.map(|node| {
                let (name, attributes) = (vectors.name(node), vectors.attributes(node));
                let vector = vectors.graph().encoded(node);
                format!("{} {} {vector:?}", name.escape_ascii(), attributes.escape_ascii())
            }));
            parts.sort_unstable();
        }
        ValueRef::Set(set) => {
            parts.extend(set.iter().map(text));
            parts.sort_unstable();
        }
        ValueRef::Hash(hash) => {
            parts.extend(hash.iter().map(|field| {
                format!("{}={} {:?}", text(field.name), text(field.value.element()), field.deadline)
            }));
            parts.sort_unstable();
        }
        ValueRef::Zset(zset) => {
            parts.extend(zset.iter().map(|(member, score)| format!("{} {score}", text(member))));
        }
    }
    parts.join(", ")
}

/// Keys that are not the same in two worlds, a few of them.
fn differences(leader: &World, follower: &World) -> String {
    let mut lines = Vec::new();
    for (number, (a, b)) in leader.engine.dbs.iter().zip(follower.engine.dbs.iter()).enumerate() {
        let all = |db: &waterwheel::keyspace::Db| {
            let mut keys = std::collections::BTreeMap::new();
            let mut cursor = 0;
            loop {
                cursor = db.scan(cursor, |handle| {
                    let value = shown(db.value(handle));
                    keys.insert(db.key(handle).to_vec(), (value, db.deadline(handle)));
                });
                if cursor == 0 {
                    return keys;
                }
            }
        };
        let (a, b) = (all(a), all(b));
        for key in a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key)) {
            let (leader, follower) = (a.get(key), b.get(key));
            lines.push(format!("db {number}, {}: {leader:?}, follower {follower:?}", key.escape_ascii()));
        }
    }
    lines.dedup();
    lines.truncate(8);
    lines.join("\n")
}
