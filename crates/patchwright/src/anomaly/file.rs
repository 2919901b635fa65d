//! A single file through every fault, every power cut and every size of disk.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use patchwright_formats::Manifest;
use patchwright_formats::undo::Attributes;
use rustix::io::Errno;
use tempfile::TempDir;

use super::fault::{Fault, FaultDisk, Plan};
use super::memory::{Features, MemoryDisk, Order};
use crate::apply::file::apply;
use crate::disk::{Disk, OsDisk};
use crate::error::{Error, ErrorKind, Result};
use crate::file_delta::PwpFile;
use crate::patch_file::Patch;
use crate::range_list::{parse_ignore, parse_retain};
use crate::report::{ApplyOutcome, RevertOutcome};
use crate::revert::revert_file;
use crate::{ApplyOptions, DiffOptions, Quiet, RevertOptions, UndoPolicy, diff};

const NAME: &str = "app";
const BYSTANDER: (&str, &[u8]) = ("app.conf", b"nothing of ours");

/// A patch with an ignored range and a retained one that moves; a user's old file, and what must come of it.
struct Case {
    patch: Vec<u8>,
    old: Vec<u8>,
    new: Vec<u8>,
}

fn case() -> &'static Case {
    static CASE: OnceLock<Case> = OnceLock::new();
    CASE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let vendor_old: Vec<u8> = (0..700u32).map(|i| (i * i / 7 + i).to_le_bytes()[0] & 0x3F).collect();
        let mut vendor_new = vendor_old.clone();
        vendor_new[500..520].fill(0xEE);
        vendor_new.splice(300..300, *b"thirty new bytes in the middle");
        let paths = [write("old", &vendor_old), write("new", &vendor_new)];
        let options = DiffOptions {
            retain: vec![parse_retain("100+20=120").unwrap()],
            ignore: vec![parse_ignore("600+10").unwrap()],
            ..DiffOptions::default()
        };
        let patch = folder.path().join("patch");
        diff(&paths[..1], &paths[1], &patch, &options, &Quiet).unwrap();
        let mut old = vendor_old;
        old[100..120].copy_from_slice(b"this machine: 000042");
        old[600..610].fill(b'#');
        let mut new = vendor_new;
        new[120..140].copy_from_slice(b"this machine: 000042");
        Case { patch: fs::read(patch).unwrap(), old, new }
    })
}

fn patch() -> Patch {
    Patch::read(Box::new(case().patch.clone()), Path::new("patch")).unwrap()
}

