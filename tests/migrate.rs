//! MIGRATE between two servers of ours, and with others that are slow, gone, or lie.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use support::World;
use waterwheel::base::limit::{LINKS_MAX, MIGRATION_BYTES_AHEAD};
use waterwheel::config::Permission;

const WRITING: &str = "(error) IOERR error or timeout writing to target instance";
const READING: &str = "(error) IOERR error or timeout reading to target instance";
const CONNECTING: &str = "(error) IOERR error or timeout connecting to the client";

/// Two servers, and the connections that the first has made to the second.
struct Pair {
    here: World,
    there: World,
    /// Connections that are open, by name.
    links: Vec<String>,
    /// Connections that were ever made.
    made: usize,
}

impl Pair {
    fn new() -> Pair {
        let (mut here, mut there) = (World::new(), World::with_seed(2));
        here.run("PING");
        there.run("PING");
        Pair { here, there, links: Vec::new(), made: 0 }
    }

    /// Makes the connections that are wanted.
    fn connect(&mut self) {
        while let Some((id, _, _)) = self.here.wanted.pop_front() {
            let name = format!("link{}", self.made);
            self.made += 1;
            self.here.plug(&name, id);
            self.links.push(name);
        }
    }

    /// Carries what was said there; true when something was.
    fn say(&mut self) -> bool {
        let mut moved = false;
        for name in self.links.clone() {
            let said = self.here.received_bytes(&name);
            moved |= !said.is_empty();
            self.there.send_bytes(&name, &said);
            if self.here.has_closed(&name) {
                self.links.retain(|link| *link != name);
                self.there.disconnect(&name);
            }
        }
        moved
    }

    /// Carries the answers back; true when there were some.
    fn answer(&mut self) -> bool {
        let mut moved = false;
        for name in self.links.clone() {
            let answer = self.there.received_bytes(&name);
            moved |= !answer.is_empty();
            if !answer.is_empty() {
                self.here.send_bytes(&name, &answer);
            }
        }
        moved
    }

    /// Carries everything until nobody says anything.
    fn settle(&mut self) {
        loop {
            self.connect();
            if !(self.say() | self.answer()) {
                return;
            }
        }
    }

    /// Runs a MIGRATE, or whatever waits for one, to its end.
    #[track_caller]
    fn run(&mut self, line: &str) -> String {
        self.here.send("a", line);
        self.settle();
        self.here.received("a")
    }

    /// The other server refuses its end of all connections, as one that has died does.
    fn cut(&mut self) {
        for name in std::mem::take(&mut self.links) {
            let id = self.here.id_of(&name);
            self.here.engine.half_closed(id);
            self.here.advance_ms(0);
            self.there.disconnect(&name);
        }
    }

    fn info(&mut self, field: &str) -> String {
        info(&mut self.here, field)
    }
}

/// The value of a field of INFO.
fn info(world: &mut World, field: &str) -> String {
    let text = world.run_as("info", "INFO everything");
    let start = text.find(&format!("{field}:")).unwrap_or_else(|| panic!("INFO has {field}"));
    let rest = &text[start + field.len() + 1..];
    rest[..rest.find(['\r', '\\', '\n']).unwrap_or(rest.len())].to_owned()
}

#[test]
fn a_key_moves_with_its_value_and_its_time() {
    let mut pair = Pair::new();
    pair.here.run("CONFIG SET notify-keyspace-events Eg");
    pair.here.run_as("s", "SUBSCRIBE __keyevent@0__:del");
    pair.here.received("s");
    pair.here.run("RPUSH l a b c");
    pair.here.run("PEXPIRE l 5000");
    pair.here.feed();
    assert_eq!(pair.run("MIGRATE 127.0.0.1 7000 l 3 1000"), "OK");
    assert_eq!(pair.here.run("EXISTS l"), "(integer) 0");
    assert_eq!(pair.here.feed(), "DEL l");
    assert!(pair.here.received("s").contains("\"l\""));
    pair.there.run("SELECT 3");
    assert_eq!(pair.there.run("LRANGE l 0 -1"), "1) \"a\"\n2) \"b\"\n3) \"c\"");
    assert_eq!(pair.there.run("PTTL l"), "(integer) 5000");
    assert_eq!(pair.run("MIGRATE 127.0.0.1 7000 l 3 1000"), "NOKEY");
    assert_eq!(pair.made, 1);
}

