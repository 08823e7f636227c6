//! Servers that follow each other, as processes: what users of Redis, Valkey and others have reported, each as a test. The names of the
//! reports stand with the tests.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers and looks at their files"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;
use support::peer::{Connection, Peer, words};
use support::reply::Resp;
use support::saved::{digest, fill, follow, info, until, until_linked};

const OURS: &str = env!("CARGO_BIN_EXE_waterwheel");

fn start(arguments: &[&str]) -> Peer {
    let all = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
    Peer::start_with(OURS, &[&all, arguments].concat())
}

fn offset(peer: &Peer) -> u64 {
    info(peer, "master_repl_offset").parse().expect("it is a number")
}

/// Waits until a server has all that its primary has.
fn until_same(replica: &Peer, primary: &Peer) {
    until_linked(replica);
    until("they hold the same", || digest(replica) == digest(primary));
}

/// Ends a server in order.
fn shut_down(peer: &mut Peer, how: &str) {
    // Its connection ends with it.
    let _ = Connection::new(peer).try_ask(&[words(&format!("SHUTDOWN {how}"))]);
    assert_eq!(peer.exit_code(), Some(0));
}

/// A follower becomes the primary; the old one, which went on with nothing but pings, follows it: one full sync at most, and none
/// where no ping came (redis#6718). Offsets only grow, and the new one knows up to where the two are the same (redis#7143, #7344).
#[test]
fn the_old_primary_follows_the_new_one_with_one_sync_at_most() {
    for (period, dumps) in [("1000", 0), ("1", 1)] {
        let [a, b, c] = [(); 3].map(|()| start(&["--repl-ping-replica-period", period]));
        a.ask(&["SET", "key", "value"]);
        follow(&b, &a);
        until_linked(&b);
        follow(&c, &b);
        until_same(&c, &a);
        let before = offset(&b);
        let id = info(&a, "master_replid");
        assert_eq!(b.ask(&["REPLICAOF", "NO", "ONE"]), "OK");
        assert_eq!(info(&b, "master_replid2"), id);
        assert_eq!(info(&b, "second_repl_offset"), (before + 1).to_string());
        assert!(offset(&b) >= before);
        // It has lost its replica, and pings nobody; another one keeps it at that.
        let d = start(&[]);
        if dumps == 1 {
            follow(&d, &a);
            until_linked(&d);
            let at = offset(&a);
            until("a ping has gone out", || offset(&a) > at);
        }
        follow(&a, &b);
        b.ask(&["SET", "key", "newer"]);
        until_same(&a, &b);
        until_same(&c, &b);
        sleep(Duration::from_millis(1500));
        assert_eq!(info(&b, "sync_full"), (1 + dumps).to_string(), "period {period}");
        let here = b.log();
        assert_eq!(here.contains("Requested offset for second ID was"), dumps == 1, "{here}");
    }
}

/// A follower without a log that is stopped and started several times, while the primary has only pings to say, goes on where it was
/// (redis#4102).
#[test]
fn a_follower_that_starts_again_goes_on_where_it_was() {
    let primary = start(&[]);
    fill(&primary);
    let port = info(&primary, "tcp_port");
    let mut replica = start(&["--replicaof", "127.0.0.1", &port]);
    until_same(&replica, &primary);
    for round in 1..=3 {
        let before = offset(&replica);
        sleep(Duration::from_millis(1100));
        shut_down(&mut replica, "SAVE");
        sleep(Duration::from_millis(1100));
        replica.start_again(true);
        until_same(&replica, &primary);
        assert!(offset(&replica) > before, "pings count");
        assert_eq!(info(&primary, "sync_partial_ok"), round.to_string());
        assert_eq!(info(&primary, "sync_full"), "1");
    }
}

