//! Requests that were propagated before run again: past all gates, without a trace, and whatever a log may hold.

mod support;

use support::World;
use support::requests::{Lives, Requests};
use support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS, Template, VALKEY};
use waterwheel::commands;
use waterwheel::config::Config;
use waterwheel::engine::Engine;
use waterwheel::engine::host::ProcessNames;
use waterwheel::engine::replay::ReplayError;
use waterwheel::engine::table::Table;
use waterwheel::resp::Args;

#[track_caller]
fn replay_all(world: &mut World, lines: &[&str]) {
    for line in lines {
        assert_eq!(world.replay(line), Ok(()), "{line}");
    }
}

/// The value of a field of INFO.
fn info(world: &mut World, field: &str) -> String {
    let text = world.run("INFO everything");
    let start = text.find(&format!("{field}:")).unwrap_or_else(|| panic!("INFO has {field}"));
    let rest = &text[start + field.len() + 1..];
    rest[..rest.find(['\r', '\\', '\n']).unwrap_or(rest.len())].to_owned()
}

#[test]
fn what_was_propagated_runs_again() {
    let mut world = World::new();
    let lines =
        ["SELECT 1", "SET k v", "RPUSH l a b", "SELECT 0", "SET k other PXAT 1700000100000", "LPOP l"];
    replay_all(&mut world, &lines);
    assert_eq!(world.run("GET k"), "\"other\"");
    assert_eq!(world.run("PEXPIRETIME k"), "(integer) 1700000100000");
    world.run("SELECT 1");
    assert_eq!(world.run("GET k"), "\"v\"");
    assert_eq!(world.run("LRANGE l 0 -1"), "1) \"a\"\n2) \"b\"");
}

#[test]
fn a_transaction_runs_at_its_end() {
    let mut world = World::new();
    replay_all(&mut world, &["MULTI", "SET k 1", "INCR k"]);
    assert_eq!(world.run("GET k"), "(nil)");
    replay_all(&mut world, &["EXEC"]);
    assert_eq!(world.run("GET k"), "\"2\"");
    assert_eq!(info(&mut world, "unexpected_error_replies"), "0");
}

#[test]
fn a_transaction_without_sense_does_no_harm() {
    let mut world = World::new();
    let lines =
        ["EXEC", "DISCARD", "MULTI", "MULTI", "SET k 1", "EXEC", "EXEC", "MULTI", "SET k 2", "DISCARD"];
    replay_all(&mut world, &lines);
    assert_eq!(world.run("GET k"), "\"1\"");
    replay_all(&mut world, &["WATCH k", "SET k 3", "MULTI", "SET k 4", "EXEC"]);
    assert_eq!(world.run("GET k"), "\"4\"");
    replay_all(&mut world, &["MULTI", "SET k 5"]);
    world.end_replay();
    assert_eq!(world.run("GET k"), "\"4\"");
}

#[test]
fn what_names_no_command_is_told_by_its_name() {
    let mut world = World::new();
    let unknown = |name: &str| Err(ReplayError::Unknown(name.to_owned()));
    assert_eq!(world.replay("NOSUCH a b"), unknown("NOSUCH"));
    assert_eq!(world.replay("XGROUP nosuch a"), unknown("XGROUP|nosuch"));
    assert_eq!(world.replay("CONFIG|SET a b"), unknown("CONFIG|SET"));
    assert!(matches!(world.replay("SET k"), Err(ReplayError::Failed(_))));
    assert!(matches!(world.replay("XGROUP"), Err(ReplayError::Failed(_))));
    assert_eq!(world.replay("MULTI"), Ok(()));
    assert!(matches!(world.replay("SET k"), Err(ReplayError::Failed(_))));
    replay_all(&mut world, &["SET k v", "EXEC"]);
    assert_eq!(world.run("GET k"), "\"v\"");
}

