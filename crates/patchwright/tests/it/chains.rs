//! Several old versions in one patch: what they lack in common is in it once, and every one becomes the new version.

use std::fs;

use patchwright::range_list::{parse_ignore, parse_retain};
use patchwright::report::{ApplyOutcome, Inspection, VerifyAnswer};
use patchwright::{
    ApplyOptions, DiffOptions, ErrorKind, Profile, Quiet, RevertOptions, apply, diff, inspect, revert, verify,
};
use patchwright_formats::manifest::{FilePatch, way};
use patchwright_formats::{Container, ContainerWriter, Kind, Manifest};

use crate::folder::{Folder, noise};

/// Each version has a part more than the one before it.
fn version(number: usize) -> Vec<u8> {
    let mut bytes = noise(1, 30_000);
    for part in 0..number {
        let at = 3000 + part * 5000;
        bytes.splice(at..at, noise(10 + part as u64, 4000));
    }
    bytes
}

/// The versions in an order that is not that of their age.
const OLDS: [usize; 3] = [1, 0, 2];

fn paths(folder: &Folder) -> Vec<std::path::PathBuf> {
    OLDS.iter().map(|number| folder.write(&format!("old{number}"), &version(*number))).collect()
}

fn manifest(patch: &[u8]) -> FilePatch {
    let container = Container::read(&patch).unwrap();
    let kinds: Vec<Kind> = container.entries().iter().map(|entry| entry.kind).collect();
    let at = container.find_one(Kind::MANIFEST).unwrap().unwrap();
    match Manifest::decode(&container.read_blob(&patch, at, 1 << 20).unwrap(), &kinds).unwrap() {
        Manifest::File(patch) => patch,
        Manifest::Tree(_) => panic!("it is for a file"),
    }
}

#[test]
fn older_versions_go_by_newer_ones_with_ranges_of_their_own() {
    let folder = Folder::new();
    let (olds, new) = (paths(&folder), folder.write("new", &version(3)));
    // The stamp stands elsewhere in each version; so do the bytes that may be anything.
    let stamps = [0x100u64, 0x140, 0x180];
    let open = [20_000u64, 21_000, 22_000];
    let mut options = DiffOptions::default();
    for old in 0..3 {
        options.retain.push(parse_retain(&format!("{}:{}+16=0x200", old + 1, stamps[old])).unwrap());
        options.ignore.push(parse_ignore(&format!("{}:{}+32", old + 1, open[old])).unwrap());
    }
    let patch = folder.path("fix.pwp");
    let report = diff(&olds, &new, &patch, &options, &Quiet).unwrap();
    assert_eq!(report.olds.iter().map(|old| old.via).collect::<Vec<_>>(), [Some(3), Some(1), None]);
    let separate: u64 = [1, 2, 3].map(|parts| parts * 4000).iter().sum();
    assert!(report.patch_bytes < separate * 11 / 20, "{} bytes", report.patch_bytes);
    let again = folder.path("again.pwp");
    diff(&olds, &new, &again, &DiffOptions { threads: Some(1), ..options.clone() }, &Quiet).unwrap();
    assert!(fs::read(&again).unwrap() == fs::read(&patch).unwrap(), "the same patch with one thread");

    let Inspection::Pwp(inspected) = inspect(&patch).unwrap() else { panic!("it is ours") };
    let blobs: Vec<Vec<usize>> =
        inspected.olds.iter().map(|old| std::iter::once(old.blob).chain(old.then.iter().copied()).collect()).collect();
    assert_eq!(blobs, [vec![0, 2], vec![1, 0, 2], vec![2]]);
    for (old, number) in OLDS.into_iter().enumerate() {
        let mut users = version(number);
        let (stamp, junk) = (stamps[old] as usize, open[old] as usize);
        users[stamp..stamp + 16].copy_from_slice(b"licence: 0042 me");
        users[junk..junk + 32].copy_from_slice(&noise(99, 32));
        let target = folder.write("app", &users);
        assert_eq!(verify(&patch, Some(&target)).unwrap().answer, VerifyAnswer::WouldApply);
        let rehearsal = ApplyOptions { dry_run: true, ..ApplyOptions::default() };
        assert_eq!(apply(&patch, &target, &rehearsal, &Quiet).unwrap().outcome, ApplyOutcome::WouldApply);
        let done = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
        assert_eq!((done.outcome, done.from), (ApplyOutcome::Applied, Some(old + 1)));
        let mut expect = version(3);
        expect[0x200..0x210].copy_from_slice(b"licence: 0042 me");
        assert!(fs::read(&target).unwrap() == expect, "version {number}");
        revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
        assert!(fs::read(&target).unwrap() == users, "version {number}");
    }
}

