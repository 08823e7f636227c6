//! What is propagated is said in the words of Redis 8.0, whatever the words were in which it came.
//!
//! The first tests have a line for each command and option that Redis 8.0 does not know, with what is propagated. The last
//! ones ask Redis: `WATERWHEEL_ORACLE=path/to/redis-server cargo test --test words` sends it the frames of all transcripts,
//! and of random requests, and compares the data. Without the variable they do nothing.
#![allow(clippy::disallowed_methods, reason = "it talks to a real server, which has a real clock")]

mod support;

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};
use support::peer::{Connection, Peer};
use support::reply::Resp;
use support::requests::{Lives, Requests};
use support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS, Template, VALKEY};
use support::transcript::{self, Action};
use support::{BEGIN_UNIX_MS, World};
use waterwheel::config::Permission;
use waterwheel::engine::spec::flag;
use waterwheel::engine::syntax::{self, Argument};
use waterwheel::engine::table::Row;

/// What each request propagates that Redis 8.0 would not understand: lines before it, the request, and the frames.
const WORDS: &[(&[&str], &str, &str)] = &[
    // SET and what is like it.
    (&["SET k a"], "SET k b IFEQ a", "SET k b"),
    (&["SET k a"], "SET k b IFEQ x", ""),
    (&["SET k a"], "SET k b IFNE x GET", "SET k b"),
    (&["SET k a"], "SET k b IFEQ a PX 100", "SET k b PXAT 1700000000100"),
    (&["SET k a"], "SET k b IFEQ a PXAT 1700000000100", "SET k b PXAT 1700000000100"),
    (&["SET k a PX 500"], "SET k b IFEQ a KEEPTTL", "SET k b KEEPTTL"),
    (&["SET k \"Hello world\""], "SET k b IFDNE 0000000000000000", "SET k b"),
    (&["SET k \"Hello world\""], "SET k b IFDEQ b6acb9d84a38ff74", "SET k b"),
    (&["SET k a"], "DELIFEQ k a", "DEL k"),
    (&["SET k a"], "DELIFEQ k b", ""),
    (&["SET k a"], "DELEX k", "DEL k"),
    (&["SET k a"], "DELEX k IFEQ a", "DEL k"),
    (&["SET k a"], "DELEX k IFNE a", ""),
    (&["SET k a"], "DELEX k IFNE b", "DEL k"),
    (&["SET k \"Hello world\""], "DELEX k IFDEQ b6acb9d84a38ff74", "DEL k"),
    (&["SET k \"Hello world\""], "DELEX k IFDNE 0000000000000000", "DEL k"),
    (&[], "MSETEX 2 a 1 b 2", "MULTI | SET a 1 | SET b 2 | EXEC"),
    (&[], "MSETEX 1 a 1 NX EX 1", "SET a 1 PXAT 1700000001000"),
    (&["SET a 1"], "MSETEX 1 a 2 XX KEEPTTL", "SET a 2 KEEPTTL"),
    (&["SET a 1"], "MSETEX 1 a 2 NX", ""),
    // Hashes.
    (&[], "HSETEX h NX FIELDS 1 f v", "HSETEX h FIELDS 1 f v"),
    (&["HSET h g w"], "HSETEX h XX FNX PX 100 FIELDS 1 f v", "HSETEX h FNX PXAT 1700000000100 FIELDS 1 f v"),
    (&[], "HSETEX h FIELDS 1 f v PX 100", "HSETEX h PXAT 1700000000100 FIELDS 1 f v"),
    (&[], "HSETEX h FIELDS 1 f v FNX", "HSETEX h FNX FIELDS 1 f v"),
    (&["HSET h f v"], "HPEXPIRE h 100 FIELDS 1 f NX", "HPEXPIREAT h 1700000000100 NX FIELDS 1 f"),
    (&["HSET h f v"], "HGETEX h FIELDS 1 f EX 1", "HPEXPIREAT h 1700000001000 FIELDS 1 f"),
    // Bits.
    (&["SET a abc", "SET b a"], "BITOP DIFF d a b", "SET d \\x00bc"),
    (&["SET a a", "SET b abc"], "BITOP DIFF1 d a b", "SET d \\x00bc"),
    (&["SET a abc", "SET b a"], "BITOP ANDOR d a b", "SET d a\\x00\\x00"),
    (&["SET a abc", "SET b a"], "BITOP ONE d a b", "SET d \\x00bc"),
    (&["SET d old"], "BITOP ONE d a b", "DEL d"),
    (&[], "BITOP DIFF d a b", ""),
    (&["SET a abc", "SET b a"], "BITOP AND d a b", "BITOP AND d a b"),
    // Places.
    (
        &["GEOADD g 13.361389 38.115556 p 15.087269 37.502669 c"],
        "GEOSEARCHSTORE d g BYPOLYGON 4 12 36 16 36 16 39 12 39",
        "ZADD d 3479099956230698 p 3479447370796909 c",
    ),
    (
        &["GEOADD g 13.361389 38.115556 p", "SET d v"],
        "GEOSEARCHSTORE d g BYPOLYGON 4 12 36 16 36 16 39 12 39",
        "MULTI | DEL d | ZADD d 3479099956230698 p | EXEC",
    ),
    (&["GEOADD g 13.361389 38.115556 p", "SET d v"], "GEOSEARCHSTORE d g BYPOLYGON 3 1 1 2 1 2 2", "DEL d"),
    (&["GEOADD g 13.361389 38.115556 p"], "GEOSEARCHSTORE d g BYPOLYGON 3 1 1 2 1 2 2", ""),
    // Producers of streams: the entry goes on, and what is known of the producer does not.
    (&[], "XADD s IDMP p i * f v", "XADD s 1700000000000-0 f v"),
    (&[], "XADD s IDMPAUTO p MAXLEN ~ 5 * f v", "XADD s MAXLEN = 1 1700000000000-0 f v"),
    (&["XADD s IDMP p i * f v"], "XADD s IDMP p i * g w", ""),
    (&["XADD s 1-1 f v"], "XIDMPRECORD s p i 1-1", ""),
    (&["XADD s 1-1 f v"], "XCFGSET s IDMP-DURATION 5 IDMP-MAXSIZE 5", ""),
    // Streams: 1-1 to 4-1, of which group g has 1-1 and 2-1 pending, and has acknowledged 3-1; group o has 1-1 pending.
    (GROUPS, "XDELEX s IDS 2 1-1 9-9", "XDEL s 1-1"),
    (GROUPS, "XDELEX s KEEPREF IDS 2 1-1 2-1", "XDEL s 1-1 2-1"),
    (
        GROUPS,
        "XDELEX s DELREF IDS 2 1-1 2-1",
        "MULTI | XACK s g 1-1 2-1 | XACK s o 1-1 | XDEL s 1-1 2-1 | EXEC",
    ),
    (GROUPS, "XDELEX s ACKED IDS 2 1-1 2-1", ""),
    (GROUPS, "XDELEX s IDS 1 9-9", ""),
    (GROUPS, "XACKDEL s g IDS 2 1-1 3-1", "MULTI | XACK s g 1-1 | XDEL s 1-1 | EXEC"),
    (GROUPS, "XACKDEL s g KEEPREF IDS 1 1-1", "MULTI | XACK s g 1-1 | XDEL s 1-1 | EXEC"),
    (GROUPS, "XACKDEL s g ACKED IDS 1 1-1", "XACK s g 1-1"),
    (GROUPS, "XACKDEL s g DELREF IDS 1 1-1", "MULTI | XACK s g 1-1 | XACK s o 1-1 | XDEL s 1-1 | EXEC"),
    (GROUPS, "XADD s KEEPREF MAXLEN 2 5-1 f v", "XADD s MAXLEN 2 5-1 f v"),
    (GROUPS, "XADD s KEEPREF 5-1 f v", "XADD s 5-1 f v"),
    (
        GROUPS,
        "XADD s MAXLEN = 3 DELREF 5-1 f v",
        "MULTI | XADD s MAXLEN = 3 5-1 f v | XACK s g 1-1 2-1 | XACK s o 1-1 | EXEC",
    ),
    (
        GROUPS,
        "XADD s MAXLEN ~ 0 LIMIT 0 DELREF 5-1 f v",
        "MULTI | XADD s MAXLEN = 0 5-1 f v | XACK s g 1-1 2-1 | XACK s o 1-1 | EXEC",
    ),
    (GROUPS, "XADD s MAXLEN 3 ACKED 5-1 f v", "XADD s 5-1 f v"),
    (ONE_GROUP, "XADD s MAXLEN 3 ACKED 5-1 f v", "XADD s MAXLEN 3 5-1 f v"),
    (ONE_GROUP, "XADD s MAXLEN 1 ACKED 5-1 f v", "MULTI | XADD s 5-1 f v | XDEL s 1-1 2-1 | EXEC"),
    (GROUPS, "XTRIM s MAXLEN = 2 KEEPREF", "XTRIM s MAXLEN = 2"),
    (GROUPS, "XTRIM s MINID 2 DELREF", "MULTI | XTRIM s MINID 2 | XACK s g 1-1 | XACK s o 1-1 | EXEC"),
    (GROUPS, "XTRIM s MINID 2 ACKED", ""),
    (ONE_GROUP, "XTRIM s MINID 2 ACKED", "XTRIM s MINID 2"),
    (ONE_GROUP, "XTRIM s MAXLEN ~ 0 ACKED", "XDEL s 1-1 2-1"),
    (
        GROUPS,
        "XREADGROUP GROUP g other CLAIM 0 STREAMS s >",
        "MULTI | \
         XCLAIM s g other 0 1-1 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 3-1 | \
         XCLAIM s g other 0 2-1 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 3-1 | \
         XCLAIM s g other 0 4-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 4-1 | \
         XGROUP SETID s g 4-1 ENTRIESREAD 4 | EXEC",
    ),
];