/// Keys that clients of a writable follower have given a deadline end, in any database, and those who follow it after its promotion
/// have the same keys (valkey#2953). One that is over and was not deleted by the primary counts as missing for its writes
/// (redis#6842, PR 9572).
#[test]
fn a_writable_follower_looks_after_its_own_keys() {
    let primary = start(&[]);
    let replica = start(&["--replica-read-only", "no"]);
    follow(&replica, &primary);
    until_linked(&replica);
    let mut writer = Connection::new(&replica);
    for line in ["SELECT 12", "SET own value PX 300", "SET stays value", "SELECT 0", "SET here value PX 300"]
    {
        writer.ask(&[words(line)]);
    }
    sleep(Duration::from_millis(1500));
    for line in ["SELECT 12", "DBSIZE"] {
        let reply = writer.ask(&[words(line)]).remove(0);
        assert!(matches!(reply, Resp::Status(_) | Resp::Int(1)), "{line}: {reply:?}");
    }
    assert_eq!(replica.ask(&["DBSIZE"]), "(integer) 0");
    // The primary deletes nothing meanwhile.
    primary.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    for line in
        ["SET number 10 PX 200", "RPUSH list a b", "PEXPIRE list 200", "SADD set a b", "PEXPIRE set 200"]
    {
        Connection::new(&primary).ask(&[words(line)]);
    }
    primary.ask(&["SET", "text", "value", "PX", "200"]);
    until("they are there", || replica.ask(&["EXISTS", "number", "list", "set", "text"]) == "(integer) 4");
    sleep(Duration::from_millis(400));
    assert_eq!(replica.ask(&["INCR", "number"]), "(integer) 1");
    assert_eq!(replica.ask(&["LPUSH", "list", "x"]), "(integer) 1");
    assert_eq!(replica.ask(&["SADD", "set", "x"]), "(integer) 1");
    assert_eq!(replica.ask(&["GETSET", "text", "x"]), "(nil)");
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), "OK");
    let below = start(&[]);
    follow(&below, &replica);
    until_same(&below, &replica);
    assert_eq!(below.ask(&["GET", "number"]), "\"1\"");
}

/// A follower that cannot store the dump says why, waits longer each time, and serves what it has meanwhile (redis#9647,
/// valkey#601).
#[test]
fn a_follower_without_room_for_the_dump_says_so_and_waits() {
    let primary = start(&[]);
    fill(&primary);
    let replica = start(&["--repl-diskless-load", "disabled", "--enable-protected-configs", "yes"]);
    replica.ask(&["SET", "old", "value"]);
    // Nothing can be made where its dump would go.
    let folder = replica.folder().join("away");
    std::fs::create_dir(&folder).expect("a folder can be made");
    let path = folder.to_string_lossy().into_owned();
    assert_eq!(replica.ask(&["CONFIG", "SET", "dir", &path]), "OK");
    std::fs::remove_dir(&folder).expect("it is empty");
    follow(&replica, &primary);
    sleep(Duration::from_secs(6));
    let tries = replica.log().matches("Full resync from master").count();
    assert!((1..=3).contains(&tries), "{tries} tries in 6 s: {}", replica.log());
    assert!(replica.log().contains("No such file or directory"), "{}", replica.log());
    assert_eq!(replica.ask(&["GET", "old"]), "\"value\"");
    std::fs::create_dir(&folder).expect("a folder can be made");
    until_same(&replica, &primary);
}

/// The beginning of what a primary says to a follower, and then whatever it is given.
fn lying_primary(history: &str, dump: Vec<u8>) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let answer = format!("+FULLRESYNC {history} 1000\r\n");
    let serve = move || {
        let (mut socket, _) = listener.accept().expect("the follower comes");
        let mut request = [0; 65536];
        loop {
            let n = socket.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..n]).to_ascii_uppercase();
            if n == 0 {
                return;
            }
            let replies = "+PONG\r\n".repeat(text.matches("PING").count())
                + &"+OK\r\n".repeat(text.matches("REPLCONF").count());
            if socket.write_all(replies.as_bytes()).is_err() {
                return;
            }
            if text.contains("PSYNC") {
                break;
            }
        }
        // The link ends with the socket.
        let _ = socket.write_all(answer.as_bytes()).and_then(|()| socket.write_all(&dump));
        sleep(Duration::from_millis(300));
    };
    (port, std::thread::spawn(serve))
}

