//! Files: what users of Redis, Valkey and their modules have reported, each as a test. The names of the reports stand with the
//! tests.
//!
//! Held elsewhere: dumps of release candidates of Redis 7.4, with hashes of types 22 and 23, and of later versions (redis#13391), and
//! values of modules (RediSearch#3309) by the tests of `persist::rdb::file` and by `tests/files.rs`; dumps of all versions, and the way
//! back to older servers (valkey#2917, #665, #845, redis#14064, netbox-docker#1304), by these and by `tests/exchange.rs`.

mod support;

use support::World;
use support::disk::Failure;

const INCREMENT: &str = "appendonlydir/appendonly.aof.1.incr.aof";

/// A server that logs, with these settings.
fn logging(settings: &[&str]) -> World {
    let mut world = World::new();
    world.engine.conf.appendonly = true;
    world.start();
    for line in settings {
        assert_eq!(world.run(&format!("CONFIG SET {line}")), "OK", "{line}");
    }
    world
}

/// The power fails, and the server starts again, with its log or without.
fn started_again(world: World, logs: bool) -> World {
    let mut after = world.crash(1);
    after.engine.conf.appendonly = logs;
    after.start();
    after
}

/// Has all that was written made durable.
fn make_durable(world: &mut World) {
    assert_eq!(world.run("CONFIG SET appendfsync always"), "OK");
    world.advance_ms(2000);
}

/// The power fails within the EXEC of a block: the log is cut before its MULTI, and what is written later is there after another
/// start (valkey#4342).
#[test]
fn half_a_transaction_is_cut_before_its_multi() {
    let mut world = logging(&[]);
    world.run("SET before value");
    make_durable(&mut world);
    let whole = world.host.disk.get(INCREMENT).expect("it is logged").to_vec();
    let half = b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1\r\nv\r\n*1\r\n$4\r\nEX";
    world.host.disk.put(INCREMENT, &[&whole[..], half].concat());
    let mut world = started_again(world, true);
    assert_eq!(world.host.disk.get(INCREMENT), Some(&whole[..]));
    assert_eq!(world.run("SET after value"), "OK");
    make_durable(&mut world);
    let mut world = started_again(world, true);
    assert_eq!(world.run("EXISTS before after half"), "(integer) 2");
}

/// A log is loaded whatever the users may do (valkey#3984, redis#14545).
#[test]
fn no_user_keeps_a_log_from_being_loaded() {
    for rules in ["off", "-@all +ping", "resetkeys"] {
        let mut world = logging(&[]);
        world.run("SET key value");
        for line in ["MULTI", "RPUSH list a", "INCR number", "EXEC"] {
            world.run(line);
        }
        world.run("EVAL \"redis.call('SADD', 'set', 'member')\" 0");
        make_durable(&mut world);
        let mut after = world.crash(1);
        assert_eq!(after.run("ACL SETUSER admin on nopass ~* &* +@all"), "OK");
        after.run_as("admin", "AUTH admin any");
        assert_eq!(after.run_as("admin", &format!("ACL SETUSER default {rules}")), "OK");
        after.engine.conf.appendonly = true;
        after.start();
        assert_eq!(after.run_as("admin", "EXISTS key list number set"), "(integer) 4", "{rules}");
    }
}

/// `CONFIG SET appendonly yes`, and the power fails at any job: what was there before is there after it (redis#10616).
#[test]
fn a_log_that_has_not_begun_hides_no_dump() {
    let mut finished = false;
    for jobs in 0..60 {
        let mut world = World::with_seed(jobs);
        world.run("MSET a 1 b 2");
        assert_eq!(world.run("SAVE"), "OK");
        world.disk_jobs_left = jobs;
        world.send("admin", "CONFIG SET appendonly yes");
        world.send("writer", "SET c 3");
        world.advance_ms(3000);
        finished |= world.disk_jobs_left > 0;
        let mut after = started_again(world, true);
        assert!(after.exit.is_none(), "{jobs} jobs: it does not start");
        assert_eq!(after.run("EXISTS a b"), "(integer) 2", "{jobs} jobs");
    }
    assert!(finished, "it was never done");
}

