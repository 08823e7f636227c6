//! The interpreter alone, without a server behind its commands.

use super::*;

/// A server that counts the looks and ends the script at one of them.
#[derive(Default)]
struct Counting {
    looks: usize,
    ends_at: Option<usize>,
}

impl Server for Counting {
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