/// The dump of a server.
fn dump_of(peer: &Peer) -> Vec<u8> {
    assert_eq!(peer.ask(&["SAVE"]), "OK");
    std::fs::read(peer.folder().join("dump.rdb")).expect("it was saved")
}

/// A copy that breaks off, or is damaged, leaves nothing half: an empty dataset where the old one had to go, otherwise the old one
/// (redis#12510, #11213); the link is tried again and the process lives, also within a large hash (redis#14085).
#[test]
fn a_copy_that_breaks_off_leaves_nothing_half() {
    let source = start(&[]);
    fill(&source);
    let mut hash = words("HSET large");
    hash.extend((0..200_000).map(|i| format!("member-{i}").into_bytes()));
    Connection::new(&source).ask(&[hash]);
    let whole = dump_of(&source);
    let history = "a".repeat(40);
    for load in ["disabled", "on-empty-db", "swapdb", "flushdb", "flush-before-load"] {
        for is_marked in [true, false] {
            for is_damaged in [true, false] {
                let replica = start(&[]);
                let set = replica.ask(&["CONFIG", "SET", "repl-diskless-load", load]);
                if !set.starts_with("OK") {
                    continue;
                }
                let keeps_nothing = load == "on-empty-db";
                if !keeps_nothing {
                    replica.ask(&["SET", "old", "value"]);
                }
                let mark = "f".repeat(40);
                let mut dump = match is_marked {
                    true => format!("$EOF:{mark}\r\n").into_bytes(),
                    false => format!("${}\r\n", whole.len()).into_bytes(),
                };
                let at = dump.len();
                dump.extend_from_slice(&whole);
                if is_damaged {
                    // The last bytes are the checksum.
                    let end = dump.len();
                    dump[end - 3] ^= 0x10;
                    dump.extend(is_marked.then_some(mark.bytes()).into_iter().flatten());
                } else {
                    dump.truncate(at + whole.len() * 2 / 3);
                }
                let (port, primary) = lying_primary(&history, dump);
                replica.ask(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
                primary.join().expect("it has said what it had to");
                let what = format!("{load}, mark {is_marked}, damage {is_damaged}");
                until(&format!("{what}: it has failed"), || {
                    let failed = if is_damaged || load == "on-empty-db" || load == "swapdb" {
                        "Failed trying to load the MASTER synchronization DB"
                    } else {
                        "Trying a partial resynchronization"
                    };
                    replica.log().contains(failed) && info(&replica, "loading") == "0"
                });
                assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), "OK");
                let keys = replica.ask(&["KEYS", "*"]);
                match (load, is_damaged) {
                    // What came is looked at before the old dataset goes, or beside it.
                    ("swapdb", _) | ("disabled", false) => assert_eq!(keys, "1) \"old\"", "{what}"),
                    _ => assert_eq!(keys, "(empty array)", "{what}"),
                }
            }
        }
    }
}

/// A follower that loads straight from the link saves soon, if it saves at all, and an empty one never overwrites a good dump
/// (redis#6217, PR 4491).
#[test]
fn a_follower_saves_what_it_was_sent_and_nothing_before() {
    let primary = start(&[]);
    fill(&primary);
    let mut replica = start(&["--repl-diskless-load", "on-empty-db", "--save", "1 1"]);
    follow(&replica, &primary);
    until_same(&replica, &primary);
    let has_saved = |peer: &Peer| peer.folder().join("dump.rdb").exists();
    until("it has saved", || has_saved(&replica));
    let good = digest(&primary);
    let port = info(&primary, "tcp_port");
    drop(primary);
    // Both ends die; the follower comes back alone, and has what it saved.
    replica.end();
    replica.add_arguments(&["--replicaof", "127.0.0.1", &port]);
    replica.start_again(true);
    until("it is loaded", || info(&replica, "loading") == "0");
    sleep(Duration::from_millis(2500));
    assert_eq!(digest(&replica), good);
    shut_down(&mut replica, "SAVE");
    replica.start_again(true);
    until("it is loaded", || info(&replica, "loading") == "0");
    assert_eq!(digest(&replica), good);
}

