//! Keys and fields whose deadline has passed: who replays what was propagated sees them and stores such deadlines, others do
//! not see them, and they go when a removal comes, or when nothing holds the keyspace any more.

mod support;

use support::World;
use support::reply::Resp;
use support::requests::{Lives, Requests};
use support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS, VALKEY};
use waterwheel::config::Permission;

/// Long before a world begins.
const PAST_MS: u64 = 1_600_000_000_000;

/// A world in which nothing expires by itself.
fn held() -> World {
    let mut world = World::new();
    assert_eq!(world.run("CLIENT PAUSE 1000000 WRITE"), "OK");
    world
}

/// Replays lines; PAST stands for a time that is over.
#[track_caller]
fn replay(world: &mut World, lines: &[&str]) {
    for line in lines {
        assert_eq!(world.replay(&line.replace("PAST", &PAST_MS.to_string())), Ok(()), "{line}");
    }
    let errors = world.run_as("info", "INFO stats");
    assert!(errors.contains("unexpected_error_replies:0"), "one of {lines:?} answers an error");
}

/// What is there, as one sees who sees what has expired.
#[track_caller]
fn seen(world: &mut World, line: &str) -> String {
    world.run_as("seer", "CONFIG SET import-mode yes");
    world.run_as("seer", "CLIENT IMPORT-SOURCE ON");
    let seen = world.run_as("seer", line);
    world.run_as("seer", "CONFIG SET import-mode no");
    seen
}

#[test]
fn a_deadline_in_the_past_is_stored_by_every_command_that_sets_one() {
    let ways: &[(&str, &[&str])] = &[
        ("SET", &["SET k v PXAT PAST"]),
        ("EXAT", &["SET k v EXAT 1600000000"]),
        ("PEXPIREAT", &["SET k v", "PEXPIREAT k PAST"]),
        ("EXPIREAT", &["SET k v", "EXPIREAT k 1600000000"]),
        ("EXPIRE", &["SET k v", "EXPIRE k -100000000"]),
        ("GETEX", &["SET k v", "GETEX k PXAT PAST"]),
        ("GETEX EXAT", &["SET k v", "GETEX k EXAT 1600000000"]),
        ("MULTI", &["MULTI", "SET k v", "PEXPIREAT k PAST", "EXEC"]),
        ("EVAL", &["EVAL \"redis.call('SET', 'k', 'v') redis.call('PEXPIREAT', 'k', 'PAST')\" 0"]),
        ("COPY", &["SET o v PXAT PAST", "COPY o k", "DEL o"]),
        ("RENAME", &["SET o v PXAT PAST", "RENAME o k"]),
        ("MOVE", &["SELECT 1", "SET k v PXAT PAST", "MOVE k 0", "SELECT 0"]),
        ("SWAPDB", &["SELECT 1", "SET k v PXAT PAST", "SWAPDB 0 1", "SELECT 0"]),
    ];
    for (name, lines) in ways {
        let mut world = held();
        replay(&mut world, lines);
        assert_eq!(world.run("GET k"), "(nil)", "{name}");
        assert_eq!(world.run("DBSIZE"), "(integer) 1", "{name}");
        assert_eq!(seen(&mut world, "GET k"), "\"v\"", "{name}");
        if *name != "EXPIRE" {
            assert_eq!(seen(&mut world, "EXPIRETIME k"), "(integer) 1600000000", "{name}");
        }
        // The pause is over: now it goes, and everybody is told.
        world.run("CLIENT UNPAUSE");
        world.feed();
        world.advance_ms(1);
        assert_eq!(world.run("DBSIZE"), "(integer) 0", "{name}");
    }
}

#[test]
fn a_restored_key_may_be_dead() {
    let mut world = World::new();
    let id = world.id_of("a");
    world.send("a", "SET o v");
    world.received("a");
    let replies = world.ask("a", &[vec![b"DUMP".to_vec(), b"o".to_vec()]]);
    let Resp::Bulk(payload) = &replies[0] else { panic!("a payload") };
    let payload = payload.clone();
    assert!(world.engine.client(id).is_some());
    world.run("CLIENT PAUSE 1000000 WRITE");
    let past = PAST_MS.to_string().into_bytes();
    let words = [&b"RESTORE"[..], b"k", &past, &payload, b"ABSTTL", b"REPLACE"];
    assert_eq!(world.replay_words(words.map(<[u8]>::to_vec).to_vec()), Ok(()));
    assert_eq!(world.run("EXISTS k"), "(integer) 0");
    assert_eq!(seen(&mut world, "GET k"), "\"v\"");
}

