//! Requests within others: in transactions, in scripts, and as users that may not do everything.
//!
//! What is wrapped has to give the same reply on both servers byte for byte, so only commands without a rule are.

use crate::support::requests::{Drawn, Requests};
use waterwheel::base::rng::Rng;

/// Users that both servers have, and what they may do.
pub const USERS: &[(&str, &str)] = &[
    ("reader", "on nopass ~* &* +@all -@write -@dangerous"),
    ("writer", "on nopass %R~k1* %W~k* &c* +@write +@read +multi +exec +eval"),
    ("chosen", "on nopass ~k2* +get +set +config|get (+@list ~k3*) (+@hash %R~k4* %W~k5*)"),
    ("nobody", "on nopass"),
];

/// Replies that are values, not the same on both servers or of no interest within another request.
fn fits(one: &Drawn, has_rule: impl Fn(usize) -> bool) -> bool {
    const OUTSIDE: &[&[u8]] =
        &[b"HELLO", b"RESET", b"CLIENT", b"DEBUG", b"AUTH", b"ACL", b"SELECT", b"SWAPDB", b"COMMAND"];
    !has_rule(one.template) && one.words.first().is_some_and(|name| !OUTSIDE.contains(&name.as_slice()))
}

/// Wraps some of the requests.
pub fn wrap(
    requests: &mut Requests,
    drawn: Vec<Drawn>,
    speaks_scripts: bool,
    has_rule: impl Fn(usize) -> bool,
) -> Vec<Drawn> {
    let mut all = Vec::with_capacity(drawn.len());
    let mut left = drawn.into_iter().peekable();
    while let Some(one) = left.next() {
        if !fits(&one, &has_rule) || requests.rng.below(12) > 0 {
            all.push(one);
            continue;
        }
        match requests.rng.below(10) {
            0..3 => {
                let mut queued = vec![one];
                while queued.len() < 5 && left.peek().is_some_and(|next| fits(next, &has_rule)) {
                    queued.extend(left.next());
                }
                transaction(&mut requests.rng, queued, &mut all);
            }
            _ if speaks_scripts => all.push(script(requests, one)),
            _ => as_user(&mut requests.rng, one, &mut all),
        }
    }
    all
}

fn request(template: usize, words: &[&[u8]]) -> Drawn {
    Drawn {
        words: words.iter().map(|word| word.to_vec()).collect(),
        template,
        wraps: true,
        ..Drawn::default()
    }
}

fn transaction(rng: &mut Rng, queued: Vec<Drawn>, into: &mut Vec<Drawn>) {
    let template = queued[0].template;
    let key = queued[0].words.get(1).cloned().unwrap_or_default();
    let watches = rng.below(3) == 0;
    if watches {
        into.push(request(template, &[b"WATCH", &key]));
        // What is appended to a HyperLogLog damages it, and how far a damage is seen is each server's own affair.
        if key.starts_with(b"k") && rng.below(3) == 0 {
            into.push(request(template, &[b"APPEND", &key, b"x"]));
        }
    }
    into.push(request(template, &[b"MULTI"]));
    let spoils = rng.below(20) == 0;
    into.extend(queued.into_iter().map(|one| Drawn { wraps: true, ..one }));
    if spoils {
        into.push(request(template, &[b"GET"]));
    }
    let end: &[u8] = if rng.below(12) == 0 { b"DISCARD" } else { b"EXEC" };
    into.push(request(template, &[end]));
    if watches && end == b"EXEC" && spoils {
        into.push(request(template, &[b"UNWATCH"]));
    }
}

/// What a script does with the reply of a command.
const BODIES: &[&str] = &[
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "redis.setresp(3) return redis.pcall(unpack(ARGV))",
    "local r = redis.pcall(unpack(ARGV)) return cjson.encode(r)",
    "local r = redis.pcall(unpack(ARGV)) return cmsgpack.pack(r)",
    "local r = redis.pcall(unpack(ARGV)) return {type(r), r}",
    "local ok, r = pcall(redis.call, unpack(ARGV)) return {ok, r}",
    "local r = redis.pcall(unpack(ARGV)) return cmsgpack.unpack(cmsgpack.pack(r))",
    "local r = redis.pcall(unpack(ARGV)) if type(r) ~= 'table' then return tostring(r) end local n = 0 for _ in pairs(r) do n = n + 1 end return n",
];

