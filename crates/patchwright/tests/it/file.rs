//! Single files: any old, any new, any legal ranges, any content in them.

use std::fs;
use std::path::PathBuf;

use patchwright::range_list::{RangeArg, parse_ignore, parse_retain};
use patchwright::report::{ApplyOutcome, RevertOutcome, VerifyAnswer};
use patchwright::{ApplyOptions, DiffOptions, ErrorKind, Quiet, RevertOptions, apply, diff, revert, status, verify};
use patchwright_formats::{ByteRange, RetainRange};
use proptest::prelude::*;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn bytes(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8 & 0x3F
        })
        .collect()
}

#[test]
fn a_stamp_survives_and_revert_brings_every_byte_back() {
    let folder = Folder::new();
    let old = bytes(1, 40_000);
    let mut new = old.clone();
    new[1000..1010].fill(7);
    new.splice(20_000..20_000, bytes(2, 300));
    let mut users = old.clone();
    users[0x100..0x110].copy_from_slice(b"licence: 0042 me");
    users[0x8000..0x8004].copy_from_slice(b"junk");
    let (old, new_path) = (folder.write("old", &old), folder.write("new", &new));
    let target = folder.write("app", &users);
    let options = DiffOptions {
        retain: vec![parse_retain("0x100+16=0x180").unwrap()],
        ignore: vec![parse_ignore("0x8000+4").unwrap()],
        ..DiffOptions::default()
    };
    let patch = folder.path("fix.pwp");
    diff(&[old], &new_path, &patch, &options, &Quiet).unwrap();
    let report = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    assert_eq!((report.outcome, report.from), (ApplyOutcome::Applied, Some(1)));
    let mut expect = new;
    expect[0x180..0x190].copy_from_slice(b"licence: 0042 me");
    assert_eq!(fs::read(&target).unwrap(), expect);
    assert_eq!(status(Some(&target), &[]).unwrap().applied.len(), 1);
    let again = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    assert_eq!(again.outcome, ApplyOutcome::AlreadyNew);
    assert_eq!(verify(&patch, Some(&target)).unwrap().answer, VerifyAnswer::AlreadyNew);
    revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
    assert_eq!(fs::read(&target).unwrap(), users);
    assert_eq!(folder.names(), ["app", "fix.pwp", "new", "old"]);
    let again = revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
    assert_eq!(again.outcome, RevertOutcome::AlreadyOld);
}

#[test]
fn a_file_that_the_patch_does_not_know_is_left_alone() {
    let folder = Folder::new();
    let (old, new) = (folder.write("old", b"version one"), folder.write("new", b"version two"));
    let target = folder.write("app", b"version six");
    let patch = folder.path("fix.pwp");
    diff(&[old], &new, &patch, &DiffOptions::default(), &Quiet).unwrap();
    let error = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongInput);
    assert!(error.details[0].starts_with("old version 1: 11 bytes, blake3 "), "{:?}", error.details);
    assert_eq!(fs::read(&target).unwrap(), b"version six");
    assert_eq!(folder.names(), ["app", "fix.pwp", "new", "old"]);
}

#[test]
fn the_patch_is_the_same_for_every_number_of_threads() {
    let folder = Folder::new();
    let old = bytes(1, 3 << 20);
    let mut new = old.clone();
    new.rotate_left(70_000);
    new[1 << 20..][..5000].fill(1);
    let (old, new) = (folder.write("old", &old), folder.write("new", &new));
    let patches: Vec<Vec<u8>> = [1, 2, 5]
        .map(|threads| {
            let patch = folder.path("fix.pwp");
            let options = DiffOptions { threads: Some(threads), ..DiffOptions::default() };
            diff(std::slice::from_ref(&old), &new, &patch, &options, &Quiet).unwrap();
            fs::read(&patch).unwrap()
        })
        .into();
    assert!(patches.windows(2).all(|pair| pair[0] == pair[1]));
}

/// One old version, the ranges in it, and what a user has made of it.
#[derive(Clone, Debug)]
struct Case {
    olds: Vec<Vec<u8>>,
    new: Vec<u8>,
    ignore: Vec<Vec<ByteRange>>,
    retain: Vec<Vec<RetainRange>>,
    fill: u8,
}

