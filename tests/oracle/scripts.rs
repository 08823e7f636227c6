//! Generated Lua scripts, and the ways in which a client can run one.
//!
//! A script is a list of statements over a few variables. Some call commands of all types that were drawn from the
//! templates, with their words written out or taken from `KEYS` and `ARGV`; others are expressions over the results and
//! the libraries (`expressions.txt`), loops, conditions, functions and errors. It ends with values of many kinds as a
//! reply.
//!
//! A script runs by EVAL or EVAL_RO, by EVALSHA after SCRIPT LOAD, or as a function of a library. It never raises what is
//! neither a text nor an error reply outside of a protected call: Redis before 8.0.6 ends with a segmentation fault there.

use crate::support::requests::{Drawn, Requests};
use waterwheel::base::rng::Rng;

/// Forms of expressions, one a line: `$` is another one, `#` a number, `@` a text; `#` right before a name, a bracket or
/// `@` is Lua's length.
const FORMS: &str = include_str!("expressions.txt");

/// The first so many forms hold no other.
const SIMPLE: usize = 7;

/// Libraries that there may be at a time.
const LIBRARIES: u64 = 6;

/// What all scripts begin with. `show` is `tostring`, but for what is shown by its address; `sorted` puts a reply in order
/// whose order is nobody's promise.
const BEGIN: &str = "local function show(x) local t = type(x) if t == 'table' or t == 'function' or t == 'thread' then \
                     return t end return tostring(x) end\n\
                     local function sorted(r) if type(r) ~= 'table' or r.err then return r end local l = {} \
                     for k, v in pairs(r.set or r) do l[#l + 1] = r.set and k or v end table.sort(l) return l end\n";

/// First lines of scripts; the first four are those of scripts that can be loaded.
const SHEBANGS: &[&str] = &[
    "#!lua\n",
    "#!lua flags=no-writes\n",
    "#!lua flags=allow-stale,allow-oom\n",
    "#!lua flags=no-cluster\n",
    "#!lua flags=\n",
    "#!lua flags=nonsense\n",
    "#!lua name=x\n",
    "#!lua\r\n",
    "#!perl\n",
];

/// Numbers as a script writes them.
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

/// Texts as a script writes them.
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
    "'%d %s'",
    "'%5.2f'",
    "'%a+'",
    "'[a-z'",
    "'(%d)%1'",
    "'<i4s'",
    "'>I3'",
    "'get'",
    "'incr'",
    "'null'",
    "'[]'",
    "'{}'",
    "'1e400'",
    "'return 7'",
    "'z1'",
    "'h1'",
    "'[1,{\"b\":false}]'",
];

/// A request of several words.
type Words = Vec<Vec<u8>>;

/// The source of a script and what it is called with.
struct Script {
    code: String,
    keys: Words,
    arguments: Words,
    /// How many variables the code has: `v0`, `v1`, and so on.
    variables: u64,
}

/// Requests that run one generated script, which calls `first` and others that `draw` gives. The last one runs it.
pub fn run(
    requests: &mut Requests,
    first: &Drawn,
    mut draw: impl FnMut(&mut Requests) -> Drawn,
) -> Vec<Words> {
    let mut script = Script { code: BEGIN.to_owned(), keys: Vec::new(), arguments: Vec::new(), variables: 0 };
    for at in 0..1 + requests.rng.below(3) {
        let drawn = if at == 0 { first.clone() } else { draw(requests) };
        let call = script.call(&mut requests.rng, &drawn.words);
        script.set(&call);
        if requests.rng.below(3) == 0 {
            script.statement(&mut requests.rng);
        }
    }
    for _ in 0..requests.rng.below(6) {
        script.statement(&mut requests.rng);
    }
    script.end(&mut requests.rng);
    script.requests(&mut requests.rng)
}

impl Script {
    /// A command as a script calls it, with its words written out or handed over.
    fn call(&mut self, rng: &mut Rng, words: &[Vec<u8>]) -> String {
        // A function that could not be replaced gets the keys of another: a set for ranges of members, whose scores have
        // to be equal, is named in the script.
        let is_lexical = words.get(1).is_some_and(|key| key.starts_with(b"l"));
        let hands_over = rng.below(2) == 0 && !is_lexical;
        let mut written = Vec::new();
        for (at, word) in words.iter().enumerate() {
            written.push(match rng.below(4) {
                0 if at == 1 && hands_over => {
                    self.keys.push(word.clone());
                    format!("KEYS[{}]", self.keys.len())
                }
                0 | 1 if hands_over => {
                    self.arguments.push(word.clone());
                    format!("ARGV[{}]", self.arguments.len())
                }
                2 if is_number(word) => String::from_utf8_lossy(word).into_owned(),
                _ => literal(word),
            });
        }
        let words = written.join(", ");
        match rng.below(8) {
            0 => format!("select(2, pcall(redis.call, {words}))"),
            1 => format!("redis.pcall(unpack({{{words}}}))"),
            2 => format!("redis.call({words})"),
            _ => format!("redis.pcall({words})"),
        }
    }