#[test]
fn what_replays_works_on_dead_keys_as_on_any() {
    let mut world = held();
    replay(
        &mut world,
        &[
            "SET n 5 PXAT PAST",
            "INCRBY n 2",
            "SET s a PXAT PAST",
            "APPEND s b",
            "SET keep a PXAT PAST",
            "SET keep b KEEPTTL",
            "SETNX s c",
            "SET p v PXAT PAST",
            "PERSIST p",
            "RPUSH l 1 2",
            "PEXPIREAT l PAST",
            "RPUSH l 3",
            "LMOVE l l2 LEFT RIGHT",
            "ZADD z 1 a",
            "PEXPIREAT z PAST",
            "ZUNIONSTORE z2 1 z",
            "SADD t 2 1",
            "PEXPIREAT t PAST",
            "SORT t STORE l3",
            "SET w_1 2 PXAT PAST",
            "SET w_2 1 PXAT PAST",
            "SORT t BY w_* GET w_* STORE l4",
            "PFADD h a",
            "PEXPIREAT h PAST",
            "PFMERGE h2 h",
            "XADD x 1-1 f v",
            "PEXPIREAT x PAST",
            "XADD x 1-2 f v",
            "SETBIT b 7 1",
            "PEXPIREAT b PAST",
            "BITOP NOT b2 b",
            "SET gone v PXAT PAST",
            "DEL gone",
        ],
    );
    for (line, answer) in [
        ("GET n", "\"7\""),
        ("GET s", "\"ab\""),
        ("GET keep", "\"b\""),
        ("EXPIRETIME keep", "(integer) 1600000000"),
        ("TTL p", "(integer) -1"),
        ("LRANGE l 0 -1", "1) \"2\"\n2) \"3\""),
        ("LRANGE l2 0 -1", "1) \"1\""),
        ("ZRANGE z2 0 -1", "1) \"a\""),
        ("LRANGE l3 0 -1", "1) \"1\"\n2) \"2\""),
        ("LRANGE l4 0 -1", "1) \"1\"\n2) \"2\""),
        ("TYPE h2", "string"),
        ("XLEN x", "(integer) 2"),
        ("STRLEN b2", "(integer) 1"),
        ("EXISTS gone", "(integer) 0"),
        ("TTL n", "(integer) 0"),
        ("PTTL n", "(integer) 0"),
        ("TYPE n", "string"),
        ("OBJECT ENCODING n", "\"int\""),
        ("EXISTS n s l z t h x b", "(integer) 8"),
        ("TOUCH n s", "(integer) 2"),
        ("KEYS w_1", "1) \"w_1\""),
        ("KEYS n*", "1) \"n\""),
    ] {
        assert_eq!(seen(&mut world, line), answer, "{line}");
    }
    for line in ["KEYS w_*", "SCAN 0 COUNT 1000 MATCH w_*", "EXISTS n s l z t h x b", "TYPE n", "DUMP n"] {
        let (all, some) = (seen(&mut world, line), world.run(line));
        assert_ne!(all, some, "{line}");
        assert!(!some.contains("w_1"), "{line}: {some}");
    }
    assert_eq!(world.run("DBSIZE"), seen(&mut world, "DBSIZE"), "nothing went");
}

#[test]
fn a_random_key_may_be_dead_where_all_are_and_none_may_go() {
    let mut world = held();
    replay(&mut world, &["SET k v PXAT PAST"]);
    assert_eq!(world.run("RANDOMKEY"), "\"k\"");
    assert_eq!(seen(&mut world, "RANDOMKEY"), "\"k\"");
}

#[test]
fn a_deadline_in_the_past_is_stored_for_fields() {
    let ways: &[(&str, &[&str])] = &[
        ("HPEXPIREAT", &["HSET h f v g w", "HPEXPIREAT h PAST FIELDS 1 f"]),
        ("HEXPIREAT", &["HSET h f v g w", "HEXPIREAT h 1600000000 FIELDS 1 f"]),
        ("HSETEX", &["HSET h g w", "HSETEX h PXAT PAST FIELDS 1 f v"]),
        ("HGETEX", &["HSET h f v g w", "HGETEX h PXAT PAST FIELDS 1 f"]),
        (
            "NX",
            &[
                "HSET h f v g w",
                "HPEXPIREAT h PAST NX FIELDS 1 f",
                "HPEXPIREAT h 1700000100000 NX FIELDS 1 f",
            ],
        ),
        (
            "XX",
            &["HSET h f v g w", "HPEXPIREAT h 1500000000000 FIELDS 1 f", "HPEXPIREAT h PAST XX FIELDS 1 f"],
        ),
        ("KEEPTTL", &["HSET h f u g w", "HPEXPIREAT h PAST FIELDS 1 f", "HSETEX h FXX KEEPTTL FIELDS 1 f v"]),
        ("HSETNX", &["HSET h f v g w", "HPEXPIREAT h PAST FIELDS 1 f", "HSETNX h f other"]),
        ("COPY", &["HSET o f v g w", "HPEXPIREAT o PAST FIELDS 1 f", "COPY o h"]),
        ("RENAME", &["HSET o f v g w", "HPEXPIREAT o PAST FIELDS 1 f", "RENAME o h"]),
    ];
    for (name, lines) in ways {
        let mut world = held();
        replay(&mut world, lines);
        assert_eq!(world.run("HGET h f"), "(nil)", "{name}");
        assert_eq!(world.run("HLEN h"), "(integer) 2", "{name}");
        assert_eq!(seen(&mut world, "HGET h f"), "\"v\"", "{name}");
        assert_eq!(seen(&mut world, "HEXPIRETIME h FIELDS 1 f"), "1) (integer) 1600000000", "{name}");
        world.run("CLIENT UNPAUSE");
        world.advance_ms(1);
        assert_eq!(world.run("HLEN h"), "(integer) 1", "{name}");
    }
}

