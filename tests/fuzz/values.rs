//! What scripts are made of: values, calls, statements, and data for the libraries.
//!
//! Nothing here makes an endless script: loops have a small end, and patterns are short, because the matcher may try all
//! ways to cut a text.

use std::fmt::Write;
use waterwheel::base::rng::Rng;

/// Numbers on which arithmetic and bounds break.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7.5",
    "-0.5",
    "16",
    "31",
    "32",
    "33",
    "63",
    "64",
    "100",
    "127",
    "128",
    "255",
    "256",
    "1000",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "1e15",
    "1e18",
    "1e19",
    "1e100",
    "1e308",
    "5e-324",
    "1/0",
    "-1/0",
    "0/0",
    "-0",
];

const STRINGS: &[&[u8]] = &[
    b"",
    b"a",
    b"0",
    b"-1",
    b"0x10",
    b"1e400",
    b"nan",
    b" 12 ",
    b"text",
    b"\0",
    b"\r\n",
    b"%",
    b"%d",
    b"%s%s",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf4\x8f\xbf\xbf",
    b"aaaaaaaaaaaaaaaaaaaaaaaaab",
    b"a,b,c",
    b"-ERR no",
    b"ok",
];

/// Functions with no fixed kind of data.
const FUNCTIONS: &[&str] = &[
    "bit.arshift",
    "bit.band",
    "bit.bnot",
    "bit.bor",
    "bit.bswap",
    "bit.bxor",
    "bit.lshift",
    "bit.rol",
    "bit.ror",
    "bit.rshift",
    "bit.tobit",
    "bit.tohex",
    "string.byte",
    "string.char",
    "string.dump",
    "string.len",
    "string.lower",
    "string.reverse",
    "string.sub",
    "string.upper",
    "table.concat",
    "table.getn",
    "table.maxn",
    "table.remove",
    "table.foreach",
    "table.foreachi",
    "table.setn",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "select",
    "next",
    "rawget",
    "rawset",
    "rawequal",
    "setmetatable",
    "getmetatable",
    "ipairs",
    "pairs",
    "assert",
    "error",
    "loadstring",
    "load",
    "pcall",
    "xpcall",
    "coroutine.create",
    "coroutine.resume",
    "coroutine.status",
    "coroutine.wrap",
    "coroutine.yield",
    "coroutine.running",
    "math.abs",
    "math.ceil",
    "math.fmod",
    "math.frexp",
    "math.ldexp",
    "math.max",
    "math.modf",
    "math.pow",
    "math.random",
    "math.randomseed",
    "math.sqrt",
    "os.clock",
    "collectgarbage",
    "gcinfo",
    "redis.sha1hex",
    "redis.error_reply",
    "redis.status_reply",
    "redis.log",
    "redis.setresp",
    "redis.set_repl",
    "redis.acl_check_cmd",
    "redis.breakpoint",
    "redis.debug",
    "redis.replicate_commands",
    "redis.register_function",
    "server.call",
    "redis.call",
    "redis.pcall",
    "cjson.encode",
    "cjson.decode",
    "cjson.encode_sparse_array",
    "cjson.encode_max_depth",
    "cjson.decode_max_depth",
    "cjson.encode_invalid_numbers",
    "cjson.encode_number_precision",
    "cjson.encode_keep_buffer",
    "cjson.decode_invalid_numbers",
    "cjson.decode_array_with_array_mt",
    "cmsgpack.pack",
    "cmsgpack.unpack",
    "cmsgpack.unpack_one",
    "cmsgpack.unpack_limit",
    "struct.pack",
    "struct.unpack",
    "struct.size",
    "__redis__err__handler",
];