#[test]
fn copy_leaves_the_key_and_replace_overwrites_the_other() {
    let mut pair = Pair::new();
    pair.here.run("SET k v");
    pair.there.run("SET k old");
    pair.here.feed();
    let busy = "(error) ERR Target instance replied with error: BUSYKEY Target key name already exists.";
    assert_eq!(pair.run("MIGRATE h 1 k 0 0 COPY"), busy);
    assert_eq!(pair.run("MIGRATE h 1 k 0 0"), busy);
    assert_eq!((pair.here.run("GET k"), pair.there.run("GET k")), ("\"v\"".into(), "\"old\"".into()));
    assert_eq!(pair.run("MIGRATE h 1 k 0 0 COPY REPLACE"), "OK");
    assert_eq!((pair.here.run("GET k"), pair.there.run("GET k")), ("\"v\"".into(), "\"v\"".into()));
    assert_eq!(pair.here.feed(), "");
    assert_eq!(pair.run("MIGRATE h 1 k 0 0 replace"), "OK");
    assert_eq!(pair.here.feed(), "DEL k");
}

#[test]
fn what_is_there_is_removed_here_although_others_failed() {
    let mut pair = Pair::new();
    pair.here.run("MSET a 1 b 2 c 3 d 4");
    pair.there.run("MSET b x d y");
    pair.here.feed();
    let reply = pair.run("MIGRATE h 1 \"\" 0 0 KEYS a b none c d");
    assert_eq!(
        reply,
        "(error) ERR Target instance replied with error: BUSYKEY Target key name already exists."
    );
    assert_eq!(pair.here.feed(), "DEL a c");
    assert_eq!(pair.here.run("MGET a b c d"), "1) (nil)\n2) \"2\"\n3) (nil)\n4) \"4\"");
    assert_eq!(pair.there.run("MGET a b c d"), "1) \"1\"\n2) \"x\"\n3) \"3\"\n4) \"y\"");
}

#[test]
fn whoever_names_a_key_on_its_way_waits() {
    let mut pair = Pair::new();
    pair.here.run("MSET k 1 other 2");
    pair.here.run_as("m", "MULTI");
    pair.here.run_as("m", "GET k");
    pair.here.run_as("w", "WATCH k");
    pair.here.run_as("w", "MULTI");
    pair.here.run_as("w", "PING");
    pair.here.send("a", "MIGRATE h 1 k 0 0");
    let waiting = [
        ("b", "GET k"),
        ("c", "SET k new"),
        ("d", "FLUSHALL"),
        ("e", "SWAPDB 0 1"),
        ("f", "EVAL \"return redis.call('GET', 'k')\" 0"),
        ("g", "EVAL_RO \"return 1\" 1 k"),
        ("h", "MOVE k 1"),
        ("i", "MIGRATE h 1 k 0 0"),
        ("m", "EXEC"),
        ("n", "SORT l STORE k"),
    ];
    for (client, line) in waiting {
        assert_eq!(pair.here.run_as(client, line), "", "{line}");
    }
    let not_waiting = [
        ("p", "GET other", "\"2\""),
        ("p", "SET other 3", "OK"),
        ("p", "EVAL_RO \"return redis.call('GET', 'k')\" 0", "\"1\""),
        ("p", "PUBLISH c m", "(integer) 0"),
        ("p", "MULTI", "OK"),
        ("p", "SET k x", "QUEUED"),
        ("p", "DISCARD", "OK"),
        ("p", "SELECT 1", "OK"),
        ("p", "DBSIZE", "(integer) 0"),
    ];
    for (client, line, reply) in not_waiting {
        assert_eq!(pair.here.run_as(client, line), reply, "{line}");
    }
    let blocked = waiting.len() + 1;
    assert_eq!(pair.info("blocked_clients"), blocked.to_string());
    pair.connect();
    pair.say();
    pair.answer();
    pair.say();
    // It is there, and not yet gone from here: nobody sees that.
    assert_eq!(pair.there.run("GET k"), "\"1\"");
    assert_eq!(pair.here.run_as("q", "EXISTS k"), "");
    pair.settle();
    assert_eq!(pair.here.received("a"), "OK");
    assert_eq!(pair.here.received("b"), "(nil)");
    assert_eq!(pair.here.received("c"), "OK");
    assert_eq!(pair.here.received("d"), "OK");
    assert_eq!(pair.here.received("m"), "1) (nil)");
    assert_eq!(pair.here.received("q"), "(integer) 0");
    assert_eq!(pair.here.run_as("w", "EXEC"), "(nil array)");
    assert_eq!(pair.info("blocked_clients"), "0");
}

