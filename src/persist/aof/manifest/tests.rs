//! The manifest: its text, its errors, and a model in which the power fails anywhere.

use super::*;
use crate::base::rng::Rng;
use std::collections::BTreeMap;

const NAMES: Names<'static> = Names("appendonly.aof");

fn wrong(text: &[u8]) -> String {
    Manifest::parse(text).expect_err("it is no manifest").what.to_owned()
}

#[test]
fn what_is_written_is_read_back() {
    let text = "file appendonly.aof.2.base.rdb seq 2 type b
file appendonly.aof.1.incr.aof seq 1 type h
file appendonly.aof.2.incr.aof seq 2 type h startoffset 0 endoffset 77
file \"a b\\\"\\xff.3.incr.aof\" seq 3 type i startoffset 99
";
    let manifest = Manifest::parse(text.as_bytes()).expect("it is a manifest");
    assert_eq!(manifest.text(), text);
    assert_eq!(manifest.increments()[0].name, b"a b\"\xff.3.incr.aof");
    assert_eq!(manifest.history().len(), 2);
    // Comments, another order, letters of another case, and pairs of later servers.
    let other = "# file\n TYPE b seq 2 file 'x' color red \r\nfile y seq 7 type incr startoffset -1\n#end";
    let manifest = Manifest::parse(other.as_bytes()).expect("it is a manifest");
    assert_eq!(manifest.text(), "file x seq 2 type b\nfile y seq 7 type i\n");
    let names: Vec<_> = manifest.needed().map(|file| &file.name[..]).collect();
    assert_eq!(names, [b"x", b"y"]);
}

#[test]
fn errors_have_the_words_of_redis() {
    assert_eq!(wrong(b""), "Found an empty AOF manifest");
    let long = [&b"file "[..], &[b'x'; 1024], b" seq 1 type b\n"].concat();
    for text in [&long[..], b"file x seq 1 type b", b"file x seq 1 type b\0\n"] {
        assert_eq!(wrong(text), "The AOF manifest file contains too long line");
    }
    for text in [
        "\n",
        "file x seq 1\n",
        "file x seq 1 type b extra\n",
        "file x seq 0 type b\n",
        "file x seq 1 type ''\n",
        "file \"x seq 1 type b\n",
        "name x seq 1 type b\n",
        "file x seq 1 kind b\n",
    ] {
        assert_eq!(wrong(text.as_bytes()), "Invalid AOF manifest file format", "{text}");
    }
    assert_eq!(wrong(b"file x seq 1 type z\n"), "Unknown AOF file type");
    assert_eq!(wrong(b"file a/x seq 1 type b\n"), "File can't be a path, just a filename");
    let twice = b"file x seq 1 type b\nfile y seq 2 type b\n";
    assert_eq!(wrong(twice), "Found duplicate base file information");
    let back = b"file x seq 2 type i\n#\nfile y seq 2 type i\n";
    assert_eq!(wrong(back), "Found a non-monotonic sequence number");
    let bad = Manifest::parse(back).expect_err("it is no manifest");
    assert_eq!(
        bad.log_lines()[1..],
        [
            "Reading the manifest file, at line 3\n",
            ">>> 'file y seq 2 type i'\n",
            "Found a non-monotonic sequence number\n"
        ]
    );
    assert!(Manifest::parse(b"# only words").expect("it names no file").is_empty());
}

#[test]
fn a_rewrite_leaves_the_history_in_the_order_of_redis() {
    let mut manifest = Manifest::default();
    manifest.finish_rewrite(NAMES, Form::Dump, 1);
    manifest.open_increment(NAMES, 0);
    manifest.open_increment(NAMES, 10);
    let since = manifest.open_increment(NAMES, 20).seq;
    assert_eq!(manifest.next_base(NAMES, Form::Commands), "appendonly.aof.2.base.aof");
    manifest.finish_rewrite(NAMES, Form::Commands, since);
    manifest.close_increment(30);
    assert_eq!(
        manifest.text(),
        "file appendonly.aof.2.base.aof seq 2 type b
file appendonly.aof.1.incr.aof seq 1 type h startoffset 0
file appendonly.aof.2.incr.aof seq 2 type h startoffset 10
file appendonly.aof.1.base.rdb seq 1 type h
file appendonly.aof.3.incr.aof seq 3 type i startoffset 20 endoffset 30
"
    );
    assert_eq!(manifest.reopen_increment(), Some(30));
    manifest.forget_history();
    assert!(manifest.history().is_empty() && !manifest.is_empty());
}

#[test]
fn the_one_file_of_old_servers_is_taken_over_once() {
    let mut manifest = Manifest::default();
    assert!(manifest.takes_over(NAMES, false));
    manifest.take_over(NAMES);
    assert_eq!(manifest.text(), "file appendonly.aof seq 1 type b\n");
    // The power failed before the file was moved, or did not.
    assert!(manifest.takes_over(NAMES, false) && !manifest.takes_over(NAMES, true));
    manifest.open_increment(NAMES, 0);
    assert!(!manifest.takes_over(NAMES, false));
    manifest.finish_rewrite(NAMES, Form::Dump, 2);
    assert_eq!(
        manifest.base().map(File::to_string).as_deref(),
        Some("file appendonly.aof.2.base.rdb seq 2 type b")
    );
    assert_eq!(Names::temporary_base(7), "temp-rewriteaof-bg-7.aof");
    let temporary = (NAMES.temporary_manifest(), NAMES.temporary_increment());
    assert_eq!(temporary, ("temp-appendonly.aof.manifest".into(), "temp-appendonly.aof.incr".into()));
    assert_eq!(NAMES.manifest(), "appendonly.aof.manifest");
}