/// Values that are made with care to break something: what holds itself, is deep, or is long.
const ODD: &[&str] = &[
    "(function() local t = {} t[1] = t t.x = t return t end)()",
    "(function() local t = {} for i = 1, 999 do t = {t} end return t end)()",
    "(function() local t = {} for i = 1, 2500 do t = {a = t} end return t end)()",
    "(function() local t = {1, 2} for i = 1, 12 do t = {t, t} end return t end)()",
    "(function() local t = {} for i = 1, 7000 do t[i] = 'x' .. i end return t end)()",
    "(function() local t = {} for i = 1, 4001 do t[i] = {} end return t end)()",
    "(function() local t = {} for i = 1, 9000 do t[i] = i end return unpack(t, 1, 7900) end)()",
    "(function() local t = {} for i = 1, 4100 do t[i] = 's' .. i end return unpack(t, 1, 4100) end)()",
    "(function() local t = {} for i = 1, 1001 do t[i] = {i} end return unpack(t) end)()",
    "setmetatable({}, {__index = function(t, k) return k end, __call = function(t, x) return x end})",
    "setmetatable({}, {__tostring = function() error('no') end, __len = function() return 5 end})",
    "setmetatable({1, 2}, {__index = _G, __newindex = redis, __metatable = 'x'})",
    "setmetatable({}, {__gc = function() error('gc') end, __mode = 'kv', __eq = error, __lt = error, __concat = error})",
    "coroutine.create(function(...) coroutine.yield(...) redis.call('get', 'text') error({err = 'E x'}) end)",
    "coroutine.wrap(function(...) return cjson.encode({...}) end)",
    "coroutine.wrap(function() coroutine.yield(pcall(coroutine.yield, 1)) end)",
    "(function() local function f(n) return 1 + f(n + 1) end return select(2, pcall(f, 0)) end)()",
    "(function() local function f(n) return (pcall(f, n + 1)) end return f(0) end)()",
    "(function() local function f() return coroutine.wrap(f)() end return select(2, pcall(f)) end)()",
    "(function() local function f(s) return (s:gsub('.', f)) end return select(2, pcall(f, 'x')) end)()",
    "(function() local t = setmetatable({}, {}) getmetatable(t).__index = t return select(2, pcall(function() return t.x end)) end)()",
    "(function() local t = {} t.__index = function(t, k) return t[k .. 'x'] end return select(2, pcall(function() return setmetatable({}, t).x end)) end)()",
    "(function() return select(2, pcall(table.sort, {3, 1, 2, 5, 4}, function(a, b) return true end)) end)()",
    "(function() return select(2, pcall(table.sort, {3, 1, 2}, function(a, b) return redis.call('incr', 'list') end)) end)()",
    "string.rep('[', 5000)",
    "string.rep('{\"a\":', 3000)",
    "string.rep('\\145', 3000)",
    "string.rep('(', 40)",
    "string.rep('x', 100000)",
    "string.rep('\\220\\255\\255', 100)",
    "'return ' .. string.rep('(', 300) .. '1'",
    "'return ' .. string.rep('{', 250) .. string.rep('}', 250)",
    "string.rep('x = 1 ', 2000)",
    "('local a = 1 '):rep(210)",
    "string.dump(function() return 1 end)",
    "'\\27Lua'",
    "nil",
    "true",
    "false",
    "_G",
    "redis",
    "cjson",
    "string",
    "getmetatable('')",
    "getmetatable(_G)",
    "select(2, pairs(_G))",
    "cjson.null",
    "KEYS",
    "ARGV",
    "KEYS[1]",
    "ARGV[1]",
    "ARGV[2]",
    "print",
    "function() return ... end",
    "function(...) return ... end",
    "function() error({}) end",
    "error",
    "redis.call",
    "math.huge",
    "redis.error_reply('E x')",
    "{err = 'x\\r\\ny'}",
    "{ok = 'x\\r\\n'}",
    "{double = 0/0}",
    "{big_number = '1\\r\\n2'}",
];

