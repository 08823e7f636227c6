//! Clients that wait: for the end of a pause, for replicas, for memory that is freed.

mod support;

use support::World;
use support::disk::Failure;

#[test]
fn a_reply_that_is_to_be_skipped_is_skipped_also_when_it_comes_late() {
    let mut world = World::new();
    world.run("CLIENT REPLY SKIP");
    assert_eq!(world.run("WAIT 1 100"), "");
    world.advance_ms(100);
    assert_eq!(world.received("a"), "");
    assert_eq!(world.run("ECHO next"), "\"next\"");
    world.run_as("b", "CLIENT PAUSE 100 WRITE");
    world.run("CLIENT REPLY SKIP");
    assert_eq!(world.run("SET k v"), "");
    world.advance_ms(100);
    assert_eq!(world.received("a"), "");
    assert_eq!(world.run("GET k"), "\"v\"");
}

#[test]
fn who_waits_is_not_idle_and_begins_to_be_so_when_it_has_its_reply() {
    let mut world = World::new();
    world.run_as("admin", "CONFIG SET timeout 1");
    world.send("a", "WAIT 1 2500");
    world.run_as("b", "CLIENT PAUSE 2500 WRITE");
    world.send("c", "SET k v");
    world.advance_ms(2499);
    assert_eq!(world.received("b"), "(closed)");
    world.advance_ms(1);
    assert_eq!((world.received("a"), world.received("c")), ("(integer) 0".to_owned(), "OK".to_owned()));
    world.advance_ms(999);
    assert_eq!((world.received("a"), world.received("c")), (String::new(), String::new()));
    world.advance_ms(1);
    assert_eq!((world.received("a"), world.received("c")), ("(closed)".to_owned(), "(closed)".to_owned()));
}

#[test]
fn a_client_that_closes_its_end_is_answered_to_its_last_request_and_then_goes() {
    let mut world = World::new();
    let id = world.id_of("a");
    // More than one serving takes, so that requests wait for a turn when the end is seen.
    world.engine.input(&mut world.host, id, "PING\r\n".repeat(3000).as_bytes());
    world.engine.half_closed(id);
    world.advance_ms(1);
    let (replies, is_closed) = world.take_replies("a");
    assert_eq!((replies.len(), is_closed), (3000, true));
}

#[test]
fn flushall_answers_when_the_memory_is_free_and_the_empty_dump_is_there() {
    for order in ["FLUSHALL SYNC", "FLUSHALL ASYNC", "FLUSHALL"] {
        let mut world = World::new();
        world.run("CONFIG SET save '900 1'");
        world.run("RPUSH list a b c");
        assert_eq!(world.run("SAVE"), "OK");
        let full = world.host.disk.get("dump.rdb").expect("it was saved").len();
        // The disk is slow, then the helper thread as well.
        for holds_all in [false, true] {
            world.run("RPUSH list a b c");
            world.disk_jobs_left = 0;
            if holds_all {
                world.hold_jobs();
            }
            world.send("a", order);
            assert_eq!(world.run_as("b", "DBSIZE"), "(integer) 0");
            world.send("a", "PING");
            assert_eq!(world.received("a"), "", "{order}");
            world.disk_jobs_left = u64::MAX;
            if holds_all {
                world.run_as("b", "PING");
                assert_eq!(world.received("a"), "", "{order}");
            }
            world.do_jobs();
            assert_eq!(world.received("a"), "OK\nPONG", "{order}");
            assert!(world.host.disk.get("dump.rdb").expect("it was saved").len() < full);
        }
    }
}