#[test]
fn an_error_reply_is_counted_and_no_error() {
    let mut world = World::new();
    replay_all(&mut world, &["SET k v", "LPUSH k a", "SET k v NOSUCH", "SELECT 99"]);
    assert_eq!(info(&mut world, "unexpected_error_replies"), "3");
    assert_eq!(world.run("GET k"), "\"v\"");
    // What a script catches is the script's own affair.
    replay_all(&mut world, &["EVAL \"redis.pcall('LPUSH', KEYS[1], 'a')\" 1 k"]);
    assert_eq!(info(&mut world, "unexpected_error_replies"), "3");
}

#[test]
fn scripts_and_functions_run() {
    let mut world = World::new();
    let library = "#!lua name=lib\\nredis.register_function('f', function(keys) \
                   return redis.call('INCR', keys[1]) end)";
    let lines = [
        "EVAL \"redis.call('SET', KEYS[1], ARGV[1])\" 1 k v",
        &format!("FUNCTION LOAD \"{library}\""),
        "FCALL f 1 n",
        "SCRIPT DEBUG SYNC",
        "EVAL \"return redis.call('INCR', KEYS[1])\" 1 n",
    ];
    replay_all(&mut world, &lines);
    assert_eq!(world.run("GET k"), "\"v\"");
    assert_eq!(world.run("GET n"), "\"2\"");
    assert_eq!(world.run("FCALL f 1 n"), "(integer) 3");
    assert_eq!(info(&mut world, "unexpected_error_replies"), "0");
}

#[test]
fn no_gate_is_passed() {
    let mut world = World::new();
    world.run("ACL SETUSER admin on nopass ~* &* +@all");
    world.run_as("b", "AUTH admin x");
    world.run_as("b", "CONFIG SET min-replicas-to-write 3");
    world.run_as("b", "CONFIG SET requirepass secret");
    world.run_as("b", "ACL SETUSER default off -@all resetkeys");
    replay_all(&mut world, &["SET k v", "EVAL \"redis.call('SET', KEYS[1], '1')\" 1 s"]);
    world.run_as("b", "ACL SETUSER other on");
    world.run_as("b", "CONFIG SET maxmemory 1");
    world.host.allocated_bytes = 1 << 30;
    replay_all(&mut world, &["SET k w", "EVAL \"#!lua\\nredis.call('SET', KEYS[1], '2')\" 1 s"]);
    world.run_as("b", "CLIENT PAUSE 1000 WRITE");
    replay_all(&mut world, &["APPEND k x"]);
    world.run_as("b", "CLIENT UNPAUSE");
    world.run_as("b", "CONFIG SET maxmemory 0");
    assert_eq!(world.run_as("b", "GET k"), "\"wx\"");
    assert_eq!(world.run_as("b", "GET s"), "\"2\"");
    assert_eq!(world.run_as("b", "SET k v"), "(error) NOREPLICAS Not enough good replicas to write.");
}

