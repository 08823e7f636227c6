//! Replies that wait for the disk: who waits for what, and when they go.

mod support;

use support::World;

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
