//! `maxmemory-clients`: who goes when all clients together take too much memory, and that the sum stays right.

mod support;

use support::World;
use waterwheel::base::rng::Rng;

/// A request whose argument of so many bytes does not come to its end.
fn unfinished(bytes: usize) -> Vec<u8> {
    let mut request = format!("*2\r\n$3\r\nGET\r\n${}\r\n", bytes + 1).into_bytes();
    request.resize(request.len() + bytes, b'x');
    request
}

/// A world with a limit, and one client that stays.
fn limited(bytes: usize) -> World {
    let mut world = World::new();
    assert_eq!(world.run("CLIENT NO-EVICT ON"), "OK");
    assert_eq!(world.run(&format!("CONFIG SET maxmemory-clients {bytes}")), "OK");
    world
}

fn evicted(world: &mut World) -> String {
    let info = world.run("INFO stats");
    let (_, rest) = info.split_once("evicted_clients:").expect("the field is there");
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().to_owned()
}

fn is_there(world: &mut World, name: &str) -> bool {
    world.received(name) != "(closed)"
}

#[test]
fn the_largest_go_first_and_no_more_than_has_to() {
    let mut world = limited(1_000_000);
    for (name, bytes) in [("small", 20_000), ("large", 500_000), ("middle", 200_000)] {
        world.send_bytes(name, &unfinished(bytes));
        assert!(is_there(&mut world, name));
    }
    world.send_bytes("last", &unfinished(400_000));
    assert_eq!(evicted(&mut world), "1");
    let left = ["small", "middle", "last", "large"].map(|name| is_there(&mut world, name));
    // The bucket of 2^18 bytes: the older of the two that stand in it.
    assert_eq!(left, [true, true, true, false]);
    assert_eq!(world.run("CONFIG SET maxmemory-clients 150000"), "OK");
    let left = ["small", "middle", "last"].map(|name| is_there(&mut world, name));
    assert_eq!((left, evicted(&mut world).as_str()), ([true, false, false], "3"));
}

#[test]
fn who_said_no_evict_stays_and_counts() {
    let mut world = limited(600_000);
    assert_eq!(world.run_as("kept", "CLIENT NO-EVICT ON"), "OK");
    world.send_bytes("kept", &unfinished(400_000));
    world.send_bytes("other", &unfinished(300_000));
    assert!(is_there(&mut world, "kept") && !is_there(&mut world, "other"));
    world.send_bytes("kept", &unfinished(400_000));
    assert!(is_there(&mut world, "kept"));
}

#[test]
fn a_percentage_is_of_maxmemory() {
    let mut world = limited(0);
    world.send_bytes("b", &unfinished(400_000));
    for (line, stays) in [
        ("CONFIG SET maxmemory-clients 10%", true),
        ("CONFIG SET maxmemory 5000000", true),
        ("CONFIG SET maxmemory 3000000", false),
    ] {
        assert_eq!(world.run(line), "OK");
        assert_eq!(is_there(&mut world, "b"), stays, "{line}");
    }
}

#[test]
fn messages_that_nobody_reads_count() {
    let mut world = limited(1_000_000);
    world.run_as("listener", "SSUBSCRIBE news");
    world.stop_reading("listener");
    let message = "x".repeat(60_000);
    for sent in 0..20 {
        if evicted(&mut world) == "1" {
            assert!(sent > 10, "{sent}");
            return;
        }
        world.run(&format!("SPUBLISH news {message}"));
    }
    panic!("the listener was not evicted");
}

#[test]
fn clients_go_before_keys_and_who_goes_runs_nothing_more() {
    let mut world = limited(1_000_000);
    for key in 0..20 {
        world.run(&format!("SET key:{key} {}", "v".repeat(100_000)));
    }
    world.run_as("reader", "PING");
    world.stop_reading("reader");
    // Memory is short all the time. The reader holds too much in the middle of its turn: its output goes before any key, and
    // what it has asked for after that is not done.
    world.host.allocated_bytes = 9_000_000;
    assert_eq!(world.run("CONFIG SET maxmemory 8000000"), "OK");
    world.send_bytes("reader", format!("{}DEL key:2\r\n", "GET key:1\r\n".repeat(30)).as_bytes());
    assert!(!is_there(&mut world, "reader"));
    assert_eq!((evicted(&mut world).as_str(), world.run("EXISTS key:2").as_str()), ("1", "(integer) 1"));
}

#[test]
fn the_sum_is_that_of_all_clients_whatever_they_do() {
    let mut rng = Rng::from_seed(7);
    let mut world = limited(100_000_000);
    let names = ["a", "b", "c", "d", "e"];
    for step in 0..2000u64 {
        let name = names[1 + rng.below(4) as usize];
        let size = 1 + rng.below(50_000) as usize;
        match rng.below(12) {
            0 => world.send_bytes(name, format!("*2\r\n$4\r\nECHO\r\n${size}\r\n").as_bytes()),
            1 => world.disconnect(name),
            2 => world.send(name, "CLIENT NO-EVICT ON"),
            3 => world.send(name, "CLIENT NO-EVICT OFF"),
            4 => world.send(name, "MULTI"),
            5 => world.send(name, &format!("SET key {}", "v".repeat(size))),
            6 => world.send(name, "EXEC"),
            7 => world.send(name, &format!("WATCH w{step}")),
            8 => world.send(name, &format!("PSUBSCRIBE p{step}*")),
            9 => world.send(name, "RESET"),
            10 => world.send(name, "MONITOR"),
            _ => drop(world.run(
                ["CONFIG SET maxmemory-clients 0", "CONFIG SET maxmemory-clients 90%"][step as usize % 2],
            )),
        }
        // Who goes may have been sent a part of a line.
        world.received_bytes(name);
        world.advance_ms(1);
        let sum: usize = world.engine.clients.iter().map(|(_, c)| c.memory_bytes()).sum();
        if world.engine.conf.maxmemory_clients != 0 {
            assert_eq!(world.engine.clients_weigh(), sum, "step {step}");
        }
    }
}

#[test]
fn memory_of_clients_that_left_goes_back_to_the_system() {
    const MIB: usize = 1 << 20;
    let mut world = World::new();
    let given_back =
        |world: &World| world.host.requests.iter().filter(|name| *name == "release memory").count();
    world.host.allocated_bytes = 150 * MIB;
    world.run_as("b", "PING");
    world.engine.note_traffic();
    world.advance_ms(200);
    world.host.allocated_bytes = 50 * MIB;
    world.disconnect("b");
    let pass_s = |world: &mut World, seconds: usize| (0..10 * seconds).for_each(|_| world.advance_ms(100));
    pass_s(&mut world, 3);
    assert_eq!(given_back(&world), 1);
    // What is not much less than before stays, and an idle server does not wake up.
    world.host.allocated_bytes = 45 * MIB;
    world.engine.note_traffic();
    pass_s(&mut world, 10);
    assert_eq!(given_back(&world), 1);
    assert_eq!(world.engine.next_deadline_in_us(), None);
}