/// What the old file is besides its bytes.
fn attributes() -> Attributes {
    Attributes {
        modified: Some((1_000_000, 5)),
        owner: Some((0, 0)),
        mode: Some(0o4755),
        extended: vec![(b"user.note".to_vec(), b"kept".to_vec())],
    }
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
        let Manifest::File(manifest) = &patch.manifest else { unreachable!() };
        match self {
            Self::Apply(undo) => {
                let options = ApplyOptions { undo, ..ApplyOptions::default() };
                let report = apply(disk, Path::new(NAME), &PwpFile { patch: &patch, manifest }, &options, &Quiet)?;
                assert!(matches!(report.outcome, ApplyOutcome::Applied | ApplyOutcome::AlreadyNew));
            }
            Self::Revert => {
                let report = revert_file(
                    disk,
                    Path::new(NAME),
                    &PwpFile { patch: &patch, manifest },
                    &RevertOptions::default(),
                    &Quiet,
                )?;
                assert!(matches!(report.outcome, RevertOutcome::Reverted | RevertOutcome::AlreadyOld));
            }
        }
        Ok(())
    }

    fn leads_to(self) -> Side {
        if self == Self::Revert { Side::Old } else { Side::New }
    }

    /// A disk on which this verb has something to do, everything on the platter.
    fn prepare(self, features: Features) -> MemoryDisk {
        let disk = MemoryDisk::new(features);
        disk.write(NAME, &case().old, &attributes());
        disk.write(BYSTANDER.0, BYSTANDER.1, &Attributes::default());
        if self == Self::Revert {
            APPLY.call(&disk).unwrap();
        }
        disk.settle();
        disk
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// Which version the target is. It is one of the two, with all its attributes, or the test fails.
#[track_caller]
fn side(disk: &MemoryDisk, at: &dyn std::fmt::Debug) -> Side {
    let found = disk.read(NAME);
    let kept = disk.attributes(Path::new(NAME)).unwrap();
    let side = if found == case().old {
        assert_eq!(kept.modified, attributes().modified, "{at:?}");
        Side::Old
    } else if found == case().new {
        assert_ne!(kept.modified, attributes().modified, "{at:?}");
        Side::New
    } else {
        panic!("{at:?}: the target is neither the old nor the new version");
    };
    assert_eq!(Attributes { modified: None, ..kept }, Attributes { modified: None, ..attributes() }, "{at:?}");
    assert_eq!(disk.read(BYSTANDER.0), BYSTANDER.1);
    side
}

/// Whether a call left nothing but what it should. Folders that are empty but for a lock that nobody holds may stay:
/// removing them takes the lock, which is not worth it where there is nothing else to do.
#[track_caller]
fn check_tidy(disk: &MemoryDisk, at: &dyn std::fmt::Debug) {
    let ours = [".patchwright", ".patchwright/lock", ".patchwright/files", ".patchwright/files/app"];
    for path in disk.paths() {
        let expected = path == NAME || path == BYSTANDER.0 || path.ends_with(".pwp") || ours.contains(&path.as_str());
        assert!(expected, "{at:?}: {path} is left over");
    }
}

fn records(disk: &MemoryDisk) -> usize {
    disk.paths().iter().filter(|path| path.ends_with(".pwp")).count()
}

/// After `before` was cut off, `next` on a healthy disk settles everything.
#[track_caller]
fn check_settles(disk: &MemoryDisk, next: Verb, at: &dyn std::fmt::Debug) {
    let had = (side(disk, at), disk.paths());
    match next.call(disk) {
        Ok(()) => assert_eq!(side(disk, at), next.leads_to(), "{at:?}"),
        // Applied for good by an earlier call.
        Err(error) if next == Verb::Revert && error.kind == ErrorKind::WrongInput => {
            assert_eq!((side(disk, at), records(disk)), (Side::New, 0), "{at:?}: {error}");
        }
        Err(error) => panic!("{at:?}, then {next:?}: {error}, {:?}, found {had:?}", error.hint),
    }
    check_tidy(disk, at);
    if side(disk, at) == Side::Old {
        assert_eq!(records(disk), 0, "{at:?}");
    }
}

/// What an error promises about the target.
#[track_caller]
fn check_error(disk: &MemoryDisk, verb: Verb, error: &Error, at: &dyn std::fmt::Debug) {
    let unfinished = error.hint.as_deref().is_some_and(|hint| hint.contains("unfinished"));
    if side(disk, at) == verb.leads_to() {
        assert!(unfinished, "{at:?}: changed, and yet: {error}");
    }
    if !unfinished {
        let journal = disk.paths().iter().any(|path| path.ends_with("/journal"));
        assert!(!journal, "{at:?}: a journal stands there, and yet: {error}");
    }
}

const NEXT: [Verb; 2] = [APPLY, Verb::Revert];

const FAULTS: [Fault; 7] = [
    Fault::Fails(1),
    Fault::Fails(2),
    Fault::Fails(3),
    Fault::Fails(6),
    Fault::FailsForever,
    Fault::DoneButFails,
    Fault::Dies,
];

fn check_faults(verb: Verb, fault: Fault) {
    for (features, error) in Features::ALL.into_iter().zip([Errno::IO, Errno::NOSPC, Errno::IO]) {
        let prepared = verb.prepare(features);
        for n in 0.. {
            let at = format!("{verb:?}, {fault:?} at {n}, {error:?}, {features:?}");
            let disk = prepared.copy();
            let faulty = FaultDisk::new(&disk, Plan { at: n, fault, error });
            let result = verb.call(&faulty);
            if !faulty.was_reached() {
                result.unwrap();
                assert!(n > 20, "{at}");
                break;
            }
            match &result {
                Ok(()) => assert_eq!(side(&disk, &at), verb.leads_to(), "{at}"),
                Err(error) if fault != Fault::Dies => check_error(&disk, verb, error, &at),
                Err(_) => {}
            }
            for next in NEXT {
                check_settles(&disk.copy(), next, &at);
            }
        }
    }
}

#[test]
fn a_fault_at_any_call_of_apply_leaves_old_or_new_and_the_next_call_settles() {
    FAULTS.into_iter().for_each(|fault| check_faults(APPLY, fault));
}

#[test]
fn a_fault_at_any_call_of_apply_without_undo_leaves_old_or_new_and_the_next_call_settles() {
    FAULTS.into_iter().for_each(|fault| check_faults(APPLY_FOR_GOOD, fault));
}

#[test]
fn a_fault_at_any_call_of_revert_leaves_old_or_new_and_the_next_call_settles() {
    FAULTS.into_iter().for_each(|fault| check_faults(Verb::Revert, fault));
}

/// Calls `verb` on `disk`, cuts the power at every point of it, and has `next` called on what is found then.
fn check_power_cuts(disk: &MemoryDisk, verb: Verb, seeds: u64, what: &str) {
    disk.record();
    verb.call(disk).unwrap();
    for (n, then) in disk.recorded().into_iter().enumerate() {
        for (order, seed) in
            [(Order::Global, 0)].into_iter().chain((1..=seeds).map(|seed| (Order::PerFolder, seed + n as u64 * 1000)))
        {
            let at = format!("{what}{verb:?}, power cut before change {n}, {order:?} {seed}");
            let found = then.power_cut(order, seed);
            side(&found, &at);
            for next in NEXT {
                check_settles(&found.copy(), next, &at);
            }
        }
    }
}

#[test]
fn a_power_cut_at_any_point_leaves_old_or_new_and_the_next_call_settles() {
    for features in Features::ALL {
        for verb in Verb::ALL {
            check_power_cuts(&verb.prepare(features), verb, 7, &format!("{features:?}: "));
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
                assert_eq!(side(&found, &seed), verb.leads_to(), "{verb:?}, {features:?}, {seed}");
                assert_eq!(records(&found), usize::from(verb == APPLY), "{verb:?}, {features:?}, {seed}");
            }
        }
    }
}