#[test]
fn who_waits_for_its_migration_can_leave_and_cannot_be_woken() {
    let mut pair = Pair::new();
    pair.here.run("MSET k 1 l 2");
    let id = pair.here.run_as("x", "CLIENT ID").replace("(integer) ", "");
    pair.here.feed();
    pair.here.send("x", "MIGRATE h 1 k 0 0");
    assert_eq!(pair.here.run(&format!("CLIENT UNBLOCK {id} ERROR")), "(integer) 0");
    pair.connect();
    assert_eq!(pair.here.run(&format!("CLIENT KILL ID {id}")), "(integer) 1");
    pair.settle();
    assert_eq!((pair.here.run("GET k"), pair.there.run("GET k")), ("(nil)".into(), "\"1\"".into()));
    assert_eq!(pair.here.feed(), "DEL k");
    pair.here.send("y", "MIGRATE h 1 l 0 0");
    pair.here.disconnect("y");
    assert_eq!(pair.here.run_as("b", "GET l"), "");
    pair.settle();
    assert_eq!((pair.here.received("b"), pair.there.run("GET l")), ("(nil)".into(), "\"2\"".into()));
    assert_eq!(pair.here.feed(), "DEL l");
    assert!(pair.here.run("INFO commandstats").contains("cmdstat_migrate:calls=2,"));
}

#[test]
fn a_call_is_counted_once_and_seen_once() {
    let mut pair = Pair::new();
    pair.here.run("SET k v");
    pair.here.run_as("m", "MONITOR");
    pair.here.run("CONFIG SET slowlog-log-slower-than 0");
    pair.here.received("m");
    let line = "MIGRATE h 1 k 0 1000 AUTH2 user secret1 COPY AUTH secret2";
    assert!(pair.run(line).starts_with("(error) ERR Target instance replied with error: "));
    let seen = pair.here.received("m");
    assert_eq!(seen.matches("MIGRATE").count(), 1, "{seen}");
    assert!(!seen.contains("secret") && seen.contains("(redacted)"));
    let slow = pair.here.run("SLOWLOG GET -1");
    assert_eq!(slow.matches("MIGRATE").count(), 1, "{slow}");
    assert!(!slow.contains("secret"));
    let stats = pair.here.run("INFO commandstats");
    let line = stats.split("cmdstat_migrate:").nth(1).unwrap_or_default();
    assert!(line.starts_with("calls=1,") && line.contains("failed_calls=1"), "{line}");
}

