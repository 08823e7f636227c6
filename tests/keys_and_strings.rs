//! Strings and keys as clients and followers of the feed see them.

mod support;

use support::{BEGIN_UNIX_MS, World};

/// Runs lines and gives what they propagate, without the SELECT of the first.
#[track_caller]
fn fed(lines: &[&str]) -> String {
    let mut world = World::new();
    for line in lines {
        let reply = world.run(line);
        assert!(!reply.starts_with("(error)"), "{line}: {reply}");
    }
    let feed = world.feed();
    feed.strip_prefix("SELECT 0 | ").map_or(feed.clone(), str::to_owned)
}

/// Runs lines and gives the events of the last, as `event key`.
#[track_caller]
fn events(lines: &[&str]) -> String {
    let mut world = World::new();
    world.run("CONFIG SET notify-keyspace-events EAmn");
    let (last, first) = lines.split_last().expect("there is a line");
    for line in first {
        world.run(line);
    }
    world.run_as("b", "PSUBSCRIBE *");
    world.run(last);
    let received = world.received("b");
    let lines: Vec<&str> = received.lines().collect();
    let event = |message: &[&str]| {
        let word = |line: &str| line.split('"').nth(1).expect("a message has quoted parts").to_owned();
        format!("{} {}", word(message[2]).replace("__keyevent@0__:", ""), word(message[3]))
    };
    lines.chunks(4).map(event).collect::<Vec<_>>().join(", ")
}

#[test]
fn deadlines_in_the_feed_are_absolute() {
    let (now, later) = (BEGIN_UNIX_MS, BEGIN_UNIX_MS + 10_000);
    let set = format!("SET k v PXAT {later}");
    assert_eq!(fed(&["SET k v EX 10"]), set);
    assert_eq!(fed(&["SET k v NX PX 10000 GET"]), set);
    assert_eq!(fed(&[&format!("SET k v EXAT {} XX", later / 1000)]), "");
    assert_eq!(fed(&["SETEX k 10 v"]), set);
    assert_eq!(fed(&["PSETEX k 10000 v"]), set);
    let as_it_came = format!("SET k v NX PXAT {later}");
    assert_eq!(fed(&[&as_it_came]), as_it_came);
    let expire = |options: &str| format!("SET k v | PEXPIREAT k {later}{options}");
    assert_eq!(fed(&["SET k v", "EXPIRE k 10 NX"]), expire(" NX"));
    assert_eq!(fed(&["SET k v", "PEXPIRE k 10000"]), expire(""));
    assert_eq!(fed(&["SET k v", &format!("EXPIREAT k {}", later / 1000)]), expire(""));
    assert_eq!(fed(&["SET k v", "GETEX k EX 10"]), expire(""));
    assert_eq!(fed(&["SET k v", "EXPIRE k 0"]), "SET k v | DEL k");
    assert_eq!(fed(&["SET k v", &format!("GETEX k PXAT {now}")]), "SET k v | DEL k");
    assert_eq!(fed(&["CONFIG SET lazyfree-lazy-expire yes", "SET k v", "EXPIRE k -1"]), "SET k v | UNLINK k");
}

#[test]
fn the_feed_tells_results_and_not_questions() {
    assert_eq!(fed(&["SET k v GET"]), "SET k v");
    assert_eq!(fed(&["SET k v get KEEPTTL GET"]), "SET k v KEEPTTL");
    assert_eq!(fed(&["GETSET k v"]), "SET k v");
    assert_eq!(fed(&["SET k v", "GETDEL k", "GETDEL k"]), "SET k v | DEL k");
    assert_eq!(fed(&["SET k v", "GETEX k", "GETEX k PERSIST"]), "SET k v");
    assert_eq!(fed(&["INCRBYFLOAT k 0.1"]), "SET k 0.1 KEEPTTL");
    assert_eq!(fed(&["SETNX k v", "SETNX k w", "MSETNX k 1 l 2"]), "SETNX k v");
    assert_eq!(fed(&["SETRANGE k 0 \"\"", "DEL k", "COPY k l", "PERSIST k", "EXPIRE k 5"]), "");
}

#[test]
fn a_key_that_was_found_dead_leaves_before_the_command_that_found_it() {
    let mut world = World::new();
    world.engine.conf.enable_debug_command = waterwheel::config::Permission::Yes;
    world.run("DEBUG SET-ACTIVE-EXPIRE 0");
    world.run("SET k v PX 10");
    world.feed();
    world.advance_ms(11);
    assert_eq!(world.run("APPEND k x"), "(integer) 1");
    assert_eq!(world.feed(), "MULTI | DEL k | APPEND k x | EXEC");
}

