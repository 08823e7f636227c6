//! What the server keeps of large requests and large values: the bounds that Redis's tests of its query buffers show,
//! on a server whose read buffer is shared by all clients.

mod support;

use support::World;

/// A SET of a value of so many bytes, as a client sends it.
fn set(len: usize) -> Vec<u8> {
    let mut bytes = format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n${len}\r\n").into_bytes();
    bytes.resize(bytes.len() + len, b'A');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn memory_of(world: &mut World, field: &str) -> usize {
    let line = world.run("CLIENT INFO");
    let value = line.split(field).nth(1).expect("the field is there");
    value.split(' ').next().and_then(|v| v.parse().ok()).expect("a number stands there")
}

#[test]
fn keeps_no_more_of_a_large_value_than_its_bytes() {
    for direct in [false, true] {
        let mut world = World::new();
        for len in [100_000, 33_000] {
            if direct {
                world.read_into_target("a", &set(len));
            } else {
                world.send_bytes("a", &set(len));
            }
            assert_eq!(world.received("a"), "OK");
        }
        let reply = world.run("MEMORY USAGE key");
        let bytes: usize = reply.trim_start_matches("(integer) ").parse().expect("a number");
        assert!((33_000..42_000).contains(&bytes), "{bytes}");
    }
}

#[test]
fn a_client_that_sent_a_large_request_keeps_none_of_it() {
    let mut world = World::new();
    world.send_bytes("a", &set(1_000_000));
    assert_eq!(world.received("a"), "OK");
    assert!(memory_of(&mut world, "tot-mem=") < 1024);
    assert_eq!(memory_of(&mut world, "qbuf-free="), 0);
}

#[test]
fn half_a_request_costs_what_has_come_of_it() {
    let mut world = World::new();
    world.send_bytes("b", &set(20_000)[..10_000]);
    let list = world.run("CLIENT LIST");
    let line = list.lines().find(|l| l.contains("qbuf=10000")).expect("the client with half a request");
    let field = line.split("tot-mem=").nth(1).and_then(|rest| rest.split(' ').next());
    let bytes: usize = field.and_then(|v| v.parse().ok()).expect("a number stands there");
    assert!((10_000..24_000).contains(&bytes), "{line}");
}

#[test]
fn an_idle_client_costs_less_than_a_kilobyte() {
    let mut world = World::new();
    assert_eq!(world.run("PING"), "PONG");
    assert!(memory_of(&mut world, "tot-mem=") < 1024);
}