/// FAILOVER loses no write that was acknowledged, while clients go on writing (redis#6062, valkey#1291).
#[test]
fn a_failover_loses_no_write() {
    let servers = [(); 2].map(|()| start(&[]));
    follow(&servers[1], &servers[0]);
    until_linked(&servers[1]);
    until("it is online", || info(&servers[0], "slave0").contains("state=online"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (stop, servers) = (&stop, &servers);
                scope.spawn(move || {
                    let (mut written, mut at) = (0_u64, 0);
                    let mut connection = Connection::new(&servers[0]);
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let request = words(&format!("SET writer:{writer}:{written} value"));
                        match connection.try_ask(&[request]).as_deref() {
                            Some([Resp::Status(_)]) => written += 1,
                            _ => {
                                at = 1 - at;
                                connection = Connection::new(&servers[at]);
                            }
                        }
                    }
                    written
                })
            })
            .collect();
        for round in 0..4 {
            sleep(Duration::from_millis(300));
            let (old, new) = (&servers[round % 2], &servers[1 - round % 2]);
            let line = match round {
                0 => vec!["FAILOVER"],
                _ => vec!["FAILOVER", "TIMEOUT", "10000"],
            };
            assert_eq!(old.ask(&line), "OK");
            until("the roles have changed", || info(new, "role") == "master");
            until_linked(old);
            until("it is online", || info(new, "slave0").contains("state=online"));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("it has written")).collect::<Vec<_>>()
    });
    for server in &servers {
        let mut connection = Connection::new(server);
        for (writer, written) in done.iter().enumerate() {
            assert!(*written > 10);
            for number in 0..*written {
                let reply = connection.ask(&[words(&format!("EXISTS writer:{writer}:{number}"))]).remove(0);
                assert!(matches!(reply, Resp::Int(1)), "writer {writer} has lost {number}");
            }
        }
    }
}

/// The end of a failover concerns those who wait to be sent to the new primary; who has begun to read beside it reads on, as with
/// Redis. It was closed here, too.
#[test]
fn who_reads_while_a_replica_takes_over_reads_on() {
    let [old, new] = [(); 2].map(|()| start(&[]));
    follow(&new, &old);
    until_linked(&new);
    until("it is online", || info(&old, "slave0").contains("state=online"));
    let port = info(&new, "tcp_port");
    signal(&new, "STOP");
    assert_eq!(old.ask(&["FAILOVER", "TO", "127.0.0.1", &port, "FORCE", "TIMEOUT", "100"]), "OK");
    until("it asks", || info(&old, "master_failover_state") == "failover-in-progress");
    let mut reader = old.connect();
    reader.write_all(b"XREAD BLOCK 0 STREAMS stream 0\r\n").expect("it is connected");
    until("it waits", || info(&old, "blocked_clients") == "1");
    signal(&new, "CONT");
    until("the roles have changed", || info(&new, "role") == "master");
    until_linked(&old);
    new.ask(&["XADD", "stream", "1-1", "field", "value"]);
    reader.set_read_timeout(Some(Duration::from_secs(3))).expect("a socket has this option");
    let mut reply = [0; 100];
    let length = reader.read(&mut reply).expect("it answers");
    assert!(reply[..length].starts_with(b"*1\r\n"), "{}", String::from_utf8_lossy(&reply[..length]));
}

