//! SCRIPT DEBUG SYNC, byte for byte: a client steps through its own script while the others go on.
//!
//! The host hands the bytes of one pause for breath after the other to the engine, as the real loop would. What a session
//! answers was compared with that of Redis 8.0.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use waterwheel::base::id::ClientId;
use waterwheel::base::time::Now;
use waterwheel::commands;
use waterwheel::config::Config;
use waterwheel::engine::client::Address;
use waterwheel::engine::host::{ProcessFacts, ProcessNames, Request};
use waterwheel::engine::table::Table;
use waterwheel::engine::{Engine, Host, Job};

/// A shell with two sockets, whose clock goes on a millisecond at every look.
struct Shell {
    /// What each pause for breath finds in the sockets. Behind the last one the client of the session leaves.
    arriving: VecDeque<Vec<(ClientId, Vec<u8>)>>,
    sent: BTreeMap<u32, Vec<u8>>,
    ticks: u64,
}

impl Shell {
    fn flush(&mut self, engine: &mut Engine) {
        while let Some(id) = engine.poll_output() {
            while let Some(client) = engine.client(id).filter(|client| !client.out.is_empty()) {
                let mut slices = [IoSlice::new(&[]); 16];
                let filled = client.out.gather(&mut slices, usize::MAX);
                let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                engine.sent(id, bytes.len());
                self.sent.entry(id.slot).or_default().extend(bytes);
            }
        }
    }
}

impl Host for Shell {
    fn now(&mut self) -> Now {
        Now { unix_us: 1_700_000_000_000_000, mono_us: 1_000_000 }
    }
    fn ticks(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }
    fn ticks_per_ms(&self) -> u64 {
        1
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
    fn breathe(&mut self, engine: &mut Engine, wait_ms: u64) {
        match self.arriving.pop_front() {
            Some(arriving) => {
                for (id, bytes) in arriving {
                    engine.input_while_busy(self, id, &bytes);
                }
            }
            None if wait_ms > 0 => engine.half_closed(engine.busy_client().expect("a session waits")),
            None => {}
        }
        self.flush(engine);
    }

    fn attend(&mut self, _: &mut Engine, _: ClientId, _: u64) {
        unreachable!("no keys go anywhere")
    }
}

/// A server with two clients.
struct World {
    engine: Engine,
    shell: Shell,
    a: ClientId,
    b: ClientId,
}

impl World {
    fn new(configure: impl FnOnce(&mut Config)) -> World {
        let mut shell = Shell { arriving: VecDeque::new(), sent: BTreeMap::new(), ticks: 0 };
        let table: &'static Table = Box::leak(Box::new(Table::new(commands::FAMILIES)));
        let mut config = Config::new();
        configure(&mut config);
        let mut engine = Engine::new(table, config, ProcessNames::default(), &mut shell);
        let accept =
            |engine: &mut Engine| engine.accept(Address::None, Address::None, 0).expect("there is room");
        let [a, b] = [accept(&mut engine), accept(&mut engine)];
        World { engine, shell, a, b }
    }

    /// Sends bytes outside of a session, and returns what the client was sent.
    fn send(&mut self, id: ClientId, bytes: &[u8]) -> String {
        self.engine.input(&mut self.shell, id, bytes);
        while self.engine.serve_waiting(&mut self.shell) {}
        self.shell.flush(&mut self.engine);
        self.received(id)
    }

    fn received(&mut self, id: ClientId) -> String {
        let bytes = self.shell.sent.remove(&id.slot).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }

    /// A session with these commands, each behind a pause for breath; returns all that its client was sent.
    fn session(&mut self, script: &str, commands: &[&str]) -> String {
        assert_eq!(self.send(self.a, &request(&["SCRIPT", "DEBUG", "SYNC"])), "+OK\n");
        let a = self.a;
        self.shell.arriving.extend(commands.iter().map(|command| vec![(a, line(command))]));
        self.send(a, &request(&["EVAL", script, "1", "key", "argument"]))
    }

    fn is_closing(&mut self, id: ClientId) -> bool {
        self.engine.tick(&mut self.shell);
        while let Some(job) = self.engine.poll_job() {
            if matches!(job, Job::Close(closing) if closing == id) {
                return true;
            }
        }
        false
    }
}

fn request(words: &[&str]) -> Vec<u8> {
    let words: Vec<String> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), words.concat()).into_bytes()
}