#[test]
fn what_replays_works_on_dead_fields_as_on_any() {
    let mut world = held();
    replay(
        &mut world,
        &[
            "HSET h n 5 x 1.5 p v d v g v",
            "HPEXPIREAT h PAST FIELDS 5 n x p d g",
            "HINCRBY h n 2",
            "HINCRBYFLOAT h x 1",
            "HPERSIST h FIELDS 1 p",
            "HDEL h d",
            "HGETDEL h FIELDS 1 g",
            "HSET h_1 n 7",
            "HPEXPIREAT h_1 PAST FIELDS 1 n",
            "SADD t 1",
            "SORT t BY nosort GET h_*->n STORE l",
        ],
    );
    for (line, answer) in [
        ("HGET h n", "\"7\""),
        ("HGET h x", "\"2.5\""),
        ("HTTL h FIELDS 3 n p d", "1) (integer) 0\n2) (integer) -1\n3) (integer) -2"),
        ("HPTTL h FIELDS 1 n", "1) (integer) 0"),
        ("HLEN h", "(integer) 3"),
        ("HMGET h n p", "1) \"7\"\n2) \"v\""),
        ("HEXISTS h n", "(integer) 1"),
        ("HSTRLEN h x", "(integer) 3"),
        ("LRANGE l 0 -1", "1) \"7\""),
    ] {
        assert_eq!(seen(&mut world, line), answer, "{line}");
    }
    for line in ["HGETALL h", "HKEYS h", "HVALS h", "HSCAN h 0", "HRANDFIELD h 10"] {
        let (all, some) = (seen(&mut world, line), world.run(line));
        assert_ne!(all, some, "{line}");
        assert!(all.len() > some.len(), "{line}");
    }
    assert_eq!(world.run("HKEYS h"), "1) \"p\"");
    assert_eq!(world.run("HLEN h"), "(integer) 3", "nothing went");
}

#[test]
fn what_held_them_is_over_and_they_go_with_a_removal_each() {
    let mut world = held();
    replay(&mut world, &["SET k v PXAT PAST", "HSET h f v g w", "HPEXPIREAT h PAST FIELDS 1 f"]);
    world.feed();
    world.run("CLIENT UNPAUSE");
    world.advance_ms(1);
    let feed = world.feed();
    assert!(feed.contains("DEL k") && feed.contains("HDEL h f"), "{feed}");
}

#[test]
fn a_client_among_others_sees_no_dead() {
    // The same requests from a connection: what lies in the past is gone at once.
    let mut world = World::new();
    world.run("SET k v");
    world.run(&format!("PEXPIREAT k {PAST_MS}"));
    assert_eq!(world.run("DBSIZE"), "(integer) 0");
    world.run("HSET h f v");
    world.run(&format!("HPEXPIREAT h {PAST_MS} FIELDS 1 f"));
    assert_eq!(world.run("DBSIZE"), "(integer) 0");
    assert_eq!(world.run("CLIENT IMPORT-SOURCE ON"), "(error) ERR Server is not in import mode");
}

#[test]
fn what_keys_and_fields_went_through_is_the_same_when_it_is_replayed_long_after_their_deadlines() {
    for seed in 0..40 {
        let tables = [DATA, LISTS, STREAMS, SETS, HASHES, BITS, VALKEY];
        let mut requests = Requests::new(seed, Lives::Short, &tables);
        let mut world = World::new();
        for _ in 0..2000 {
            requests.now_unix_ms = world.host.now.unix_ms();
            world.ask("a", &[requests.draw().words]);
            if requests.rng.below(20) == 0 {
                world.advance_ms(requests.rng.below(2000));
            }
        }
        let mut later = held();
        later.set_wall_by_ms(100 * 365 * 86_400_000);
        for frame in world.feed_requests() {
            let Resp::Array(words) = frame else { panic!("a request") };
            let bytes = |word| if let Resp::Bulk(bytes) = word { bytes } else { panic!("a word") };
            assert_eq!(later.replay_words(words.into_iter().map(bytes).collect()), Ok(()), "seed {seed}");
        }
        assert_eq!(later.engine.stats.unexpected_error_replies, 0, "seed {seed}");
        for world in [&mut world, &mut later] {
            world.engine.conf.enable_debug_command = Permission::Yes;
        }
        let keys = world.run("KEYS *");
        for key in keys.lines().filter_map(|line| line.split_once(") ").map(|(_, key)| key)) {
            let line = format!("DEBUG DIGEST-VALUE {key}");
            assert_eq!(later.run_as("b", &line), world.run_as("b", &line), "seed {seed}, {key}: {}", {
                let shown = format!("DUMP {key}");
                [later.run_as("b", &shown), world.run_as("b", &shown)].join(" and ")
            });
        }
        assert_eq!(later.run_as("b", "DEBUG DIGEST"), world.run_as("b", "DEBUG DIGEST"), "seed {seed}");
    }
}