#[test]
fn profiles_that_are_quick_take_no_way_round() {
    let folder = Folder::new();
    let (olds, new) = (paths(&folder), folder.write("new", &version(3)));
    for profile in [Profile::Fast, Profile::Quick] {
        let patch = folder.path("fix.pwp");
        let report = diff(&olds, &new, &patch, &DiffOptions { profile, ..DiffOptions::default() }, &Quiet).unwrap();
        assert!(report.olds.iter().all(|old| old.via.is_none()));
        assert!(manifest(&fs::read(&patch).unwrap()).links.is_empty());
        let target = folder.write("app", &version(0));
        apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
        assert!(fs::read(&target).unwrap() == version(3));
    }
}

#[test]
fn folders_share_what_their_versions_lack() {
    let folder = Folder::new();
    let tree = |name: &str, number: usize| {
        let root = folder.path(name);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("app"), version(number)).unwrap();
        fs::write(root.join("readme"), format!("version {number}")).unwrap();
        root
    };
    let olds: Vec<_> = OLDS.iter().map(|number| tree(&format!("tree{number}"), *number)).collect();
    let new = tree("new", 3);
    let patch = folder.path("fix.pwp");
    let report = diff(&olds, &new, &patch, &DiffOptions::default(), &Quiet).unwrap();
    assert!(report.patch_bytes < 15_000, "{} bytes", report.patch_bytes);
    for (old, root) in olds.iter().enumerate() {
        let before = fs::read(root.join("app")).unwrap();
        let done = apply(&patch, root, &ApplyOptions::default(), &Quiet).unwrap();
        assert_eq!((done.outcome, done.from), (ApplyOutcome::Applied, Some(old + 1)));
        assert!(fs::read(root.join("app")).unwrap() == version(3));
        assert_eq!(fs::read(root.join("readme")).unwrap(), b"version 3");
        revert(&patch, root, &RevertOptions::default(), &Quiet).unwrap();
        assert!(fs::read(root.join("app")).unwrap() == before);
    }
}

/// A patch in which `change` was made to the manifest.
fn forged(patch: &[u8], change: impl FnOnce(&mut FilePatch)) -> Vec<u8> {
    let container = Container::read(&patch).unwrap();
    let mut writer = ContainerWriter::new(std::io::Cursor::new(Vec::new())).unwrap();
    let mut changed = manifest(patch);
    change(&mut changed);
    let changed = Manifest::File(changed).encode().unwrap();
    for (index, entry) in container.entries().iter().enumerate() {
        let blob = match entry.kind {
            Kind::MANIFEST => changed.clone(),
            _ => container.read_blob(&patch, index, 1 << 20).unwrap(),
        };
        writer.add(entry.kind, |out| out.write_all(&blob)).unwrap();
    }
    writer.finish().unwrap().0.into_inner()
}

#[test]
fn files_between_are_compared_before_anything_goes_on_from_them() {
    let folder = Folder::new();
    let (olds, new) = (paths(&folder), folder.write("new", &version(3)));
    let made = folder.path("fix.pwp");
    diff(&olds, &new, &made, &DiffOptions::default(), &Quiet).unwrap();
    let made = fs::read(made).unwrap();
    let links = manifest(&made).links;
    assert_eq!(way(&links, 1).iter().map(|(body, _)| *body).collect::<Vec<_>>(), [1, 0, 2]);
    let check = |expect: &str, change: fn(&mut FilePatch)| {
        let patch = folder.write("forged.pwp", &forged(&made, change));
        let target = folder.write("app", &version(0));
        let error = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{error:?}");
        let text = format!("{} {:?}", error.message, error.details);
        assert!(text.contains(expect), "{text} lacks {expect}");
        assert!(fs::read(&target).unwrap() == version(0), "nothing was changed");
    };
    check("does not make the file that the manifest names", |patch| patch.links[1].makes.hash[0] ^= 1);
    check("are expected", |patch| patch.links[1].makes.size -= 1);
    check("are expected", |patch| patch.links[1].makes.size += 1);
    check("is for an old file of", |patch| patch.links[1].next = 2);
    check("does not make the file", |patch| patch.new.hash[0] ^= 1);
    check("more than 4 deltas", |patch| patch.links[0].next = 1);
}
