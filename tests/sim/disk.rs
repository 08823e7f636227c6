//! The model of the disk, and what is built on it: a file that is replaced is the old one or the new one, whole.

use crate::support::World;
use crate::support::disk::{Disk, Failure, Faults, Met};
use crate::{with_costly_seeds, with_seeds};
use waterwheel::base::rng::Rng;
use waterwheel::engine::disk::{
    Block, Checksum, ErrorKind, FileDone, FileId, FileJob, FileResult, FolderId, Found, LogJob, Options,
    Replace,
};
use waterwheel::reactor::disk::files::Files;

const FOLDER: FolderId = FolderId(1);
const FILE: FileId = FileId(2);

/// Seeds among which a planted bug has to be found.
const SEEDS_OF_A_BUG: u64 = 200;

fn disk(seed: u64) -> Disk {
    let mut disk = Disk::new(seed);
    disk.do_file(FileJob::OpenFolder(FOLDER, "./data/".to_owned())).expect("every folder is there");
    disk
}

fn replacement(bytes: &[u8]) -> Replace {
    let (name, temporary) = ("conf".to_owned(), "conf.1.tmp".to_owned());
    Replace { folder: FOLDER, name, file: FILE, temporary, bytes: bytes.to_vec() }
}

/// Texts of many sectors that differ in all of them.
fn texts() -> [Vec<u8>; 2] {
    [vec![b'a'; 3000], vec![b'b'; 5000]]
}

/// What the steps of a replacement are, in the right order or in a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Right,
    NoFolderSync,
    RenameBeforeSync,
}

/// Replaces a file and loses power before one of the steps, or behind the last. An error names what must not be.
fn replace_and_crash(way: Way, seed: u64, steps: usize) -> Result<Met, String> {
    let [old, new] = texts();
    let mut disk = disk(seed);
    disk.put("data/conf", &old);
    let mut taken = 0;
    let mut synced_late = None;
    let result = replacement(&new).carry_out(|job| {
        let mut step = |disk: &mut Disk, job: FileJob| -> FileResult {
            taken += 1;
            if taken > steps {
                // The power is gone: what is asked for now does not happen, and nobody hears of it.
                return Ok(FileDone::default());
            }
            disk.do_file(job)
        };
        match (way, job) {
            (Way::NoFolderSync, FileJob::SyncFolder(_)) => Ok(FileDone::default()),
            (Way::RenameBeforeSync, job @ (FileJob::Sync(_) | FileJob::Close(_))) => {
                synced_late.get_or_insert(Vec::new()).push(job);
                Ok(FileDone::default())
            }
            (Way::RenameBeforeSync, job @ FileJob::Rename { .. }) => {
                let done = step(&mut disk, job);
                for late in synced_late.take().unwrap_or_default() {
                    step(&mut disk, late)?;
                }
                done
            }
            (_, job) => step(&mut disk, job),
        }
    });
    let is_acknowledged = result.is_ok() && taken <= steps;
    disk.crash(seed);
    match disk.get("data/conf") {
        None => Err("the file is gone".to_owned()),
        Some(text) if text == new => Ok(disk.met),
        Some(text) if text == old && !is_acknowledged => Ok(disk.met),
        Some(text) if text == old => Err("it is the old one, and the new one was acknowledged".to_owned()),
        Some(text) => Err(format!("{} bytes of neither", text.len())),
    }
}

#[test]
fn a_file_that_is_replaced_is_the_old_one_or_the_new_one() {
    let mut met = Met::default();
    with_seeds("a_file_that_is_replaced_is_the_old_one_or_the_new_one", 300, |seed| {
        for steps in 0..=6 {
            let seen = replace_and_crash(Way::Right, seed, steps);
            assert!(seen.is_ok(), "{steps} steps: {seen:?}");
        }
    });
    for seed in 0..20 {
        let seen = replace_and_crash(Way::Right, seed, 2).expect("it is the old one");
        met =
            Met { lost: met.lost + seen.lost, torn: met.torn + seen.torn, kept: met.kept + seen.kept, ..met };
    }
    assert!(met.lost > 0 && met.torn > 0 && met.kept > 0, "crashes that lose nothing show nothing: {met:?}");
}

