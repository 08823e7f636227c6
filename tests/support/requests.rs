//! Random requests, drawn from a table of templates.
//!
//! ```text
//! SET <key> <value> (|NX|XX) (|GET) (|EX <s>|PX <ms>|KEEPTTL)
//! ```
//!
//! A hole in angle brackets is filled by chance; between round brackets stands a choice, of which an empty branch is
//! nothing. The words in front of the first hole or choice name the command; a word inside a choice is an option. Now
//! and then a request is spoiled: a word too many, too few, or of the wrong kind.

use super::templates::Template;
use std::fmt::Write as _;
use waterwheel::base::rng::Rng;

/// How far deadlines lie in the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// Some milliseconds to some hours: keys die while one looks.
    Short,
    /// Hours to months, each at a time of its own, or over before they begin: nothing dies while one looks.
    Long,
}

/// A source of requests.
pub struct Requests {
    /// What is drawn by chance is drawn from here.
    pub rng: Rng,
    /// How many keys there are.
    pub keys: u64,
    /// Of how many requests one is spoiled.
    pub spoiled_one_in: u64,
    /// Commands that are never spoiled.
    pub unspoiled: Vec<&'static str>,
    /// Words that no request has; behind a space stands how the next one begins.
    pub unsaid: Vec<&'static str>,
    /// How many databases there are.
    pub databases: u64,
    /// The wall clock, for absolute deadlines.
    pub now_unix_ms: u64,
    lives: Lives,
    /// The time in the last new id of a stream.
    newest_id: u64,
    templates: Vec<Parsed>,
    weight_sum: u64,
}

/// A request that was drawn.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// Its words.
    pub words: Vec<Vec<u8>>,
    /// Number of its template.
    pub template: usize,
    /// Words that were chosen, as [`Requests::options`] numbers them.
    pub options: Vec<u16>,
    /// It was made wrong on purpose.
    pub spoiled: bool,
    /// It belongs to a request around others, or is within one.
    pub wraps: bool,
    /// It runs a generated script.
    pub generated: bool,
}

impl Drawn {
    /// The request as a line of a transcript.
    pub fn shown(&self) -> String {
        let shown = |word: &Vec<u8>| {
            let plain =
                !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\|".contains(b));
            let word = if word.len() > 100 { &word[..100] } else { word };
            if plain {
                String::from_utf8_lossy(word).into_owned()
            } else {
                waterwheel::base::quote::repr(word)
            }
        };
        self.words.iter().map(shown).collect::<Vec<_>>().join(" ")
    }
}

/// Whether a request has a word, and behind it one with this beginning.
fn says(words: &[Vec<u8>], what: &str) -> bool {
    let (word, next) = what.split_once(' ').unwrap_or((what, ""));
    let behind = |at: usize| words.get(at + 1).map_or(&b""[..], Vec::as_slice);
    (0..words.len()).any(|at| words[at] == word.as_bytes() && behind(at).starts_with(next.as_bytes()))
}

struct Parsed {
    name: String,
    weight: u64,
    nodes: Vec<Node>,
    options: Vec<&'static str>,
}