const GROUPS: &[&str] = &[
    "XADD s 1-1 f v",
    "XADD s 2-1 f v",
    "XADD s 3-1 f v",
    "XADD s 4-1 f v",
    "XGROUP CREATE s g 0",
    "XGROUP CREATE s o 0",
    "XREADGROUP GROUP g c COUNT 3 STREAMS s >",
    "XREADGROUP GROUP o c COUNT 1 STREAMS s >",
    "XACK s g 3-1",
];

/// As [`GROUPS`], but a single group, which has 3-1 pending and has acknowledged 1-1 and 2-1.
const ONE_GROUP: &[&str] = &[
    "XADD s 1-1 f v",
    "XADD s 2-1 f v",
    "XADD s 3-1 f v",
    "XADD s 4-1 f v",
    "XGROUP CREATE s g 0",
    "XREADGROUP GROUP g c COUNT 3 STREAMS s >",
    "XACK s g 1-1 2-1",
];

#[test]
fn what_redis_8_does_not_know_is_propagated_in_its_words() {
    let mut wrong = Vec::new();
    for (before, request, frames) in WORDS {
        let mut world = World::new();
        world.run("SET first 1");
        for line in *before {
            let answer = world.run(line);
            assert!(!answer.contains("error"), "{line}: {answer}");
        }
        world.feed();
        let answer = world.run(request);
        let feed = world.feed().escape_debug().to_string().replace("\\0", "\\x00");
        if feed != *frames || answer.contains("error") {
            wrong.push(format!("{request}\n  is      {feed}\n  not     {frames}\n  answer  {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Rows that Redis 8.0 has: tests/rows/redis-8.0.tsv.
fn rows_of_redis() -> BTreeSet<&'static str> {
    let lines = include_str!("rows/redis-8.0.tsv").lines();
    lines.filter_map(|line| line.split('\t').next()).collect()
}

/// Words of a syntax that came after Redis 8.0.
fn newer_words(row: &Row) -> Vec<&'static str> {
    fn collect(arguments: &[Argument], is_newer: bool, into: &mut Vec<&'static str>) {
        for argument in arguments {
            let is_newer = is_newer || argument.since.is_some_and(is_after_8_0);
            into.extend(argument.token.filter(|token| is_newer && !token.is_empty()));
            collect(&argument.parts, is_newer, into);
        }
    }
    let mut words = Vec::new();
    collect(&syntax::parse(row.spec.syntax).expect("a syntax can be read"), false, &mut words);
    words
}

fn is_after_8_0(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (major, minor) > (8, 0)
}

#[test]
fn every_write_and_option_of_ours_that_redis_8_does_not_know_is_on_the_list() {
    let known = rows_of_redis();
    let requests: Vec<Vec<&str>> = WORDS.iter().map(|(_, request, _)| request.split(' ').collect()).collect();
    let mut missing = Vec::new();
    let mut newer = 0;
    for row in support::table().rows().iter().filter(|row| row.has(flag::WRITE) && !row.is_container()) {
        let name = row.full_name.to_ascii_uppercase().replace('|', " ");
        let of_row: Vec<&Vec<&str>> = requests.iter().filter(|words| words[0] == name).collect();
        let is_new_row = !known.contains(row.full_name);
        let words = newer_words(row);
        newer += usize::from(is_new_row) + words.len();
        if is_new_row && of_row.is_empty() {
            missing.push(name.clone());
        }
        for word in words {
            if !of_row.iter().any(|request| request.contains(&word)) {
                missing.push(format!("{name} {word}"));
            }
        }
    }
    assert!(newer > 20, "what is newer is found: {newer}");
    assert!(missing.is_empty(), "no line for {missing:?}");
}

#[test]
fn a_payload_of_redis_86_is_propagated_as_one_of_redis_8() {
    let mut world = World::new();
    world.run("XADD s IDMP p i * f v");
    let Resp::Bulk(stream) = &world.ask("a", &[vec![b"DUMP".to_vec(), b"s".to_vec()]])[0] else {
        panic!("a payload")
    };
    let mut string = vec![0, 1, b'v'];
    waterwheel::persist::rdb::seal(&mut string, 13);
    world.feed();
    for payload in [stream.clone(), string] {
        assert_eq!(waterwheel::persist::rdb::version_of(&payload), 13);
        let restore = [&b"RESTORE"[..], b"k", b"0", &payload, b"REPLACE"].map(<[u8]>::to_vec).to_vec();
        assert_eq!(world.ask("a", &[restore])[0].shown(), "OK");
        let Resp::Array(parts) = &world.feed_requests()[0] else { panic!("a request") };
        let Resp::Bulk(told) = &parts[3] else { panic!("a payload") };
        let version = waterwheel::persist::rdb::version_of(told);
        assert!(version <= 12, "version {version}");
    }
}

#[test]
fn a_payload_of_valkey_is_propagated_as_one_of_redis() {
    let mut world = World::new();
    world.run("HSET h f v g w");
    world.run("HPEXPIREAT h 1700000100000 FIELDS 1 f");
    let dumped = world.ask("a", &[vec![b"DUMP".to_vec(), b"h".to_vec()]]);
    let Resp::Bulk(payload) = &dumped[0] else { panic!("a payload, not {dumped:?}") };
    // A string, in Valkey's version of the format.
    let mut valkey = vec![0, 1, b'v'];
    waterwheel::persist::rdb::seal(&mut valkey, 80);
    world.feed();
    let restore = [&b"RESTORE"[..], b"k", b"0", &valkey].map(<[u8]>::to_vec).to_vec();
    assert_eq!(world.ask("a", &[restore])[0].shown(), "OK");
    let frames = world.feed_requests();
    let frame = frames[0].words();
    assert_eq!(&frame[..3], ["RESTORE", "k", "0"]);
    assert!(!payload.is_empty());
    let mut replica = World::new();
    let Resp::Array(parts) = &frames[0] else { panic!("a request") };
    let Resp::Bulk(told) = &parts[3] else { panic!("a payload") };
    let version = u16::from_le_bytes([told[told.len() - 10], told[told.len() - 9]]);
    assert!(version <= 12, "version {version}");
    let restore = [&b"RESTORE"[..], b"k", b"0", told].map(<[u8]>::to_vec).to_vec();
    assert_eq!(replica.ask("a", &[restore])[0].shown(), "OK");
    assert_eq!(replica.run("GET k"), "\"v\"");
}

/// A Redis that is sent what a world propagates, and what differs afterwards.
struct Follower {
    peer: Peer,
    wrong: Vec<String>,
}

impl Follower {
    fn start() -> Option<Follower> {
        let Some(program) = std::env::var_os("WATERWHEEL_ORACLE") else {
            println!("WATERWHEEL_ORACLE names no redis-server: nothing was compared");
            return None;
        };
        let peer = Peer::start(&program.to_string_lossy());
        Some(Follower { peer, wrong: Vec::new() })
    }

    /// A world whose wall clock is ahead of Redis's: nothing dies there that lives here.
    fn world() -> World {
        let unix_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as u64;
        let mut world = World::new();
        world.engine.conf.enable_debug_command = Permission::Yes;
        world.set_wall_by_ms((unix_ms - BEGIN_UNIX_MS + 10 * 24 * 3_600_000) as i64);
        world
    }

    /// Sends all frames of a world and compares the data.
    fn follow(&mut self, world: &mut World, what: &str) {
        let frames: Vec<Vec<Vec<u8>>> = world
            .feed_requests()
            .into_iter()
            .map(|frame| {
                let Resp::Array(words) = frame else { panic!("a request") };
                let bytes = |word| if let Resp::Bulk(bytes) = word { bytes } else { panic!("a word") };
                words.into_iter().map(bytes).collect()
            })
            .collect();
        let mut socket = Connection::new(&self.peer);
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        socket.ask(&[words("FLUSHALL"), words("FUNCTION FLUSH")]);
        for frame in &frames {
            let reply = &socket.ask(std::slice::from_ref(frame))[0];
            let error = match reply {
                Resp::Error(text) => Some(text.clone()),
                Resp::Array(replies) => replies.iter().find_map(|reply| match reply {
                    Resp::Error(text) => Some(text.clone()),
                    _ => None,
                }),
                _ => None,
            };
            if let Some(error) = error {
                let shown: Vec<_> = frame.iter().map(|word| String::from_utf8_lossy(word)).collect();
                self.wrong.push(format!("{what}: {}: {error}", shown.join(" ")));
            }
        }
        socket.ask(&[words("SELECT 0")]);
        for line in ["DEBUG DIGEST", "FUNCTION LIST"] {
            let theirs = socket.ask(&[words(line)])[0].shown();
            let ours = world.ask("digest", &[words(line)])[0].shown();
            if ours != theirs {
                self.wrong.push(format!("{what}: {line}\n  we     {ours}\n  Redis  {theirs}"));
            }
        }
        self.compare_streams(&mut socket, world, what);
    }

    /// Groups are not in the digest.
    fn compare_streams(&mut self, socket: &mut Connection, world: &mut World, what: &str) {
        let words = |line: &[&[u8]]| line.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
        let Resp::Array(keys) =
            &world.ask("digest", &[words(&[b"SCAN", b"0", b"COUNT", b"10000", b"TYPE", b"stream"])])[0]
        else {
            return;
        };
        let Resp::Array(keys) = &keys[1] else { return };
        for key in keys {
            let Resp::Bulk(key) = key else { continue };
            let request = words(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]);
            let theirs = plain(&socket.ask(std::slice::from_ref(&request))[0]);
            let ours = plain(&world.ask("digest", &[request])[0]);
            if ours != theirs {
                let key = String::from_utf8_lossy(key);
                self.wrong.push(format!("{what}: XINFO STREAM {key}\n  we     {ours}\n  Redis  {theirs}"));
            }
        }
    }

    fn end(self) {
        let shown = self.wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.wrong.is_empty(), "{} differences:\n{shown}", self.wrong.len());
    }
}

/// A reply without what each server counts for itself, or only knows by its own clock. A consumer that has nothing pending
/// may be missing: Redis does not propagate one that XREADGROUP, XCLAIM or XAUTOCLAIM has made in vain either.
fn plain(reply: &Resp) -> String {
    const OWN: &[&str] = &[
        "seen-time",
        "active-time",
        "radix-tree-keys",
        "radix-tree-nodes",
        "max-deleted-entry-id",
        "entries-read",
        "lag",
        "idmp-duration",
        "idmp-maxsize",
        "pids-tracked",
        "iids-tracked",
        "iids-added",
        "iids-duplicates",
    ];
    let items = match reply {
        Resp::Array(items) => items,
        // Redis takes no time of a delivery that lies in its future.
        Resp::Int(unix_ms) if *unix_ms > BEGIN_UNIX_MS as i64 => return "(a time)".to_owned(),
        other => return other.shown(),
    };
    let mut shown = Vec::new();
    let mut at = 0;
    while at < items.len() {
        if let Resp::Bulk(name) = &items[at]
            && OWN.iter().any(|own| own.as_bytes() == name)
        {
            at += 2;
            continue;
        }
        let is_idle = matches!(&items[at], Resp::Array(parts) if is_idle_consumer(parts));
        if !is_idle {
            shown.push(plain(&items[at]));
        }
        at += 1;
    }
    format!("[{}]", shown.join(" "))
}

fn is_idle_consumer(parts: &[Resp]) -> bool {
    let is = |part: &Resp, name: &str| matches!(part, Resp::Bulk(bytes) if bytes == name.as_bytes());
    parts.iter().any(|part| is(part, "seen-time"))
        && parts.windows(2).any(|pair| is(&pair[0], "pel-count") && pair[1] == Resp::Int(0))
}

/// Scenes that Redis cannot follow, and why.
const NOT_FOLLOWED: &[(&str, &str)] = &[
    ("What a script changes is propagated as it was changed", "redis.set_repl leaves out some of it"),
    ("a zero keeps its sign only in a large one", "CONFIG SET, which says what is large, is not propagated"),
    ("DEBUG DIGEST and DEBUG DIGEST-VALUE", "DEBUG is not propagated"),
];

#[test]
fn redis_follows_what_the_transcripts_propagate() {
    let Some(mut follower) = Follower::start() else { return };
    for (name, transcript) in transcript::all() {
        for scene in &transcript.scenes {
            let mut world = Follower::world();
            for action in scene.blocks.iter().flat_map(|block| &block.actions) {
                match action {
                    Action::Send(client, requests, _) => {
                        world.send_bytes(client, &support::encoded(requests));
                    }
                    Action::SendBytes(client, bytes) => world.send_bytes(client, bytes),
                    Action::Wait(ms) => world.advance_ms(*ms),
                    Action::Leave(client) => world.disconnect(client),
                }
            }
            for line in ["CLIENT UNPAUSE", "SELECT 0"] {
                world.run_as("digest", line);
            }
            let title = scene.title.lines().next().unwrap_or_default();
            if NOT_FOLLOWED.iter().any(|(known, _)| title.contains(known)) {
                continue;
            }
            follower.follow(&mut world, &format!("{name}, {title}"));
        }
    }
    follower.end();
}

#[test]
fn redis_follows_what_random_requests_propagate() {
    const fn t(weight: u32, text: &'static str) -> Template {
        Template { weight, text }
    }
    const NEWER: &[Template] = &[
        t(30, "XDELEX <stream> (|KEEPREF|DELREF|ACKED) IDS 2 <id> <id>"),
        t(30, "XACKDEL <stream> <group> (|KEEPREF|DELREF|ACKED) IDS 2 <id> <id>"),
        t(
            30,
            "XADD <stream> (MAXLEN <small>|MAXLEN ~ <small>|MINID <id>|MINID ~ <id>) (KEEPREF|DELREF|ACKED) <new-id> <fields>",
        ),
        t(
            20,
            "XTRIM <stream> (MAXLEN <small>|MAXLEN ~ <small>|MINID <id>|MINID ~ <id>) (KEEPREF|DELREF|ACKED)",
        ),
        t(20, "XREADGROUP GROUP <group> <consumer> (|COUNT <small>) CLAIM 0 STREAMS <stream> >"),
        t(
            10,
            "XADD <stream> (|MAXLEN <small>) (IDMP <group> <consumer>|IDMPAUTO <group>) (<new-id>|*) <fields>",
        ),
        t(3, "XCFGSET <stream> (IDMP-MAXSIZE (1|3|100)|IDMP-DURATION (1|300))"),
        t(20, "BITOP (DIFF|DIFF1|ANDOR|ONE) <bits> <bits> <bits> (|<bits>)"),
        t(20, "DELEX <key> (|IFEQ <small>|IFNE <small>)"),
        t(20, "SET <key> <small> (IFNE <small>|IFEQ <small>) (|GET) (|KEEPTTL|PX <ms>)"),
    ];
    let Some(mut follower) = Follower::start() else { return };
    for seed in 0..30 {
        let tables = [DATA, LISTS, STREAMS, SETS, HASHES, BITS, VALKEY, NEWER];
        let mut requests = Requests::new(seed, Lives::Long, &tables);
        let mut world = Follower::world();
        requests.now_unix_ms = world.host.now.unix_ms();
        for _ in 0..3000 {
            let request = requests.draw().words;
            world.send_bytes("a", &support::encoded(&[request]));
            world.take_replies("a");
        }
        follower.follow(&mut world, &format!("seed {seed}"));
    }
    follower.end();
}