/// A dump that came by way of a file is the base of the log as it is, where a base is a dump; nothing is walked a second time. One in
/// the dialect of Valkey, which a straight dump has, is not: Redis can read the files of a log.
#[test]
fn a_dump_that_was_received_is_the_base_of_the_log() {
    for (straight, preamble, is_reused) in [("no", "yes", true), ("yes", "yes", false), ("no", "no", false)] {
        let primary = start(&["--repl-diskless-sync", straight]);
        fill(&primary);
        let mut replica = start(&["--appendonly", "yes", "--aof-use-rdb-preamble", preamble]);
        follow(&replica, &primary);
        until_linked(&replica);
        primary.ask(&["SET", "written", "behind it"]);
        until_same(&replica, &primary);
        until("there is a base", || info(&replica, "aof_rewrite_in_progress") == "0");
        let said = replica.log().contains("Reused RDB file from primary sync as AOF base file");
        assert_eq!(said, is_reused, "{straight} {preamble}");
        assert_eq!(info(&replica, "aof_rewrites"), if is_reused { "0" } else { "1" });
        let held = digest(&replica);
        shut_down(&mut replica, "NOSAVE");
        replica.set_arguments(&["--appendonly", "yes"]);
        replica.start_again(true);
        until("it is loaded", || info(&replica, "loading") == "0");
        assert_eq!(digest(&replica), held, "{straight} {preamble}");
    }
}

/// What Sentinel sends to a primary that comes back: all of it takes effect, clients and listeners go at once, followers stay
/// (redis#1083).
#[test]
fn the_transaction_of_a_sentinel_takes_effect_as_a_whole() {
    let [primary, other, below] = [(); 3].map(|()| start(&[]));
    follow(&below, &primary);
    until_linked(&below);
    let mut kinds: Vec<TcpStream> = Vec::new();
    for line in ["PING\r\n", "SUBSCRIBE channel\r\n"] {
        let mut socket = primary.connect();
        socket.set_read_timeout(Some(Duration::from_secs(3))).expect("a socket has this option");
        socket.write_all(line.as_bytes()).expect("it is connected");
        assert!(socket.read(&mut [0; 1000]).expect("it answers") > 0);
        kinds.push(socket);
    }
    let port = info(&other, "tcp_port");
    let mut sentinel = Connection::new(&primary);
    let replies = sentinel.ask(&[
        words("MULTI"),
        words(&format!("SLAVEOF 127.0.0.1 {port}")),
        words("CLIENT KILL TYPE normal"),
        words("CLIENT KILL TYPE pubsub"),
        words("EXEC"),
    ]);
    assert!(matches!(&replies[4], Resp::Array(all) if all.len() == 3), "{replies:?}");
    for mut socket in kinds {
        assert_eq!(socket.read(&mut [0; 1000]).ok(), Some(0), "clients and listeners go");
    }
    assert_eq!(info(&primary, "role"), "slave");
    until_linked(&primary);
    until_linked(&below);
    other.ask(&["SET", "key", "value"]);
    until_same(&below, &other);
}

/// What INFO tells of the link since Redis 8.4: attempts since it was lost and in all, and how long it was up and down.
#[test]
fn a_follower_tells_how_often_it_tried_and_how_long_it_was_without() {
    let mut primary = start(&[]);
    let replica = start(&[]);
    follow(&replica, &primary);
    until_linked(&replica);
    let told = |names: &[&str]| names.iter().map(|name| info(&replica, name)).collect::<Vec<_>>();
    let attempts = ["master_current_sync_attempts", "master_total_sync_attempts"];
    assert_eq!(told(&attempts), ["1", "1"]);
    assert_eq!(told(&["master_link_up_since_seconds", "total_disconnect_time_sec"]), ["0", "0"]);
    let line = replica.ask(&["CLIENT", "LIST", "TYPE", "master"]);
    assert!(line.contains(" user=(superuser) "), "{line}");
    signal(&primary, "KILL");
    until("it was without for two seconds", || {
        info(&replica, "master_link_status") == "down" && {
            info(&replica, "master_link_down_since_seconds") == "2"
        }
    });
    assert_eq!(info(&replica, "total_disconnect_time_sec"), "2");
    primary.restart();
    until_linked(&replica);
    let [current, all] = attempts.map(|name| info(&replica, name).parse::<u64>().expect("it is a number"));
    assert!(current >= 2 && all == current + 1, "{current} of {all}");
    assert_ne!(info(&replica, "total_disconnect_time_sec"), "0");
    // Another primary is another matter, but for the time without one.
    assert!(replica.ask(&["REPLICAOF", "127.0.0.1", "1"]).starts_with("OK"));
    until("it tries", || told(&attempts) != ["0", "0"]);
    assert_eq!(info(&replica, "master_link_down_since_seconds"), "0");
    assert_ne!(info(&replica, "total_disconnect_time_sec"), "0");
}

