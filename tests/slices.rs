//! Commands of vector sets that would take long go on in slices: others are served meanwhile, and what is answered is what was
//! there when they began.

mod support;

use support::World;
use waterwheel::base::rng::Rng;
use waterwheel::resp::reply::encode_request;

const ELEMENTS: usize = 4000;
const DIM: usize = 400;

/// A set that is large enough for a search among all of it to take more than a millisecond.
fn filled() -> World {
    let mut world = World::new();
    let mut rng = Rng::from_seed(1);
    for i in 0..ELEMENTS {
        add(&mut world, &mut rng, &format!("e{i}"), &["EF", "10", "SETATTR", &format!("{{\"n\":{i}}}")]);
    }
    world.feed();
    world
}

fn vector(rng: &mut Rng) -> Vec<u8> {
    (0..DIM).flat_map(|_| (rng.below(2001) as f32 - 1000.0).to_le_bytes()).collect()
}

fn request(rng: &mut Rng, name: &str, rest: &[&str]) -> Vec<u8> {
    let vector = vector(rng);
    let front: [&[u8]; 6] = [b"VADD", b"k", b"FP32", &vector, name.as_bytes(), b"NOQUANT"];
    let words: Vec<&[u8]> = front.into_iter().chain(rest.iter().map(|word| word.as_bytes())).collect();
    let mut bytes = Vec::new();
    encode_request(&words, &mut bytes);
    bytes
}

fn add(world: &mut World, rng: &mut Rng, name: &str, rest: &[&str]) -> String {
    world.send_bytes("a", &request(rng, name, rest));
    world.received("a")
}

/// Gives the server what a client sends, and no turn.
fn input(world: &mut World, client: &str, bytes: &[u8]) {
    let id = world.id_of(client);
    world.engine.input(&mut world.host, id, bytes);
}

#[test]
fn others_are_served_while_a_long_search_goes_on() {
    let mut world = filled();
    let all = format!("VSIM k ELE e7 TRUTH COUNT {ELEMENTS} WITHATTRIBS\r\n");
    input(&mut world, "a", all.as_bytes());
    assert_eq!(world.engine.blocked_clients(), 1);
    // Whatever happens to the set meanwhile is not seen.
    for line in ["VREM k e5", "VSETATTR k e6 x", "VREM k e3999", "DEL k"] {
        input(&mut world, "b", format!("{line}\r\n").as_bytes());
        assert_eq!(world.engine.blocked_clients(), 1, "{line}");
    }
    world.advance_ms(1);
    assert_eq!(
        world.received("b"),
        "(integer) 1 | (integer) 1 | (integer) 1 | (integer) 1".replace(" | ", "\n")
    );
    let found = world.received("a");
    for name in ["\"e5\"", "\"e3999\"", "{\\\"n\\\":6}"] {
        assert!(found.contains(name), "{name} is not in {}", &found[..200]);
    }
    assert_eq!(world.run("EXISTS k"), "(integer) 0");
}

#[test]
fn a_long_addition_takes_the_place_that_was_found_for_it() {
    let mut world = filled();
    let mut rng = Rng::from_seed(2);
    let slow = ["EF", "4000", "CAS"];
    input(&mut world, "a", &request(&mut rng, "new", &slow));
    assert_eq!(world.engine.blocked_clients(), 1);
    assert_eq!(world.feed(), "");
    input(&mut world, "b", b"VCARD k\r\nVREM k e5\r\n");
    world.advance_ms(1);
    assert_eq!(world.received("a"), "(integer) 1");
    assert_eq!(world.run("VCARD k"), format!("(integer) {ELEMENTS}"));
    // An element that is there gets another vector, and keeps its attributes.
    input(&mut world, "a", &request(&mut rng, "e9", &slow));
    assert_eq!(world.engine.blocked_clients(), 1);
    world.advance_ms(1);
    assert_eq!(world.received("a"), "(integer) 0");
    assert_eq!(world.run("VGETATTR k e9"), "\"{\\\"n\\\":9}\"");
    let feed = world.feed();
    assert!(feed.find("VREM").expect("it went on") < feed.find("VADD").expect("it did, too"));
    // Where the set is another one by then, it is looked for anew.
    input(&mut world, "a", &request(&mut rng, "last", &slow));
    input(&mut world, "b", b"DEL k\r\n");
    world.advance_ms(1);
    assert_eq!(world.received("a"), "(integer) 1");
    assert_eq!(world.run("VCARD k"), "(integer) 1");
}

#[test]
fn who_cannot_wait_or_leaves_is_no_exception() {
    let mut world = filled();
    let search = "VSIM k ELE e7 TRUTH COUNT 1";
    world.run("MULTI");
    world.run(search);
    assert_eq!(world.run("EXEC"), "1) 1) \"e7\"");
    let script = "EVAL \"return redis.call('VSIM', 'k', 'ELE', 'e7', 'TRUTH', 'COUNT', 1)\" 0";
    assert_eq!(world.run(script), "1) \"e7\"");
    input(&mut world, "b", format!("{search}\r\n").as_bytes());
    assert_eq!(world.engine.blocked_clients(), 1);
    world.disconnect("b");
    world.advance_ms(1);
    assert_eq!(world.engine.blocked_clients(), 0);
    // What is sent behind a long search is answered behind it.
    world.send("a", search);
    world.send("a", "PING");
    assert_eq!(world.received("a"), "1) \"e7\"\nPONG");
}