fn line(command: &str) -> Vec<u8> {
    request(&command.split(' ').collect::<Vec<_>>())
}

const STOPPED_AT_1: &str = "*2\n+* Stopped at 1, stop reason = step over\n+-> 1   ";

#[test]
fn a_client_steps_through_its_script() {
    let script = "local a = 5\nlocal t = {1,2,x={3}}\nredis.breakpoint()\nredis.debug(a, t)\nlocal function f(z)\n  \
                  local q = z + 1\n  return q\nend\na = f(a)\nredis.call('set', KEYS[1], a)\nreturn redis.call('get', \
                  KEYS[1])\n";
    let steps = [
        ("l 2 1", "*3\n+-> 1   local a = 5\n+   2   local t = {1,2,x={3}}\n+   3   redis.breakpoint()\n"),
        ("print", "*1\n+No local variables in the current context.\n"),
        ("s", "*2\n+* Stopped at 2, stop reason = step over\n+-> 2   local t = {1,2,x={3}}\n"),
        ("N", "*2\n+* Stopped at 3, stop reason = step over\n+-> 3   redis.breakpoint()\n"),
        ("c", "*2\n+* Stopped at 4, stop reason = redis.breakpoint() called\n+-> 4   redis.debug(a, t)\n"),
        ("p", "*2\n+<value> a = 5\n+<value> t = {[1]=1; [2]=2; [\"x\"]={3}}\n"),
        ("p KEYS", "*1\n+<value> {\"key\"}\n"),
        ("p nosuch", "*1\n+No such variable.\n"),
        ("b", "*1\n+No breakpoints set. Use 'b <line>' to add one.\n"),
        ("b 7", "*3\n+   6     local q = z + 1\n+  #7     return q\n+   8   end\n"),
        ("b 7", "*1\n+Wrong line number.\n"),
        ("b 0x1", "*1\n+Invalid argument:'0x1'\n"),
        ("b -9", "*1\n+No breakpoint in the specified line.\n"),
        ("b", "*2\n+1 breakpoints set:\n+  #7     return q\n"),
        (
            "c",
            "*3\n+<debug> line 4: 5, {[1]=1; [2]=2; [\"x\"]={3}}\n+* Stopped at 7, stop reason = break point\n\
             +->#7     return q\n",
        ),
        ("t", "*4\n+In f:\n+->#7     return q\n+From top level:\n+   9   a = f(a)\n"),
        ("p", "*2\n+<value> z = 5\n+<value> q = 6\n"),
        ("p a", "*1\n+<value> 5\n"),
        ("b 0", "*1\n+All breakpoints removed.\n"),
        (
            "e return z",
            "*1\n+<error> ldb_eval:1: Script attempted to access nonexistent global variable 'z'\n",
        ),
        ("e {1,'2'}", "*1\n+<retval> {1; \"2\"}\n"),
        ("e redis.call('nosuch')", "*1\n+<error> ERR Unknown Redis command called from script\n"),
        ("r ping", "*2\n+<redis> ping\n+<reply> \"+PONG\"\n"),
        ("r set q", "*2\n+<redis> set q\n+<error> Wrong number of args calling Redis command from script\n"),
        ("maxlen 5", "*1\n+<value> replies are truncated at 60 bytes.\n"),
        ("r", "*1\n+<error> Unknown Redis Lua debugger command or wrong number of arguments.\n"),
        ("s", "*2\n+* Stopped at 10, stop reason = step over\n+-> 10  redis.call('set', KEYS[1], a)\n"),
        (
            "s",
            "*4\n+<redis> set key 6\n+<reply> \"+OK\"\n+* Stopped at 11, stop reason = step over\n\
             +-> 11  return redis.call('get', KEYS[1])\n",
        ),
        ("c", "*1\n+<endsession>\n$1\n6\n"),
    ];
    let mut world = World::new(|_| {});
    let commands: Vec<&str> = steps.iter().map(|(command, _)| *command).collect();
    let wanted: String = steps.iter().map(|(_, answer)| *answer).collect();
    let got = world.session(script, &commands);
    assert_eq!(got, format!("{STOPPED_AT_1}local a = 5\n{wanted}"));
    assert!(world.is_closing(world.a), "the end of the connection is the end of the session");
    // The script was kept as always, and runs without the debugger for others.
    assert_eq!(world.send(world.b, &request(&["EVAL", script, "1", "key"])), "$1\n6\n");
}