#[test]
fn planted_bugs_are_found() {
    for way in [Way::NoFolderSync, Way::RenameBeforeSync] {
        let found = (0..SEEDS_OF_A_BUG).find_map(|seed| {
            (0..=6).find_map(|steps| replace_and_crash(way, seed, steps).err().map(|e| (seed, e)))
        });
        let (seed, error) = found.unwrap_or_else(|| panic!("{way:?} is not found"));
        println!("{way:?}: seed {seed}: {error}");
    }
}

#[test]
fn a_step_that_fails_leaves_the_old_file_and_nothing_else() {
    let [old, new] = texts();
    for op in ["open", "write", "fdatasync", "rename", "fsync"] {
        let mut disk = disk(1);
        disk.put("data/conf", &old);
        disk.fail_next(op, Failure::Broken);
        let error = disk.do_file(FileJob::Replace(replacement(&new))).expect_err("it was told to fail");
        assert_eq!((error.op, error.text.as_str()), (op, "Input/output error"));
        // Only when the folder is not synced nobody knows which of them will be there.
        let text = if op == "fsync" { &new } else { &old };
        assert_eq!(disk.get("data/conf"), Some(&text[..]), "{op}");
        assert_eq!(disk.names("data"), ["conf"], "{op}");
    }
}

#[test]
fn what_was_synced_stays_and_what_was_not_is_lost_torn_or_kept() {
    let (mut lengths, mut met) = (std::collections::BTreeSet::new(), Met::default());
    with_seeds("what_was_synced_stays_and_what_was_not_is_lost_torn_or_kept", 200, |seed| {
        let mut disk = disk(seed);
        disk.faults = Faults { short: 300, ..Faults::default() };
        let open = || LogJob::Open { file: FILE, folder: "data".to_owned(), name: "log".to_owned() };
        disk.do_log(open()).expect("there is room");
        disk.do_file(FileJob::SyncFolder(FOLDER)).expect("nothing fails");
        disk.do_log(LogJob::Append(FILE, vec![vec![b's'; 700].into()])).expect("there is room");
        disk.do_log(LogJob::Sync(FILE)).expect("nothing fails");
        disk.do_log(LogJob::Append(FILE, vec![vec![b'u'; 900].into(), vec![b'v'; 900].into()]))
            .expect("there is room");
        disk.do_log(LogJob::Close(FILE)).expect("closing succeeds");
        disk.crash(seed);
        let text = disk.get("data/log").expect("its name was synced");
        assert!(text.len() >= 700 && text[..700].iter().all(|byte| *byte == b's'), "seed {seed}");
        assert!(text[700..].iter().all(|byte| [b'u', b'v', 0].contains(byte)), "seed {seed}");
        assert!(disk.do_log(open()).is_ok(), "it can be opened again");
    });
    for seed in 0..200 {
        let mut disk = disk(seed);
        disk.faults = Faults { short: 300, ..Faults::default() };
        let options = Options { checksum: true, sync_every: None };
        let create = FileJob::Create { file: FILE, folder: FOLDER, name: "dump".to_owned(), options };
        disk.do_file(create).expect("there is room");
        disk.do_file(FileJob::SyncFolder(FOLDER)).expect("nothing fails");
        disk.do_file(FileJob::Append(FILE, Block::of(vec![1; 2000]))).expect("there is room");
        disk.crash(seed);
        lengths.insert(disk.get("data/dump").expect("its name was synced").len());
        met.short += disk.met.short;
    }
    assert!(lengths.contains(&0) && lengths.contains(&2000) && lengths.len() > 2, "{lengths:?}");
    assert!(met.short > 0);
}