/// A key that is over, and not removed yet, does not come into a base without its deadline (redis#1079).
#[test]
fn a_rewrite_brings_no_dead_key_back() {
    for preamble in ["yes", "no"] {
        let mut world = logging(&[&format!("aof-use-rdb-preamble {preamble}")]);
        world.engine.switches.active_expire = false;
        world.run("SET dead value PX 1000");
        world.run("HSET hash dead 1 living 2");
        world.run("HPEXPIRE hash 1000 FIELDS 1 dead");
        world.advance_ms(2000);
        assert_eq!(world.run("DBSIZE"), "(integer) 2");
        world.run("BGREWRITEAOF");
        world.advance_ms(100);
        assert_eq!(world.engine.durability.rewrites.begun, 1);
        make_durable(&mut world);
        let mut world = started_again(world, true);
        assert_eq!(world.run("EXISTS dead"), "(integer) 0", "{preamble}");
        assert_eq!(world.run("HKEYS hash"), "1) \"living\"", "{preamble}");
    }
}

/// The disk is full for a while: what is missing is written when there is room, without a start (redis#4281, #4066). Meanwhile writes
/// are refused, reads are not, and PING tells whoever watches (redis#12012, #1522).
#[test]
fn a_log_goes_on_when_there_is_room_again() {
    let mut world = logging(&["appendfsync everysec"]);
    world.run("SET first value");
    (0..4).for_each(|_| world.host.disk.fail_next("write", Failure::Full));
    world.run("SET second value");
    world.advance_ms(10);
    for line in ["SET third value", "PING"] {
        assert!(world.run(line).starts_with("(error) MISCONF"), "{line}");
    }
    assert_eq!(world.run("GET first"), "\"value\"");
    (0..20).for_each(|_| world.advance_ms(1000));
    assert_eq!((world.run("PING"), world.run("SET fourth value")), ("PONG".to_owned(), "OK".to_owned()));
    make_durable(&mut world);
    let mut world = started_again(world, true);
    assert_eq!(world.run("EXISTS first second third fourth"), "(integer) 3");
}

/// With `always` the process ends when the log cannot be written (redis#12012): what was acknowledged is on the disk.
#[test]
fn with_always_a_full_disk_ends_the_process() {
    let mut world = logging(&["appendfsync always"]);
    assert_eq!(world.run("SET first value"), "OK");
    world.host.disk.fail_next("write", Failure::Full);
    assert_eq!(world.run("SET second value"), "");
    world.advance_ms(10);
    assert_eq!(world.exit, Some(1));
    let mut world = started_again(world, true);
    assert_eq!(world.run("GET first"), "\"value\"");
}

/// A dump that cannot be saved leaves the one before as it was, and a server that cannot save does not end (redis#1604).
#[test]
fn a_dump_that_fails_leaves_the_one_before() {
    for op in ["open", "write", "fdatasync", "rename"] {
        let mut world = World::new();
        world.run("SET key first");
        assert_eq!(world.run("SAVE"), "OK");
        let before = world.host.disk.get("dump.rdb").expect("it was saved").to_vec();
        world.run("SET key second");
        for line in ["SAVE", "BGSAVE", "SHUTDOWN SAVE"] {
            world.host.disk.fail_next(op, Failure::Full);
            let reply = world.run(line);
            world.advance_ms(100);
            assert_eq!(reply.starts_with("(error) "), line != "BGSAVE", "{op} {line}: {reply}");
            assert_eq!(world.host.disk.get("dump.rdb"), Some(&before[..]), "{op} {line}");
            assert_eq!(world.host.disk.names("."), ["dump.rdb"], "{op} {line}");
        }
        assert_eq!(world.exit, None);
        assert_eq!(world.run("SHUTDOWN SAVE"), "");
        world.advance_ms(100);
        assert_eq!(world.exit, Some(0));
        assert_ne!(world.host.disk.get("dump.rdb"), Some(&before[..]));
    }
}

/// Rewrites that fail one after the other leave no temporary files, and a start removes those of a process that was killed (redis#3065).
#[test]
fn rewrites_that_fail_leave_nothing() {
    let mut world = logging(&[]);
    world.run("SET key value");
    for _ in 0..10 {
        for op in ["open", "write", "fdatasync"] {
            world.host.disk.fail_next(op, Failure::Full);
            world.run("BGREWRITEAOF");
            world.advance_ms(100);
        }
    }
    let is_temporary = |name: &String| name.starts_with("temp-");
    assert!(!world.host.disk.names(".").iter().any(is_temporary), "{:?}", world.host.disk.names("."));
    assert!(!world.host.disk.names("appendonlydir").iter().any(is_temporary));
    for name in ["temp-77.rdb", "temp-rewriteaof-bg-77.aof"] {
        world.host.disk.put(name, b"half");
    }
    let mut after = world.crash(1);
    after.engine.conf.appendonly = true;
    after.engine.remove_leftovers(&mut after.host);
    after.start();
    after.advance_ms(100);
    assert!(!after.host.disk.names(".").iter().any(is_temporary), "{:?}", after.host.disk.names("."));
}