#[test]
fn a_connection_is_kept_and_selects_only_what_is_new() {
    let mut pair = Pair::new();
    pair.here.run("MSET a 1 b 2 c 3 d 4 e 5");
    assert_eq!(pair.run("MIGRATE h 1 a 5 0"), "OK");
    assert_eq!(pair.info("migrate_cached_sockets"), "1");
    pair.here.send("a", "MIGRATE h 1 b 5 0");
    assert!(pair.here.received_bytes("link0").starts_with(b"*4\r\n$7\r\nRESTORE\r\n"));
    pair.here.send_bytes("link0", b"+OK\r\n");
    assert_eq!(pair.here.received("a"), "OK");
    pair.here.send("a", "MIGRATE h 1 c 6 0");
    assert_eq!(pair.here.received_bytes("link0"), b"*2\r\n$6\r\nSELECT\r\n$1\r\n6\r\n");
    pair.here.send_bytes("link0", b"-ERR no such\r\n");
    assert_eq!(pair.here.received("a"), "(error) ERR Target instance replied with error: ERR no such");
    assert_eq!(pair.here.run("GET c"), "\"3\"");
    // Nothing is known of what is selected.
    pair.here.send("a", "MIGRATE h 1 c 5 0");
    assert_eq!(pair.here.received_bytes("link0"), b"*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n");
    pair.here.send_bytes("link0", b"+OK\r\n+OK\r\n");
    // The second of these answers what was not asked.
    assert_eq!(pair.here.received("a"), WRITING);
    assert_eq!(pair.here.run("GET c"), "\"3\"");
    assert_eq!(pair.info("migrate_cached_sockets"), "0");
    pair.links.clear();
    assert_eq!(pair.run("MIGRATE h 1 d 0 0"), "OK");
    pair.here.advance_ms(9_999);
    assert_eq!(pair.info("migrate_cached_sockets"), "1");
    pair.here.advance_ms(2);
    assert_eq!(pair.info("migrate_cached_sockets"), "0");
    assert_eq!(pair.run("MIGRATE h 1 e 0 0"), "OK");
    assert_eq!(pair.run("MIGRATE h 2 none 0 0"), "NOKEY");
    assert_eq!(pair.made, 3);
}

#[test]
fn a_connection_that_has_died_is_made_anew_once() {
    let mut pair = Pair::new();
    pair.here.run("MSET a 1 b 2 c 3 d 4");
    assert_eq!(pair.run("MIGRATE h 1 a 0 0"), "OK");
    // It dies when it is used.
    pair.here.send("a", "MIGRATE h 1 b 0 0");
    pair.cut();
    assert_eq!(pair.here.received("a"), "");
    pair.settle();
    assert_eq!(pair.here.received("a"), "OK");
    assert_eq!(pair.there.run("MGET a b"), "1) \"1\"\n2) \"2\"");
    // It dies while nobody uses it.
    pair.cut();
    assert_eq!(pair.info("migrate_cached_sockets"), "0");
    assert_eq!(pair.run("MIGRATE h 1 c 0 0"), "OK");
    assert_eq!(pair.made, 3);
    // Both die.
    pair.here.send("a", "MIGRATE h 1 d 0 0");
    pair.cut();
    pair.connect();
    pair.cut();
    pair.settle();
    assert_eq!(pair.here.received("a"), READING);
    assert_eq!(pair.here.run("GET d"), "\"4\"");
    assert_eq!(pair.made, 4);
}

#[test]
fn a_connection_that_dies_behind_an_answer_keeps_what_was_answered() {
    let mut pair = Pair::new();
    pair.here.run("MSET a 1 b 2 c 3");
    pair.here.feed();
    pair.here.send("a", "MIGRATE h 1 \"\" 0 0 KEYS a b c");
    pair.connect();
    pair.say();
    pair.answer();
    pair.say();
    pair.here.send_bytes("link0", b"+OK\r\n");
    assert_eq!(pair.here.received("a"), "");
    pair.cut();
    assert_eq!(pair.here.received("a"), READING);
    assert_eq!(pair.here.feed(), "DEL a");
    assert_eq!(pair.here.run("MGET a b c"), "1) (nil)\n2) \"2\"\n3) \"3\"");
}