#[test]
fn a_file_that_failed_fails_and_its_bytes_may_be_gone() {
    let (mut lost, mut met) = (0, Met::default());
    with_seeds("a_file_that_failed_fails_and_its_bytes_may_be_gone", 100, |seed| {
        let mut disk = disk(seed);
        let options = Options { checksum: false, sync_every: Some(1000) };
        let create = || FileJob::Create { file: FILE, folder: FOLDER, name: "dump".to_owned(), options };
        disk.do_file(create()).expect("there is room");
        disk.do_file(FileJob::SyncFolder(FOLDER)).expect("nothing fails");
        disk.fail_next("fdatasync", Failure::Broken);
        let error =
            disk.do_file(FileJob::Append(FILE, Block::of(vec![1; 2000]))).expect_err("its sync fails");
        assert_eq!((error.op, error.kind), ("fdatasync", ErrorKind::Other));
        for job in [FileJob::Sync(FILE), FileJob::Read(FILE, 1), FileJob::Truncate(FILE, 0)] {
            assert_eq!(disk.do_file(job).expect_err("it has failed"), error);
        }
        // Whoever opens it anew sees all of it, and a sync succeeds; it is not there all the same.
        let append = FileJob::OpenToAppend { file: FILE, folder: FOLDER, name: "dump".to_owned(), options };
        assert_eq!(disk.do_file(append).expect("it is there").bytes, 2000);
        disk.do_file(FileJob::Sync(FILE)).expect("nothing is left to do");
        disk.crash(seed);
        let text = disk.get("data/dump").expect("its name was synced").to_vec();
        assert!(text.len() <= 2000);
        let read = FileJob::OpenToRead { file: FILE, folder: FOLDER, name: "dump".to_owned() };
        disk.do_file(FileJob::OpenFolder(FOLDER, "data".to_owned())).expect("every folder is there");
        disk.do_file(read).expect("it is there");
        let found = disk.do_file(FileJob::Read(FILE, 4000)).expect("it can be read").found;
        assert_eq!(found, Found::Bytes(text));
    });
    for seed in 0..100 {
        let mut disk = disk(seed);
        let mut rng = Rng::from_seed(seed);
        disk.faults = Faults { full: 200, failing: 50, ..Faults::default() };
        let create =
            FileJob::Create { file: FILE, folder: FOLDER, name: "a".to_owned(), options: Options::default() };
        let opened = disk.do_file(create).is_ok();
        for _ in 0..10 {
            if let Err(error) =
                disk.do_file(FileJob::Append(FILE, Block::of(vec![2; 1 + rng.below(999) as usize])))
                && opened
            {
                lost += u64::from(error.kind == ErrorKind::NoSpace && error.written > 0);
                break;
            }
        }
        met = Met { full: met.full + disk.met.full, failing: met.failing + disk.met.failing, ..met };
    }
    assert!(lost > 0 && met.full > 0 && met.failing > 0, "{lost} {met:?}");
}

/// A client that saves its users waits for the disk, however late it is, and is told the truth.
#[test]
fn who_was_told_that_users_are_saved_finds_them_after_a_crash() {
    let (mut met, mut saved) = (Met::default(), 0);
    for seed in 0..200 {
        let mut rng = Rng::from_seed(seed);
        let mut world = World::with_seed(seed);
        world.engine.conf.aclfile = "users.acl".to_owned();
        world.host.disk.faults = Faults { failing: 30, full: 30, short: 100, late_ms: 30 };
        let mut durable: Option<u64> = None;
        let mut number = 0;
        for _ in 0..20 {
            number += 1;
            world.run(&format!("ACL SETUSER user{number}"));
            let is_alone = rng.below(3) > 0;
            match is_alone {
                true => world.send("a", "ACL SAVE"),
                false => ["MULTI", "ACL SAVE", "EXEC"].iter().for_each(|line| world.send("b", line)),
            }
            if rng.below(8) == 0 {
                break;
            }
            world.advance_ms(200);
            let reply = [world.received("a"), world.received("b")].join(" ");
            if reply.contains("OK") && !reply.contains("ERR") {
                durable = Some(number);
            }
        }
        saved += u64::from(durable.is_some());
        let mut after = world.crash(seed);
        let seen = after.host.disk.met;
        met.late += seen.late;
        met.failing += seen.failing + seen.full;
        after.host.disk.faults = Faults::default();
        after.engine.conf.aclfile = "users.acl".to_owned();
        if let Some(durable) = durable {
            assert_eq!(after.run("ACL LOAD"), "OK", "seed {seed}");
            let users = after.run("ACL USERS");
            assert!(users.contains(&format!("user{durable}")), "seed {seed}: user{durable} of {users}");
        }
    }
    assert!(saved > 100 && met.late > 0 && met.failing > 0, "{saved} {met:?}");
}

