//! A folder through every fault, every power cut and every size of disk.
//!
//! The change has every kind of step: files replaced, added, removed and moved, folders made and removed, a file that
//! becomes a folder and the other way round, a link that leads elsewhere, permission bits alone.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;

use patchwright_formats::manifest::{NewEntry, NewFile, Node, OldEntry, OldFile, OldTree, Source, TreePatch};
use patchwright_formats::undo::Attributes;
use patchwright_formats::{
    Blanked, ByteRange, ContainerWriter, Kind, Manifest, ReadAt, Regions, RetainRange, TreePath, source,
};
use rustix::io::Errno;

use super::fault::{Fault, FaultDisk, Plan};
use super::memory::{Features, MemoryDisk, Order};
use crate::apply::tree::apply;
use crate::disk::{Disk, Extended, FileKind};
use crate::error::{Error, ErrorKind, Result};
use crate::patch_file::Patch;
use crate::report::{ApplyOutcome, RevertOutcome};
use crate::revert::revert_tree;
use crate::{ApplyOptions, Quiet, RevertOptions, UndoPolicy};

/// Paths of a version: a folder ends in `/`, a link has a target, a file has content and permission bits.
type Version = BTreeMap<&'static str, Entry>;

#[derive(Clone, Debug)]
enum Entry {
    Folder(u32),
    File(u32, Vec<u8>),
    Link(&'static str),
}

fn noise(seed: u32, len: u32) -> Vec<u8> {
    (0..len).map(|i| ((i + seed) * (i + 3 * seed) / 7 + i).to_le_bytes()[0] & 0x3F).collect()
}

fn vendor_old() -> Version {
    Version::from([
        ("bin", Entry::Folder(0o755)),
        ("bin/app", Entry::File(0o755, noise(1, 700))),
        ("bin/gone", Entry::File(0o755, noise(2, 90))),
        ("bin/same", Entry::File(0o755, noise(3, 60))),
        ("doc", Entry::Folder(0o755)),
        ("doc/a", Entry::File(0o644, noise(4, 300))),
        ("doc/sub", Entry::Folder(0o750)),
        ("doc/sub/b", Entry::File(0o644, noise(5, 80))),
        ("link", Entry::Link("bin/app")),
        ("pack", Entry::Folder(0o755)),
        ("pack/x", Entry::File(0o644, noise(6, 70))),
        ("run", Entry::File(0o644, noise(7, 50))),
        ("shut", Entry::Folder(0o755)),
        ("shut/in", Entry::File(0o644, noise(9, 40))),
        ("swap", Entry::File(0o644, noise(8, 75))),
    ])
}

fn vendor_new() -> Version {
    let mut app = noise(1, 700);
    app[500..520].fill(0xEE);
    app.splice(300..300, *b"thirty new bytes in the middle");
    Version::from([
        ("bin", Entry::Folder(0o755)),
        ("bin/added", Entry::File(0o755, noise(20, 110))),
        ("bin/app", Entry::File(0o755, app)),
        ("bin/same", Entry::File(0o755, noise(3, 60))),
        ("link", Entry::Link("bin/added")),
        ("pack", Entry::File(0o644, noise(21, 65))),
        ("run", Entry::File(0o755, noise(7, 50))),
        ("shut", Entry::Folder(0o700)),
        ("shut/in", Entry::File(0o644, noise(9, 40))),
        ("swap", Entry::Folder(0o755)),
        ("swap/inner", Entry::File(0o644, noise(22, 45))),
        ("text", Entry::Folder(0o755)),
        ("text/a", Entry::File(0o644, noise(4, 300))),
    ])
}

/// What is on the user's disk besides what the patch knows.
const USERS: [(&str, &[u8]); 2] = [("bin/app.conf", b"nothing of ours"), ("notes", b"nor this")];

fn stamped(mut version: Version, at: usize, ignored: Option<usize>) -> Version {
    if let Some(Entry::File(_, app)) = version.get_mut("bin/app") {
        app[at..at + 20].copy_from_slice(b"this machine: 000042");
        if let Some(ignored) = ignored {
            app[ignored..ignored + 10].fill(b'#');
        }
    }
    version
}

/// Of what file of the old version a file of the new one is made.
const ORIGINS: [(&str, &str); 5] =
    [("bin/app", "bin/app"), ("bin/same", "bin/same"), ("run", "run"), ("shut/in", "shut/in"), ("text/a", "doc/a")];

/// The patch, made by hand so that it holds every sort of source.
fn patch_bytes() -> &'static [u8] {
    static PATCH: OnceLock<Vec<u8>> = OnceLock::new();
    PATCH.get_or_init(|| {
        let retain = RetainRange { old_offset: 100, len: 20, new_offset: 120 };
        let regions_of = |path: &str| match path {
            "bin/app" => Regions { ignore: vec![ByteRange::new(600, 10)], retain: vec![retain] },
            _ => Regions::default(),
        };
        let (old, new) = (vendor_old(), vendor_new());
        let mut container = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
        let mut tree = TreePatch::default();
        let mut from = OldTree::default();
        for (path, entry) in &old {
            let node = entry.node(|bytes| {
                let regions = regions_of(path);
                let hash = source::hash(&Blanked::new(bytes, regions.old_blanks())).unwrap();
                OldFile { size: bytes.len_bytes(), hash, regions }
            });
            from.entries.push(OldEntry { path: TreePath::new(*path).unwrap(), node });
        }
        from.entries.sort_by(|first, second| first.path.cmp(&second.path));
        for (path, entry) in &new {
            let node = entry.node(|bytes| {
                let retained = regions_of(path).new_blanks();
                let hash = source::hash(&Blanked::new(bytes, retained.iter().copied())).unwrap();
                NewFile { size: bytes.len_bytes(), hash, retained }
            });
            tree.new.push(NewEntry { path: TreePath::new(*path).unwrap(), node });
        }
        tree.new.sort_by(|first, second| first.path.cmp(&second.path));
        for entry in tree.new.iter().filter(|entry| entry.node.file().is_some()) {
            let path = entry.path.as_str();
            let Entry::File(_, bytes) = &new[path] else { unreachable!() };
            let origin = ORIGINS.iter().find(|(to, _)| *to == path).map(|(_, from)| *from);
            let index = origin.and_then(|origin| from.entries.iter().position(|entry| entry.path.as_str() == origin));
            let mut add = |old: &dyn ReadAt, new: &dyn ReadAt| {
                let options = patchwright_delta::CreateOptions::default();
                let mut body = Vec::new();
                patchwright_delta::create(old, new, &options, &|_| {}, &mut body).unwrap();
                container.add(Kind::COLD, |out| out.write_all(&body)).unwrap().0
            };
            from.sources.push(match (index, origin.map(|origin| &old[origin])) {
                (Some(entry), Some(Entry::File(_, old))) if old == bytes => Source::Same { entry },
                (Some(entry), Some(Entry::File(_, old))) => {
                    let regions = regions_of(path);
                    let body =
                        add(&Blanked::new(old, regions.old_blanks()), &Blanked::new(bytes, regions.new_blanks()));
                    Source::Delta { entry, body }
                }
                _ => Source::Whole { body: add(&Vec::new(), bytes) },
            });
        }
        tree.olds.push(from);
        let manifest = Manifest::Tree(tree).encode().unwrap();
        container.add(Kind::MANIFEST, |out| out.write_all(&manifest)).unwrap();
        container.finish().unwrap().0.into_inner()
    })
}

