//! The interpreter alone, without a server behind its commands.

use super::*;

/// A server that counts the looks and ends the script at one of them.
#[derive(Default)]
struct Counting {
    looks: usize,
    ends_at: Option<usize>,
}

impl ScriptHost for Counting {
    fn call(&mut self, _: &mut dyn FnMut(&mut Request) -> bool) -> Answer<'_> {
        match self.goes_on() {
            true => Answer::Reply { bytes: b"_\r\n", has_nil: true },
            false => Answer::Refused { text: b"ERR it ends", is_counted: false },
        }
    }
    fn ask(&mut self, _: &Lua, _: Ask, _: &[Value]) -> Result<Vec<Value>, Failure> {
        Ok(Vec::new())
    }
    fn goes_on(&mut self) -> bool {
        self.looks += 1;
        self.ends_at.is_none_or(|last| self.looks < last)
    }
    fn ends_at(&mut self, _: Option<(String, usize)>) {}
}

fn run(text: &str, ends_at: Option<usize>) -> (Ended, usize) {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), true).expect("there is memory");
    let mut server = Counting { looks: 0, ends_at };
    let script = vm.compile(text.as_bytes(), "user_script").expect("it is Lua");
    (vm.run(&mut server, &script, false), server.looks)
}

#[test]
fn a_script_ends_in_the_middle_of_what_stock_functions_would_do_for_minutes() {
    for text in [
        "while true do pcall(string.rep, '', 2147483647) end",
        "local p = newproxy(true) getmetatable(p).__gc = function() while true do end end p = nil \
         rawset(getmetatable(newproxy(true)), '__gc', print) collectgarbage() while true do end",
    ] {
        let (ended, _) = run(text, Some(100));
        assert!(matches!(ended, Ended::Failed(_)), "{text}");
    }
}

#[test]
fn an_element_far_below_the_first_costs_what_there_is_to_move() {
    for text in ["table.insert({}, -2147483648, 1)", "pcall(table.insert, {1, 2, 3}, -2147483648, 1)"] {
        let (ended, _) = run(text, Some(100));
        assert!(matches!(ended, Ended::Value(_)), "{text}");
    }
}

#[test]
fn what_works_for_long_is_looked_at_often() {
    const LARGE: &str = "local s, t = string.rep('a', 60000), {} for i = 1, 60000 do t[i] = 'x' end ";
    let (_, before) = run(LARGE, None);
    for (text, least) in [
        ("for i = 1, 50 do string.upper(s) end", 50),
        ("for i = 1, 50 do string.lower(s) end", 50),
        ("for i = 1, 50 do string.reverse(s) end", 50),
        ("for i = 1, 50 do string.format('%q', s) end", 50),
        ("for i = 1, 50 do string.find(s, 'b') end", 50),
        ("for i = 1, 50 do string.match(s, 'b') end", 50),
        ("for i = 1, 50 do string.gsub(s, 'b', '') end", 50),
        ("for i = 1, 50 do loadstring('--' .. s) end", 50),
        ("for i = 1, 50 do redis.sha1hex(s) end", 50),
        ("for i = 1, 50 do redis.call('x') end", 50),
        ("for i = 1, 50 do redis.pcall('x') end", 50),
        ("for i = 1, 50 do cjson.encode(s) end", 50),
        ("for i = 1, 50 do cmsgpack.pack(s) end", 50),
        ("for i = 1, 50 do struct.pack('s', s) end", 50),
        ("for i = 1, 50 do collectgarbage('step') end", 50),
        ("table.insert(t, 1, 'y')", 100),
        ("table.remove(t, 1)", 100),
        ("table.maxn(t)", 100),
        ("table.sort(t)", 100),
    ] {
        let (ended, looks) = run(&format!("{LARGE}{text}"), None);
        assert!(matches!(ended, Ended::Value(_)), "{text}");
        assert!(looks >= before + least, "{text}: {looks} looks, {before} without it");
    }
}