/// Commands with odd arguments.
const COMMANDS: &[&str] = &[
    "'get', 'text'",
    "'set', 'k', ARGV[1]",
    "'lrange', 'list', 0, -1",
    "'hgetall', 'hash'",
    "'smembers', 'set'",
    "'zrange', 'zset', 0, -1, 'withscores'",
    "'eval', 'return 1', 0",
    "'multi'",
    "'exec'",
    "'subscribe', 'x'",
    "'blpop', 'list2', 0",
    "'xread', 'block', 0, 'streams', 's', '$'",
    "'nosuch'",
    "'get'",
    "'get', {}",
    "'get', nil",
    "nil",
    "{}",
    "'config', 'get', '*'",
    "'command', 'docs', 'get'",
    "'info'",
    "'keys', '*'",
    "'select', 3",
    "'hello', 3",
    "'quit'",
    "'reset'",
    "'client', 'list'",
    "'client', 'tracking', 'on'",
    "'debug', 'protocol', 'map'",
    "'publish', 'x', ARGV[1]",
    "'zadd', 'zset', 1/0, 'x'",
    "'zadd', 'zset', 0/0, 'x'",
    "'incrbyfloat', 'f', 1e308",
    "'setrange', 'k', 1000, 'x'",
    "'script', 'flush'",
    "'function', 'flush'",
    "'fcall', 'count', 0",
    "'monitor'",
    "'sort', 'list', 'alpha'",
    "'set', 'k', 'v', 'px', -1",
    "'expire', 'k', 1e18",
    "'wait', 1, 0",
    "'dump', 'list'",
    "'restore', 'r', 0, ARGV[1], 'replace'",
    "'xadd', 's', '*', 'f', 'v'",
    "'xrange', 's', '-', '+'",
    "'', ''",
    "'memory', 'usage', 'list'",
    "'object', 'freq', 'k'",
    "'lolwut'",
    "'mget', unpack(ARGV)",
    "'rpush', 'l', unpack(KEYS)",
    "'geosearch', 'g', 'fromlonlat', 0, 0, 'byradius', 1, 'm'",
    "'del', 'k', 's', 'l', 'f', 'g'",
    "1, 2, 3",
    "'shutdown'",
];

const JSON: &[&str] = &[
    "{\"a\":[1,2.5,-3e10,true,false,null],\"b\":{\"c\":\"d\\u00e9\\ud83d\\ude00\\n\"}}",
    "[]",
    "{}",
    "[[[[[[]]]]]]",
    "\"\\u0000\\uffff\"",
    "[1e999,-0,0.1e-400,123456789012345678901234567890]",
    "{\"1\":1,\"2\":2}",
    " [ 1 , 2 ] ",
    "[nan,inf,-Infinity,0x1F]",
    "{\"a\":1,\"a\":2}",
    "\"\\ud800\"",
    "[1,]",
];

const MSGPACK: &[&[u8]] = &[
    b"\x93\x01\xc0\xa3abc",
    b"\x82\xa1a\x01\x02\xcb\x3f\xf8\0\0\0\0\0\0",
    b"\xdc\0\x03\x01\x02\x03",
    b"\xdd\xff\xff\xff\xff\x01",
    b"\xdf\x7f\xff\xff\xff\x01",
    b"\xdb\xff\xff\xff\xfe",
    b"\xd9\x05hello",
    b"\xc4\x02ab",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0\0\0\0\0\0",
    b"\xca\x7f\xc0\0\0\xcb\x7f\xf8\0\0\0\0\0\0",
    b"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0",
    b"\xc7\x03\x01abc",
    b"\xc1",
    b"\x81\xc0\x01",
    b"\x81\xcb\x7f\xf8\0\0\0\0\0\0\x01",
    b"\xe0\xff\x7f",
];

const FORMATS: &[&str] = &[
    ">i4",
    "<I8h2",
    "!8bBlLHs",
    "c10",
    "c0",
    "Bc0",
    "i33",
    "I16",
    "d",
    "f",
    "x",
    "!16 i8",
    ">!4i3",
    "=",
    "i",
    "c2147483648",
    "i99999999999999999999",
    "!0",
    "!3",
    "bbbb",
    "sss",
    "  i1 ",
    "Xd",
    "\0",
    "T",
    "c",
    "I0",
    "lxlxlx",
];

const PATTERNS: &[&str] = &[
    "a*",
    ".-b",
    "%f[%w]",
    "%b()",
    "(a)(b)",
    "()",
    "[^a-z]",
    "[",
    "[a",
    "[]",
    "[%",
    "%",
    "%1",
    "(.)%1",
    "(",
    ")",
    "^",
    "$",
    "%z",
    "%g",
    "[%a-z]",
    "(.-)%s",
    "a?",
    "[\0-\u{7f}]+",
    "%bxx",
    "%b",
    "%f",
    "x-",
    "(()())",
    "[[:alpha:]]",
    "%9",
];

/// One of several.
pub fn any<'a, T: ?Sized + 'a>(rng: &mut Rng, values: &'a [&'a T]) -> &'a T {
    values[rng.below(values.len() as u64) as usize]
}