    /// A new variable with a value.
    fn set(&mut self, value: &str) {
        self.code += &format!("local v{} = {value}\n", self.variables);
        self.variables += 1;
    }

    /// A statement that makes one new variable.
    fn statement(&mut self, rng: &mut Rng) {
        let (new, old) = (self.variables, rng.below(self.variables));
        let (a, b) = (expression(rng, new, 1), expression(rng, new, 1));
        let (number, word, count) = (one_of(rng, NUMBERS), one_of(rng, TEXTS), 1 + rng.below(4));
        self.variables += 1;
        self.code += &match rng.below(24) {
            0 => format!("local v{new} = {{}} for i = 1, {count} do v{new}[i] = {a} end\n"),
            1 => format!(
                "local v{new} = {{}} for i, x in ipairs(type(v{old}) == 'table' and v{old} or {{1, 2}}) do \
                 table.insert(v{new}, i .. type(x)) end\n"
            ),
            2 => format!(
                "local v{new} = 0 if type(v{old}) == 'table' then for _ in pairs(v{old}) do v{new} = v{new} + 1 end end\n"
            ),
            3 => format!(
                "local v{new} = 0 while v{new} < {count} do v{new} = v{new} + 1 redis.pcall('rpush', 'q7', v{new}) \
                 if v{new} == 3 then break end end\n"
            ),
            4 => format!("local v{new} = 10 repeat v{new} = v{new} - {count} until v{new} < 0 or {a}\n"),
            5 => format!("local v{new} if {a} then v{new} = {b} else v{new} = {number} end\n"),
            6 => format!(
                "local function f{new}(n) if n <= 1 then return {number} end return n * f{new}(n - 1) end \
                 local v{new} = f{new}({count})\n"
            ),
            7 => format!("local v{new} = redis.setresp({}) or {a}\n", 2 + rng.below(2)),
            8 => format!(
                "local v{new} = select(2, pcall(function() local x = {a} redis.call('hset', 'h1', 'f1', type(x)) \
                 return x end))\n"
            ),
            9 => format!(
                "local v{new} = {{}} for w in string.gmatch({word}, '%w+') do v{new}[#v{new} + 1] = w end\n"
            ),
            10 => format!(
                "local v{new} = (tostring({number})):gsub('%d', function(d) return tonumber(d) + 1 end)\n"
            ),
            11 => format!(
                "local v{new} = type(v{old}) == 'table' and (v{old}.err or v{old}.ok or #v{old}) or 0\n"
            ),
            12 => format!("v{old} = {a}\nlocal v{new} = {b}\n"),
            13 if rng.below(3) == 0 => {
                format!("if {b} then {} end\nlocal v{new} = 1\n", failure(rng, &a, word))
            }
            _ => format!("local v{new} = {a}\n"),
        };
    }

    /// What is returned.
    fn end(&mut self, rng: &mut Rng) {
        let last = expression(rng, self.variables, 0);
        let names: Vec<String> = (0..self.variables).map(|at| format!("v{at}")).collect();
        let shown: Vec<String> = names
            .iter()
            .map(|name| if rng.below(3) == 0 { format!("show({name})") } else { name.clone() })
            .collect();
        let (all, only) = (shown.join(", "), &names[rng.below(self.variables) as usize]);
        self.code += &match rng.below(8) {
            0 => format!("return {only}"),
            // Not a tail call, which would take the line out of the errors of what stands in the prelude of scripts.
            1 => format!("return {last}, nil"),
            2 => format!("return select(2, pcall(cjson.encode, {only}))"),
            3 => format!("return {{map = {{a = {only}}}}}"),
            4 => format!("return {all}"),
            _ => format!("return {{{all}, {last}}}"),
        };
    }