/// Fields that are over do not come back from a dump, and no hash without fields; followers are told (valkey#3091, #2620,
/// redis#13347). A base keeps them until the rest of the log has said what became of them.
#[test]
fn dead_fields_do_not_come_back() {
    let mut world = World::new();
    for line in ["HSET some dead 1 living 2", "HSET all dead 1", "HPEXPIRE some 1000 FIELDS 1 dead"] {
        world.run(line);
    }
    world.run("HPEXPIRE all 1000 FIELDS 1 dead");
    assert_eq!(world.run("SAVE"), "OK");
    let mut after = world.crash(1);
    after.host.now.unix_us += 2_000_000;
    after.start();
    after.feed();
    after.advance_ms(100);
    assert_eq!(
        (after.run("HKEYS some"), after.run("EXISTS all")),
        ("1) \"living\"".into(), "(integer) 0".into())
    );

    let mut world = logging(&[]);
    world.run("HSET hash kept 1 dead 2");
    world.run("HPEXPIRE hash 1000 FIELDS 2 kept dead");
    world.run("BGREWRITEAOF");
    world.advance_ms(100);
    world.run("HPERSIST hash FIELDS 1 kept");
    world.feed();
    world.advance_ms(1000);
    let feed = world.feed();
    assert!(feed.contains("HDEL hash dead") && !feed.contains("kept"), "{feed}");
    make_durable(&mut world);
    let mut world = started_again(world, true);
    assert_eq!(world.run("HKEYS hash"), "1) \"kept\"");
}

/// A hash that once had fields with deadlines has none after a load, and those of others are the same to the millisecond
/// (redis#14511).
#[test]
fn deadlines_of_fields_are_saved_to_the_millisecond() {
    let mut world = World::new();
    for line in
        ["HSET once a 1", "HSET now a 1", "HPEXPIRE once 100000 FIELDS 1 a", "HPEXPIRE now 123457 FIELDS 1 a"]
    {
        world.run(line);
    }
    world.run("HPERSIST once FIELDS 1 a");
    let deadline = world.run("HPEXPIRETIME now FIELDS 1 a");
    assert_eq!(world.run("SAVE"), "OK");
    let mut world = started_again(world, false);
    assert_eq!(world.run("HPEXPIRETIME now FIELDS 1 a"), deadline);
    assert_eq!(world.run("HPTTL once FIELDS 1 a"), "1) (integer) -1");
    assert!(world.run("INFO keyspace").contains("subexpiry=1"));
}

/// A base without a checksum is loaded where checksums are wanted (redis PR 4908).
#[test]
fn a_base_without_a_checksum_is_loaded() {
    let mut world = logging(&[]);
    world.engine.conf.rdbchecksum = false;
    world.run("SET key value");
    world.run("BGREWRITEAOF");
    world.advance_ms(100);
    make_durable(&mut world);
    let base = world.host.disk.get("appendonlydir/appendonly.aof.2.base.rdb").expect("it is written");
    assert!(base.ends_with(&[0; 8]));
    let mut world = started_again(world, true);
    assert!(world.engine.conf.rdbchecksum);
    assert_eq!(world.run("GET key"), "\"value\"");
}

/// An old dump of which all deadlines are over can be looked into: with `import-mode` nothing is dropped (redis#1727).
#[test]
fn an_old_dump_can_be_looked_into() {
    for imports in [true, false] {
        let mut world = World::new();
        world.run("SET key value PX 1000");
        world.run("HSET hash field value");
        world.run("HPEXPIRE hash 1000 FIELDS 1 field");
        assert_eq!(world.run("SAVE"), "OK");
        let mut after = world.crash(1);
        after.host.now.unix_us += 1_000_000_000;
        after.engine.conf.import_mode = imports;
        after.start();
        after.advance_ms(1000);
        assert_eq!(after.run("CLIENT IMPORT-SOURCE ON").starts_with("OK"), imports);
        let held = ["GET key", "HGET hash field"].map(|line| after.run(line));
        assert_eq!(held, if imports { ["\"value\"", "\"value\""] } else { ["(nil)", "(nil)"] });
    }
}