#[test]
fn flushall_answers_ok_also_when_its_dump_cannot_be_saved_and_at_once_where_nobody_can_wait() {
    let mut world = World::new();
    world.run("CONFIG SET save '900 1'");
    world.run("SET k v");
    world.host.disk.fail_next("rename", Failure::Broken);
    assert_eq!(world.run("FLUSHALL"), "OK");
    assert!(world.host.disk.get("dump.rdb").is_none());
    world.hold_jobs();
    assert_eq!(world.run("EVAL 'return redis.call(\"FLUSHALL\")' 0"), "OK");
    world.do_jobs();
    assert!(world.host.disk.get("dump.rdb").is_some());
    // A second one waits for the dump of the first, which is as empty.
    world.hold_jobs();
    world.send("a", "FLUSHALL");
    world.send("b", "FLUSHALL");
    world.send("c", "FLUSHALL");
    world.disconnect("b");
    assert_eq!((world.received("a"), world.received("c")), (String::new(), String::new()));
    world.do_jobs();
    assert_eq!((world.received("a"), world.received("c")), ("OK".to_owned(), "OK".to_owned()));
}

#[test]
fn a_replica_sends_clients_that_can_follow_to_its_primary() {
    let mut world = World::new();
    world.run("SET key value");
    for client in ["plain", "able", "reader", "waits", "reads", "leaves"] {
        world.run_as(client, "PING");
    }
    for client in ["able", "reader", "waits", "reads"] {
        assert_eq!(world.run_as(client, "CLIENT CAPA REDIRECT"), "OK");
    }
    assert_eq!(world.run_as("plain", "READONLY"), "(error) ERR This instance has cluster support disabled");
    for client in ["reader", "reads"] {
        assert_eq!(world.run_as(client, "READONLY"), "OK");
    }
    assert_eq!(world.run_as("able", "SET key other"), "OK");
    assert!(world.run_as("reader", "CLIENT INFO").contains(" flags=r "));
    for (client, line) in [
        ("able", "MULTI"),
        ("able", "SET key queued"),
        ("waits", "BLPOP list 0"),
        ("leaves", "BLPOP list 0"),
        ("reads", "XREAD BLOCK 0 STREAMS stream 0"),
    ] {
        world.send(client, line);
        world.received(client);
    }
    assert!(world.run_as("admin", "HELLO 2").contains("\"master\""));
    assert_eq!(world.run_as("admin", "REPLICAOF there 7000"), "OK");
    assert!(world.run_as("admin", "HELLO 2").contains("\"replica\""));
    let redirection = "(error) REDIRECT there:7000";
    // Who waits for what only a primary brings hears of it, and stays if it can follow.
    assert_eq!(world.received("waits"), redirection);
    assert!(world.received("leaves").starts_with("(error) UNBLOCKED"));
    assert!(world.has_closed("leaves"));
    assert_eq!(world.received("reads"), "");
    assert_eq!(world.run_as("able", "EXEC"), redirection);
    for line in ["GET key", "SET key value", "EVAL '#!lua\nreturn 1' 0"] {
        assert_eq!(world.run_as("able", line), redirection, "{line}");
    }
    for line in ["PING", "PUBLISH channel text", "EVAL 'return 1' 0", "CLIENT ID"] {
        assert_ne!(world.run_as("able", line), redirection, "{line}");
    }
    assert_eq!(world.run_as("able", "MULTI"), "OK");
    assert_eq!(world.run_as("able", "GET key"), redirection);
    assert!(world.run_as("able", "EXEC").starts_with("(error) EXECABORT"));
    assert_eq!(world.run_as("plain", "GET key"), "\"other\"");
    assert!(world.run_as("plain", "SET key value").starts_with("(error) READONLY"));
    assert_eq!(world.run_as("reader", "GET key"), "\"other\"");
    assert_eq!(world.run_as("reader", "SET key value"), redirection);
    assert_eq!(world.run_as("reader", "READWRITE"), "OK");
    assert_eq!(world.run_as("reader", "GET key"), redirection);
    assert_eq!(world.run_as("admin", "REPLICAOF NO ONE"), "OK");
    assert_eq!(world.run_as("able", "SET key value"), "OK");
}