#[test]
fn long_tables_and_texts_are_what_they_are_for_stock_functions() {
    let made =
        "local t, u = {}, {} for i = 1, 120000 do t[i] = i % 7 end for i = 1, 120000 do u[i] = t[i] end ";
    for text in [
        "table.insert(t, 3, 'x') return t[2] == 2 and t[3] == 'x' and t[4] == 3 and #t == 120001 and t[120001] == u[120000]",
        "table.insert(t, -3, 'x') return t[-3] == 'x' and t[1] == nil and t[2] == 1 and t[120001] == u[120000]",
        "return table.remove(t, 3) == 3 and t[2] == 2 and t[3] == 4 and #t == 119999 and t[119999] == u[120000]",
        "table.sort(t) for i = 2, #t do if t[i] < t[i - 1] then return false end end return #t == 120000",
        "return table.concat(t, ', ', 2, 119999) == table.concat({table.concat(t, ', ', 2, 40000), \
         table.concat(t, ', ', 40001, 80000), table.concat(t, ', ', 80001, 119999)}, ', ')",
        "t[70000] = {} local ok, why = pcall(table.concat, t) \
         return not ok and why:find('invalid value (table) at index 70000', 1, true) ~= nil",
        "local s = string.rep('abc', 33335) return #s == 100005 and s:sub(50001, 50006) == 'cabcab' and s:sub(-3) == 'abc'",
        "return table.maxn(t) == 120000 and table.maxn({[2.5] = 1, x = 3}) == 2.5 and table.maxn({}) == 0",
    ] {
        let (ended, _) = run(&format!("{made}{text}"), None);
        assert!(matches!(ended, Ended::Value(Value::Boolean(true))), "{text}");
    }
}

#[test]
fn a_large_script_leaves_no_garbage_for_the_next_one_to_count() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), false).expect("there is memory");
    let script = vm.compile(b"return #string.rep('x', 100000000)", "user_script").expect("it is Lua");
    for _ in 0..10 {
        let ended = vm.run(&mut Counting::default(), &script, false);
        assert!(matches!(ended, Ended::Value(_)));
        assert!(vm.used_bytes() < GARBAGE_BYTES, "{} bytes", vm.used_bytes());
    }
}

#[test]
fn scripts_that_are_kept_are_not_taken_for_garbage() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), false).expect("there is memory");
    let compile = |text: &str| vm.compile(text.as_bytes(), "user_script").expect("it is Lua");
    // No longer than what the interpreter hashes in full.
    let words = |n: u32| (0..20_000).map(|i| format!("'{:030}',", n * 20_000 + i)).collect::<String>();
    let kept: Vec<Function> = (0..40).map(|n| compile(&format!("return {{{}}}", words(n)))).collect();
    let small = compile("return 1");
    let calls_until_rest = (0..10_000).take_while(|_| {
        vm.run(&mut Counting::default(), &small, false);
        vm.collector.cycles_due.get() > 0
    });
    let calls = calls_until_rest.count();
    assert!((1..10_000).contains(&calls), "driven for {calls} calls");
    for _ in 0..1000 {
        vm.run(&mut Counting::default(), &small, false);
        assert_eq!(vm.collector.cycles_due.get(), 0, "it rests");
    }
    let large = compile("return #string.rep('x', 100000000)");
    vm.run(&mut Counting::default(), &large, false);
    assert!(vm.collector.cycles_due.get() > 0, "garbage is still seen");
    assert_eq!(kept.len(), 40);
}

#[test]
fn a_result_is_read_though_the_memory_is_used_up() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), false).expect("there is memory");
    let script = vm.compile(b"return {map = {a = 1}}", "user_script").expect("it is Lua");
    let Ended::Value(Value::Table(table)) = vm.run(&mut Counting::default(), &script, false) else {
        panic!("it returns a table");
    };
    vm.lua.set_memory_limit(1).expect("there is a limit");
    assert!(table.raw_get::<Value>("a key that was never used").is_err());
    assert!(vm.reading(|| table.raw_get::<Value>("a key that was never used")).is_ok());
    assert!(table.raw_get::<Value>("another such key").is_err(), "the limit is in force again");
}