/// Cuts `len` bytes into disjoint ranges, of the lengths given, at places picked by `picks`.
fn place(len: u64, lengths: &[u64], picks: &[u64]) -> Option<Vec<u64>> {
    let total: u64 = lengths.iter().sum();
    let mut slack = len.checked_sub(total)?;
    let mut at = 0;
    let mut offsets = Vec::new();
    for (length, pick) in lengths.iter().zip(picks) {
        let gap = if slack == 0 { 0 } else { pick % (slack + 1) };
        slack -= gap;
        at += gap;
        offsets.push(at);
        at += length;
    }
    Some(offsets)
}

fn cases() -> impl Strategy<Value = Case> {
    let lengths = (prop::collection::vec(1u64..40, 0..4), prop::collection::vec(1u64..40, 0..4));
    let olds = prop::collection::vec((0usize..3000, any::<u32>(), prop::collection::vec(any::<u64>(), 8)), 1..4);
    (lengths, olds, (0usize..3000, any::<u32>(), prop::collection::vec(any::<u64>(), 4)), any::<u8>()).prop_filter_map(
        "the ranges do not fit",
        |((ignored, retained), olds, (new_len, new_seed, new_picks), fill)| {
            let new_offsets = place(new_len as u64, &retained, &new_picks)?;
            let mut case =
                Case { olds: vec![], new: bytes(new_seed % 5, new_len), ignore: vec![], retain: vec![], fill };
            for (len, seed, picks) in olds {
                let both: Vec<u64> = ignored.iter().chain(&retained).copied().collect();
                let offsets = place(len as u64, &both, &picks)?;
                let (ignore_at, retain_at) = offsets.split_at(ignored.len());
                case.olds.push(bytes(seed % 5, len));
                case.ignore.push(ignore_at.iter().zip(&ignored).map(|(at, len)| ByteRange::new(*at, *len)).collect());
                let retain = retain_at.iter().zip(&retained).zip(&new_offsets);
                case.retain.push(
                    retain
                        .map(|((old_offset, len), new_offset)| RetainRange {
                            old_offset: *old_offset,
                            len: *len,
                            new_offset: *new_offset,
                        })
                        .collect(),
                );
            }
            Some(case)
        },
    )
}

fn slice(range: ByteRange) -> std::ops::Range<usize> {
    range.offset as usize..(range.offset + range.len) as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_old_any_new_any_ranges(case in cases()) {
        let folder = Folder::new();
        let olds: Vec<PathBuf> = case.olds.iter().enumerate().map(|(i, old)| folder.write(&format!("old{i}"), old)).collect();
        let new = folder.write("new", &case.new);
        let patch = folder.path("fix.pwp");
        let args = |i: usize| Some(i + 1);
        let options = DiffOptions {
            ignore: case.ignore.iter().enumerate().map(|(i, ranges)| RangeArg { old: args(i), ranges: ranges.clone() }).collect(),
            retain: case.retain.iter().enumerate().map(|(i, ranges)| RangeArg { old: args(i), ranges: ranges.clone() }).collect(),
            ..DiffOptions::default()
        };
        match diff(&olds, &new, &patch, &options, &Quiet) {
            Ok(_) => {}
            // Old and new are one, or could be taken for one another.
            Err(error) if matches!(error.kind, ErrorKind::No | ErrorKind::Usage) => return Ok(()),
            Err(error) => panic!("{error}"),
        }
        for (i, old) in case.olds.iter().enumerate() {
            let mut users = old.clone();
            for range in case.ignore[i].iter().copied().chain(case.retain[i].iter().map(|range| range.old())) {
                users[slice(range)].fill(case.fill);
            }
            let target = folder.write("app", &users);
            let report = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
            let mut expect = case.new.clone();
            for range in &case.retain[i] {
                expect[slice(range.new_side())].copy_from_slice(&users[slice(range.old())]);
            }
            prop_assert_eq!(&fs::read(&target).unwrap(), &expect);
            if report.outcome == ApplyOutcome::Applied {
                revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
                prop_assert_eq!(&fs::read(&target).unwrap(), &users);
            }
            prop_assert!(!folder.path(".patchwright").exists());
        }
    }
}
