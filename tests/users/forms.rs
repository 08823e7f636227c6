//! Requests of every command, made from the syntax of its row.

use waterwheel::base::rng::Rng;
use waterwheel::engine::syntax::{self, Argument, Kind};
use waterwheel::engine::table::Row;

/// A request, and what a user needs for it.
#[derive(Clone, Debug)]
pub struct Form {
    /// All words.
    pub words: Vec<String>,
    /// The arguments that are keys.
    pub keys: Vec<String>,
    /// The arguments that are channels, or patterns of such.
    pub channels: Vec<String>,
}

/// Words that mean something to some command where they stand at the right place.
const TRICKY: &[&str] =
    &["GET", "STORE", "KEYS", "STREAMS", "BY", "LIMIT", "SET", "STOREDIST", "DB", "0", "-1", "99999"];

/// A request of a row: the shortest, the longest, or one between them. Tricky ones have words that mean something in
/// places where they mean nothing.
pub fn form(row: &Row, rng: &mut Rng, options_in_8: u64, tricky: bool) -> Form {
    let mut maker = Maker { rng, options_in_8, tricky, repeats: 0, form: Form::named(row) };
    maker.repeats = 1 + maker.rng.below(3) as usize;
    let arguments = syntax::parse(row.spec.syntax).expect("a test parses every syntax");
    for argument in &arguments {
        maker.add(argument);
    }
    maker.form
}

impl Form {
    fn named(row: &Row) -> Form {
        Form {
            words: row.full_name.split('|').map(str::to_owned).collect(),
            keys: Vec::new(),
            channels: Vec::new(),
        }
    }
}

struct Maker<'a> {
    rng: &'a mut Rng,
    options_in_8: u64,
    tricky: bool,
    /// How often everything is repeated that may be: so a number of keys fits to the keys, and ids fit to streams.
    repeats: usize,
    form: Form,
}

impl Maker<'_> {
    fn add(&mut self, argument: &Argument) {
        if argument.optional && self.rng.below(8) >= self.options_in_8 {
            return;
        }
        let times = if argument.multiple { self.repeats } else { 1 };
        for time in 0..times {
            if let Some(token) = argument.token.filter(|_| time == 0 || argument.multiple_token) {
                self.form.words.push(token.to_owned());
            }
            self.add_once(argument);
        }
    }

    fn add_once(&mut self, argument: &Argument) {
        let name = argument.name.as_str();
        let word = match argument.kind {
            Kind::PureToken => return,
            Kind::OneOf => {
                let choice = self.rng.below(argument.parts.len() as u64) as usize;
                let choice = Argument { optional: false, ..argument.parts[choice].clone() };
                return self.add(&choice);
            }
            Kind::Block => {
                argument.parts.iter().for_each(|part| self.add(part));
                return;
            }
            Kind::Key => {
                let key = format!("k{}", self.form.keys.len());
                self.form.keys.push(key.clone());
                key
            }
            _ if self.tricky && self.rng.below(8) == 0 => {
                TRICKY[self.rng.below(TRICKY.len() as u64) as usize].to_owned()
            }
            Kind::Integer if name == "numkeys" => self.repeats.to_string(),
            Kind::Integer => "1".to_owned(),
            Kind::Double => "1.5".to_owned(),
            Kind::UnixTime => "1900000000".to_owned(),
            Kind::Pattern => "c*".to_owned(),
            Kind::String if name.contains("channel") => format!("c{}", self.form.channels.len()),
            Kind::String => "v".to_owned(),
        };
        let verb = self.form.words[0].as_str();
        // Who listens may always stop to.
        let judged = matches!(verb, "publish" | "spublish" | "subscribe" | "ssubscribe" | "psubscribe");
        if judged && matches!(name, "channel" | "shardchannel" | "pattern") {
            self.form.channels.push(word.clone());
        }
        self.form.words.push(word);
    }
}