#[test]
fn the_first_numbers_are_those_of_a_redis_that_has_just_started() {
    let mut chance = Lrand48::default();
    let mut thousandth = || 1 + u64::from(chance.next()) * 1000 / i32::MAX as u64;
    assert_eq!([thousandth(), thousandth(), thousandth()], [397, 841, 354]);
}

#[test]
fn a_search_that_would_take_years_ends_with_the_script() {
    const PATTERN: &str = "string.rep('a?', 30) .. string.rep('a', 30)";
    for text in [
        format!("string.find(string.rep('a', 30), {PATTERN})"),
        format!("string.match(string.rep('a', 30), {PATTERN})"),
        format!("string.gsub(string.rep('a', 30), {PATTERN}, '')"),
        format!("for found in string.gmatch(string.rep('a', 30), {PATTERN}) do end"),
        format!("pcall(string.find, string.rep('a', 30), {PATTERN})"),
        "string.find(string.rep('a', 10000000), string.rep('a', 5000000) .. 'b', 1, true)".to_owned(),
        "string.find(string.rep('a', 100000), '.-.-.-b')".to_owned(),
        "string.gsub(string.rep('a', 100000), '', string.rep('x', 100000))".to_owned(),
    ] {
        let (ended, _) = run(&text, Some(500));
        assert!(matches!(ended, Ended::Failed(_)), "{text}");
    }
}

/// Runs a text with the functions of scripts and returns what it gives, or its error, as text.
fn outcome(vm: &Vm, text: &str) -> String {
    let script = vm.compile(text.as_bytes(), "user_script").expect("it is Lua");
    let text_of = |value: &Value| match value {
        Value::String(text) => text.as_bytes().escape_ascii().to_string(),
        other => format!("{other:?}"),
    };
    match vm.run(&mut Counting::default(), &script, false) {
        Ended::Value(value) => text_of(&value),
        Ended::Failed(Value::Table(table)) => table.raw_get::<Value>("err").map_or_else(
            |error| error.to_string(),
            |found| format!("{} at {:?}", text_of(&found), table.raw_get::<Value>("line")),
        ),
        Ended::Failed(other) => text_of(&other),
    }
}

/// What a call gives, as one text.
const SHOWN: &str = "local function shown(...) local t = {} for i = 1, select('#', ...) do t[i] = tostring((select(i, ...))) end \
                     return table.concat(t, '|') end ";

/// Pieces of patterns, right and wrong ones.
const PIECES: &[&str] = &[
    "a",
    "b",
    "c",
    ".",
    "%a",
    "%d",
    "%s",
    "%w",
    "%x",
    "%p",
    "%z",
    "%A",
    "%W",
    "%%",
    "%.",
    "[ab]",
    "[^ab]",
    "[a-c]",
    "[%a_]",
    "[]]",
    "[^]]",
    "[a-]",
    "[%]]",
    "[a%-c]",
    "(",
    ")",
    "()",
    "(a)",
    "%1",
    "%2",
    "%0",
    "%b()",
    "%bab",
    "%f[a]",
    "%f[^a]",
    "*",
    "+",
    "-",
    "?",
    "^",
    "$",
    "[",
    "]",
    "%",
    "\\0",
    "\\255",
    "[\\128-\\255]",
    "%f",
    "%b",
    "-",
    "*",
    "(b",
    "a-",
    "a*",
    "b+",
    ".-",
    ".*",
    "c?",
];

const TEXTS: &[&str] = &["a", "b", "c", "(", ")", " ", "1", "_", "\\0", "\\255", "ab", "aab", "%", "-", "]"];

const REPLACEMENTS: &[&str] = &[
    "'x'",
    "'%0'",
    "'<%1>'",
    "'%2%1'",
    "'%'",
    "'%%'",
    "function(...) return shown(...) end",
    "{a = 'A', b = false}",
    "function() end",
    "function() return {} end",
    "12",
    "nil",
];

