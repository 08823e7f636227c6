//! Replies that wait for the disk: who waits for what, and when they go.

mod support;

use support::World;
use support::disk::Failure;

/// A server that logs by this policy.
fn logging(policy: &str) -> World {
    let mut world = World::new();
    world.engine.conf.appendonly = true;
    world.start();
    world.run(&format!("CONFIG SET appendfsync {policy}"));
    world.advance_ms(5000);
    world
}

#[test]
fn with_always_whoever_is_told_of_a_change_waits_until_it_is_durable() {
    let mut world = logging("always");
    for client in ["writer", "reader", "other", "subscriber", "monitor"] {
        world.run_as(client, "PING");
    }
    world.run("SET old value");
    world.run_as("subscriber", "SUBSCRIBE news");
    world.run("CONFIG SET notify-keyspace-events KEA");
    world.run_as("event", "SUBSCRIBE __keyevent@0__:set");
    world.run_as("monitor", "MONITOR");
    world.received("monitor");
    world.hold_jobs();
    // A write, and what lies behind it in the same output.
    assert_eq!(world.run_as("writer", "SET key 1"), "");
    assert_eq!(world.run_as("writer", "PING"), "");
    // A read of the key, of another, and of nothing.
    assert_eq!(world.run_as("reader", "GET key"), "");
    assert_eq!(world.run_as("other", "GET old"), "\"value\"");
    assert_eq!(world.run_as("other", "PING"), "PONG");
    assert_eq!(world.run_as("other", "ECHO text"), "\"text\"");
    // Messages, events and what monitors see may tell of it.
    world.run_as("other", "PUBLISH news text");
    for client in ["subscriber", "event", "monitor"] {
        assert_eq!(world.received(client), "", "{client}");
    }
    // Whatever looks at everything does, too, and so do scripts and transactions.
    for (client, line) in [
        ("a1", "DBSIZE"),
        ("a2", "SCAN 0"),
        ("a3", "RANDOMKEY"),
        ("a4", "EVAL \"return redis.call('get', KEYS[1])\" 1 old"),
        ("a5", "MGET old key"),
        ("a6", "DEL nothing key"),
    ] {
        assert_eq!(world.run_as(client, line), "", "{line}");
    }
    world.do_jobs();
    assert_eq!(world.received("writer"), "OK\nPONG");
    assert_eq!(world.received("reader"), "\"1\"");
    assert_eq!(world.received("a1"), "(integer) 2");
    assert_eq!(world.received("a5"), "1) \"value\"\n2) \"1\"");
    assert_eq!(world.received("a6"), "(integer) 1");
    assert!(world.received("subscriber").contains("text"));
    assert!(world.received("event").contains("key"));
    assert!(world.received("monitor").contains("\"SET\" \"key\" \"1\""));
    // Nothing is left that anybody waits for.
    assert_eq!(world.run_as("reader", "GET key"), "(nil)");
    assert!(world.run("INFO persistence").contains("aof_gated_clients:0"));
}

#[test]
fn with_always_the_log_is_synced_once_for_all_who_came_meanwhile() {
    let mut world = logging("always");
    for i in 0..40 {
        world.run_as(&format!("c{i}"), "PING");
    }
    let syncs = |world: &World| world.log_syncs;
    // Twenty write, and while that is being synced twenty others do.
    let before = syncs(&world);
    world.host.disk.faults.late_ms = 8;
    for round in 0..20 {
        for i in 0..40 {
            world.send(&format!("c{i}"), &format!("SET key:{i} {round}"));
        }
        let mut answered = 0;
        while answered < 40 {
            world.advance_ms(1);
            answered += (0..40).filter(|i| world.received(&format!("c{i}")) == "OK").count();
        }
    }
    let made = syncs(&world) - before;
    assert!((20..=44).contains(&made), "{made} syncs for 20 rounds");
}

#[test]
fn with_everysec_writers_wait_only_while_the_disk_is_late() {
    let mut world = logging("everysec");
    world.run_as("reader", "PING");
    world.hold_jobs();
    assert_eq!(world.run("SET key 1"), "OK");
    world.advance_ms(900);
    // The thread of the log has a sync to do, and so the next write is its as well.
    assert_eq!(world.run("SET key 2"), "OK");
    world.advance_ms(200);
    assert_eq!(world.run("SET key 3"), "");
    assert_eq!(world.run_as("reader", "GET key"), "\"3\"");
    assert_eq!(world.run_as("reader", "INCR counter"), "");
    world.do_jobs();
    assert_eq!(world.received("a"), "OK");
    assert_eq!(world.received("reader"), "(integer) 1");
    world.advance_ms(1000);
    assert_eq!(world.run("SET key 4"), "OK");
}