#[test]
fn time_runs_out_only_without_progress() {
    let mut pair = Pair::new();
    pair.here.run("MSET a 1 b 2");
    pair.here.send("a", "MIGRATE h 1 a 0 500");
    pair.here.advance_ms(499);
    assert_eq!(pair.here.received("a"), "");
    pair.here.advance_ms(1);
    assert_eq!(pair.here.received("a"), CONNECTING);
    pair.here.wanted.clear();
    pair.here.send("a", "MIGRATE h 1 \"\" 0 500 KEYS a b");
    pair.here.advance_ms(400);
    pair.connect();
    pair.here.advance_ms(400);
    pair.settle_greeting();
    pair.here.advance_ms(400);
    pair.here.send_bytes("link0", b"+OK\r\n");
    pair.here.advance_ms(499);
    assert_eq!(pair.here.received("a"), "");
    pair.here.advance_ms(1);
    // It is not tried again.
    assert_eq!(pair.here.received("a"), READING);
    assert_eq!(pair.here.run("MGET a b"), "1) (nil)\n2) \"2\"");
    assert_eq!(pair.info("migrate_cached_sockets"), "0");
    pair.here.send("a", "MIGRATE h 1 b 0 -5");
    pair.here.advance_ms(999);
    assert_eq!(pair.here.received("a"), "");
    pair.here.advance_ms(1);
    assert_eq!(pair.here.received("a"), CONNECTING);
}

impl Pair {
    /// Answers SELECT and takes the keys, no more.
    fn settle_greeting(&mut self) {
        self.here.received_bytes("link0");
        self.here.send_bytes("link0", b"+OK\r\n");
        self.here.received_bytes("link0");
    }
}

#[test]
fn nobody_listens() {
    let mut pair = Pair::new();
    pair.here.run("SET a 1");
    pair.here.send("a", "MIGRATE h x a 0 500");
    for port in [0, 0] {
        let (id, host, wanted) = pair.here.wanted.pop_front().expect("a connection is wanted");
        assert_eq!((host.as_str(), wanted), ("h", port));
        pair.here.refuse(id);
    }
    assert_eq!(pair.here.received("a"), WRITING);
    assert_eq!(pair.here.run("GET a"), "\"1\"");
    // Patience without end is patience all the same.
    pair.here.send("a", "MIGRATE h 1 a 0 9223372036854775807");
    pair.here.advance_ms(1 << 32);
    assert_eq!(pair.here.received("a"), "");
    for _ in 0..2 {
        let (id, ..) = pair.here.wanted.pop_front().expect("a connection is wanted");
        pair.here.refuse(id);
    }
    assert_eq!(pair.here.received("a"), WRITING);
    pair.here.send("a", "MIGRATE h 65536 a 0 500");
    let (id, ..) = pair.here.wanted.pop_front().expect("a connection is wanted");
    pair.here.engine.not_connected(id, "no such name", false);
    pair.here.advance_ms(0);
    assert_eq!(pair.here.received("a"), CONNECTING);
    assert!(pair.here.wanted.is_empty());
}

#[test]
fn what_is_no_answer_removes_nothing() {
    for lie in ["$2\r\nOK\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "*1\r\n", "\r\n", "OK\r\n", ":1\r\n"] {
        let mut pair = Pair::new();
        pair.here.run("SET a 1");
        pair.here.send("a", "MIGRATE h 1 a 0 500");
        pair.connect();
        pair.settle_greeting();
        pair.here.send_bytes("link0", lie.as_bytes());
        assert_eq!(pair.here.received("a"), READING, "{lie}");
        assert_eq!(pair.here.run("GET a"), "\"1\"");
        assert!(pair.here.wanted.is_empty());
    }
}

#[test]
fn an_answer_to_what_was_not_read_is_none() {
    let mut pair = Pair::new();
    let value = "x".repeat(MIGRATION_BYTES_AHEAD);
    pair.here.run("CONFIG SET rdbcompression no");
    pair.here.run(&format!("MSET a {value} b {value}"));
    pair.here.send("a", "MIGRATE h 1 \"\" 0 500 KEYS a b");
    pair.connect();
    pair.here.received_bytes("link0");
    pair.here.stop_reading("link0");
    pair.here.send_bytes("link0", b"+OK\r\n");
    pair.here.send_bytes("link0", b"+OK\r\n+OK\r\n");
    assert_eq!(pair.here.received("a"), WRITING);
    assert_eq!(pair.here.run("EXISTS a b"), "(integer) 2");
}

