//! A command that works for long lets the shell serve others in the middle of its work.
//!
//! The command here stands for a script: it changes a key, breathes, changes it again. The host that lets it breathe
//! does what the real loop would do: it hands over what its sockets received, and takes what is to be sent.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use support::reply::Resp;
use waterwheel::base::id::ClientId;
use waterwheel::base::time::Now;
use waterwheel::commands;
use waterwheel::config::Config;
use waterwheel::engine::client::Address;
use waterwheel::engine::error::{CmdResult, Outcome};
use waterwheel::engine::host::{ProcessFacts, ProcessNames, Request};
use waterwheel::engine::spec::{Group, Spec, flag};
use waterwheel::engine::table::Table;
use waterwheel::engine::{Call, Engine, Host};

const BUSY: &str = "BUSY a long command runs";

const LONG: &[Spec] = &[Spec::global("long", -2, long, "it stands for a script").flags(flag::WRITE).doc(
    Group::Server,
    "8.0.0",
    "O(N)",
    "Works for long.",
)];

/// LONG KEY: counts as two changes of a key, with a pause for breath before each.
fn long(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    for _ in 0..2 {
        engine.breathe(call, BUSY, 0);
        engine.propagation.changed(1);
    }
    engine.propagate(call.slot, call.args);
    engine.reply(call.slot).status("DONE");
    Ok(Outcome::Done)
}

/// A shell with two sockets.
struct Shell {
    /// What each pause for breath finds in the sockets.
    arriving: VecDeque<Vec<(ClientId, Vec<u8>)>>,
    /// What was sent, by client.
    sent: BTreeMap<u32, Vec<u8>>,
    /// The same at the end of each pause.
    sent_while_busy: Vec<BTreeMap<u32, String>>,
    /// The counter, in nanoseconds, and by how much it grows at each look.
    ticks: u64,
    ticks_per_look: u64,
}

impl Shell {
    /// Writes what there is to write, as the loop does.
    fn flush(&mut self, engine: &mut Engine) {
        while let Some(id) = engine.poll_output().or_else(|| engine.poll_message()) {
            while let Some(outgoing) = engine.output(id) {
                let mut slices = [IoSlice::new(&[]); 16];
                let filled = outgoing.gather(&mut slices, usize::MAX);
                let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                engine.sent(id, bytes.len());
                self.sent.entry(id.slot).or_default().extend(bytes);
            }
        }
    }

    /// What a client was sent since the last look.
    fn received(&mut self, id: ClientId) -> String {
        shown(&std::mem::take(self.sent.entry(id.slot).or_default()))
    }
}

fn shown(bytes: &[u8]) -> String {
    Resp::all(bytes).iter().map(Resp::shown).collect::<Vec<_>>().join(" | ")
}

impl Host for Shell {
    fn now(&mut self) -> Now {
        let us = self.ticks / 1000;
        Now { unix_us: 1_700_000_000_000_000 + us, mono_us: 1_000_000 + us }
    }
    fn ticks(&mut self) -> u64 {
        self.ticks += self.ticks_per_look;
        self.ticks
    }
    fn ticks_per_ms(&self) -> u64 {
        1_000_000
    }
    fn random(&mut self) -> u64 {
        4
    }
    fn allocated_bytes(&self) -> usize {
        0
    }
    fn facts(&mut self) -> ProcessFacts {
        ProcessFacts::default()
    }
    fn apply(&mut self, _: Request<'_>) -> Result<String, String> {
        Ok(String::new())
    }
    fn breathe(&mut self, engine: &mut Engine, _: u64) {
        for (id, bytes) in self.arriving.pop_front().unwrap_or_default() {
            engine.input_while_busy(self, id, &bytes);
        }
        self.flush(engine);
        self.sent_while_busy.push(self.sent.iter().map(|(slot, bytes)| (*slot, shown(bytes))).collect());
    }

    fn attend(&mut self, _: &mut Engine, _: ClientId, _: u64) {
        unreachable!("no keys go anywhere")
    }
}

fn start() -> (Engine, Shell, [ClientId; 2]) {
    let mut shell = Shell {
        arriving: VecDeque::new(),
        sent: BTreeMap::new(),
        sent_while_busy: Vec::new(),
        ticks: 1,
        ticks_per_look: 0,
    };
    let families: Vec<&'static [Spec]> = commands::FAMILIES.iter().copied().chain([LONG]).collect();
    let table: &'static Table = Box::leak(Box::new(Table::new(&families)));
    let mut engine = Engine::new(table, Config::new(), ProcessNames::default(), &mut shell);
    engine.follow_feed(true);
    let accept = |engine: &mut Engine| engine.accept(Address::None, Address::None, 0).expect("there is room");
    let clients = [accept(&mut engine), accept(&mut engine)];
    (engine, shell, clients)
}

/// Serves what waits and writes what there is, until it is quiet.
fn turn(engine: &mut Engine, shell: &mut Shell) {
    while engine.serve_waiting(shell) {}
    engine.tick(shell);
    shell.flush(engine);
    engine.end_turn(0, 0);
}