/// WAIT and WAITAOF at the same time, each with its own count (redis#11917, #11922, #12622).
#[test]
fn those_who_wait_for_replicas_and_for_logs_are_counted_apart() {
    let primary = start(&["--appendonly", "yes"]);
    let [logs, plain] = [start(&["--appendonly", "yes"]), start(&[])];
    for replica in [&logs, &plain] {
        follow(replica, &primary);
        until_linked(replica);
    }
    until("both are online", || info(&primary, "connected_slaves") == "2");
    let mut connections: Vec<Connection> = (0..4).map(|_| Connection::new(&primary)).collect();
    for (number, connection) in connections.iter_mut().enumerate() {
        connection.ask(&[words(&format!("SET key:{number} value"))]);
    }
    let ask = |connection: &mut Connection, line: &str| connection.ask(&[words(line)]).remove(0).shown();
    std::thread::scope(|scope| {
        for (connection, line) in
            connections.iter_mut().zip(["WAIT 2 5000", "WAITAOF 1 1 5000", "WAITAOF 1 2 1500", "WAIT 3 1500"])
        {
            scope.spawn(move || {
                let found = ask(connection, line);
                let expected = match line {
                    "WAIT 2 5000" | "WAIT 3 1500" => "(integer) 2",
                    // One follower has no log.
                    _ => "1) (integer) 1\n2) (integer) 1",
                };
                assert_eq!(found, expected, "{line}");
            });
        }
    });
    // Who has written nothing waits for nothing that others write.
    let mut fresh = Connection::new(&primary);
    assert_eq!(ask(&mut fresh, "WAITAOF 1 1 5000"), "1) (integer) 1\n2) (integer) 2");
}

/// WAIT in a script counts the replicas that have what its caller wrote before, not all (valkey#776).
#[test]
fn wait_in_a_script_counts_those_who_have_the_write() {
    let primary = start(&[]);
    let [one, stopped] = [start(&[]), start(&[])];
    for replica in [&one, &stopped] {
        follow(replica, &primary);
        until_linked(replica);
    }
    until("both have said how far they are", || {
        let end = format!("offset={}", offset(&primary));
        info(&primary, "slave0").contains(&end) && info(&primary, "slave1").contains(&end)
    });
    signal(&stopped, "STOP");
    let mut client = Connection::new(&primary);
    client.ask(&[words("SET key value")]);
    until("the other one has it", || one.ask(&["EXISTS", "key"]) == "(integer) 1");
    // It says how far it is once a second.
    sleep(Duration::from_millis(1200));
    let script = vec![b"EVAL".to_vec(), b"return redis.call('WAIT', 2, 0)".to_vec(), b"0".to_vec()];
    let reply = client.ask(&[script]).remove(0);
    signal(&stopped, "CONT");
    assert!(matches!(reply, Resp::Int(1)), "{reply:?}");
}

fn signal(peer: &Peer, name: &str) {
    let done =
        std::process::Command::new("kill").args([&format!("-{name}"), &peer.pid().to_string()]).status();
    assert!(done.expect("there is a kill").success());
}