#[test]
fn payloads_are_made_as_the_socket_takes_them() {
    let mut pair = Pair::new();
    let value = "x".repeat(MIGRATION_BYTES_AHEAD);
    pair.here.run("CONFIG SET rdbcompression no");
    let keys: Vec<String> = (0..20).map(|i| format!("k{i}")).collect();
    for key in &keys {
        pair.here.run(&format!("SET {key} {value}"));
    }
    pair.here.send("a", &format!("MIGRATE h 1 \"\" 0 500 KEYS {}", keys.join(" ")));
    pair.connect();
    pair.here.received_bytes("link0");
    pair.here.stop_reading("link0");
    let id = pair.here.id_of("link0");
    pair.here.send_bytes("link0", b"+OK\r\n");
    let mut left = 0;
    for _ in 0..1000 {
        let waiting = pair.here.engine.output(id).map_or(0, |outgoing| outgoing.bytes());
        assert!(waiting < 2 * MIGRATION_BYTES_AHEAD + 100, "{waiting} bytes wait");
        left += waiting.min(100_000);
        pair.here.engine.sent(id, waiting.min(100_000));
        pair.here.advance_ms(1);
    }
    assert!(left > 20 * MIGRATION_BYTES_AHEAD);
    pair.here.send_bytes("link0", "+OK\r\n".repeat(20).as_bytes());
    assert_eq!(pair.here.received("a"), "OK");
    assert_eq!(pair.here.run("DBSIZE"), "(integer) 0");
}

#[test]
fn who_sends_the_keys_is_said_first() {
    let mut pair = Pair::new();
    pair.there.run("ACL SETUSER mover on >right ~* +restore +select");
    pair.there.run("ACL SETUSER default >secret");
    pair.here.run("MSET a 1 b 2 c 3");
    let refused = pair.run("MIGRATE h 1 a 0 0 AUTH wrong");
    assert_eq!(
        refused,
        "(error) ERR Target instance replied with error: WRONGPASS invalid username-password pair or user is disabled."
    );
    let refused = pair.run("MIGRATE h 2 a 0 0");
    assert_eq!(refused, "(error) ERR Target instance replied with error: NOAUTH Authentication required.");
    assert_eq!(pair.run("MIGRATE h 1 a 0 0 AUTH secret"), "OK");
    assert_eq!(pair.run("MIGRATE h 1 b 0 0 AUTH2 mover right"), "OK");
    pair.there.run("ACL SETUSER mover -restore");
    let refused = pair.run("MIGRATE h 1 c 0 0 AUTH2 mover right");
    assert!(refused.starts_with("(error) ERR Target instance replied with error: NOPERM"), "{refused}");
    assert_eq!(pair.there.run("MGET a b c"), "1) \"1\"\n2) \"2\"\n3) (nil)");
    assert_eq!(pair.here.run("MGET a b c"), "1) (nil)\n2) (nil)\n3) \"3\"");
}

#[test]
fn a_server_without_room_takes_nothing() {
    let mut pair = Pair::new();
    pair.here.run("MSET a 1 b 2");
    pair.there.run("CONFIG SET maxmemory 1");
    pair.there.host.allocated_bytes = 1 << 20;
    let reply = pair.run("MIGRATE h 1 \"\" 0 0 KEYS a b");
    assert_eq!(
        reply,
        "(error) ERR Target instance replied with error: OOM command not allowed when used memory > 'maxmemory'."
    );
    assert_eq!(pair.here.run("EXISTS a b"), "(integer) 2");
}