/// Changes bytes in one place.
pub fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const PIECES: &[&[u8]] = &[
        b"\0",
        b"'",
        b"\"",
        b"\\",
        b"]]",
        b"[[",
        b"--",
        b"--[[",
        b"end",
        b"(",
        b")",
        b"{",
        b"}",
        b",",
        b"=",
        b"..",
        b"\n",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"nil",
        b"0",
        b"#!lua",
        b"return",
        b"1e9",
        b"local",
        b"\xf5\xc3",
    ];
    let at = rng.below(bytes.len() as u64 + 1) as usize;
    let end = at + rng.below((bytes.len() - at) as u64 + 1).min(16) as usize;
    match rng.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        1 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => bytes.truncate(at),
        _ => drop(bytes.splice(at..at, any(rng, PIECES).iter().copied())),
    }
}

/// JSON, MessagePack or a text, damaged more often than not.
pub fn payload(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = match rng.below(3) {
        0 => any(rng, JSON).as_bytes().to_vec(),
        1 => any(rng, MSGPACK).to_vec(),
        _ => any(rng, STRINGS).to_vec(),
    };
    (0..rng.below(4)).for_each(|_| damage(rng, &mut bytes));
    bytes
}

/// A function that reads data, and arguments for it.
pub fn function_of(rng: &mut Rng) -> (String, Vec<Vec<u8>>) {
    let damaged = |rng: &mut Rng, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        (0..rng.below(4)).for_each(|_| damage(rng, &mut bytes));
        bytes
    };
    let number = |rng: &mut Rng| any(rng, NUMBERS).as_bytes().to_vec();
    match rng.below(7) {
        0 => {
            let text = any(rng, JSON).as_bytes();
            (
                "function(x) return cjson.decode(x), cjson.encode(cjson.decode(x)) end".into(),
                vec![damaged(rng, text)],
            )
        }
        1 => {
            let bytes = any(rng, MSGPACK);
            ("function(x) return cmsgpack.pack(cmsgpack.unpack(x)) end".into(), vec![damaged(rng, bytes)])
        }
        2 => {
            let bytes = any(rng, MSGPACK);
            let name = any(rng, &["cmsgpack.unpack_one", "cmsgpack.unpack_limit"]);
            (name.into(), vec![damaged(rng, bytes), number(rng), number(rng)])
        }
        3 => {
            let format = any(rng, FORMATS).as_bytes();
            let data = payload(rng);
            ("struct.unpack".into(), vec![damaged(rng, format), data, number(rng)])
        }
        4 => {
            let format = any(rng, FORMATS).as_bytes();
            let name = any(rng, &["struct.pack", "struct.size"]);
            (name.into(), vec![damaged(rng, format), number(rng), payload(rng), number(rng)])
        }
        5 => {
            let format = any(
                rng,
                &["%d%s", "%5.2f", "%99.99f", "%q", "%c", "%x%X%o%u", "%-+ #010i", "%.200s", "%e%g", "%"],
            );
            (
                "string.format".into(),
                vec![damaged(rng, format.as_bytes()), number(rng), payload(rng), number(rng)],
            )
        }
        _ => {
            let mut text = payload(rng);
            text.truncate(40);
            let pattern = any(rng, PATTERNS).as_bytes();
            let mut pattern = damaged(rng, pattern);
            pattern.truncate(10);
            let name = any(
                rng,
                &[
                    "string.find",
                    "string.match",
                    "string.gsub",
                    "function(s, p) for a in s:gmatch(p) do end end",
                ],
            );
            (
                name.into(),
                vec![text, pattern, any(rng, &["%1", "%0x", "%", "2", "-1", "x"]).as_bytes().to_vec()],
            )
        }
    }
}

/// Bytes as a string of Lua.
pub fn lua_string(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in bytes {
        match byte {
            b' '..=b'~' if !b"'\\".contains(byte) => text.push(char::from(*byte)),
            byte => write!(text, "\\{byte:03}").expect("a string grows"),
        }
    }
    text + "'"
}

/// A value.
pub fn expression(rng: &mut Rng, depth: u32) -> String {
    match rng.below(if depth == 0 { 4 } else { 8 }) {
        0 => any(rng, NUMBERS).to_owned(),
        1 => lua_string(any(rng, STRINGS)),
        2 => any(rng, ODD).to_owned(),
        3 => lua_string(&payload(rng)),
        4 => format!(
            "{{{}, {}, x = {}}}",
            expression(rng, depth - 1),
            expression(rng, depth - 1),
            expression(rng, 0)
        ),
        5 => format!("select(2, {})", call(rng, depth - 1)),
        6 => format!("redis.pcall({})", any(rng, COMMANDS)),
        _ => format!("{{{}}}", call(rng, depth - 1)),
    }
}