/// A transaction cannot wait: it writes at once, past an older text that is on its way to the same file.
#[test]
fn a_newer_text_stays_although_an_older_one_comes_late() {
    let mut world = World::new();
    world.engine.conf.aclfile = "users.acl".to_owned();
    world.hold_jobs();
    world.send("a", "ACL SAVE");
    assert!(world.engine.file_bytes_in_flight() > 0);
    for line in ["MULTI", "ACL SETUSER newer", "ACL SAVE", "EXEC"] {
        world.send("b", line);
    }
    let saved = |world: &World| {
        let text = world.host.disk.get("users.acl").expect("it was written");
        String::from_utf8_lossy(text).contains("user newer")
    };
    assert!(saved(&world), "EXEC was answered");
    assert_eq!(world.received("a"), "", "it waits");
    world.do_jobs();
    assert_eq!(world.received("a"), "OK");
    assert!(saved(&world), "the older text came first in the end");
    assert_eq!(world.engine.file_bytes_in_flight(), 0);
    assert_eq!(world.host.disk.names(""), ["users.acl"]);
}

/// The thread of files works on real files as the model does on those in memory, whatever it is asked.
#[test]
fn the_model_answers_as_real_files_do() {
    with_costly_seeds("the_model_answers_as_real_files_do", 10, 100, |seed| {
        let folder = std::env::temp_dir().join(format!("waterwheel-model-{}-{seed}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let (mut real, mut model, mut rng) = (Files::default(), Disk::new(seed), Rng::from_seed(seed));
        let path = folder.to_string_lossy().into_owned();
        real.carry_out(FileJob::OpenFolder(FOLDER, path)).expect("it is there");
        model.do_file(FileJob::OpenFolder(FOLDER, "data".to_owned())).expect("every folder is there");
        let mut is_open = [false; 3];
        for step in 0..200 {
            // Both are given the same job, which is made twice from the same chance.
            let chance = rng.next_u64();
            let at = rng.below(3) as usize;
            let make = |is_open: &mut [bool; 3]| random_job(&mut Rng::from_seed(chance), at, is_open);
            let (Some(job), Some(same)) = (make(&mut is_open.clone()), make(&mut is_open)) else { continue };
            let shown = format!("{job:?}");
            let tell = |result: FileResult| match result {
                Ok(done) => Ok((done.bytes, done.found)),
                Err(error) => Err((error.op, error.kind, error.text)),
            };
            let seen = tell(real.carry_out(job));
            assert_eq!(seen, tell(model.do_file(same)), "step {step}: {shown}");
        }
        let _ = std::fs::remove_dir_all(&folder);
    });
}

/// A job on one of three files with one of three names; none where it is about a file that is not open.
fn random_job(rng: &mut Rng, at: usize, is_open: &mut [bool; 3]) -> Option<FileJob> {
    let (file, folder) = (FileId(10 + at as u64), FOLDER);
    let mut name = || ["a", "b", "c"][rng.below(3) as usize].to_owned();
    let (from, to) = (name(), name());
    let options = Options { checksum: rng.below(2) == 0, sync_every: Some(1 + rng.below(2000)) };
    let bytes = vec![rng.below(256) as u8; rng.below(3000) as usize];
    let job = match rng.below(19) {
        0 => FileJob::Create { file, folder, name: from, options },
        1 => FileJob::OpenToAppend { file, folder, name: from, options },
        2 => FileJob::OpenToRead { file, folder, name: from },
        3 => FileJob::SyncFolder(folder),
        4 if from != to => FileJob::Rename { folder, from, to },
        5 if from != to => FileJob::Remove(folder, from),
        6 => FileJob::List(folder),
        17 if from != to => FileJob::Link { folder, from, to },
        18 => FileJob::LinkInto { from: folder, to: folder, name: from },
        7 => {
            let (temporary, file) = ("tmp".to_owned(), FILE);
            FileJob::Replace(Replace { folder, name: from, file, temporary, bytes })
        }
        kind => {
            if !is_open[at] {
                return None;
            }
            match kind {
                8..=11 => {
                    let running = Checksum::Running { began: Vec::new(), begins: Vec::new() };
                    let checksum = options.checksum.then_some(running);
                    FileJob::Append(file, Block { checksum, ..Block::of(bytes) })
                }
                12 if options.checksum => FileJob::Sum(file, 1 + rng.below(3000) as usize),
                12 => FileJob::Read(file, 1 + rng.below(3000) as usize),
                13 => FileJob::Sync(file),
                14 => FileJob::Truncate(file, rng.below(6000)),
                _ => FileJob::Close(file),
            }
        }
    };
    match job {
        FileJob::Create { .. } | FileJob::OpenToAppend { .. } | FileJob::OpenToRead { .. } => {
            is_open[at] = true
        }
        FileJob::Close(_) => is_open[at] = false,
        _ => {}
    }
    Some(job)
}