#[test]
fn random_patterns_match_as_those_of_the_stock_interpreter() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), false).expect("there is memory");
    let stock = Lua::new_with(StdLib::STRING | StdLib::TABLE, options()).expect("there is memory");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % n
    };
    let mut matched = 0;
    for round in 0..30_000 {
        let pattern: String = (0..1 + below(6)).map(|_| PIECES[below(PIECES.len())]).collect();
        let text: String = (0..below(12)).map(|_| TEXTS[below(TEXTS.len())]).collect();
        let from = ["", ", 2", ", -2", ", 0", ", 100"][below(5)];
        let call = match below(4) {
            0 => format!("string.find('{text}', '{pattern}'{from})"),
            1 => format!("string.match('{text}', '{pattern}'{from})"),
            2 => {
                let replacement = REPLACEMENTS[below(REPLACEMENTS.len())];
                format!("string.gsub('{text}', '{pattern}', {replacement}{})", ["", ", 1", ", 0"][below(3)])
            }
            _ => format!(
                "(function() local all, n = '', 0 for one, two in string.gmatch('{text}', '{pattern}') do \
                 all, n = all .. shown(one, two) .. ';', n + 1 if n > 20 then break end end return all end)()"
            ),
        };
        let script = format!("{SHOWN} return shown(pcall(function() return {call} end))");
        let ours = outcome(&vm, &script);
        let theirs: mlua::LuaString =
            stock.load(script.as_bytes()).set_name("@user_script").call(()).expect("an error is caught");
        let theirs = theirs.as_bytes().escape_ascii().to_string();
        assert_eq!(ours, theirs, "round {round}: {call}");
        matched += usize::from(theirs.starts_with("true|") && theirs != "true|nil");
    }
    assert!(matched > 5000, "{matched} of them match");
}

#[test]
fn errors_of_stock_functions_name_the_line_of_a_tail_call() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), true).expect("there is memory");
    for call in [
        "string.rep()",
        "string.format('%d', 'x')",
        "string.find('a', '[')",
        "string.gsub('a')",
        "string.match('a', '%1')",
        "string.gmatch()",
        "string.upper()",
        "table.concat({{}})",
        "table.insert()",
        "table.remove()",
        "table.sort()",
        "table.maxn()",
        "table.setn()",
        "math.random(0)",
        "math.random(2, 1)",
        "math.random(1, 2, 3)",
        "math.randomseed()",
        "rawset({}, 1)",
        "rawget()",
        "next()",
        "pairs()",
        "getmetatable()",
        "setmetatable({})",
        "unpack()",
        "unpack({}, 1, 1e8)",
        "loadstring()",
        "load()",
        "collectgarbage('x')",
        "xpcall()",
        "coroutine.resume()",
        "coroutine.wrap()",
        "coroutine.create(string.rep)",
        "coroutine.wrap(function() error('x') end)()",
        "setfenv(1)",
        "setfenv(99, {})",
        "getfenv(99)",
        "setfenv(string.rep, {})",
    ] {
        for text in [format!("\nreturn {call}"), format!("local function f()\nreturn {call} end return f()")]
        {
            let found = outcome(&vm, &text);
            assert!(found.starts_with("ERR user_script:2: ") && found.contains("2"), "{text}: {found}");
            assert!(
                found.ends_with("at Ok(Integer(2))") || found.ends_with("at Ok(Number(2.0))"),
                "{text}: {found}"
            );
            assert!(!found.contains("'?'"), "{text}: {found}");
        }
    }
}

#[test]
fn functions_of_the_prelude_are_functions_of_c() {
    let vm = Vm::new(Purpose::Scripts, &Chance::default(), false).expect("there is memory");
    let text = "local seen = {} \
                local function look(name, value) \
                  if type(value) == 'function' and pcall(coroutine.create, value) then seen[#seen + 1] = name end end \
                for _, name in ipairs({'string', 'table', 'math', 'coroutine', 'redis', 'cjson', 'bit', 'struct'}) do \
                  for key, value in pairs(_G[name]) do look(name .. '.' .. key, value) end end \
                for key, value in pairs(_G) do look(key, value) end \
                return table.concat(seen, ' ')";
    assert_eq!(outcome(&vm, text), "__redis__err__handler");
}