#[test]
fn long_values_are_trimmed_and_the_client_told_once() {
    let mut world = World::new(|_| {});
    let got = world
        .session("local v = string.rep('x', 300)\nreturn 1", &["s", "p v", "m 60", "p v", "m 0", "p v", "c"]);
    let hint = "+<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.\n";
    let shown = |count: usize| format!("+<value> \"{}", "x".repeat(count));
    for wanted in [
        format!("*2\n{} ...\n{hint}*1\n", shown(256 - 9)),
        format!("*1\n{} ...\n*1\n+<value> replies are unlimited.\n", shown(60 - 9)),
        format!("*1\n{}\"\n*1\n+<endsession>\n:1\n", shown(300)),
    ] {
        assert!(got.contains(&wanted), "{got}\nwithout\n{wanted}");
    }
    // A table that holds itself many times has more to show than there is memory.
    let script = "local t = {}\nfor i = 1, 100 do\n  t[i] = t\nend\nreturn 1";
    let (a, b) = (world.b, world.a);
    (world.a, world.b) = (a, b);
    let got = world.session(script, &["b 5", "c", "p t", "c"]);
    assert!(got.contains("+<value> {{{{{{{{{{<max recursion level reached! Nested table?>; "), "{got}");
}

#[test]
fn a_script_is_ended_by_its_client() {
    // Not even pcall keeps it alive.
    let script = "pcall(function()\n  local x = 1\n  return x\nend)\nredis.call('set', 'key', 'value')";
    let mut world = World::new(|_| {});
    let got = world.session(script, &["s", "s", "s", "a"]);
    let (_, end) = got.rsplit_once("*1\n").expect("the session has an end");
    assert!(end.starts_with("+<endsession>\n-ERR script aborted for user request script: "), "{end}");
    assert!(end.ends_with(", on @user_script:2.\n"), "{end}");
    assert_eq!(world.send(world.b, b"EXISTS key\r\n"), ":0\n");
    // What is no command ends it as well.
    let mut world = World::new(|_| {});
    let a = world.a;
    world.send(a, &request(&["SCRIPT", "DEBUG", "SYNC"]));
    world.shell.arriving.push_back(vec![(a, b"help\r\n".to_vec())]);
    let got = world.send(a, &request(&["EVAL", "return 1", "0"]));
    assert!(got.contains("*1\n+<endsession>\n-ERR protocol error script: "), "{got}");
}

#[test]
fn a_script_whose_client_leaves_runs_to_its_end() {
    let mut world = World::new(|_| {});
    world.session("local a = 1\nredis.breakpoint()\nredis.call('set', KEYS[1], ARGV[1])", &["b 3"]);
    assert!(world.is_closing(world.a));
    assert_eq!(world.send(world.b, b"GET key\r\n"), "$8\nargument\n");
}

#[test]
fn others_are_told_that_the_server_is_busy_and_can_end_the_session() {
    let mut world = World::new(|_| {});
    let (a, b) = (world.a, world.b);
    let killing = |command: &[u8]| vec![(b, b"GET key\r\n".to_vec()), (b, command.to_vec())];
    world.send(a, &request(&["SCRIPT", "DEBUG", "SYNC"]));
    world.shell.arriving.extend([killing(b"SCRIPT KILL\r\n"), vec![(a, line("s"))]]);
    let got = world.send(a, &request(&["EVAL", "local a = 1\nreturn a", "0"]));
    let busy = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\n";
    assert_eq!(world.received(b), format!("{busy}+OK\n"));
    assert!(got.contains("+<endsession>\n-ERR Script killed by user with SCRIPT KILL..."), "{got}");
    // Code that the client runs itself can be ended, too; but nothing that has written.
    let mut world = World::new(|_| {});
    let endless = line("e while true do end");
    world.send(a, &request(&["SCRIPT", "DEBUG", "SYNC"]));
    world.shell.arriving.extend([vec![(a, endless)], killing(b"SCRIPT KILL\r\n")]);
    let got = world.send(a, &request(&["EVAL", "return 1", "0"]));
    assert!(got.contains("+<endsession>\n-ERR Script killed by user with SCRIPT KILL..."), "{got}");
    let mut world = World::new(|_| {});
    world.send(a, &request(&["SCRIPT", "DEBUG", "SYNC"]));
    world.shell.arriving.extend([
        vec![(a, line("r set k v"))],
        killing(b"SCRIPT KILL\r\n"),
        killing(b"SHUTDOWN NOSAVE\r\n"),
    ]);
    let got = world.send(a, &request(&["EVAL", "return 1", "0"]));
    assert!(world.received(b).contains("-UNKILLABLE "));
    assert!(!got.contains(":1\n") && matches!(world.engine.poll_job(), Some(Job::Exit(0))), "{got}");
}