#[test]
fn waitaof_is_answered_when_all_that_was_written_is_durable() {
    let mut world = logging("everysec");
    assert_eq!(world.run("WAITAOF 1 0 0"), "1) (integer) 1\n2) (integer) 0");
    world.run("SET key 1");
    assert_eq!(world.run("WAITAOF 1 0 0"), "");
    world.advance_ms(100);
    assert_eq!(world.received("a"), "");
    world.advance_ms(900);
    assert_eq!(world.received("a"), "1) (integer) 1\n2) (integer) 0");
    world.run("SET key 2");
    assert_eq!(world.run("WAITAOF 1 0 100"), "");
    world.advance_ms(101);
    assert_eq!(world.received("a"), "1) (integer) 0\n2) (integer) 0");
    // A replica is never there.
    assert_eq!(world.run("WAITAOF 1 1 2000"), "");
    world.advance_ms(1000);
    world.advance_ms(1001);
    assert_eq!(world.received("a"), "1) (integer) 1\n2) (integer) 0");
    world.run("CONFIG SET appendfsync no");
    world.run("SET key 3");
    assert_eq!(world.run("WAITAOF 1 0 0"), "");
    world.run_as("b", "CONFIG SET appendonly no");
    let refusal = "(error) ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    assert_eq!(world.received("a"), refusal);
    assert_eq!(world.run("WAITAOF 1 0 0"), refusal);
    assert_eq!(world.run("WAITAOF 0 0 0"), "1) (integer) 0\n2) (integer) 0");
}

#[test]
fn after_a_sync_that_failed_writes_are_refused_until_there_is_a_new_base() {
    let mut world = logging("everysec");
    world.run("SET before 1");
    world.advance_ms(1000);
    world.run("SET unsure 1");
    world.run("SET dying 1 PX 1500");
    world.host.disk.fail_next("fdatasync", Failure::Broken);
    // The walk of the base takes a while: it waits for a thread that is late.
    world.host.disk.faults.late_ms = 50;
    let mut waited = 0;
    while !world.run("INFO persistence").contains("aof_fsync_errors:1") {
        world.advance_ms(1);
        waited += 1;
        assert!(waited < 2000, "no sync failed: {}", world.run("INFO persistence"));
    }
    let refusal = "(error) MISCONF Errors writing to the AOF file: Input/output error";
    assert_eq!(world.run("SET key 1"), refusal);
    assert_eq!(world.run("GET unsure"), "\"1\"");
    assert_eq!(world.run("PING"), refusal);
    assert!(world.run("INFO persistence").contains("aof_last_write_status:err"));
    let mut waited = 0;
    while world.run("SET key 1") != "OK" {
        world.advance_ms(1);
        waited += 1;
        assert!(waited < 2000, "writes are refused for ever");
    }
    assert!(world.run("INFO persistence").contains("aof_last_write_status:ok"));
    world.host.disk.faults.late_ms = 0;
    world.advance_ms(2000);
    let mut after = world.crash(7);
    after.engine.conf.appendonly = true;
    after.start();
    assert_eq!(after.run("MGET before unsure key dying"), "1) \"1\"\n2) \"1\"\n3) \"1\"\n4) (nil)");
    // With 'always' the process ends.
    let mut world = logging("always");
    world.host.disk.fail_next("fdatasync", Failure::Broken);
    assert_eq!(world.run("SET key 1"), "");
    assert_eq!(world.exit, Some(1));
}

#[test]
fn a_write_that_failed_is_tried_again_on_the_file_as_it_was() {
    let mut world = logging("everysec");
    world.run("SET before 1");
    world.host.disk.fail_next("write", Failure::Full);
    assert_eq!(world.run("RPUSH list a b c"), "(integer) 3");
    assert_eq!(
        world.run("SET key 1"),
        "(error) MISCONF Errors writing to the AOF file: No space left on device"
    );
    world.host.disk.fail_next("write", Failure::Full);
    world.advance_ms(1001);
    assert!(world.run("SET key 1").contains("MISCONF"));
    world.advance_ms(1001);
    // It is long ago that the oldest byte came: who writes waits for the sync.
    assert_eq!(world.run("SET key 1"), "");
    world.advance_ms(1000);
    assert_eq!(world.received("a"), "OK");
    let mut after = world.crash(7);
    after.engine.conf.appendonly = true;
    after.start();
    assert_eq!(after.run("LRANGE list 0 -1"), "1) \"a\"\n2) \"b\"\n3) \"c\"");
    assert_eq!(after.run("MGET before key"), "1) \"1\"\n2) \"1\"");
}

#[test]
fn a_log_whose_file_was_left_can_be_turned_off() {
    let mut world = logging("everysec");
    world.run("SET key 1");
    world.host.disk.fail_next("fdatasync", Failure::Broken);
    // The new base is late.
    world.host.disk.faults.late_ms = 40;
    let mut waited = 0;
    while !world.run("INFO persistence").contains("aof_fsync_errors:1") {
        world.advance_ms(1);
        waited += 1;
        assert!(waited < 2000, "no sync failed");
    }
    assert_eq!(world.run("CONFIG SET appendonly no"), "OK");
    assert_eq!(world.run("SET key 2"), "OK");
}

