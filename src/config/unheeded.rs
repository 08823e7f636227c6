//! What a configuration asks for that this server does not have.

use super::Config;
use super::directive::{Standing, Why};
use super::table;

impl Config {
    /// Why the server must not start, in lines for the log; none when it may. It would lack what its clients count on, or
    /// speak in the clear where it should not.
    pub fn refusal(&self) -> Vec<String> {
        if let Some(path) = self.load_modules.iter().find_map(|line| line.first()) {
            let path = String::from_utf8_lossy(path);
            return vec![
                format!("Module {path} failed to load: {}", Why::Modules.reason()),
                format!("Can't load module from {path}: server aborting"),
            ];
        }
        let needs_tls = ["tls-port", "tls-replication", "tls-cluster"];
        match self.changed_without_effect().iter().any(|(name, ..)| needs_tls.contains(name)) {
            true => vec!["Failed finding TLS support.".to_owned()],
            false => Vec::new(),
        }
    }

    /// Directives that are not at their default and lack their effect, each with what it has of it, and the reason.
    pub fn changed_without_effect(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let (mut own, mut usual) = (self.clone(), Config::new());
        let lacking = table::directives().filter_map(|row| match row.standing {
            Standing::Inert(why) if super::get::is_shown(row) => Some((row, "no effect", why)),
            Standing::Partial(why) => Some((row, "only part of its effect", why)),
            _ => None,
        });
        let changed = lacking.filter(|(row, ..)| row.value(&mut own) != row.value(&mut usual));
        changed.map(|(row, effect, why)| (row.name, effect, why.reason())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        let mut config = Config::new();
        config.parse_file(text.as_bytes(), &mut |_| Ok(Vec::new())).expect("the lines are right");
        config
    }

    #[test]
    fn who_asks_for_a_module_or_for_tls_gets_no_server_without() {
        assert_eq!(
            read("loadmodule /a.so x\nloadmodule /b.so").refusal(),
            [
                "Module /a.so failed to load: modules cannot be loaded",
                "Can't load module from /a.so: server aborting"
            ]
        );
        for line in ["tls-port 1", "tls-replication yes", "tls-cluster yes"] {
            assert_eq!(read(line).refusal(), ["Failed finding TLS support."], "{line}");
        }
        for line in ["", "tls-port 0", "appendonly yes", "tls-cert-file x"] {
            assert!(read(line).refusal().is_empty(), "{line}");
        }
    }

    #[test]
    fn what_is_asked_for_in_vain_is_named() {
        let names = |text| {
            let names = read(text).changed_without_effect().into_iter().map(|(name, ..)| name);
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("repl-mptcp yes\ntls-port 0\nappendonly yes"), ["repl-mptcp"]);
    }
}