#[test]
fn a_script_that_runs_for_long_stops() {
    let mut world = World::new(|config| config.busy_reply_threshold_ms = 300);
    let got = world.session("local i = 0\nwhile true do i = i + 1 end", &["c", "c", "a"]);
    let stop = "*2\n+* Stopped at 2, stop reason = timeout reached, infinite loop?\n+-> 2   while true do i = i + 1 end\n";
    assert!(got.contains(&format!("{stop}{stop}*1\n+<endsession>\n-ERR script aborted")), "{got}");
}

#[test]
fn scripts_do_not_see_what_the_debugger_has() {
    let mut world = World::new(|config| config.lua_enable_deprecated_api = true);
    let script = "local real = getfenv(0)\nreturn {tostring(rawget(real, 'debug')), tostring(rawget(_G, 'debug')), \
                  tostring(rawget(real, 'getlocal')), tostring(rawget(real, 'package'))}";
    let got = world.session(script, &["c"]);
    assert!(got.ends_with("*4\n$3\nnil\n$3\nnil\n$3\nnil\n$3\nnil\n"), "{got}");
}

#[test]
fn the_mode_is_set_by_script_debug() {
    let mut world = World::new(|_| {});
    let (a, b) = (world.a, world.b);
    assert!(world.send(a, &request(&["SCRIPT", "DEBUG", "YES"])).starts_with("-ERR SCRIPT DEBUG YES needs"));
    assert_eq!(world.send(a, &request(&["SCRIPT", "DEBUG", "on"])), "-ERR Use SCRIPT DEBUG YES/SYNC/NO\n");
    let piped = world.send(a, b"PING\r\nSCRIPT DEBUG SYNC\r\n");
    assert_eq!(piped, "+PONG\n-ERR SCRIPT DEBUG must be called outside a pipeline\n");
    assert_eq!(world.send(a, b"SCRIPT DEBUG SYNC\r\n"), "+OK\n");
    assert_eq!(world.send(a, b"SCRIPT DEBUG NO\r\n"), "+OK\n");
    assert_eq!(world.send(a, &request(&["EVAL", "return 1", "0"])), ":1\n");
    // A function is not debugged, nor a script by its digest.
    assert_eq!(world.send(a, b"SCRIPT DEBUG SYNC\r\n"), "+OK\n");
    let by_digest = format!("EVALSHA {} 0\r\n", "0".repeat(40));
    let refusal = "-ERR Please use EVAL instead of EVALSHA for debugging\n";
    assert_eq!(world.send(a, by_digest.as_bytes()), refusal);
    // Lines go before what was on its way: here the reply of SCRIPT DEBUG itself.
    world.shell.arriving.push_back(vec![(b, line("c"))]);
    let got = world.send(b, b"SCRIPT DEBUG SYNC\r\nEVAL 'return 1' 0\r\n");
    assert_eq!(got, format!("{STOPPED_AT_1}return 1\n*1\n+<endsession>\n+OK\n:1\n"));
    // A script that cannot be begun has a session without a stop.
    let mut world = World::new(|_| {});
    let got = world.session("syntax error", &[]);
    assert!(
        got.starts_with("*1\n+<endsession>\n-ERR Error compiling script (new function): user_script:1: "),
        "{got}"
    );
    assert!(world.is_closing(world.a));
}