fn script(requests: &mut Requests, one: Drawn) -> Drawn {
    let body = match requests.rng.below(4) {
        0 => return generated(requests, one),
        _ => BODIES[requests.rng.below(BODIES.len() as u64) as usize],
    };
    let name: &[u8] = if requests.rng.below(6) == 0 { b"EVAL_RO" } else { b"EVAL" };
    let mut words: Vec<&[u8]> = vec![name, body.as_bytes(), b"0"];
    words.extend(one.words.iter().map(Vec::as_slice));
    request(one.template, &words)
}

/// A script of several statements: calls of the commands that were drawn, and of the libraries, with their results.
fn generated(requests: &mut Requests, one: Drawn) -> Drawn {
    let mut code = SHOW.to_owned();
    let count = 2 + requests.rng.below(5);
    for at in 0..count {
        let value = if at == 0 { call(&one.words) } else { expression(&mut requests.rng, at, 0) };
        code += &format!("local v{at} = {value}\n");
    }
    let last = expression(&mut requests.rng, count, 0);
    let shown = |name: String| match requests.rng.below(3) {
        0 => format!("show({name})"),
        _ => name,
    };
    let names: Vec<String> = (0..count).map(|at| format!("v{at}")).map(shown).collect();
    code += &format!("return {{{}, {last}}}", names.join(", "));
    request(one.template, &[b"EVAL", code.as_bytes(), b"0"])
}

/// As `tostring`, but for what is shown by its address.
const SHOW: &str = "local function show(x) local t = type(x) if t == 'table' or t == 'function' or t == 'thread' \
                    then return t end return tostring(x) end\n";

/// A command as a script calls it, with its words written out.
fn call(words: &[Vec<u8>]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| literal(word)).collect();
    format!("redis.pcall({})", quoted.join(", "))
}

fn literal(bytes: &[u8]) -> String {
    let escaped: String = bytes
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'-' | b'.' | b'*' => {
                char::from(*byte).to_string()
            }
            other => format!("\\{other:03}"),
        })
        .collect();
    format!("'{escaped}'")
}

/// Forms of expressions: `$` is another one, `#` a number, `@` a text.
const FORMS: &[&str] = &[
    "#",
    "@",
    "#",
    "@",
    "true",
    "false",
    "nil",
    "{$, $}",
    "{a = $, b = $}",
    "{$, x = $, $}",
    "show($)",
    "type($)",
    "tonumber($)",
    "#@",
    "(# + #)",
    "(# - # * #)",
    "(# / #)",
    "(# % #)",
    "(# .. @)",
    "(# < #)",
    "(@ == @)",
    "not $",
    "($ and $)",
    "($ or $)",
    "math.floor(#)",
    "math.max(#, #)",
    "math.fmod(#, #)",
    "string.rep(@, 3)",
    "string.upper(@)",
    "string.reverse(@)",
    "string.byte(@, 1)",
    "string.format('%d %5.2f %s %q %x', #, #, @, @, #)",
    "string.format('%g', #)",
    "(@):sub(2, 4)",
    "(@):find('[%w]+')",
    "(@):gsub('%d', 'n')",
    "select(2, pcall(error, @))",
    "select('#', $, $)",
    "select(2, pcall(function() return $ + $ end))",
    "select(2, pcall(function() return $ .. $ end))",
    "select(2, pcall(function() return $ < $ end))",
    "select(2, pcall(cjson.encode, $))",
    "select(2, pcall(cjson.decode, @))",
    "select(2, pcall(cjson.decode, '[1, 2.5, \"x\", null, {\"a\": [true]}]'))",
    "select(2, pcall(cjson.encode, {$, {$}}))",
    "select(2, pcall(cmsgpack.pack, $, $))",
    "select(2, pcall(cmsgpack.unpack, @))",
    "cmsgpack.unpack(cmsgpack.pack($))",
    "select(2, pcall(struct.pack, '>I2i4d', #, #, #))",
    "select(2, pcall(struct.pack, '<hBs', #, #, @))",
    "select(2, pcall(struct.unpack, '>i2', @))",
    "struct.size('!8ibd')",
    "bit.band(#, #)",
    "bit.bor(#, #, #)",
    "bit.bxor(#, #)",
    "bit.lshift(#, 5)",
    "bit.arshift(#, 3)",
    "bit.tohex(#)",
    "bit.bswap(#)",
    "redis.sha1hex(@)",
    "redis.error_reply(@)",
    "redis.status_reply(@)",
    "redis.pcall('echo', #)",
    "redis.pcall('echo', @)",
    "redis.pcall($)",
    "select(2, pcall(redis.call, 'get', $))",
    "table.concat({#, @, #}, ',')",
    "#{$, $}",
    "next({})",
    "rawget({x = $}, 'x')",
    "unpack({$, $})",
    "(function(...) return select('#', ...) end)($, $)",
    "setmetatable({}, {__tostring = function() return @ end})",
    "tostring(setmetatable({}, {__tostring = function() return @ end}))",
    "coroutine.wrap(function() coroutine.yield($) end)()",
    "{double = #}",
    "{map = {x = $}}",
    "{set = {[@] = true}}",
    "{err = @}",
    "{ok = @}",
    "{big_number = '12345678901234567890'}",
];