impl Entry {
    fn node<F>(&self, file: impl Fn(&Vec<u8>) -> F) -> Node<F> {
        match self {
            Self::Folder(mode) => Node::Folder { mode: *mode },
            Self::File(mode, bytes) => Node::File { mode: *mode, file: file(bytes) },
            Self::Link(target) => Node::Symlink { target: (*target).to_owned() },
        }
    }
}

fn patch() -> Patch {
    Patch::read(Box::new(patch_bytes().to_vec()), Path::new("patch")).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Apply(UndoPolicy),
    Revert,
}

const APPLY: Verb = Verb::Apply(UndoPolicy::Keep);
const APPLY_FOR_GOOD: Verb = Verb::Apply(UndoPolicy::Discard);

impl Verb {
    const ALL: [Self; 3] = [APPLY, APPLY_FOR_GOOD, Self::Revert];

    fn call(self, disk: &dyn Disk) -> Result<()> {
        let patch = patch();
        let Manifest::Tree(tree) = &patch.manifest else { unreachable!() };
        match self {
            Self::Apply(undo) => {
                let options = ApplyOptions { undo, ..ApplyOptions::default() };
                let report = apply(disk, &patch, tree, &options, &Quiet)?;
                assert!(matches!(report.outcome, ApplyOutcome::Applied | ApplyOutcome::AlreadyNew));
            }
            Self::Revert => {
                let report = revert_tree(disk, &patch, tree, &RevertOptions::default(), &Quiet)?;
                assert!(matches!(report.outcome, RevertOutcome::Reverted | RevertOutcome::AlreadyOld));
            }
        }
        Ok(())
    }