/// Who waits for an element when the server becomes a follower is told so, and the element that the primary pushes stays
/// (dragonfly#8273, redis#2473).
#[test]
fn who_waits_when_the_role_changes_takes_nothing_of_the_primary() {
    let [primary, replica] = [start(&[]), start(&[])];
    let mut waiting = Connection::new(&replica);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| waiting.ask(&[words("BLPOP list 0")]).remove(0));
        until("it waits", || info(&replica, "blocked_clients") == "1");
        follow(&replica, &primary);
        let told = waits.join().expect("it is answered");
        assert!(matches!(&told, Resp::Error(text) if text.starts_with("UNBLOCKED")), "{told:?}");
    });
    until_linked(&replica);
    primary.ask(&["RPUSH", "list", "element"]);
    until("it is there", || replica.ask(&["LLEN", "list"]) == "(integer) 1");
}

/// Deadlines of fields are absolute in the feed, also when it lags, and HINCRBYFLOAT keeps them (dragonfly#8272, redis#14224).
#[test]
fn deadlines_of_fields_are_those_of_the_primary() {
    let [primary, replica] = [start(&[]), start(&[])];
    follow(&replica, &primary);
    until_linked(&replica);
    signal(&replica, "STOP");
    for line in
        ["HSET hash a 1 b 2", "HEXPIRE hash 100 FIELDS 1 a", "HINCRBYFLOAT hash a 1.5", "HINCRBY hash b 2"]
    {
        Connection::new(&primary).ask(&[words(line)]);
    }
    sleep(Duration::from_millis(1500));
    signal(&replica, "CONT");
    until_same(&replica, &primary);
    let line = ["HPEXPIRETIME", "hash", "FIELDS", "2", "a", "b"];
    let there = primary.ask(&line);
    assert_eq!(replica.ask(&line), there);
    assert!(there.ends_with("(integer) -1") && !there.starts_with("1) (integer) -1"), "{there}");
    assert_eq!(replica.ask(&["HGET", "hash", "a"]), "\"2.5\"");
}

/// What waits for slow followers does not count for `maxmemory`: the DELs of evicted keys would fill their buffers, and evict more
/// (redis#327).
#[test]
fn eviction_with_a_slow_follower_comes_to_an_end() {
    let primary = start(&["--client-output-buffer-limit", "replica 0 0 0", "--repl-backlog-size", "16kb"]);
    let replica = start(&[]);
    follow(&replica, &primary);
    until_linked(&replica);
    let value = "v".repeat(100);
    let batch: Vec<Vec<Vec<u8>>> = (0..60_000).map(|i| words(&format!("SET key:{i} {value}"))).collect();
    Connection::new(&primary).ask(&batch);
    until_same(&replica, &primary);
    signal(&replica, "STOP");
    let used: u64 = info(&primary, "used_memory").parse().expect("it is a number");
    primary.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    primary.ask(&["CONFIG", "SET", "maxmemory", &(used - 2_000_000).to_string()]);
    let keys = || primary.ask(&["DBSIZE"]);
    let mut before = String::new();
    until("the number of keys stands", || {
        sleep(Duration::from_millis(200));
        std::mem::replace(&mut before, keys()) == keys()
    });
    let left: u64 = keys().trim_start_matches("(integer) ").parse().expect("it is a number");
    // MEMORY STATS tells where it is: the feed up to the backlog, and what the follower has not got.
    let told = primary.ask(&["MEMORY", "STATS"]).replace('\n', " ");
    let told_of = |name: &str| {
        let (_, rest) = told.split_once(&format!("\"{name}\"")).expect("it is told");
        let number = rest.split_once("(integer) ").and_then(|(_, rest)| rest.split_whitespace().next());
        number.and_then(|number| number.parse::<u64>().ok()).expect("it is a number")
    };
    assert!((1..=64 * 1024).contains(&told_of("replication.backlog")), "{told}");
    assert!(
        told_of("clients.slaves") > 1000 && told_of("clients.slaves") < told_of("overhead.total"),
        "{told}"
    );
    signal(&replica, "CONT");
    assert!((30_000..60_000).contains(&left), "{left} keys are left of 60,000");
}
