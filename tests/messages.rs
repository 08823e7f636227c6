//! One message to very many clients: it is written over several turns, and nobody else's replies wait for it.

mod support;

use support::World;
use support::host::FakeHost;
use support::reply::Resp;
use waterwheel::base::id::ClientId;
use waterwheel::engine::Engine;
use waterwheel::engine::client::Address;
use waterwheel::resp::reply::encode_request;

const SUBSCRIBERS: usize = 100_000;

fn connect(engine: &mut Engine) -> ClientId {
    engine.accept(Address::None, Address::None, 0).expect("there is room for all")
}

fn send(engine: &mut Engine, host: &mut FakeHost, id: ClientId, words: &[&str]) {
    let mut bytes = Vec::new();
    encode_request(words, &mut bytes);
    engine.input(host, id, &bytes);
}

/// Takes what waits for a client, as a shell that writes it.
fn take(engine: &mut Engine, id: ClientId) -> usize {
    let len = engine.client(id).map_or(0, |client| client.out.len());
    engine.sent(id, len);
    len
}

/// An engine with very many subscribers to the shard channel `news`, and one client more.
fn crowd() -> (Engine, FakeHost, Vec<ClientId>, ClientId) {
    let World { mut engine, mut host, .. } = World::new();
    engine.conf.maxclients = 2 * SUBSCRIBERS as u32;
    let subscribers: Vec<ClientId> = (0..SUBSCRIBERS).map(|_| connect(&mut engine)).collect();
    for &id in &subscribers {
        send(&mut engine, &mut host, id, &["SSUBSCRIBE", "news"]);
    }
    while let Some(id) = engine.poll_output() {
        take(&mut engine, id);
    }
    // Connecting so many has left its own work behind.
    while engine.tick(&mut host) {}
    let publisher = connect(&mut engine);
    (engine, host, subscribers, publisher)
}

#[test]
fn a_message_to_very_many_comes_over_several_turns_behind_the_replies_of_others() {
    let (mut engine, mut host, subscribers, publisher) = crowd();
    let reader = connect(&mut engine);
    send(&mut engine, &mut host, publisher, &["SPUBLISH", "news", "it rains"]);
    let (mut turns, mut reached) = (0, 0);
    while engine.has_runnable() || turns == 0 {
        turns += 1;
        assert!(turns < 1000, "it comes to an end");
        engine.tick(&mut host);
        // Whatever is on its way to others, a reply is offered first.
        send(&mut engine, &mut host, reader, &["PING"]);
        let mut replied = Vec::new();
        while let Some(id) = engine.poll_output() {
            take(&mut engine, id);
            replied.push(id);
        }
        assert!(replied.contains(&reader) && replied.len() <= 2, "{replied:?}");
        // This shell has time for ten thousand of them.
        for _ in 0..10_000 {
            let Some(id) = engine.poll_message() else { break };
            assert_eq!(
                take(&mut engine, id),
                "*3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$8\r\nit rains\r\n".len()
            );
            reached += 1;
        }
    }
    assert_eq!(reached, subscribers.len());
    assert!(turns >= SUBSCRIBERS / 10_000, "{turns} turns");
}

#[test]
fn whoever_speaks_meanwhile_has_its_messages_first_and_once() {
    let (mut engine, mut host, subscribers, publisher) = crowd();
    let newcomer = connect(&mut engine);
    send(&mut engine, &mut host, publisher, &["HELLO", "3"]);
    take(&mut engine, publisher);
    send(&mut engine, &mut host, publisher, &["SSUBSCRIBE", "news"]);
    send(&mut engine, &mut host, publisher, &["SPUBLISH", "news", "one"]);
    send(&mut engine, &mut host, newcomer, &["SSUBSCRIBE", "news"]);
    send(&mut engine, &mut host, publisher, &["SPUBLISH", "news", "two"]);
    let last = *subscribers.last().expect("there are many");
    send(&mut engine, &mut host, last, &["SUNSUBSCRIBE", "news"]);
    send(&mut engine, &mut host, publisher, &["SPUBLISH", "news", "three"]);
    while engine.tick(&mut host) && engine.deliveries_waiting() > 0 {}
    let text = |id: ClientId| {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let client = engine.client(id).expect("it is there");
        let filled = client.out.gather(&mut slices, usize::MAX);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        Resp::all(&bytes).iter().map(Resp::shown).collect::<Vec<_>>()
    };
    let message = |word: &str| format!("1) \"smessage\" 2) \"news\" 3) \"{word}\"");
    let shown = |lines: Vec<String>| {
        lines.iter().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let confirmed = |verb: &str, n| format!("1) \"{verb}\" 2) \"news\" 3) (integer) {n}");
    let all = [message("one"), message("two"), message("three")];
    assert_eq!(shown(text(subscribers[0])), all);
    assert_eq!(shown(text(last)), [all[0].clone(), all[1].clone(), confirmed("sunsubscribe", 0)]);
    assert_eq!(shown(text(newcomer)), [confirmed("ssubscribe", 1), all[1].clone(), all[2].clone()]);
    // Its own message follows the number of those who get it.
    let mut published = vec![format!("-> {}", confirmed("ssubscribe", 1))];
    for (message, n) in all.iter().zip([SUBSCRIBERS + 1, SUBSCRIBERS + 2, SUBSCRIBERS + 1]) {
        published.extend([format!("(integer) {n}"), format!("-> {message}")]);
    }
    assert_eq!(shown(text(publisher)), published);
}