    fn leads_to(self) -> Side {
        if self == Self::Revert { Side::Old } else { Side::New }
    }

    fn prepare(self, features: Features) -> MemoryDisk {
        let disk = MemoryDisk::new(features);
        for (path, entry) in stamped(vendor_old(), 100, Some(600)) {
            let path_ = Path::new(path);
            match entry {
                Entry::Folder(mode) => disk.make_folder(path_, mode).unwrap(),
                Entry::File(mode, bytes) => disk.write(path, &bytes, &attributes(mode)),
                Entry::Link(target) => {
                    disk.make_link(Path::new(target), path_).unwrap();
                    let modified = attributes(0).modified;
                    disk.set_attributes(path_, &Attributes { modified, ..Attributes::default() }, Extended::Keep)
                        .unwrap();
                }
            }
        }
        for (path, bytes) in USERS {
            disk.write(path, bytes, &attributes(0o600));
        }
        if self == Self::Revert {
            APPLY.call(&disk).unwrap();
        }
        disk.settle();
        disk
    }
}

fn attributes(mode: u32) -> Attributes {
    Attributes {
        modified: Some((1_000_000, 5)),
        owner: Some((0, 0)),
        mode: Some(mode),
        extended: vec![(b"user.note".to_vec(), b"kept".to_vec())],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// What must stand on the disk, one line for each path: kind, permission bits, content.
fn expected(side: Side) -> BTreeMap<String, String> {
    let version = match side {
        Side::Old => stamped(vendor_old(), 100, Some(600)),
        Side::New => stamped(vendor_new(), 120, None),
    };
    let line = |entry: &Entry| match entry {
        Entry::Folder(mode) => format!("folder {mode:o}"),
        Entry::File(mode, bytes) => format!("file {mode:o} {}", bytes.escape_ascii()),
        Entry::Link(target) => format!("link {target}"),
    };
    let users = USERS.iter().map(|(path, bytes)| ((*path).to_owned(), format!("file 600 {}", bytes.escape_ascii())));
    version.iter().map(|(path, entry)| ((*path).to_owned(), line(entry))).chain(users).collect()
}

fn found(disk: &MemoryDisk) -> BTreeMap<String, String> {
    let line = |path: &str| {
        let stat = disk.stat(Path::new(path)).unwrap().unwrap();
        match stat.kind {
            FileKind::Folder => format!("folder {:o}", stat.mode),
            FileKind::Link => format!("link {}", disk.read(path).escape_ascii()),
            _ => format!("file {:o} {}", stat.mode, disk.read(path).escape_ascii()),
        }
    };
    let paths = disk.paths().into_iter().filter(|path| !path.starts_with(".patchwright"));
    paths.map(|path| (path.clone(), line(&path))).collect()
}

/// What tells two listings apart, for messages.
fn differences(disk: &MemoryDisk, side: Side) -> Vec<String> {
    let (found, expected) = (found(disk), expected(side));
    let paths = found.keys().chain(expected.keys()).collect::<std::collections::BTreeSet<_>>();
    let short = |line: Option<&String>| line.map_or("nothing".to_owned(), |line| line.chars().take(40).collect());
    paths
        .into_iter()
        .filter(|path| found.get(*path) != expected.get(*path))
        .map(|path| format!("{path}: {} instead of {}", short(found.get(path)), short(expected.get(path))))
        .collect()
}

/// Which version the folder is, when it is one of the two entirely.
fn side(disk: &MemoryDisk) -> Option<Side> {
    [Side::Old, Side::New].into_iter().find(|side| found(disk) == expected(*side))
}

#[track_caller]
fn check_is(disk: &MemoryDisk, wanted: Side, at: &dyn Debug) {
    assert!(side(disk) == Some(wanted), "{at:?}: not the {wanted:?} version: {:#?}", differences(disk, wanted));
    if wanted == Side::New {
        return;
    }
    for path in disk.paths().iter().filter(|path| !path.starts_with(".patchwright")) {
        let kept = disk.attributes(Path::new(path)).unwrap();
        let is_folder = disk.stat(Path::new(path)).unwrap().unwrap().kind == FileKind::Folder;
        assert!(is_folder || kept.modified == attributes(0).modified, "{at:?}: {path}: {kept:?}");
        let plain = is_folder || kept.mode.is_none();
        assert!(plain || kept.extended == attributes(0).extended, "{at:?}: {path}: {kept:?}");
    }
}

/// Folders that are empty but for a lock that nobody holds may stay: see the tests of files.
#[track_caller]
fn check_tidy(disk: &MemoryDisk, at: &dyn Debug) {
    let ours = [".patchwright", ".patchwright/lock", ".patchwright/tree"];
    for path in disk.paths().iter().filter(|path| path.starts_with(".patchwright")) {
        let expected = path.ends_with(".pwp") || ours.contains(&path.as_str());
        assert!(expected, "{at:?}: {path} is left over");
    }
}

fn records(disk: &MemoryDisk) -> usize {
    disk.paths().iter().filter(|path| path.ends_with(".pwp")).count()
}

/// After a call was cut off, `next` on a healthy disk settles everything.
#[track_caller]
fn check_settles(disk: &MemoryDisk, next: Verb, at: &dyn Debug) {
    match next.call(disk) {
        Ok(()) => check_is(disk, next.leads_to(), at),
        // Applied for good by an earlier call.
        Err(error) if next == Verb::Revert && error.kind == ErrorKind::WrongInput && records(disk) == 0 => {
            check_is(disk, Side::New, at);
        }
        Err(error) => panic!("{at:?}, then {next:?}: {error}, {:?}", error.hint),
    }
    check_tidy(disk, at);
    if next.leads_to() == Side::Old && side(disk) == Some(Side::Old) {
        assert_eq!(records(disk), 0, "{at:?}");
    }
}

/// What an error promises about the folder.
#[track_caller]
fn check_error(disk: &MemoryDisk, verb: Verb, error: &Error, at: &dyn Debug) {
    let unfinished = error.hint.as_deref().is_some_and(|hint| hint.contains("unfinished"));
    if unfinished {
        return;
    }
    let before = if verb == Verb::Revert { Side::New } else { Side::Old };
    check_is(disk, before, &(at, error.to_string()));
    let journal = disk.paths().iter().any(|path| path.ends_with("/journal"));
    assert!(!journal, "{at:?}: a journal stands there, and yet: {error}");
}

const NEXT: [Verb; 2] = [APPLY, Verb::Revert];

fn check_faults(verb: Verb, faults: &[Fault]) {
    for (features, error) in Features::ALL.into_iter().zip([Errno::IO, Errno::NOSPC, Errno::IO]) {
        let prepared = verb.prepare(features);
        for fault in faults.iter().copied() {
            for n in 0.. {
                let at = format!("{verb:?}, {fault:?} at {n}, {error:?}, {features:?}");
                let disk = prepared.copy();
                let faulty = FaultDisk::new(&disk, Plan { at: n, fault, error });
                let result = verb.call(&faulty);
                if !faulty.was_reached() {
                    result.unwrap();
                    assert!(n > 100, "{at}");
                    break;
                }
                match &result {
                    Ok(()) => check_is(&disk, verb.leads_to(), &at),
                    Err(error) if fault != Fault::Dies => check_error(&disk, verb, error, &at),
                    Err(_) => {}
                }
                let next = NEXT[usize::try_from(n % 2).unwrap()];
                check_settles(&disk, next, &at);
            }
        }
    }
}

#[test]
fn a_death_at_any_call_is_settled_by_the_next_call() {
    for verb in Verb::ALL {
        check_faults(verb, &[Fault::Dies]);
    }
}

#[test]
fn a_fault_at_any_call_of_apply_leaves_old_or_new_or_says_so() {
    check_faults(APPLY, &[Fault::Fails(1), Fault::Fails(2), Fault::Fails(5), Fault::FailsForever, Fault::DoneButFails]);
    check_faults(APPLY_FOR_GOOD, &[Fault::Fails(1), Fault::Fails(3)]);
}

#[test]
fn a_fault_at_any_call_of_revert_leaves_old_or_new_or_says_so() {
    check_faults(
        Verb::Revert,
        &[Fault::Fails(1), Fault::Fails(2), Fault::Fails(5), Fault::FailsForever, Fault::DoneButFails],
    );
}

#[test]
fn a_power_cut_at_any_point_is_settled_by_the_next_call() {
    for features in Features::ALL {
        for verb in Verb::ALL {
            let disk = verb.prepare(features);
            disk.record();
            verb.call(&disk).unwrap();
            for (n, then) in disk.recorded().into_iter().enumerate() {
                for (order, seed) in [(Order::Global, 0), (Order::PerFolder, 1), (Order::PerFolder, 2)] {
                    let at = format!("{features:?}: {verb:?}, power cut before change {n}, {order:?} {seed}");
                    let found = then.power_cut(order, seed + 1000 * n as u64);
                    check_settles(&found, NEXT[(n + usize::try_from(seed).unwrap()) % 2], &at);
                }
            }
        }
    }
}

#[test]
fn what_was_reported_as_done_survives_a_power_cut() {
    for features in Features::ALL {
        for verb in Verb::ALL {
            let disk = verb.prepare(features);
            verb.call(&disk).unwrap();
            for seed in 0..40 {
                let found = disk.power_cut(Order::PerFolder, seed);
                check_is(&found, verb.leads_to(), &(verb, features, seed));
                assert_eq!(records(&found), usize::from(verb == APPLY), "{verb:?}, {features:?}, {seed}");
            }
        }
    }
}

/// Two calls in a row die; the third settles.
#[test]
fn a_death_during_recovery_is_settled_by_the_next_call() {
    for features in Features::ALL {
        for verb in [APPLY, Verb::Revert] {
            let prepared = verb.prepare(features);
            for n in (0..).step_by(3) {
                let first = prepared.copy();
                let faulty = FaultDisk::new(&first, Plan { at: n, fault: Fault::Dies, error: Errno::IO });
                let _ = verb.call(&faulty);
                if !faulty.was_reached() {
                    break;
                }
                if !first.paths().iter().any(|path| path.ends_with("/journal")) {
                    continue; // Nothing to recover.
                }
                for m in (n % 7..).step_by(7) {
                    let second = first.copy();
                    let fault = if m % 2 == 0 { Fault::Dies } else { Fault::Fails(2) };
                    let faulty = FaultDisk::new(&second, Plan { at: m, fault, error: Errno::IO });
                    let _ = verb.call(&faulty);
                    if !faulty.was_reached() {
                        break;
                    }
                    let next = NEXT[usize::try_from(m / 2 % 2).unwrap()];
                    check_settles(&second, next, &format!("{verb:?}, {n}, {m}, {features:?}"));
                }
            }
        }
    }
}

#[test]
fn a_full_disk_changes_nothing_and_leaves_nothing() {
    for verb in Verb::ALL {
        let prepared = verb.prepare(Features::ALL[0]);
        let room = 3 * prepared.used() + 4000;
        let mut done = 0;
        for free in (0..room).step_by(61) {
            for tells_free in [true, false] {
                let at = format!("{verb:?}, {free} bytes free, told: {tells_free}");
                let disk = prepared.copy();
                let before = disk.paths();
                disk.limit(free, tells_free);
                match verb.call(&disk) {
                    Ok(()) => {
                        check_is(&disk, verb.leads_to(), &at);
                        done += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.kind, ErrorKind::Io, "{at}: {error}");
                        assert!(error.hint.is_some(), "{at}: {error}");
                        check_error(&disk, verb, &error, &at);
                        assert_eq!(disk.paths(), before, "{at}: {error}");
                    }
                }
                check_tidy(&disk, &at);
            }
        }
        assert!(done > 0, "{verb:?}: {room} bytes are not enough");
    }
}