#[test]
fn a_key_that_dies_on_its_way_dies_on_both_sides() {
    let mut pair = Pair::new();
    pair.here.run("SET k v PX 100");
    pair.here.run("SET l v PX 100");
    pair.here.run("SET m v");
    pair.here.feed();
    pair.here.send("a", "MIGRATE h 1 \"\" 0 1000 KEYS k m");
    pair.connect();
    pair.settle_greeting();
    pair.here.send("b", "MIGRATE h 1 l 0 1000");
    pair.here.advance_ms(200);
    assert_eq!(pair.here.feed().matches("DEL").count(), 2);
    pair.here.send_bytes("link0", b"+OK\r\n+OK\r\n");
    assert_eq!(pair.here.received("a"), "OK");
    assert_eq!(pair.here.feed(), "DEL m");
    // The other one is over before it could be sent.
    pair.connect();
    pair.here.received_bytes("link1");
    pair.here.send_bytes("link1", b"+OK\r\n");
    assert_eq!((pair.here.received("b"), pair.here.received_bytes("link1")), ("OK".into(), Vec::new()));
}

#[test]
fn a_server_that_becomes_a_replica_gives_up() {
    let mut pair = Pair::new();
    pair.here.run("SET k v");
    pair.here.send("a", "MIGRATE h 1 k 0 1000");
    pair.here.send("b", "SET k w");
    pair.connect();
    pair.settle_greeting();
    assert_eq!(pair.here.run_as("c", "REPLICAOF h 2"), "OK");
    let unblocked = "(error) UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    assert_eq!(pair.here.received("a"), format!("{unblocked}\n(closed)"));
    assert_eq!(pair.here.received("b"), "(error) READONLY You can't write against a read only replica.");
    assert_eq!(pair.here.run_as("c", "GET k"), "\"v\"");
    assert_eq!(
        pair.here.run_as("c", "MIGRATE h 1 k 0 1000"),
        "(error) READONLY You can't write against a read only replica."
    );
    assert_eq!(pair.info("migrate_cached_sockets"), "0");
}

#[test]
fn the_end_waits_for_keys_on_their_way() {
    let mut pair = Pair::new();
    pair.here.run("SET k v");
    pair.here.send("a", "MIGRATE h 1 k 0 60000");
    pair.here.send("b", "SHUTDOWN NOSAVE");
    pair.here.advance_ms(100);
    assert_eq!(pair.here.exit, None);
    pair.settle();
    assert_eq!(pair.here.received("a"), "OK");
    pair.here.advance_ms(100);
    assert_eq!(pair.here.exit, Some(0));
    assert_eq!(pair.there.run("GET k"), "\"v\"");
    let mut pair = Pair::new();
    pair.here.run("SET k v");
    pair.here.send("a", "MIGRATE h 1 k 0 60000");
    pair.here.send("b", "SHUTDOWN NOSAVE");
    pair.here.advance_ms(11_000);
    assert_eq!(pair.here.exit, Some(0));
}

#[test]
fn a_pause_and_a_load_do_not_lose_a_key() {
    let mut pair = Pair::new();
    pair.here.engine.conf.appendonly = true;
    pair.here.engine.conf.enable_debug_command = Permission::Yes;
    pair.here.start();
    pair.here.run("SET k v");
    pair.here.advance_ms(2000);
    pair.here.send("a", "MIGRATE h 1 k 0 60000");
    pair.connect();
    pair.say();
    pair.answer();
    pair.say();
    assert_eq!(pair.here.run_as("b", "CLIENT PAUSE 100000 WRITE"), "OK");
    pair.here.disk_jobs_left = 0;
    pair.here.send("d", "DEBUG LOADAOF");
    assert_eq!(pair.here.received("d"), "");
    pair.answer();
    assert_eq!(pair.here.received("a"), "");
    assert!(pair.here.run_as("b", "PING").starts_with("(error) LOADING"));
    pair.here.disk_jobs_left = u64::MAX;
    pair.here.advance_ms(1);
    assert_eq!((pair.here.received("a"), pair.here.received("d")), ("OK".into(), "OK".into()));
    assert_eq!(pair.here.run_as("b", "EXISTS k"), "(integer) 0");
    assert_eq!(pair.there.run("GET k"), "\"v\"");
}