#[test]
fn a_key_lives_through_its_last_millisecond_and_a_deadline_in_the_past_is_one() {
    let mut world = World::new();
    world.run("SET k v PX 100");
    world.advance_ms(99);
    assert_eq!(world.run("PTTL k"), "(integer) 1");
    world.advance_ms(1);
    assert_eq!(world.run("PTTL k"), "(integer) 0");
    world.feed();
    world.advance_ms(1);
    assert_eq!(world.run("DBSIZE"), "(integer) 0");
    assert_eq!(world.feed(), "DEL k");
    assert_eq!(world.run("SET k v EXAT 1"), "OK");
    assert_eq!(world.run("EXISTS k"), "(integer) 0");
    assert_eq!(world.feed(), "SET k v PXAT 1000 | DEL k");
}

#[test]
fn a_pause_hides_dead_keys_and_keeps_them() {
    let mut world = World::new();
    world.run("SET k v PX 10");
    world.run_as("b", "CLIENT PAUSE 1000 WRITE");
    world.advance_ms(50);
    assert_eq!(world.run("GET k"), "(nil)");
    assert_eq!(world.run("SCAN 0"), "1) \"0\"\n2) (empty array)");
    // As in Redis an expired one is better than none.
    assert_eq!(world.run("RANDOMKEY"), "\"k\"");
    assert_eq!(world.run("DBSIZE"), "(integer) 1");
    world.run_as("b", "CLIENT UNPAUSE");
    world.advance_ms(1);
    assert_eq!(world.run("DBSIZE"), "(integer) 0");
}

#[test]
fn events_have_the_names_of_redis() {
    assert_eq!(events(&["SET k v EX 10"]), "new k, set k, expire k");
    assert_eq!(events(&["SET k v", "SET k v EX 10 GET"]), "set k, expire k");
    assert_eq!(events(&["GET k"]), "keymiss k");
    assert_eq!(events(&["MSET k 1 l 2"]), "new k, set k, new l, set l");
    assert_eq!(events(&["SET k 1", "INCR k"]), "incrby k");
    assert_eq!(events(&["SET k 1", "INCRBYFLOAT k 1"]), "incrbyfloat k");
    assert_eq!(events(&["SET k 1", "APPEND k 1"]), "append k");
    assert_eq!(events(&["SETRANGE k 1 x"]), "new k, setrange k");
    assert_eq!(events(&["SET k 1", "GETDEL k"]), "del k");
    assert_eq!(events(&["SET k 1 EX 5", "GETEX k PERSIST"]), "persist k");
    assert_eq!(events(&["SET k 1", "RENAME k l"]), "new l, rename_from k, rename_to l");
    assert_eq!(events(&["SET k 1", "COPY k l"]), "new l, copy_to l");
    assert_eq!(events(&["SET k 1", "EXPIRE k -1"]), "del k");
}

#[test]
fn the_encoding_follows_the_way_in_which_a_string_was_made() {
    let mut world = World::new();
    let mut encoding = |line: &str| {
        world.run(line);
        world.run("OBJECT ENCODING k")
    };
    let long = "x".repeat(44);
    assert_eq!(encoding("SET k 123"), "\"int\"");
    assert_eq!(encoding("APPEND k 4"), "\"raw\"");
    assert_eq!(encoding("INCR k"), "\"int\"");
    assert_eq!(encoding("SET k 0123"), "\"embstr\"");
    assert_eq!(encoding(&format!("SET k {long}")), "\"embstr\"");
    assert_eq!(encoding(&format!("SET k {long}x")), "\"raw\"");
    assert_eq!(encoding("SETRANGE new 0 12"), "\"raw\"");
    assert_eq!(encoding("RENAME new k"), "\"raw\"");
    assert_eq!(encoding("COPY k copy"), "\"raw\"");
    assert_eq!(encoding("RENAME copy k"), "\"raw\"");
    assert_eq!(encoding("DEL k"), "(nil)");
    assert_eq!(encoding("INCRBYFLOAT k 3"), "\"embstr\"");
}

#[test]
fn a_flush_blocks_its_client_until_the_memory_is_free_and_nobody_else() {
    let mut world = World::new();
    world.run("SET k v");
    world.run_as("b", "SELECT 3");
    world.run_as("b", "SET k v");
    world.feed();
    world.hold_jobs();
    assert_eq!(world.run("FLUSHALL"), "");
    assert_eq!(world.run_as("b", "EXISTS k"), "(integer) 0");
    world.send("a", "DBSIZE");
    assert_eq!(world.received("a"), "");
    world.do_jobs();
    assert_eq!(world.received("a"), "OK\n(integer) 0");
    assert_eq!(world.feed(), "SELECT 0 | FLUSHALL");
    assert_eq!(world.run("FLUSHDB ASYNC"), "OK");
    assert_eq!(world.feed(), "FLUSHDB ASYNC");
}

#[test]
fn who_waits_for_replicas_that_are_not_there_waits_to_the_end() {
    let mut world = World::new();
    assert_eq!(world.run("WAIT 0 0"), "(integer) 0");
    assert_eq!(world.run("WAIT 1 100"), "");
    world.advance_ms(99);
    assert_eq!(world.received("a"), "");
    world.advance_ms(1);
    assert_eq!(world.received("a"), "(integer) 0");
    assert_eq!(world.run("WAITAOF 0 1 100"), "");
    world.advance_ms(100);
    assert_eq!(world.received("a"), "1) (integer) 0\n2) (integer) 0");
}