/// What a replica got since the last look, as text.
fn feed(world: &mut World) -> String {
    String::from_utf8_lossy(&world.received_bytes("replica")).into_owned()
}

#[test]
fn with_always_replicas_get_what_is_durable() {
    let mut world = logging("always");
    world.run("CONFIG SET repl-diskless-sync-delay 0");
    world.send("replica", "REPLCONF capa eof capa psync2");
    world.send("replica", "PSYNC ? -1");
    world.advance_ms(1000);
    world.send("replica", "REPLCONF ACK 0");
    world.do_jobs();
    feed(&mut world);
    world.hold_jobs();
    world.run_as("writer", "SET key first");
    assert!(!feed(&mut world).contains("first"));
    // What clients say about it is as far.
    world.run_as("waiter", "SET key second");
    world.run_as("waiter", "WAIT 1 0");
    assert_eq!(feed(&mut world), "");
    world.do_jobs();
    let got = feed(&mut world);
    let (first, second, asks) = (got.find("first"), got.find("second"), got.find("GETACK"));
    assert!(first.is_some() && first < second && second < asks, "{got}");
    // A policy that promises less holds nothing back.
    world.hold_jobs();
    world.run_as("writer", "SET key third");
    assert_eq!(feed(&mut world), "");
    world.run_as("admin", "CONFIG SET appendfsync everysec");
    assert!(feed(&mut world).contains("third"));
}

#[test]
fn with_always_a_dump_waits_for_what_it_shows() {
    let mut world = logging("always");
    world.run("CONFIG SET repl-diskless-sync-delay 0");
    world.send("replica", "REPLCONF capa eof capa psync2");
    feed(&mut world);
    world.disk_jobs_left = 0;
    world.run_as("writer", "SET key shown");
    world.send("replica", "PSYNC ? -1");
    world.advance_ms(1000);
    assert!(!feed(&mut world).contains("FULLRESYNC"));
    world.disk_jobs_left = u64::MAX;
    world.do_jobs();
    world.advance_ms(1000);
    let got = feed(&mut world);
    assert!(got.starts_with("+FULLRESYNC") && got.contains("shown"), "{got}");
}

#[test]
fn who_waits_for_a_log_that_ends_waits_until_all_of_it_is_durable() {
    let mut world = logging("always");
    world.run_as("writer", "PING");
    world.hold_jobs();
    assert_eq!(world.run_as("writer", "SET key 1"), "");
    assert_eq!(world.run("CONFIG SET appendonly no"), "");
    assert_eq!(world.received("writer"), "");
    assert_eq!(world.run_as("reader", "GET key"), "");
    world.do_jobs();
    assert_eq!((world.received("writer"), world.received("a")), ("OK".to_owned(), "OK".to_owned()));
    assert_eq!(world.received("reader"), "\"1\"");
    assert_eq!(world.run_as("writer", "SET key 2"), "OK");
}

#[test]
fn a_log_that_ends_on_a_disk_that_fails_acknowledges_nothing_with_always() {
    let mut world = logging("always");
    world.run_as("writer", "PING");
    world.hold_jobs();
    assert_eq!(world.run_as("writer", "SET key 1"), "");
    assert_eq!(world.run("CONFIG SET appendonly no"), "");
    world.host.disk.fail_next("fdatasync", Failure::Broken);
    world.do_jobs();
    assert_eq!((world.received("writer"), world.exit), (String::new(), Some(1)));
}

/// Whatever fails on a file of the log fails also when it is synced, so a switch behind a write that failed fails, too: what could
/// not be written is not called durable before it is.
#[test]
fn what_could_not_be_written_before_a_switch_is_not_called_durable() {
    let mut world = logging("everysec");
    assert_eq!(world.run("SET before 1"), "OK");
    world.advance_ms(2000);
    world.hold_jobs();
    assert_eq!(world.run("SET key 1"), "OK");
    world.host.disk.fail_next("write", Failure::Full);
    world.run("BGREWRITEAOF");
    assert_eq!(world.run_as("more", "SET more 1"), "OK");
    world.send("patient", "WAITAOF 1 0 0");
    world.do_jobs();
    world.advance_ms(100);
    assert_eq!(world.received("patient"), "");
    world.advance_ms(2000);
    world.advance_ms(2000);
    assert_eq!(world.received("patient"), "1) (integer) 1\n2) (integer) 0");
    let mut after = world.crash(1);
    after.engine.conf.appendonly = true;
    after.start();
    assert_eq!((after.run("GET key"), after.run("GET more")), ("\"1\"".to_owned(), "\"1\"".to_owned()));
}

#[test]
fn a_disk_that_fails_while_the_log_ends_refuses_no_write() {
    let mut world = logging("everysec");
    world.hold_jobs();
    assert_eq!(world.run("SET key 1"), "OK");
    world.send("b", "CONFIG SET appendonly no");
    world.host.disk.fail_next("write", Failure::Full);
    world.do_jobs();
    assert_eq!(world.received("b"), "OK");
    assert_eq!(world.run("SET key 2"), "OK");
}