#[test]
fn more_than_there_are_connections_wait_in_line() {
    let mut pair = Pair::new();
    let count = LINKS_MAX + 10;
    for i in 0..count {
        pair.here.run(&format!("SET k{i} {i}"));
        pair.here.send(&format!("c{i}"), &format!("MIGRATE h {} k{i} 0 1000", i + 1));
    }
    assert_eq!(pair.info("migrate_cached_sockets"), LINKS_MAX.to_string());
    pair.settle();
    for i in 0..count {
        assert_eq!(pair.here.received(&format!("c{i}")), "OK");
    }
    assert_eq!(pair.there.run("DBSIZE"), format!("(integer) {count}"));
    assert_eq!(pair.info("migrate_cached_sockets"), LINKS_MAX.to_string());
}

#[test]
fn several_keys_of_one_server_go_side_by_side() {
    let mut pair = Pair::new();
    pair.here.run("MSET a 1 b 2");
    pair.here.send("x", "MIGRATE h 1 a 0 0");
    pair.here.send("y", "MIGRATE h 1 b 0 0");
    pair.settle();
    assert_eq!((pair.here.received("x"), pair.here.received("y")), ("OK".into(), "OK".into()));
    // One connection of a kind is kept.
    assert_eq!((pair.made, pair.info("migrate_cached_sockets")), (2, "1".into()));
}

#[test]
fn everything_waits_for_one_within_a_transaction_or_a_script() {
    let (mut here, there) = (World::new(), Rc::new(RefCell::new(World::with_seed(2))));
    let far = Rc::clone(&there);
    here.host.far = Some(Box::new(move |bytes| {
        far.borrow_mut().send_bytes("m", bytes);
        far.borrow_mut().received_bytes("m")
    }));
    here.run("MSET a 1 b 2 c 3");
    here.feed();
    here.run("MULTI");
    here.run("INCR a");
    here.run("MIGRATE h 1 \"\" 0 0 KEYS a b");
    here.run("EXISTS a b");
    assert_eq!(here.run("EXEC"), "1) (integer) 2\n2) OK\n3) (integer) 0");
    assert_eq!(here.feed(), "MULTI | INCR a | DEL a b | EXEC");
    let script =
        "EVAL \"return {redis.call('MIGRATE', 'h', 1, KEYS[1], 0, 0), redis.call('EXISTS', KEYS[1])}\" 1 c";
    assert_eq!(here.run(script), "1) OK\n2) (integer) 0");
    assert_eq!(here.feed(), "DEL c");
    assert_eq!(there.borrow_mut().run("MGET a b c"), "1) \"2\"\n2) \"2\"\n3) \"3\"");
    assert_eq!(info(&mut here, "migrate_cached_sockets"), "1");
    let (before, script) =
        (here.host.now, "EVAL \"return redis.pcall('MIGRATE', 'h', 1, KEYS[1], 0, 5000)\" 1 d");
    here.run("SET d 4");
    here.host.far = Some(Box::new(|_| Vec::new()));
    assert_eq!(here.run(script), READING);
    assert_eq!(here.host.now.mono_us - before.mono_us, 5_000_000);
    here.host.far = None;
    assert_eq!(here.run(script), WRITING);
    assert_eq!(here.run("GET d"), "\"4\"");
}

#[test]
fn what_was_propagated_moves_nothing() {
    let mut world = World::new();
    world.run("SET k v");
    assert_eq!(world.replay("MIGRATE h 1 k 0 0"), Ok(()));
    assert_eq!(world.run("GET k"), "\"v\"");
    assert!(world.wanted.is_empty());
}

#[test]
fn the_reply_waits_until_the_removal_is_durable() {
    let mut pair = Pair::new();
    pair.here.engine.conf.appendonly = true;
    pair.here.run("CONFIG SET appendfsync always");
    pair.here.start();
    assert_eq!(pair.here.run("SET k v"), "OK");
    pair.here.send("a", "MIGRATE h 1 k 0 0");
    pair.connect();
    pair.say();
    pair.answer();
    pair.say();
    pair.here.hold_jobs();
    pair.answer();
    assert_eq!(pair.here.received("a"), "");
    pair.here.do_jobs();
    assert_eq!(pair.here.received("a"), "OK");
}