/// A call of any function, whose failure is caught.
fn call(rng: &mut Rng, depth: u32) -> String {
    let mut text = format!("pcall({}", any(rng, FUNCTIONS));
    for _ in 0..rng.below(5) {
        let argument = expression(rng, depth);
        text += ", ";
        text += &argument;
    }
    text + ")"
}

/// The body of a script.
pub fn statements(rng: &mut Rng) -> String {
    let mut text = String::from("local a, b, c = 1, 'x', {}\n");
    for _ in 0..1 + rng.below(5) {
        let value = expression(rng, 2);
        text += &match rng.below(12) {
            0 => format!("a = {value}\n"),
            1 => format!("b = {{{}}}\n", call(rng, 2)),
            2 => format!("c[#c + 1] = {value}\n"),
            3 => format!("pcall(function() for k, v in pairs({value}) do c[k] = v end end)\n"),
            4 => format!("pcall(function() local t = {value} t.x = a end)\n"),
            5 => format!("pcall(function() local t = {value} t[a] = b t.call = nil end)\n"),
            6 => format!("pcall(function() rawset({value}, 'x', 1) end)\n"),
            7 => format!("c = {{pcall(function(...) return {value}, ... end, a, b)}}\n"),
            8 => format!("b = {{redis.pcall({})}}\n", any(rng, COMMANDS)),
            9 => format!("for i = 1, 20 do c[i] = {{pcall(function() return {value} end)}} end\n"),
            10 => format!(
                "xpcall(function() return {value} end, {})\n",
                any(rng, &["error", "tostring", "redis.call", "a"])
            ),
            _ => format!("pcall(function() x = {value} end)\n"),
        };
    }
    text += any(rng, &["return a", "return c", "return {a, b, c}", "return #c", "error(a)", "error(c)", ""]);
    text
}

/// A value to be answered: all shapes that replies have, and those that nearly are.
pub fn returned(rng: &mut Rng) -> String {
    let inner = |rng: &mut Rng| match rng.below(4) {
        0 => expression(rng, 1),
        1 => any(rng, NUMBERS).to_owned(),
        2 => lua_string(any(rng, STRINGS)),
        _ => any(
            rng,
            &["{}", "{1, {2, {3}}}", "{map = {a = 1, b = {}}}", "{set = {a = true, [2] = 1}}", "true", "nil"],
        )
        .into(),
    };
    match rng.below(12) {
        0 => format!("{{map = {{[{}] = {}, x = {}}}}}", "'k'", inner(rng), inner(rng)),
        1 => format!("{{set = {{[{{}}] = {}, y = {}}}}}", inner(rng), inner(rng)),
        2 => format!("{{double = {}}}", inner(rng)),
        3 => format!("{{big_number = {}}}", inner(rng)),
        4 => format!("{{verbatim_string = {{format = {}, string = {}}}}}", inner(rng), inner(rng)),
        5 => format!("{{err = {}, ignore_error_stats_update = {}}}", inner(rng), inner(rng)),
        6 => format!("{{ok = {}}}", inner(rng)),
        7 => format!("redis.call({})", any(rng, COMMANDS)),
        8 => format!("{{{}, {}, nil, {}}}", inner(rng), inner(rng), inner(rng)),
        9 => {
            let (depth, shape) = (
                any(rng, &["10", "1000", "1989", "1995", "3000"]),
                any(
                    rng,
                    &[
                        "{t}",
                        "{map = {x = t}}",
                        "{set = {[t] = 1}}",
                        "{map = {[t] = t}}",
                        "{map = t}",
                        "{set = t}",
                    ],
                ),
            );
            // What holds itself twice doubles at each level.
            let depth =
                if shape.matches("t").count() > 1 && shape.contains("[t] = t") { "10" } else { depth };
            format!("(function() local t = {{}} for i = 1, {depth} do t = {shape} end return t end)()")
        }
        10 => format!("redis.pcall({})", any(rng, COMMANDS)),
        _ => inner(rng),
    }
}