enum Node {
    Word(&'static str),
    Hole(&'static str),
    Choice(Vec<Vec<Node>>),
    /// A word inside a choice, and its number among the options.
    Option(&'static str, u16),
}

impl Requests {
    /// Requests from `tables`, the same for the same seed.
    pub fn new(seed: u64, lives: Lives, tables: &[&'static [Template]]) -> Requests {
        let templates: Vec<Parsed> = tables.iter().flat_map(|table| table.iter()).map(parsed).collect();
        Requests {
            rng: Rng::from_seed(seed),
            keys: 60,
            spoiled_one_in: 40,
            unspoiled: Vec::new(),
            unsaid: Vec::new(),
            databases: 16,
            now_unix_ms: 0,
            lives,
            newest_id: 0,
            weight_sum: templates.iter().map(|t| t.weight).sum(),
            templates,
        }
    }

    /// Name of the command of each template.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(|t| t.name.as_str())
    }

    /// Options of a template.
    pub fn options(&self, template: usize) -> &[&'static str] {
        &self.templates[template].options
    }

    /// The next request.
    pub fn draw(&mut self) -> Drawn {
        let mut left = self.rng.below(self.weight_sum);
        let template = self.templates.iter().position(|t| {
            let here = left < t.weight;
            left = left.wrapping_sub(t.weight);
            here
        });
        let template = template.expect("the weights cover what is drawn");
        // A flush leaves little to look at: most are drawn again.
        if self.templates[template].name.starts_with("FLUSH") && self.rng.below(8) > 0 {
            return self.draw();
        }
        let mut drawn = Drawn { template, ..Drawn::default() };
        // The templates are lent for as long as they are read.
        let templates = std::mem::take(&mut self.templates);
        self.fill(&templates[template].nodes, &mut drawn);
        self.templates = templates;
        if self.unsaid.iter().any(|unsaid| says(&drawn.words, unsaid)) {
            return self.draw();
        }
        // A wait that went wrong could be one for ever, and a range of members is nobody's promise once scores differ.
        let name = &self.templates[template].name;
        let is_lexical = drawn.words.get(1).is_some_and(|key| key.starts_with(b"l")) && name == "ZADD";
        let asks_lexical = name.contains("LEX") || drawn.words.iter().any(|word| word == b"BYLEX");
        // A pop by chance would leave two servers with different sets.
        let stores_sorted = name == "SORT" && drawn.words.iter().any(|word| word == b"STORE");
        let may_spoil = !self.unspoiled.contains(&name.to_ascii_uppercase().as_str())
            && !name.starts_with("WAIT")
            && name != "SPOP"
            && !is_lexical
            && !asks_lexical
            && !stores_sorted;
        if may_spoil && self.spoiled_one_in > 0 && self.rng.below(self.spoiled_one_in) == 0 {
            self.spoil(&mut drawn);
            // In capitals it would be Valkey's condition on the key.
            if self.templates[template].name == "HSETEX" {
                drawn
                    .words
                    .iter_mut()
                    .filter(|word| *word == b"NX")
                    .for_each(|word| word.make_ascii_lowercase());
            }
        }
        drawn
    }

    fn fill(&mut self, nodes: &[Node], into: &mut Drawn) {
        for node in nodes {
            match node {
                Node::Word(word) => into.words.push(word.as_bytes().to_vec()),
                Node::Option(word, number) => {
                    into.words.push(word.as_bytes().to_vec());
                    into.options.push(*number);
                }
                Node::Hole(name) => self.hole(name, &mut into.words),
                Node::Choice(branches) => {
                    let chosen = self.rng.below(branches.len() as u64) as usize;
                    self.fill(&branches[chosen], into);
                }
            }
        }
    }

    /// Fills a hole of a template.
    fn hole(&mut self, name: &str, into: &mut Vec<Vec<u8>>) {
        // So few that two of them are often in the same set.
        if name == "place" && self.rng.below(4) > 0 {
            return into.push(format!("m{}", self.rng.below(12)).into_bytes());
        }
        if !self.words(name, into) {
            let text = self.text(name);
            into.push(text.into_bytes());
        }
    }

    /// Fills a hole that takes several words, or one of any bytes. False for all others.
    fn words(&mut self, name: &str, into: &mut Vec<Vec<u8>>) -> bool {
        match name {
            "key" => into.push(self.key()),
            "value" => into.push(self.value()),
            "keys" => {
                let keys = 1 + self.rng.below(4);
                (0..keys).for_each(|_| into.push(self.key()));
            }
            "pairs" => {
                for _ in 0..1 + self.rng.below(4) {
                    into.push(self.key());
                    into.push(self.value());
                }
            }
            "counted-pairs" => {
                let pairs = 1 + self.rng.below(4);
                into.push(pairs.to_string().into_bytes());
                for _ in 0..pairs {
                    into.push(self.key());
                    into.push(self.rng.below(8).to_string().into_bytes());
                }
            }
            "polygon" => {
                let corners = 3 + self.rng.below(4);
                into.push(corners.to_string().into_bytes());
                for _ in 0..corners {
                    self.hole("lon", into);
                    self.hole("lat", into);
                }
            }
            "fields-of-hash" => {
                let fields = 1 + self.rng.below(3);
                (0..fields).for_each(|_| {
                    let field = self.field();
                    into.push(field.into_bytes());
                });
            }
            "hash-pairs" => {
                let most = if self.rng.below(12) == 0 { 30 } else { 3 };
                for _ in 0..1 + self.rng.below(most) {
                    let field = self.field();
                    into.push(field.into_bytes());
                    into.push(self.value());
                }
            }
            "set-member" => into.push(self.set_member()),
            "set-members" => {
                let most = if self.rng.below(12) == 0 { 30 } else { 3 };
                let members = 1 + self.rng.below(most);
                (0..members).for_each(|_| into.push(self.set_member()));
            }
            "element" => into.push(self.element()),
            "elements" => {
                let elements = 1 + {
                    let most = if self.rng.below(10) == 0 { 40 } else { 3 };
                    self.rng.below(most)
                };
                (0..elements).for_each(|_| into.push(self.element()));
            }
            "fields" => {
                let more = if self.rng.below(3) == 0 { self.rng.below(4) } else { 0 };
                for number in 0..=more {
                    into.push(format!("f{number}").into_bytes());
                    into.push(self.value());
                }
            }
            "zkey" | "lexkey" | "geokey" => into.push(self.sorted_key(name)),
            "zkeys" => {
                let keys = 1 + self.rng.below(3);
                into.push(keys.to_string().into_bytes());
                (0..keys).for_each(|_| into.push(self.sorted_key("zkey")));
            }
            "members" => {
                let members = 1 + self.rng.below(4);
                (0..members).for_each(|_| into.push(self.member()));
            }
            "scored" => {
                for _ in 0..1 + self.rng.below(8) {
                    into.push(self.score().into_bytes());
                    into.push(self.member());
                }
            }
            "member" => into.push(self.member()),
            "place" => into.push(self.member()),
            _ => return false,
        }
        true
    }

    /// The text of a hole that takes one word.
    fn text(&mut self, name: &str) -> String {
        match name {
            "list" => self.key_of_type('q'),
            "set" => self.key_of_type('t'),
            "hash" => self.key_of_type('h'),
            "bits" => self.key_of_type('b'),
            "sketch" => self.key_of_type('p'),
            "field" => self.field(),
            "stream" => self.key_of_type('x'),
            "group" => self.one_of(&["g", "g", "h"]),
            "consumer" => self.one_of(&["alice", "bob", "carol"]),
            "id" => self.id(),
            "bound" => format!("({}", self.id()),
            "new-id" => {
                self.newest_id += self.rng.below(3);
                match self.rng.below(12) {
                    0 => self.id(),
                    1..=5 => format!("{}-*", self.newest_id),
                    _ => format!("{}-{}", self.newest_id + 1, self.rng.below(3)),
                }
            }
            "score" => self.score(),
            "min" => {
                let sign = if self.rng.below(3) == 0 { "(" } else { "" };
                format!("{sign}{}", self.score())
            }
            "lex" => match self.rng.below(6) {
                0 => "-".to_owned(),
                1 => "+".to_owned(),
                n => {
                    let sign = if n < 4 { "[" } else { "(" };
                    format!("{sign}{}", String::from_utf8_lossy(&self.member()))
                }
            },
            "lon" => format!("{}.{}", 10 + self.rng.below(5), self.rng.below(100_000)),
            "lat" => format!("{}.{}", 40 + self.rng.below(5), self.rng.below(100_000)),
            "s" => self.lives_ms().div_euclid(1000).to_string(),
            "ms" => self.lives_ms().to_string(),
            "at" => self.dies_ms().div_euclid(1000).to_string(),
            "at-ms" => self.dies_ms().to_string(),
            "db" => self.rng.below(self.databases).to_string(),
            "int" => self.integer(),
            "small" => self.rng.below(8).to_string(),
            "index" => (self.rng.below(60) as i64 - 25).to_string(),
            "offset" => self.rng.below(60).to_string(),
            "until" => (1 + self.rng.below(400)).to_string(),
            "float" => self.float(),
            "word" => self.one_of(&["", "name", "other", "with space", "1.2.3"]),
            "type" => self.one_of(&["string", "STRING", "list", "hash", "set", "stream", "nothing"]),
            "pattern" => self.one_of(&["*", "k*", "k1?", "k[0-5]*", "k[^1]", "none*", "k\\1", "?", "*5"]),
            _ => panic!("a template has a hole that nothing fills: {name}"),
        }
    }

    /// A key; a few are hot, a few are long.
    pub fn key(&mut self) -> Vec<u8> {
        let among = if self.rng.below(4) == 0 { 5 } else { self.keys };
        let number = self.rng.below(among);
        match self.rng.below(200) {
            0 => format!("k{number}{}", "x".repeat(300)).into_bytes(),
            1 => vec![b'k', number as u8, 0, b'\r', b'\n', 0xff],
            _ => format!("k{number}").into_bytes(),
        }
    }

    /// A key that mostly holds one type, named after it.
    fn key_of_type(&mut self, letter: char) -> String {
        let number = self.rng.below(8);
        if self.rng.below(60) == 0 { format!("k{number}") } else { format!("{letter}{number}") }
    }

    /// An element of a list: few that are equal, some that are long.
    fn element(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            // SORT compares up to a zero byte; what follows is nobody's promise.
            0 => self.value().into_iter().map(|byte| byte.max(1)).collect(),
            1 => {
                let len = 100 + self.rng.below(400);
                self.letters(len)
            }
            2..=6 => self.rng.below(12).to_string().into_bytes(),
            _ => format!("e{}", self.rng.below(12)).into_bytes(),
        }
    }

    fn field(&mut self) -> String {
        match self.rng.below(12) {
            0 => self.rng.below(60).to_string(),
            _ => format!("f{}", self.rng.below(40)),
        }
    }

    /// A member of a set: mostly small integers, so that all encodings are met.
    fn set_member(&mut self) -> Vec<u8> {
        match self.rng.below(40) {
            0 => self.letters(70),
            1 => self.integer().into_bytes(),
            2..=4 => format!("m{}", self.rng.below(20)).into_bytes(),
            _ => self.rng.below(50).to_string().into_bytes(),
        }
    }

    /// An id among the newest of all streams.
    fn id(&mut self) -> String {
        let ms = self.newest_id.saturating_sub(self.rng.below(60));
        if self.rng.below(4) == 0 { ms.to_string() } else { format!("{ms}-{}", self.rng.below(3)) }
    }

    /// A key of sorted sets, of those whose scores are all 0, or of places; now and then any key.
    fn sorted_key(&mut self, kind: &str) -> Vec<u8> {
        let is_foreign = self.rng.below(50) == 0;
        let number = self.rng.below(5);
        if is_foreign {
            // A range of members asks only for what can hardly be a sorted set, for its scores would differ.
            return if kind == "lexkey" { format!("p{number}").into_bytes() } else { self.key() };
        }
        format!("{}{number}", &kind[..1]).into_bytes()
    }

    fn member(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => self.rng.below(50).to_string().into_bytes(),
            1 if self.rng.below(20) == 0 => self.letters(70),
            _ => format!("m{}", self.rng.below(220)).into_bytes(),
        }
    }

    fn score(&mut self) -> String {
        match self.rng.below(30) {
            0 => self.one_of(&["inf", "-inf", "1e30", "nan", "x", "0x10", "123456789012345678"]),
            1..10 => format!("{}", self.rng.below(200) as f64 / 4.0 - 20.0),
            _ => self.rng.below(100).to_string(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(40) {
            0..=9 => self.integer().into_bytes(),
            10..=13 => self.float().into_bytes(),
            14 => Vec::new(),
            15 => (0..self.rng.below(30)).map(|_| self.rng.next_u64() as u8).collect(),
            16 => self.letters(44),
            17 => self.letters(45),
            18..=20 => {
                let len = self.rng.below(300);
                self.letters(len)
            }
            21 if self.rng.below(20) == 0 => self.letters(40_000),
            _ => {
                let len = self.rng.below(20);
                self.letters(len)
            }
        }
    }

    fn letters(&mut self, len: u64) -> Vec<u8> {
        let mut word = self.rng.next_u64();
        let letter = |_| {
            word = word.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            b'a' + (word >> 60) as u8
        };
        (0..len).map(letter).collect()
    }

    fn integer(&mut self) -> String {
        match self.rng.below(12) {
            0 => self.one_of(&[
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775806",
                "-9223372036854775807",
                "4611686018427387904",
            ]),
            1 => (self.rng.next_u64() as i64).to_string(),
            2..=3 => (self.rng.below(100_000) as i64 - 50_000).to_string(),
            _ => (self.rng.below(25) as i64 - 8).to_string(),
        }
    }

    fn float(&mut self) -> String {
        match self.rng.below(12) {
            0 => self.one_of(&[
                "inf", "-inf", "nan", "1e308", "-1e308", "1e-10", "5e3", "3.0e3", "0x10", "+1.5", ".5",
            ]),
            1..=2 => format!("{}.{:017}", self.rng.below(100), self.rng.below(10u64.pow(17))),
            3 => self.integer(),
            _ => {
                let mut text = String::new();
                let cents = self.rng.below(20_000) as i64 - 10_000;
                write!(text, "{}", cents as f64 / 100.0).expect("a string takes every write");
                text
            }
        }
    }

    /// Milliseconds until a key dies; now and then none or fewer.
    fn lives_ms(&mut self) -> i64 {
        match (self.rng.below(30), self.lives) {
            (0, _) => 0,
            (1, _) => -1 - self.rng.below(10_000) as i64,
            (_, Lives::Short) => {
                let longest = [20, 1000, 20_000, 20_000_000][self.rng.below(4) as usize];
                1 + self.rng.below(longest) as i64
            }
            (_, Lives::Long) => 36_000_000 + self.rng.below(10_000_000_000) as i64,
        }
    }

    /// When a key dies. In a world of real clocks never just now.
    fn dies_ms(&mut self) -> i64 {
        let lives = self.lives_ms();
        let slack = if self.lives == Lives::Long && lives <= 0 { 3_000 } else { 0 };
        self.now_unix_ms as i64 + lives - slack
    }

    fn one_of(&mut self, words: &[&str]) -> String {
        words[self.rng.below(words.len() as u64) as usize].to_owned()
    }

    /// Makes a request wrong, or at least odd.
    fn spoil(&mut self, drawn: &mut Drawn) {
        drawn.spoiled = true;
        let at = self.rng.below(drawn.words.len() as u64) as usize;
        match self.rng.below(6) {
            0 if drawn.words.len() > 1 => {
                drawn.words.remove(at.max(1));
            }
            1 => {
                let again = drawn.words[at].clone();
                drawn.words.push(again);
            }
            2 => drawn.words[at].make_ascii_lowercase(),
            3 if at > 0 => drawn.words[at] = Vec::new(),
            _ if at > 0 => {
                let odd =
                    ["abc", "-1", "1.5", " 1", "01", "9223372036854775808", "99999999999999999", "NX", "\n"];
                drawn.words[at] = self.one_of(&odd).into_bytes();
            }
            _ => drawn.words.push(b"more".to_vec()),
        }
    }
}

fn parsed(template: &Template) -> Parsed {
    let mut rest = template.text;
    let mut options = Vec::new();
    let nodes = branch(&mut rest, false, &mut options);
    assert!(rest.is_empty(), "{} has a bracket too many", template.text);
    let words = nodes.iter().map_while(|n| if let Node::Word(word) = n { Some(*word) } else { None });
    let name = words.take_while(|w| *w != "0").collect::<Vec<_>>().join(" ");
    Parsed { name, weight: u64::from(template.weight), nodes, options }
}

/// Reads words, holes and choices up to a bar, a closing bracket, or the end.
fn branch(rest: &mut &'static str, inside: bool, options: &mut Vec<&'static str>) -> Vec<Node> {
    let mut nodes = Vec::new();
    loop {
        *rest = rest.trim_start_matches(' ');
        if rest.is_empty() || rest.starts_with(['|', ')']) {
            return nodes;
        }
        if let Some(tail) = rest.strip_prefix('(') {
            *rest = tail;
            let mut branches = Vec::new();
            loop {
                branches.push(branch(rest, true, options));
                let (mark, tail) = rest.split_at(1);
                *rest = tail;
                if mark == ")" {
                    break;
                }
            }
            nodes.push(Node::Choice(branches));
            continue;
        }
        let len = rest.find([' ', '|', ')']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(len);
        *rest = tail;
        let hole = word.strip_prefix('<').and_then(|w| w.strip_suffix('>'));
        nodes.push(match hole {
            Some(name) => Node::Hole(name),
            None if inside => {
                let known = options.iter().position(|option| *option == word);
                let number = known.unwrap_or_else(|| {
                    options.push(word);
                    options.len() - 1
                });
                Node::Option(word, number as u16)
            }
            None => Node::Word(word),
        });
    }
}