#[test]
fn keys_move_between_databases_with_their_deadlines() {
    let mut world = World::new();
    world.run("SET k v PX 1000");
    assert_eq!(world.run("MOVE k 1"), "(integer) 1");
    assert_eq!(world.run("EXISTS k"), "(integer) 0");
    world.run("SELECT 1");
    assert_eq!(world.run("PTTL k"), "(integer) 1000");
    assert_eq!(world.run("COPY k k DB 2"), "(integer) 1");
    assert_eq!(world.run("SWAPDB 1 9"), "OK");
    assert_eq!(world.run("DBSIZE"), "(integer) 0");
    world.advance_ms(1001);
    world.run("SELECT 9");
    assert_eq!(world.run("DBSIZE"), "(integer) 0");
    let feed = world.feed();
    assert!(
        feed.ends_with("DEL k | SELECT 2 | DEL k") || feed.ends_with("DEL k | SELECT 9 | DEL k"),
        "{feed}"
    );
}

#[test]
fn scan_meets_every_key_once_whatever_grows_meanwhile() {
    let mut world = World::new();
    for i in 0..300 {
        world.run(&format!("SET key:{i} v"));
    }
    let (mut cursor, mut met) = ("0".to_owned(), Vec::new());
    loop {
        let reply = world.run(&format!("SCAN {cursor} MATCH key:* COUNT 7"));
        let words: Vec<String> = reply.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        met.extend_from_slice(&words[1..]);
        cursor = words[0].clone();
        if cursor == "0" {
            break;
        }
        for i in 0..20 {
            world.run(&format!("SET more:{cursor}:{i} v"));
        }
    }
    met.sort();
    met.dedup();
    assert_eq!(met.len(), 300);
}

#[test]
fn a_large_argument_may_arrive_in_pieces_and_be_followed_by_others() {
    let long = "x".repeat(50_000);
    let request = format!("*3\r\n$6\r\nAPPEND\r\n$50000\r\n{long}\r\n$2\r\nab\r\n").into_bytes();
    for cut in [14, 100, 40_000, 50_020, 50_024, 50_025, 50_026, 50_030, 50_033] {
        let mut world = World::new();
        world.send_bytes("a", &request[..cut]);
        assert_eq!(world.received("a"), "", "cut at {cut}");
        assert!(world.read_into_target("a", &request[cut..]), "cut at {cut}");
        assert_eq!(world.received("a"), "(integer) 2", "cut at {cut}");
        assert_eq!(world.run(&format!("GET {long}")), "\"ab\"");
    }
}

#[test]
fn while_memory_is_short_a_transaction_takes_what_needs_none() {
    let mut world = World::new();
    world.run("SET small 1");
    world.run("CONFIG SET maxmemory 100000 maxmemory-policy noeviction");
    world.host.allocated_bytes = 1_000_000;
    assert!(world.run("SET other 1").contains("OOM command not allowed"));
    for line in ["MULTI", "GET small", "DEL small", "PING"] {
        world.run(line);
    }
    assert_eq!(world.run("EXEC").replace('\n', " "), "1) \"1\" 2) (integer) 1 3) PONG");
    world.run("MULTI");
    assert!(world.run("SET other 1").contains("OOM command not allowed"));
    assert!(world.run("EXEC").contains("EXECABORT Transaction discarded because of previous errors."));
}

#[test]
fn a_client_that_is_not_answered_can_leave_after_it_quit_or_talked_nonsense() {
    for last in [&b"*1\r\n$4\r\nQUIT\r\n"[..], b"*1\r\n:3\r\n"] {
        let mut world = World::new();
        world.run("CLIENT REPLY OFF");
        let id = world.id_of("a");
        world.send_bytes("a", last);
        // The shell goes on reading: else it would never see the end.
        assert!(!world.engine.is_full(id));
        world.engine.half_closed(id);
        world.advance_ms(1);
        assert_eq!(world.received("a"), "(closed)");
        assert_eq!(world.engine.clients.len(), 0);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is about the time that it takes")]
fn watching_many_keys_takes_time_in_proportion() {
    let mut world = World::new();
    let keys = |count: usize| (0..count).map(|i| format!(" key:{i}")).collect::<String>();
    let mut took_ms = |count: usize| {
        let (watch, begin) = (format!("WATCH{}", keys(count)), std::time::Instant::now());
        // Twice the same keys, which are watched once; then all of them are looked at, and let go.
        for line in [&watch, &watch, "SWAPDB 1 2", "FLUSHALL", "UNWATCH"] {
            assert_eq!(world.run(line), "OK");
        }
        begin.elapsed().as_millis().max(1)
    };
    let (few, many) = (took_ms(2_000), took_ms(40_000));
    assert!(many < 100 * few.max(5), "{few} ms, with 20 times the keys {many} ms");
}