/// A process dies at every call; whatever it left, the next call starts from there, and the power goes during or
/// after that one.
#[test]
fn a_power_cut_after_a_death_leaves_old_or_new_and_keeps_what_was_reported() {
    for features in Features::ALL {
        for verb in Verb::ALL {
            let prepared = verb.prepare(features);
            for n in (0..).step_by(3) {
                let disk = prepared.copy();
                let faulty = FaultDisk::new(&disk, Plan { at: n, fault: Fault::Dies, error: Errno::IO });
                let _ = verb.call(&faulty);
                if !faulty.was_reached() {
                    break;
                }
                let at = format!("{verb:?} dies at {n}, {features:?}, ");
                check_power_cuts(&disk, verb, 1, &at);
                for seed in 0..10 {
                    let found = disk.power_cut(Order::PerFolder, seed);
                    assert_eq!(side(&found, &at), verb.leads_to(), "{at}{seed}");
                    let kept = records(&disk);
                    assert_eq!(records(&found), kept, "{at}{seed}: {:?}", found.paths());
                    check_settles(&found, verb, &at);
                }
            }
        }
    }
}

/// Two calls in a row die; the third settles.
#[test]
fn a_death_during_recovery_is_settled_by_the_next_call() {
    for features in Features::ALL {
        for verb in Verb::ALL {
            let prepared = verb.prepare(features);
            for n in 0.. {
                let first = prepared.copy();
                let faulty = FaultDisk::new(&first, Plan { at: n, fault: Fault::Dies, error: Errno::IO });
                let _ = verb.call(&faulty);
                if !faulty.was_reached() {
                    break;
                }
                if !first.paths().iter().any(|path| path.ends_with("/journal")) {
                    continue; // Nothing to recover.
                }
                for m in 0.. {
                    let second = first.copy();
                    let fault = if m % 2 == 0 { Fault::Dies } else { Fault::Fails(2) };
                    let faulty = FaultDisk::new(&second, Plan { at: m, fault, error: Errno::IO });
                    let _ = verb.call(&faulty);
                    if !faulty.was_reached() {
                        break;
                    }
                    check_settles(&second, NEXT[(m / 2 % 2) as usize], &format!("{verb:?}, {n}, {m}, {features:?}"));
                }
            }
        }
    }
}

#[test]
fn a_full_disk_changes_nothing_and_leaves_nothing() {
    for verb in Verb::ALL {
        for features in Features::ALL {
            let prepared = verb.prepare(features);
            let room = 3 * prepared.used() + 4000;
            let mut done = 0;
            for free in (0..room).step_by(if features == Features::ALL[0] { 13 } else { 61 }) {
                for tells_free in [true, false] {
                    let at = format!("{verb:?}, {features:?}, {free} bytes free, told: {tells_free}");
                    let disk = prepared.copy();
                    let before = disk.paths();
                    disk.limit(free, tells_free);
                    match verb.call(&disk) {
                        Ok(()) => {
                            assert_eq!(side(&disk, &at), verb.leads_to(), "{at}");
                            done += 1;
                        }
                        Err(error) => {
                            assert_eq!(error.kind, ErrorKind::Io, "{at}: {error}");
                            assert!(error.hint.is_some(), "{at}: {error}");
                            assert_ne!(side(&disk, &at), verb.leads_to(), "{at}: {error}");
                            assert_eq!(disk.paths(), before, "{at}: {error}");
                        }
                    }
                    check_tidy(&disk, &at);
                }
            }
            assert!(done > 0, "{verb:?}: {room} bytes are not enough");
        }
    }
}

/// The same faults on the real file system, where renames, locks and attributes are the system's.
#[test]
fn a_death_at_any_call_on_the_real_disk_leaves_old_or_new() {
    for verb in [APPLY, Verb::Revert] {
        for n in (0..).step_by(4) {
            let folder = TempDir::new().unwrap();
            let target = folder.path().join(NAME);
            fs::write(&target, &case().old).unwrap();
            let disk = OsDisk::open(folder.path()).unwrap();
            if verb == Verb::Revert {
                APPLY.call(&disk).unwrap();
            }
            let fault = if n % 8 == 0 { Fault::Dies } else { Fault::Fails(1) };
            let faulty = FaultDisk::new(&disk, Plan { at: n, fault, error: Errno::IO });
            let result = verb.call(&faulty);
            let reached = faulty.was_reached();
            let found = fs::read(&target).unwrap();
            assert!(found == case().old || found == case().new, "{verb:?} {n}: {result:?}");
            verb.call(&disk).unwrap();
            let wanted = if verb == Verb::Revert { &case().old } else { &case().new };
            assert!(fs::read(&target).unwrap() == *wanted, "{verb:?} {n}");
            assert!(!folder.path().join(".patchwright/stage").exists(), "{verb:?} {n}");
            assert!(!folder.path().join(".patchwright/journal").exists(), "{verb:?} {n}");
            if !reached {
                break;
            }
        }
    }
}