    /// The requests that run it.
    fn requests(self, rng: &mut Rng) -> Vec<Words> {
        let Script { mut code, keys, arguments, .. } = self;
        let read_only = rng.below(5) == 0;
        let (mut requests, name, what) = match rng.below(10) {
            0..5 => {
                if rng.below(6) == 0 {
                    code.insert_str(0, one_of(rng, SHEBANGS));
                }
                (Vec::new(), "EVAL", code)
            }
            5..7 => {
                if rng.below(4) == 0 {
                    code.insert_str(0, one_of(rng, &SHEBANGS[..4]));
                }
                let mut sha = sha1_smol::Sha1::from(&code).digest().to_string();
                let mut requests = vec![request(&["SCRIPT", "LOAD", &code])];
                if rng.below(8) == 0 {
                    requests.push(request(&["SCRIPT", "EXISTS", &sha, "0123"]));
                    sha.make_ascii_uppercase();
                }
                (requests, "EVALSHA", sha)
            }
            _ => {
                let number = rng.below(LIBRARIES);
                let library = format!("lib{number}");
                let source = library_source(rng, number, &code);
                let mut requests = vec![request(&["FUNCTION", "LOAD", "REPLACE", &source])];
                match rng.below(20) {
                    0 => requests.push(request(&["FUNCTION", "DELETE", &library])),
                    1 => requests.push(request(&["FUNCTION", "LIST", "LIBRARYNAME", &library, "WITHCODE"])),
                    _ => {}
                }
                (requests, "FCALL", format!("f{number}"))
            }
        };
        let name = if read_only { format!("{name}_RO") } else { name.to_owned() };
        let count = match rng.below(100) {
            0 => one_of(rng, &["-1", "x", "1000", ""]).to_owned(),
            _ => keys.len().to_string(),
        };
        let mut run = request(&[&name, &what, &count]);
        run.extend(keys);
        run.extend(arguments);
        requests.push(run);
        requests
    }
}

/// A library of one function; its arguments have the names of those of a script.
fn library_source(rng: &mut Rng, number: u64, code: &str) -> String {
    const FLAGS: &[&str] = &["'no-writes'", "'allow-oom', 'allow-stale'", "'no-cluster'", "'nonsense'", ""];
    if rng.below(3) > 0 {
        return format!(
            "#!lua name=lib{number}\nredis.register_function('f{number}', function(KEYS, ARGV)\n{code}\nend)"
        );
    }
    let flags = one_of(rng, FLAGS);
    format!(
        "#!lua name=lib{number}\nlocal function f(KEYS, ARGV)\n{code}\nend\nredis.register_function{{\
         function_name = 'f{number}', callback = f, flags = {{{flags}}}, description = 'd'}}"
    )
}

/// A statement that ends the script, mostly with an error.
fn failure(rng: &mut Rng, value: &str, word: &str) -> String {
    let failures = [
        format!("error({word})"),
        format!("error({{err = {word}}})"),
        format!("error({word}, 0)"),
        "local t = nil t.x = 1".to_owned(),
        "missing_global = 1".to_owned(),
        "local t = missing_global".to_owned(),
        "redis.call('nosuch')".to_owned(),
        "redis.call('get')".to_owned(),
        "redis.call('lpush', 'q1', 'a') redis.call('incr', 'q1')".to_owned(),
        format!("assert(false, {word})"),
        "do return redis.error_reply('MY own') end".to_owned(),
        format!("do return {value} end"),
        "local x = 1 .. {}".to_owned(),
        "string.rep()".to_owned(),
        "string.rep('x', -1)()".to_owned(),
    ];
    failures[rng.below(failures.len() as u64) as usize].clone()
}

fn request(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Whether a word can be written as a number and means the same.
fn is_number(word: &[u8]) -> bool {
    let text = std::str::from_utf8(word).unwrap_or_default();
    text.len() < 15 && text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
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

fn expression(rng: &mut Rng, variables: u64, depth: u64) -> String {
    if variables > 0 && rng.below(4) == 0 {
        return format!("v{}", rng.below(variables));
    }
    static LINES: std::sync::LazyLock<Vec<&str>> = std::sync::LazyLock::new(|| FORMS.lines().collect());
    let form = one_of(rng, if depth > 3 { &LINES[..SIMPLE] } else { &LINES });
    let mut written = String::new();
    let mut letters = form.chars().peekable();
    while let Some(letter) = letters.next() {
        let follows = letters.peek().copied().unwrap_or(' ');
        match letter {
            '$' => written += &expression(rng, variables, depth + 1),
            '#' if follows.is_ascii_alphabetic() || "@{('$".contains(follows) => written.push('#'),
            '#' => written += one_of(rng, NUMBERS),
            '@' => written += one_of(rng, TEXTS),
            other => written.push(other),
        }
    }
    written
}

fn one_of<'a>(rng: &mut Rng, among: &[&'a str]) -> &'a str {
    among[rng.below(among.len() as u64) as usize]
}
