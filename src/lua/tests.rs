//! The interpreter with a server that answers what the test says.

use super::native::Failure;
use super::stack::{Answer, Request};
use super::vm::{Ask, Chance, Ended, Purpose, ScriptHost, Vm};
use mlua::{Lua, Value};

/// Answers every command with the same, and keeps the requests.
#[derive(Default)]
struct Fake {
    reply: Vec<u8>,
    refusal: Option<&'static str>,
    has_nil: bool,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
    request: Request,
    requests: Vec<Vec<String>>,
    looks: u32,
}

impl ScriptHost for Fake {
    fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.args.len())
    }

    fn argument(&self, index: usize) -> &[u8] {
        self.keys.iter().chain(&self.args).nth(index).expect("an argument that was counted")
    }

    fn call(&mut self, read: &mut dyn FnMut(&mut Request) -> bool) -> Answer<'_> {
        if !read(&mut self.request) {
            return Answer::Refused { text: b"ERR not a request", is_counted: false };
        }
        let words = self.request.args().iter_from(0).map(|word| String::from_utf8_lossy(word).into_owned());
        self.requests.push(words.collect());
        match self.refusal {
            Some(text) => Answer::Refused { text: text.as_bytes(), is_counted: true },
            None => Answer::Reply { bytes: &self.reply, has_nil: self.has_nil },
        }
    }

    fn ask(&mut self, _: &Lua, _: Ask, _: &[Value]) -> Result<Vec<Value>, Failure> {
        Ok(Vec::new())
    }

    fn goes_on(&mut self) -> bool {
        self.looks += 1;
        true
    }

    fn ends_at(&mut self, _: Option<(String, usize)>) {}
}

/// Turns what a script returns into text; a value within tables is shown by its type where the order is open.
const SHOW: &str = "
local function show(value)
  if type(value) ~= 'table' then
    return type(value) == 'string' and '\"' .. value .. '\"' or tostring(value)
  end
  local keys = {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for index, key in ipairs(keys) do
    keys[index] = tostring(key) .. '=' .. show(value[key])
  end
  return '{' .. table.concat(keys, ' ') .. '}'
end
";

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string_lossy(),
        Value::Table(table) => {
            let text: Option<String> = table.raw_get("err").expect("a field");
            text.unwrap_or_default()
        }
        other => format!("{other:?}"),
    }
}

fn run_in(vm: &Vm, server: &mut Fake, script: &str) -> Result<String, String> {
    let script = vm.compile(format!("{SHOW}{script}").as_bytes(), "user_script").expect("a script");
    match vm.run(server, &script, false) {
        Ended::Value(value) => Ok(text_of(&value)),
        Ended::Failed(error) => Err(text_of(&error)),
    }
}

fn run(server: &mut Fake, script: &str) -> Result<String, String> {
    run_in(&Vm::new(Purpose::Scripts, &Chance::default(), false).expect("memory"), server, script)
}

#[test]
fn every_kind_of_reply_becomes_a_value() {
    let cases: &[(&str, &str)] = &[
        ("$3\r\na\0b\r\n", "\"a\0b\""),
        ("$-1\r\n", "false"),
        (":-12\r\n", "-12"),
        ("+OK\r\n", "{ok=\"OK\"}"),
        ("*3\r\n:1\r\n*-1\r\n*1\r\n$0\r\n\r\n", "{1=1 2=false 3={1=\"\"}}"),
        ("*2\r\n-ERR no\r\n:2\r\n", "{1={err=\"ERR no\" ignore_error_stats_update=true} 2=2}"),
        ("%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n_\r\n", "{map={a=1}}"),
        ("~2\r\n:5\r\n$1\r\nx\r\n", "{set={5=true x=true}}"),
        ("_\r\n", "nil"),
        ("#t\r\n", "true"),
        ("#f\r\n", "false"),
        (",1.5\r\n", "{double=1.5}"),
        (",inf\r\n", "{double=inf}"),
        ("(123456789012345678901\r\n", "{big_number=\"123456789012345678901\"}"),
        ("=7\r\ntxt:abc\r\n", "{verbatim_string={format=\"txt\" string=\"abc\"}}"),
        ("|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n", "\"v\""),
        (">2\r\n+a\r\n+b\r\n", "{1={ok=\"a\"} 2={ok=\"b\"}}"),
    ];
    for (reply, shown) in cases {
        let mut fake = Fake { reply: reply.as_bytes().to_vec(), ..Fake::default() };
        assert_eq!(run(&mut fake, "return show(redis.call('x'))"), Ok((*shown).to_owned()), "{reply:?}");
        assert_eq!(run(&mut fake, "return show(redis.pcall('x'))"), Ok((*shown).to_owned()), "{reply:?}");
    }
    let mut fake = Fake { reply: b"$-1\r\n".to_vec(), has_nil: true, ..Fake::default() };
    assert_eq!(run(&mut fake, "return show(redis.call('x'))"), Ok("nil".to_owned()));
}

#[test]
fn an_error_is_raised_or_returned() {
    for (refusal, reply) in [(Some("MINE no"), ""), (None, "-MINE no\r\n")] {
        let mut fake = Fake { reply: reply.as_bytes().to_vec(), refusal, ..Fake::default() };
        let shown = "{err=\"MINE no\" ignore_error_stats_update=true}".to_owned();
        assert_eq!(run(&mut fake, "return show(redis.pcall('x'))"), Ok(shown.clone()));
        assert_eq!(run(&mut fake, "return redis.call('x')"), Err("MINE no".to_owned()));
        let caught = "local ok, text = pcall(redis.call, 'x') return show({ok, text})";
        assert_eq!(run(&mut fake, caught), Ok("{1=false 2=\"MINE no\"}".to_owned()));
        let resumed = "local c = coroutine.create(function() return redis.call('x') end) return show({coroutine.resume(c)})";
        assert_eq!(run(&mut fake, resumed), Ok(format!("{{1=false 2={shown}}}")));
    }
}