fn expression(rng: &mut Rng, variables: u64, depth: u64) -> String {
    if variables > 0 && rng.below(4) == 0 {
        return format!("v{}", rng.below(variables));
    }
    let simple = 7;
    let form = FORMS[rng.below(if depth > 3 { simple } else { FORMS.len() as u64 }) as usize];
    if form == "#@" || form == "#{$, $}" {
        let inner = form[1..].replace('@', &text(rng)).replace('$', "1");
        return format!("#{inner}");
    }
    let mut written = String::new();
    for letter in form.chars() {
        match letter {
            '$' => written += &expression(rng, variables, depth + 1),
            '#' => written += &number(rng),
            '@' => written += &text(rng),
            other => written.push(other),
        }
    }
    written
}

fn number(rng: &mut Rng) -> String {
    const NUMBERS: &[&str] = &[
        "0",
        "1",
        "2",
        "3",
        "10",
        "-1",
        "-7",
        "255",
        "0.5",
        "-0.25",
        "1.1",
        "3.14159",
        "100000",
        "2147483647",
        "-2147483648",
        "4294967295",
        "9007199254740993",
        "1e15",
        "1e16",
        "1e-5",
        "123456.789",
        "65536",
    ];
    NUMBERS[rng.below(NUMBERS.len() as u64) as usize].to_owned()
}

fn text(rng: &mut Rng) -> String {
    const TEXTS: &[&str] = &[
        "''",
        "'a'",
        "'hello world'",
        "'12'",
        "'0x10'",
        "'-3.5'",
        "' 7 '",
        "'k1'",
        "'a1b22'",
        "'ERR no'",
        "'MY code'",
        "'\\000\\001\\255'",
        "'[1,2'",
        "'{\"a\":1e2}'",
        "'\"\\\\u00e9\"'",
        "'\\129\\161\\120\\001'",
        "'line\\r\\nbreak'",
        "'ABC'",
        "'\\147\\001\\002\\003'",
        "'tRuE'",
    ];
    TEXTS[rng.below(TEXTS.len() as u64) as usize].to_owned()
}

/// A request of a user that may not do everything, or the question whether it might.
fn as_user(rng: &mut Rng, one: Drawn, into: &mut Vec<Drawn>) {
    let (name, _) = USERS[rng.below(USERS.len() as u64) as usize];
    let template = one.template;
    if rng.below(2) == 0 {
        let mut words: Vec<&[u8]> = vec![b"ACL", b"DRYRUN", name.as_bytes()];
        words.extend(one.words.iter().map(Vec::as_slice));
        return into.push(request(template, &words));
    }
    into.push(request(template, &[b"AUTH", name.as_bytes(), b"x"]));
    into.push(Drawn { wraps: true, ..one });
    into.push(request(template, &[b"AUTH", b"default", b"x"]));
}