/// A folder: what each file holds, as the numbers of the writes in it.
#[derive(Default)]
struct Disk {
    files: BTreeMap<Vec<u8>, Vec<u32>>,
    manifest: Vec<u8>,
}

impl Disk {
    /// What a start reads, and the manifest.
    fn load(&self) -> (Vec<u32>, Manifest) {
        let manifest = match self.manifest.is_empty() {
            true => Manifest::default(),
            false => Manifest::parse(&self.manifest).expect("what was written can be read"),
        };
        assert_eq!(manifest.text().as_bytes(), self.manifest, "it is written as it was read");
        let contents = manifest.needed().flat_map(|file| {
            self.files.get(&file.name).unwrap_or_else(|| panic!("{file} is gone")).iter().copied()
        });
        (contents.collect(), manifest)
    }
}

/// Steps of a run, before each of which the power may fail.
struct Power<'r> {
    rng: &'r mut Rng,
    chance: u64,
}

impl Power<'_> {
    fn fails(&mut self) -> bool {
        self.rng.below(self.chance) == 0
    }
}

/// Does what a server does with its files for a while; ends when the power fails or the server is told to.
fn run(disk: &mut Disk, written: &mut Vec<u32>, power: &mut Power<'_>) -> Option<()> {
    let (contents, mut manifest) = disk.load();
    assert_eq!(contents, *written, "no write is lost");
    manifest.reopen_increment();
    if manifest.increments().is_empty() {
        open(disk, &mut manifest, power)?;
    }
    let mut rewrite: Option<(i64, Vec<u32>)> = None;
    for _ in 0..power.rng.below(30) {
        match power.rng.below(8) {
            0 if rewrite.is_none() => {
                let since = open(disk, &mut manifest, power)?;
                rewrite = Some((since, written.clone()));
            }
            // The disk has failed: what was written there is sealed, also while a rewrite goes on.
            1 => {
                open(disk, &mut manifest, power)?;
            }
            2 => rewrite = None,
            3 => {
                if let Some((since, snapshot)) = rewrite.take() {
                    let form = if power.rng.below(2) == 0 { Form::Dump } else { Form::Commands };
                    disk.files.insert(manifest.next_base(NAMES, form).into_bytes(), snapshot);
                    (!power.fails()).then_some(())?;
                    manifest.finish_rewrite(NAMES, form, since);
                    disk.manifest = manifest.text().into_bytes();
                    for file in manifest.history() {
                        (!power.fails()).then_some(())?;
                        assert!(manifest.needed().all(|needed| needed.name != file.name));
                        disk.files.remove(&file.name);
                    }
                    manifest.forget_history();
                    (!power.fails()).then_some(())?;
                    disk.manifest = manifest.text().into_bytes();
                }
            }
            _ => {
                let last = manifest.increments().last().expect("one is open");
                written.push(written.len() as u32);
                let file = disk.files.get_mut(&last.name).expect("it is there");
                file.push(written.len() as u32 - 1);
            }
        }
    }
    manifest.close_increment(written.len() as i64);
    disk.manifest = manifest.text().into_bytes();
    Some(())
}

fn open(disk: &mut Disk, manifest: &mut Manifest, power: &mut Power<'_>) -> Option<i64> {
    let mut next = manifest.clone();
    let file = next.open_increment(NAMES, 0).clone();
    disk.files.insert(file.name, Vec::new());
    (!power.fails()).then_some(())?;
    disk.manifest = next.text().into_bytes();
    *manifest = next;
    (!power.fails()).then_some(file.seq)
}

#[test]
fn no_file_that_is_needed_is_ever_lost() {
    let mut rng = Rng::from_seed(5);
    let mut whole = 0;
    for _ in 0..300 {
        let (mut disk, mut written) = (Disk::default(), Vec::new());
        for _ in 0..10 {
            let mut power = Power { rng: &mut rng, chance: 12 };
            whole += usize::from(run(&mut disk, &mut written, &mut power).is_some());
        }
        assert_eq!(disk.load().0, written);
    }
    assert!((100..2900).contains(&whole), "{whole} of 3000 runs ended in order");
}

#[test]
fn damaged_text_is_read_or_refused() {
    let mut rng = Rng::from_seed(6);
    let text =
        b"file \"a\\x00 b\" seq 2 type b\nfile x.1 seq 1 type h startoffset 1\n#\nfile y seq 2 type i\n";
    for _ in 0..20_000 {
        let mut text = text.to_vec();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(text.len() as u64) as usize;
            match rng.below(3) {
                0 => text[at] = rng.next_u64() as u8,
                1 => text.truncate(at.max(1)),
                _ => text.insert(at, b" \n\"#\0b\\"[rng.below(7) as usize]),
            }
        }
        if let Ok(manifest) = Manifest::parse(&text) {
            let again = Manifest::parse(manifest.text().as_bytes());
            assert!(manifest.is_empty() || again == Ok(manifest));
        }
    }
}