#[test]
fn a_command_is_found_by_either_name() {
    let mut host = World::new().host;
    let mut table = Table::new(commands::FAMILIES);
    table.rename(b"SET", b"put").expect("the names are free");
    table.rename(b"DEL", b"").expect("the names are free");
    table.rename(b"XGROUP", b"").expect("the names are free");
    let table: &'static Table = Box::leak(Box::new(table));
    let mut engine = Engine::new(table, Config::new(), ProcessNames::default(), &mut host);
    let id = engine.open_replaying_client();
    let mut replay = |words: &[&str]| {
        let words: Vec<bytes::Bytes> = words.iter().map(|word| word.as_bytes().to_vec().into()).collect();
        let done = engine.replay(&mut host, id, Args::Owned(&words));
        (done, engine.dbs.iter().map(|db| db.len()).sum::<usize>())
    };
    assert_eq!(replay(&["put", "a", "1"]), (Ok(()), 1));
    assert_eq!(replay(&["SET", "b", "1"]), (Ok(()), 2));
    assert_eq!(replay(&["del", "a"]), (Ok(()), 1));
    assert_eq!(replay(&["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]), (Ok(()), 2));
    assert_eq!(replay(&["nosuch"]), (Err(ReplayError::Unknown("nosuch".to_owned())), 2));
}

#[test]
fn what_would_wait_does_not() {
    let mut world = World::new();
    replay_all(&mut world, &["BLPOP l 0", "WAIT 5 0", "XREAD BLOCK 0 STREAMS s $", "FLUSHALL SYNC"]);
    replay_all(&mut world, &["MULTI", "BLPOP l 0", "SET k v", "EXEC"]);
    assert_eq!(world.run("GET k"), "\"v\"");
    assert_eq!(info(&mut world, "blocked_clients"), "0");
}

#[test]
fn a_replay_leaves_no_trace() {
    let mut world = World::new();
    world.run_as("m", "MONITOR");
    for setting in ["slowlog-log-slower-than 0", "latency-tracking yes", "commandlog-request-larger-than 1"] {
        world.run(&format!("CONFIG SET {setting}"));
    }
    world.run("SLOWLOG RESET");
    world.run("COMMANDLOG RESET large-request");
    world.received("m");
    let before = info(&mut world, "total_commands_processed").parse::<u64>().expect("a number");
    let script = "EVAL \"return redis.call('APPEND', KEYS[1], 'x')\" 1 k";
    replay_all(&mut world, &["SET k v", "MULTI", "APPEND k w", "EXEC", script]);
    assert_eq!(world.received("m").matches("APPEND").count(), 0);
    assert_eq!(info(&mut world, "total_commands_processed"), (before + 1).to_string());
    assert!(!world.run("INFO commandstats").contains("cmdstat_append"));
    assert!(!world.run("INFO latencystats").contains("_append"));
    assert!(!world.run("SLOWLOG GET -1").contains("APPEND"));
    assert!(!world.run("COMMANDLOG GET -1 large-request").contains("APPEND"));
    assert_eq!(world.run("GET k"), "\"vwx\"");
}

#[test]
fn the_client_is_no_connection() {
    let mut world = World::new();
    world.run("PING");
    let (clients, list) = (world.engine.clients.len(), world.run("CLIENT LIST"));
    replay_all(&mut world, &["SET k v"]);
    assert_eq!(world.engine.clients.len(), clients);
    let without_age = |list: &str| list.split(' ').next().map(str::to_owned);
    assert_eq!(without_age(&world.run("CLIENT LIST")), without_age(&list));
    world.run_as("b", "CLIENT KILL TYPE normal SKIPME yes");
    world.run_as("b", "CONFIG SET maxmemory-clients 1");
    replay_all(&mut world, &["SET k w"]);
    world.advance_ms(1000);
    world.end_replay();
    assert_eq!(world.run_as("c", "CONFIG SET maxmemory-clients 0"), "OK");
    assert_eq!(world.run_as("c", "GET k"), "\"w\"");
    for client in ["a", "b", "c"] {
        world.disconnect(client);
    }
    assert!(world.engine.clients.is_empty());
}

#[test]
fn what_means_the_connection_or_the_server_does_nothing() {
    let mut world = World::new();
    let lines = [
        "SUBSCRIBE c",
        "CLIENT REPLY ON",
        "CLIENT TRACKING ON",
        "CLIENT KILL TYPE normal",
        "AUTH nobody wrong",
        "HELLO 3",
        "RESET",
        "MONITOR",
        "QUIT",
        "SHUTDOWN",
        "DEBUG RELOAD",
        "CONFIG SET maxmemory 1",
        "REPLICAOF localhost 1",
        "PING",
        "GET k",
    ];
    for line in lines {
        // Some may be unknown.
        let _ = world.replay(line);
    }
    replay_all(&mut world, &["SET k v"]);
    assert_eq!(world.run("GET k"), "\"v\"");
    assert_eq!(world.run("CONFIG GET maxmemory"), "1) \"maxmemory\"\n2) \"0\"");
    assert_eq!(world.run("PUBSUB NUMSUB c"), "1) \"c\"\n2) (integer) 0");
    assert_eq!(world.exit, None);
}

#[test]
fn those_who_listen_hear_of_it() {
    let mut world = World::new();
    world.run("CONFIG SET notify-keyspace-events KEA");
    world.run_as("s", "SUBSCRIBE __keyevent@0__:set");
    world.run_as("t", "HELLO 3");
    world.run_as("t", "CLIENT TRACKING ON");
    world.run_as("t", "GET k");
    world.run_as("w", "BLPOP l 0");
    world.received("s");
    replay_all(&mut world, &["SET k v", "RPUSH l a"]);
    assert!(world.received("s").contains("\"k\""));
    assert!(world.received("t").contains("\"invalidate\""));
    assert_eq!(world.received("w"), "1) \"l\"\n2) \"a\"");
}

#[test]
fn random_requests_do_no_harm() {
    const fn t(weight: u32, text: &'static str) -> Template {
        Template { weight, text }
    }
    const ALONE: &[Template] = &[t(40, "MULTI"), t(30, "EXEC"), t(5, "DISCARD"), t(5, "SELECT (0|1)")];
    let tables = [DATA, LISTS, STREAMS, SETS, HASHES, BITS, VALKEY, ALONE];
    let mut requests = Requests::new(11, Lives::Short, &tables);
    let mut world = World::new();
    for _ in 0..20_000 {
        requests.now_unix_ms = world.host.now.unix_ms();
        let _ = world.replay_words(requests.draw().words);
    }
    world.end_replay();
    assert_eq!(world.run("PING"), "PONG");
}

#[test]
fn who_waits_for_a_key_is_served_when_the_dataset_is_loaded() {
    let mut world = World::new();
    world.run("SET k v");
    world.run("SAVE");
    world.run("DEL k");
    world.run_as("w", "BLPOP l 0");
    world.disk_jobs_left = 0;
    world.load();
    replay_all(&mut world, &["RPUSH l a"]);
    assert_eq!(world.run("GET k"), "(error) LOADING Redis is loading the dataset in memory");
    assert_eq!(world.run("PING"), "(error) LOADING Redis is loading the dataset in memory");
    assert_eq!(world.received("w"), "");
    world.disk_jobs_left = u64::MAX;
    world.advance_ms(1);
    assert_eq!(world.run("GET k"), "\"v\"");
    assert_eq!(world.received("w"), "1) \"l\"\n2) \"a\"");
}

#[test]
fn what_the_log_says_at_a_start_is_written_and_told_to_nobody() {
    let mut world = World::new();
    world.engine.conf.appendonly = true;
    world.start();
    for line in ["SET a 1", "INCR a", "RPUSH list x y", "SADD set a b c", "SPOP set"] {
        world.run(line);
    }
    world.advance_ms(3000);
    let increment = "appendonlydir/appendonly.aof.1.incr.aof";
    let before = world.host.disk.get(increment).expect("it is there").to_vec();
    assert!(before.len() > 100);
    let mut after = world.crash(1);
    after.engine.conf.appendonly = true;
    after.engine.follow_feed(true);
    after.start();
    assert_eq!(after.run("GET a"), "\"2\"");
    after.advance_ms(3000);
    assert_eq!(after.feed(), "");
    assert_eq!(after.host.disk.get(increment), Some(&before[..]));
    // So it is where the log is run again while it goes on.
    after.engine.load_log_again();
    after.advance_ms(3000);
    assert_eq!((after.run("GET a"), after.run("LLEN list")), ("\"2\"".to_owned(), "(integer) 2".to_owned()));
    after.advance_ms(3000);
    assert_eq!(after.feed(), "");
    assert_eq!(after.host.disk.get(increment), Some(&before[..]));
    after.run("SET a 7");
    after.advance_ms(3000);
    assert!(after.feed().contains("SET a 7"));
    assert!(after.host.disk.get(increment).is_some_and(|bytes| bytes.len() > before.len()));
}