#[test]
fn others_are_answered_while_a_long_command_runs() {
    let (mut engine, mut shell, [a, b]) = start();
    shell.arriving.push_back(vec![(b, b"GET key\r\nHELLO 2 SETNAME other\r\nNOSUCH\r\nSET key va".to_vec())]);
    shell.arriving.push_back(vec![(b, b"lue\r\nRESET\r\n".to_vec())]);
    engine.input(&mut shell, a, b"LONG key\r\n");
    turn(&mut engine, &mut shell);
    // The first pause for breath: a read is refused, a handshake is not, an unknown command is unknown.
    let first = &shell.sent_while_busy[0][&b.slot];
    assert!(first.starts_with("(error) BUSY a long command runs |  1) \"server\""), "{first}");
    assert!(first.ends_with("(error) ERR unknown command 'NOSUCH', with args beginning with: "), "{first}");
    // The second one: the request that came in two pieces is refused as well, and RESET runs.
    let second = &shell.sent_while_busy[1][&b.slot];
    assert_eq!(second.strip_prefix(first.as_str()), Some(" | (error) BUSY a long command runs | RESET"));
    assert_eq!(shell.received(a), "DONE");
    // Afterwards everything runs again.
    shell.received(b);
    engine.input(&mut shell, b, b"SET key value\r\n");
    turn(&mut engine, &mut shell);
    assert_eq!(shell.received(b), "OK");
}

#[test]
fn what_the_client_of_a_long_command_sends_meanwhile_waits_behind_what_it_sent() {
    for cut in 0..27 {
        let (mut engine, mut shell, [a, _]) = start();
        let behind = b"ECHO 1\r\nECHO 2\r\n*1\r\n$4\r\nPING\r\n";
        let (with_it, meanwhile) = behind.split_at(cut);
        let (first, second) = meanwhile.split_at(meanwhile.len() / 2);
        shell.arriving.extend([vec![(a, first.to_vec())], vec![(a, second.to_vec())]]);
        engine.input(&mut shell, a, &[b"LONG key\r\n".as_slice(), with_it].concat());
        assert!(
            shell.sent_while_busy.iter().all(|sent| !sent.contains_key(&a.slot)),
            "nothing runs before its turn"
        );
        turn(&mut engine, &mut shell);
        assert_eq!(shell.received(a), "DONE | \"1\" | \"2\" | PONG", "cut at {cut}");
    }
}

#[test]
fn a_large_argument_behind_a_long_command_is_put_together() {
    let (mut engine, mut shell, [a, _]) = start();
    let value = vec![b'v'; 100_000];
    let request =
        [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n".as_slice(), &value, b"\r\nSTRLEN k\r\n"].concat();
    let (with_it, meanwhile) = request.split_at(50_000);
    let (first, second) = meanwhile.split_at(1000);
    shell.arriving.extend([vec![(a, first.to_vec())], vec![(a, second.to_vec())]]);
    engine.input(&mut shell, a, &[b"LONG key\r\n".as_slice(), with_it].concat());
    turn(&mut engine, &mut shell);
    assert_eq!(shell.received(a), "DONE | OK | (integer) 100000");
}

#[test]
fn who_is_closed_while_a_long_command_runs_goes_when_it_is_over() {
    let (mut engine, mut shell, [a, b]) = start();
    shell.arriving.push_back(vec![(b, b"POST / HTTP/1.1\r\n".to_vec()), (a, b"PING\r\n".to_vec())]);
    engine.input(&mut shell, a, b"LONG key\r\n");
    assert!(engine.client(b).is_some(), "its slot is still taken");
    assert!(matches!(engine.poll_job(), Some(waterwheel::engine::Job::Close(id)) if id == b));
    engine.closed(&mut shell, b);
    turn(&mut engine, &mut shell);
    assert_eq!(shell.received(a), "DONE | PONG");
    assert_eq!(engine.take_feed(), b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nLONG\r\n$3\r\nkey\r\n");
}

#[test]
fn time_stands_in_a_script_until_it_lets_others_speak() {
    const SCRIPT: &str = "local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end \
                          local began = now() \
                          for i = 1, 100 do if now() ~= began then return 'it moved' end end \
                          repeat until now() >= began + 40000 \
                          return now() - began";
    let (mut engine, mut shell, [a, _]) = start();
    engine.input(&mut shell, a, b"CONFIG SET busy-reply-threshold 30\r\n");
    turn(&mut engine, &mut shell);
    shell.received(a);
    shell.ticks_per_look = 10_000;
    let request = format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{SCRIPT}\r\n$1\r\n0\r\n", SCRIPT.len());
    engine.input(&mut shell, a, request.as_bytes());
    turn(&mut engine, &mut shell);
    let passed_us = shell.received(a);
    let passed_us: u64 =
        passed_us.strip_prefix("(integer) ").and_then(|us| us.parse().ok()).expect(&passed_us);
    assert!((40_000..60_000).contains(&passed_us), "{passed_us}");
}