#[test]
fn arguments_are_strings_and_numbers() {
    let mut fake = Fake { reply: b"+OK\r\n".to_vec(), ..Fake::default() };
    let script = "redis.call('a', '', 1, -0.5, 1e20, 'x\\0y') redis.call('b') return 'done'";
    assert_eq!(run(&mut fake, script), Ok("done".to_owned()));
    let expected = [vec!["a", "", "1", "-0.5", "1e+20", "x\0y"], vec!["b"]];
    assert_eq!(fake.requests, expected);
    for script in ["redis.call('a', {})", "redis.call(nil)", "redis.call('a', true, 'b')"] {
        assert_eq!(run(&mut fake, script), Err("ERR not a request".to_owned()), "{script}");
    }
    let many = "local t = {} for i = 1, 7996 do t[i] = 'v' .. i end redis.call(unpack(t)) return 'done'";
    assert_eq!(run(&mut fake, many), Ok("done".to_owned()));
    let last = fake.requests.last().expect("a request");
    assert_eq!((last.len(), last[7995].as_str()), (7996, "v7996"));
}

#[test]
fn keys_and_arguments_are_there() {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let mut fake = Fake { keys: words(&["k1", "k2"]), args: words(&["", "a\0b"]), ..Fake::default() };
    let shown = "{1={1=\"k1\" 2=\"k2\"} 2={1=\"\" 2=\"a\0b\"}}".to_owned();
    assert_eq!(run(&mut fake, "return show({KEYS, ARGV})"), Ok(shown.clone()));
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), false).expect("memory");
    let text = format!("{SHOW} return function(keys, args) return show({{keys, args}}) end");
    let made = vm.compile(text.as_bytes(), "user_function").expect("a script");
    let Ended::Value(Value::Function(function)) = vm.run(&mut fake, &made, false) else {
        panic!("a function was returned")
    };
    let Ended::Value(value) = vm.run(&mut fake, &function, true) else { panic!("it ends") };
    assert_eq!(text_of(&value), shown);
}

#[test]
fn a_deep_reply_is_an_error_and_a_large_one_is_not() {
    let mut fake = Fake { reply: b"*1\r\n".repeat(9000), ..Fake::default() };
    fake.reply.extend_from_slice(b":1\r\n");
    let caught = run(&mut fake, "local ok, text = pcall(redis.call, 'x') return show({ok, text})");
    assert!(
        caught.as_ref().is_ok_and(|text| text.contains("1=false") && text.contains("too deep")),
        "{caught:?}"
    );
    fake.reply = [b"*200000\r\n".to_vec(), b"$5\r\nhello\r\n".repeat(200_000)].concat();
    let counted = "local r = redis.call('x') return show({#r, r[200000]})";
    assert_eq!(run(&mut fake, counted), Ok("{1=200000 2=\"hello\"}".to_owned()));
}

#[test]
fn a_reply_for_which_the_memory_does_not_suffice_is_an_error() {
    let mut fake = Fake { reply: b"$-1\r\n".to_vec(), ..Fake::default() };
    let size = 300 << 20;
    fake.reply = [format!("${size}\r\n").into_bytes(), vec![b'x'; size], b"\r\n".to_vec()].concat();
    let script = "local kept = {} local ok, text = pcall(function() for i = 1, 9 do
        kept[i] = redis.call('x') .. i end end) kept = nil return show({ok, text})";
    assert_eq!(run(&mut fake, script), Ok("{1=false 2=\"not enough memory\"}".to_owned()));
}

#[test]
fn no_environment_but_that_of_scripts_is_found() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), true).expect("memory");
    let mut fake = Fake { reply: b"+OK\r\n".to_vec(), ..Fake::default() };
    let mut is_true = |script: &str| {
        let done = run_in(&vm, &mut fake, &format!("return show(({script}))"));
        assert_eq!(done, Ok("true".to_owned()), "{script}");
    };
    is_true("getfenv(0) == _G and getfenv(1) == _G and getfenv() == _G and getfenv(pcall) == _G");
    is_true("getfenv(type) == _G and getfenv('1') == _G");
    is_true("(function() local f = function() return x end setfenv(f, {x = 5}) return f() end)() == 5");
    is_true("(function() setfenv(1, {y = 6}) return y end)() == 6");
    for target in ["type", "pcall", "getfenv", "0", "99", "{}"] {
        is_true(&format!("not pcall(setfenv, {target}, {{}})"));
    }
    is_true("not pcall(setfenv, 1) and not pcall(getfenv, 99) and not pcall(getfenv, {})");
}

#[test]
fn proxies_have_no_finalizer() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), true).expect("memory");
    let mut fake = Fake { reply: b"+OK\r\n".to_vec(), ..Fake::default() };
    let script = "
        local calls = 0
        local function finalize() calls = calls + 1 redis.call('x') end
        for _ = 1, 100 do
          local proxy = newproxy(true)
          local meta = getmetatable(proxy)
          meta.__gc = finalize
          meta.__index = function(_, key) return key .. '!' end
          assert(proxy.a == 'a!' and newproxy(proxy).b == 'b!' and not getmetatable(meta))
          assert(not pcall(setmetatable, meta, {}))
          rawset(meta, '__gc', finalize)
        end
        collectgarbage() collectgarbage()
        return show({calls, getmetatable(newproxy(false)), (pcall(newproxy, 1))})";
    assert_eq!(run_in(&vm, &mut fake, script), Ok("{1=0 3=false}".to_owned()));
    assert_eq!(fake.requests.len(), 0);
}
