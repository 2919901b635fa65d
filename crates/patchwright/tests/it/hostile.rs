//! Patches that nobody should have made, and targets that change under one's hands.
//!
//! Each test that stands for a known weakness of other patchers names it. What concerns a delta body alone is tested
//! in `patchwright-delta`; here, the same must hold for the verbs: an error of the right kind, an untouched target,
//! and nothing left over.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use patchwright::range_list::{parse_ignore, parse_retain};
use patchwright::report::{ApplyOutcome, VerifyAnswer};
use patchwright::{
    ApplyOptions, DiffOptions, Error, ErrorKind, Progress, Quiet, RevertOptions, apply, diff, inspect, revert, verify,
};
use patchwright_formats::manifest::{
    FilePatch, MAX_FILE_LEN, NewEntry, NewFile, Node, OldEntry, OldFile, OldTree, OldVersion, Source, TreePatch,
};
use patchwright_formats::{ByteRange, ContainerWriter, Kind, Manifest, Regions, RetainRange, TreePath};

use crate::folder::{Folder, noise};

const OLD: &[u8] = b"0123456789";
const NEW: &[u8] = b"ab3456c";

// Bodies by hand: see docs/formats/delta.md.

const LITERAL_LENGTHS: u8 = 0;
const COVER_LENGTHS: u8 = 1;
const SEEKS: u8 = 2;
const LITERALS: u8 = 9;
const RAW: u8 = 0;
const ZSTD: u8 = 1;
const LZMA: u8 = 2;

fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value % 0x80) as u8 | 0x80);
        value /= 0x80;
    }
    bytes.push(value as u8);
    bytes
}

fn header(old_len: u64, new_len: u64) -> Vec<u8> {
    [&[1, 0, 0, 0][..], &old_len.to_le_bytes(), &new_len.to_le_bytes()].concat()
}

/// Kind, codec, raw length, stored bytes.
type Stream = (u8, u8, u64, Vec<u8>);

fn raw(kind: u8, stored: Vec<u8>) -> Stream {
    (kind, RAW, stored.len() as u64, stored)
}

fn segment(output_len: u64, cover_count: u64, streams: &[Stream]) -> Vec<u8> {
    let mut bytes = [vec![1], number(output_len), number(cover_count), vec![streams.len() as u8]].concat();
    for (kind, codec, raw_len, stored) in streams {
        bytes.extend([vec![*kind, *codec], number(*raw_len), number(stored.len() as u64)].concat());
    }
    streams.iter().for_each(|(.., stored)| bytes.extend(stored));
    bytes
}

fn literals(old_len: u64, bytes: &[u8]) -> Vec<u8> {
    let streams = [raw(LITERALS, bytes.to_vec())];
    [header(old_len, bytes.len() as u64), segment(bytes.len() as u64, 0, &streams), vec![0]].concat()
}

/// One cover after two literals, with the seek as it is stored.
fn one_cover(len: u64, seek: u64) -> Vec<u8> {
    let streams = [
        raw(LITERAL_LENGTHS, number(2)),
        raw(COVER_LENGTHS, number(len)),
        raw(SEEKS, number(seek)),
        raw(LITERALS, b"abc".to_vec()),
    ];
    [header(10, 7), segment(7, 1, &streams), vec![0]].concat()
}

// Containers by hand.

fn file_patch() -> FilePatch {
    FilePatch {
        new: NewFile { size: NEW.len() as u64, hash: *blake3::hash(NEW).as_bytes(), retained: Vec::new() },
        olds: vec![OldVersion {
            file: OldFile { size: OLD.len() as u64, hash: *blake3::hash(OLD).as_bytes(), regions: Regions::default() },
            body: 0,
        }],
        links: Vec::new(),
    }
}

fn container(blobs: &[(Kind, &[u8])]) -> Vec<u8> {
    let mut writer = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
    for (kind, bytes) in blobs {
        writer.add(*kind, |out| out.write_all(bytes)).unwrap();
    }
    writer.finish().unwrap().0.into_inner()
}

fn forged(manifest: &Manifest, body: &[u8]) -> Vec<u8> {
    container(&[(Kind::COLD, body), (Kind::MANIFEST, &manifest.encode().unwrap())])
}

fn forged_file(body: &[u8], change: impl FnOnce(&mut FilePatch)) -> Vec<u8> {
    let mut patch = file_patch();
    change(&mut patch);
    forged(&Manifest::File(patch), body)
}

const HEADER_LEN: usize = 72;
const HASHED_HEADER_LEN: usize = 40;
const ENTRY_LEN: usize = 56;

/// Changes the table or the header, and puts the right hash on it.
fn retabled(mut bytes: Vec<u8>, change: impl FnOnce(&mut [u8], usize)) -> Vec<u8> {
    let table = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    change(&mut bytes, table);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..HASHED_HEADER_LEN]);
    hasher.update(&bytes[table..]);
    let hash = *hasher.finalize().as_bytes();
    bytes[HASHED_HEADER_LEN..HEADER_LEN].copy_from_slice(&hash);
    bytes
}

/// Applies `patch` to the old file, and expects an error of one of `kinds`, the target as it was and nothing left.
#[track_caller]
fn refused(what: &str, patch: &[u8], kinds: &[ErrorKind]) -> Error {
    let folder = Folder::new();
    let (target, patch) = (folder.write("app", OLD), folder.write("fix.pwp", patch));
    let before = fs::metadata(&target).unwrap().modified().unwrap();
    let started = Instant::now();
    let checked = verify(&patch, Some(&target));
    let would_apply = checked.as_ref().is_ok_and(|report| report.answer == VerifyAnswer::WouldApply);
    assert!(!would_apply, "{what}: verify says that it would apply");
    let _ = inspect(&patch);
    let error = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
    assert!(kinds.contains(&error.kind), "{what}: {:?} {error}", error.kind);
    assert_eq!(fs::read(&target).unwrap(), OLD, "{what}");
    assert_eq!(fs::metadata(&target).unwrap().modified().unwrap(), before, "{what}");
    assert_eq!(folder.names(), ["app", "fix.pwp"], "{what}");
    let output = folder.path("out");
    let options = ApplyOptions { output: Some(output.clone()), ..ApplyOptions::default() };
    apply(&patch, &target, &options, &Quiet).unwrap_err();
    assert!(!output.exists(), "{what}");
    assert_eq!(folder.names(), ["app", "fix.pwp"], "{what}");
    assert!(started.elapsed() < Duration::from_secs(5), "{what}: took {:?}", started.elapsed());
    error
}

#[track_caller]
fn malformed(what: &str, patch: &[u8]) -> Error {
    refused(what, patch, &[ErrorKind::Malformed])
}

#[test]
fn a_patch_made_by_hand_applies() {
    let folder = Folder::new();
    let (target, patch) = (folder.write("app", OLD), folder.write("fix.pwp", &forged_file(&one_cover(4, 2), |_| {})));
    apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    assert_eq!(fs::read(&target).unwrap(), NEW);
}

/// Row 22: damage at every place is an error, never a wrong file.
#[test]
fn every_prefix_every_flipped_bit_and_every_tail_is_malformed() {
    let good = forged_file(&one_cover(4, 2), |_| {});
    let folder = Folder::new();
    let target = folder.write("app", OLD);
    let check = |bytes: &[u8], what: &dyn std::fmt::Debug| {
        let patch = folder.write("fix.pwp", bytes);
        let results = [
            verify(&patch, None).map(|_| ()),
            verify(&patch, Some(&target)).map(|_| ()),
            apply(&patch, &target, &ApplyOptions::default(), &Quiet).map(|_| ()),
            revert(&patch, &target, &RevertOptions::default(), &Quiet).map(|_| ()),
        ];
        for (verb, result) in ["verify", "verify with target", "apply", "revert"].iter().zip(results) {
            match result {
                Err(error) => assert_eq!(error.kind, ErrorKind::Malformed, "{what:?}: {verb}: {error}"),
                // It reads no body to find that there is nothing to take back.
                Ok(()) => assert_eq!(*verb, "revert", "{what:?}: {verb}"),
            }
        }
        assert_eq!(fs::read(&target).unwrap(), OLD, "{what:?}");
        assert_eq!(folder.names(), ["app", "fix.pwp"], "{what:?}");
    };
    for len in 0..good.len() {
        check(&good[..len], &("prefix", len));
    }
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(&flipped, &("bit", bit));
    }
    for tail in [&b"\0"[..], b"\n", &good] {
        check(&[&good, tail].concat(), &("tail", tail.len()));
    }
}

/// Rows 1 and 2: lengths that are negative, overflow together or lead outside the old file.
#[test]
fn covers_outside_the_old_file_are_malformed() {
    for (len, seek) in [
        (4, 14),            // starts at the end and reaches beyond
        (4, 3),             // starts at 2 - 2: inside, but that is another file
        (4, 5),             // starts before the beginning
        (11, 2),            // longer than the segment
        (u64::MAX, 2),      // overflows with the literals before it
        (4, u64::MAX),      // i64::MIN
        (4, u64::MAX - 1),  // i64::MAX
        (1 << 63, 1 << 63), // both
        (0, 2),             // nothing
    ] {
        malformed(&format!("a cover of {len} bytes, seek {seek}"), &forged_file(&one_cover(len, seek), |_| {}));
    }
    let streams = [raw(LITERAL_LENGTHS, number(u64::MAX)), raw(COVER_LENGTHS, number(4)), raw(SEEKS, number(2))];
    let body = [header(10, 7), segment(7, 1, &streams), vec![0]].concat();
    malformed("literal length 2^64 - 1", &forged_file(&body, |_| {}));
}

/// Rows 4, 5 and 21: sizes that nobody could hold are refused before anything is written.
#[test]
fn absurd_sizes_are_refused_before_anything_is_written() {
    let tebibyte = MAX_FILE_LEN;
    let announced = [header(10, tebibyte), segment(7, 0, &[raw(LITERALS, NEW.to_vec())]), vec![0]].concat();
    let kinds = [ErrorKind::Io, ErrorKind::Malformed];
    refused("a tebibyte announced", &forged_file(&announced, |patch| patch.new.size = tebibyte), &kinds);
    let one_segment = [header(10, tebibyte), segment(tebibyte, 0, &[(LITERALS, RAW, tebibyte, vec![7])]), vec![0]];
    refused("a segment of a tebibyte", &forged_file(&one_segment.concat(), |patch| patch.new.size = tebibyte), &kinds);
    for size in [tebibyte + 1, u64::MAX / 2, u64::MAX] {
        malformed("a new file beyond the limit", &forged_file(&announced, |patch| patch.new.size = size));
        malformed("an old file beyond the limit", &forged_file(&announced, |patch| patch.olds[0].file.size = size));
        let body = [header(10, size), vec![0]].concat();
        malformed("a body beyond the limit", &forged_file(&body, |_| {}));
    }
    let many_covers = [header(10, 7), segment(7, 1 << 40, &[raw(LITERALS, NEW.to_vec())]), vec![0]].concat();
    malformed("2^40 covers", &forged_file(&many_covers, |_| {}));
}

#[test]
fn bodies_that_make_more_less_or_something_else_are_malformed() {
    malformed("less", &forged_file(&literals(10, b"ab345"), |_| {}));
    malformed("more", &forged_file(&literals(10, b"ab3456cd"), |_| {}));
    malformed("nothing", &forged_file(&[header(10, 7), vec![0]].concat(), |_| {}));
    malformed("two segments too long", &{
        let segment = segment(5, 0, &[raw(LITERALS, b"ab345".to_vec())]);
        forged_file(&[header(10, 7), segment.clone(), segment, vec![0]].concat(), |_| {})
    });
    let error = malformed("other content", &forged_file(&literals(10, b"ab3456d"), |_| {}));
    assert!(error.message.contains("does not make the file"), "{error}");
    malformed("a wrong hash", &forged_file(&one_cover(4, 2), |patch| patch.new.hash[31] ^= 1));
    malformed("for another old length", &forged_file(&literals(11, NEW), |_| {}));
    malformed("no body", &forged_file(b"", |_| {}));
    malformed("a body that is none", &forged_file(b"MZ\x90\0 this is no delta", |_| {}));
}

/// Row 9: an old file is recognised by the whole of a strong hash, and a target that is another stays as it is.
#[test]
fn an_old_hash_that_differs_in_one_bit_is_another_file() {
    for bit in [0, 7, 64, 128, 255] {
        let patch = forged_file(&one_cover(4, 2), |patch| patch.olds[0].file.hash[bit / 8] ^= 1 << (bit % 8));
        refused("one bit of the hash", &patch, &[ErrorKind::WrongInput]);
    }
    refused(
        "another length",
        &forged_file(&one_cover(4, 2), |patch| patch.olds[0].file.size = 11),
        &[ErrorKind::WrongInput],
    );
}

/// Rows 6 and 11: what would take gigabytes to unpack is refused by its announced history.
#[test]
fn compression_bombs_are_malformed() {
    // A frame with a window of 2^31 bytes; LZMA with a dictionary of 2^32 bytes.
    let zstd = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA8, 0x3B, 0x00, 0x00, b'a'];
    let lzma = vec![0x5D, 32, 0, 0, 0, 0, 0, 0, 0];
    for (codec, stored) in [(ZSTD, zstd), (LZMA, lzma)] {
        let size = 1 << 31;
        let body = [header(10, size), segment(size, 0, &[(LITERALS, codec, size, stored)]), vec![0]].concat();
        malformed("a window of gigabytes", &forged_file(&body, |patch| patch.new.size = size));
    }
}

/// A zstd frame that unpacks to `blocks` times 128 KiB of one byte.
fn zstd_bomb(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58];
    for block in 1..=blocks {
        let head = (128u32 << 10) << 3 | 0b10 | u32::from(block == blocks);
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// Row 11: a manifest of kilobytes that unpacks to hundreds of megabytes.
#[test]
fn a_manifest_bomb_is_malformed() {
    for announced in [16, 64 << 20, (64 << 20) + 1, 1 << 40, u64::MAX] {
        let blob = [vec![1], number(announced), zstd_bomb(2000)].concat();
        malformed("a manifest bomb", &container(&[(Kind::COLD, &one_cover(4, 2)), (Kind::MANIFEST, &blob)]));
    }
}

#[test]
fn blobs_that_are_unknown_doubled_or_missing() {
    let manifest = Manifest::File(file_patch()).encode().unwrap();
    let body = one_cover(4, 2);
    let note = Kind(*b"NOTE");
    let with_note = container(&[(Kind::COLD, &body), (Kind::MANIFEST, &manifest), (note, b"whatever")]);
    let error = malformed("a required blob that nobody knows", &with_note);
    assert!(error.message.contains("NOTE"), "{error}");
    let optional = retabled(with_note, |bytes, table| bytes[table + 2 * ENTRY_LEN + 4] = 0);
    let folder = Folder::new();
    let (target, patch) = (folder.write("app", OLD), folder.write("fix.pwp", &optional));
    assert_eq!(verify(&patch, Some(&target)).unwrap().answer, VerifyAnswer::WouldApply);
    apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    assert_eq!(fs::read(&target).unwrap(), NEW);
    revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();

    malformed(
        "two manifests",
        &container(&[(Kind::COLD, &body), (Kind::MANIFEST, &manifest), (Kind::MANIFEST, &manifest)]),
    );
    malformed("no manifest", &container(&[(Kind::COLD, &body)]));
    malformed("nothing", &container(&[]));
    malformed("the body is the manifest", &forged_file(&body, |patch| patch.olds[0].body = 1));
    malformed("no such body", &forged_file(&body, |patch| patch.olds[0].body = 7));
    malformed("no old version", &forged_file(&body, |patch| patch.olds.clear()));
    malformed("an unknown flag", &retabled(forged_file(&body, |_| {}), |bytes, table| bytes[table + 4] |= 8));
    malformed(
        "blobs that overlap",
        &retabled(forged_file(&body, |_| {}), |bytes, table| {
            bytes[table + ENTRY_LEN + 8] -= 1;
        }),
    );
}

#[test]
fn an_undo_record_is_no_patch() {
    let folder = Folder::new();
    let (target, patch) = (folder.write("app", OLD), folder.write("fix.pwp", &forged_file(&one_cover(4, 2), |_| {})));
    apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    let record = folder.path(".patchwright/files/app/000001.pwp");
    let error = apply(&record, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage, "{error}");
    let error = revert(&record, &target, &RevertOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage, "{error}");
    assert_eq!(fs::read(&target).unwrap(), NEW);
}

/// A record or a journal that somebody has damaged: nothing is done by guesswork.
#[test]
fn damaged_records_and_journals_are_malformed() {
    let folder = Folder::new();
    let (target, patch) = (folder.write("app", OLD), folder.write("fix.pwp", &forged_file(&one_cover(4, 2), |_| {})));
    apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    let record = folder.path(".patchwright/files/app/000001.pwp");
    let good = fs::read(&record).unwrap();
    for at in (0..good.len()).step_by(5) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&record, &bad).unwrap();
        let error = revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{at}: {error}");
        assert_eq!(fs::read(&target).unwrap(), NEW);
    }
    fs::write(&record, &good).unwrap();
    let journal = folder.path(".patchwright/journal");
    for bytes in [&b""[..], b"\x89PWJ\r\n\x1a\n", b"rm -rf /", &[0; 4096]] {
        fs::write(&journal, bytes).unwrap();
        let error = revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
        assert_eq!(fs::read(&target).unwrap(), NEW);
    }
    fs::remove_file(&journal).unwrap();
    revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
    assert_eq!(fs::read(&target).unwrap(), OLD);
}

// Trees.

const PLACEHOLDER: &str = "placeholder";

fn tree_patch(paths: &[&str]) -> TreePatch {
    let new = |path: &&str| NewEntry {
        path: TreePath::new(*path).unwrap(),
        node: Node::File {
            mode: 0o644,
            file: NewFile { size: 7, hash: *blake3::hash(NEW).as_bytes(), retained: vec![] },
        },
    };
    let file = OldFile { size: 10, hash: *blake3::hash(OLD).as_bytes(), regions: Regions::default() };
    let old = OldEntry { path: TreePath::new("app").unwrap(), node: Node::File { mode: 0o644, file } };
    let sources = paths.iter().map(|_| Source::Delta { entry: 0, body: 0 }).collect();
    TreePatch {
        new: paths.iter().map(new).collect(),
        olds: vec![OldTree { entries: vec![old], sources }],
        links: Vec::new(),
    }
}

fn forged_tree(patch: TreePatch) -> Vec<u8> {
    forged(&Manifest::Tree(patch), &one_cover(4, 2))
}

/// The patch for a folder that holds `app`, with `path` where nobody could write it by the front door.
fn tree_with_path(path: &str) -> Vec<u8> {
    let blob = Manifest::Tree(tree_patch(&[PLACEHOLDER])).encode().unwrap();
    assert_eq!(blob[0], 0, "the test reaches into a manifest that is not compressed");
    let (_, raw) = blob.split_at(2); // The codec, and a length of one byte.
    let at = raw.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER.as_bytes()).unwrap();
    let raw = [&raw[..at - 1], &number(path.len() as u64), path.as_bytes(), &raw[at + PLACEHOLDER.len()..]].concat();
    let blob = [vec![0], number(raw.len() as u64), raw].concat();
    container(&[(Kind::COLD, &one_cover(4, 2)), (Kind::MANIFEST, &blob)])
}

/// Row 14: whatever a patch calls its files, nothing outside the folder is named.
#[test]
fn paths_that_lead_outside_or_mean_something_else_elsewhere_are_malformed() {
    let outside = Folder::new();
    let absolute = outside.path("x");
    for path in [
        "../x",
        "..",
        ".",
        "./x",
        "a/../../x",
        "a/../b",
        "a//b",
        "/x",
        "x/",
        absolute.to_str().unwrap(),
        "C:x",
        "C:\\x",
        "\\\\server\\x",
        "\\\\?\\C:\\x",
        "a\\..\\x",
        "NUL",
        "nul.txt",
        "a/CON",
        "com1",
        "a\0b",
        "a\nb",
        ".patchwright/journal",
        ".Patchwright/journal",
        ".patchwright",
        "",
    ] {
        let folder = Folder::new();
        folder.write("app", OLD);
        let patch = outside.write("fix.pwp", &tree_with_path(path));
        for result in [
            verify(&patch, Some(folder.root())).map(|_| ()),
            apply(&patch, folder.root(), &ApplyOptions::default(), &Quiet).map(|_| ()),
        ] {
            let error = result.expect_err(&format!("{path:?} is accepted"));
            assert_eq!(error.kind, ErrorKind::Malformed, "{path:?}: {error}");
        }
        assert_eq!(folder.names(), ["app"], "{path:?}");
        assert_eq!(outside.names(), ["fix.pwp"], "{path:?}");
    }
    let folder = Folder::new();
    folder.write("app", OLD);
    let patch = outside.write("fix.pwp", &tree_with_path("plain name.txt"));
    apply(&patch, folder.root(), &ApplyOptions::default(), &Quiet).unwrap();
    assert_eq!(fs::read(folder.path("plain name.txt")).unwrap(), NEW);
}

/// Row 14: two names that are one on some file systems.
#[test]
fn twins_are_malformed() {
    for paths in [["App", "app"], ["caf\u{e9}", "cafe\u{301}"], ["stra\u{df}e", "strasse"]] {
        let mut paths = paths;
        paths.sort_unstable();
        let folder = Folder::new();
        let patch = folder.write("fix.pwp", &forged_tree(tree_patch(&paths)));
        let error = apply(&patch, folder.root(), &ApplyOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{paths:?}: {error}");
        assert_eq!(folder.names(), ["fix.pwp"]);
    }
}

/// Row 14: a link on the way is not followed, whether it was there before or is swapped in.
#[test]
fn links_on_the_way_are_not_followed() {
    let outside = Folder::new();
    outside.write("victim", b"precious");
    let patch = outside.write("fix.pwp", &{
        let mut patch = tree_patch(&["dir/victim"]);
        patch.new.insert(0, NewEntry { path: TreePath::new("dir").unwrap(), node: Node::Folder { mode: 0o755 } });
        forged_tree(patch)
    });
    let folder = Folder::new();
    folder.write("app", OLD);
    symlink(outside.root(), folder.path("dir")).unwrap();
    let error = apply(&patch, folder.root(), &ApplyOptions::default(), &Quiet).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::WrongInput | ErrorKind::Io), "{:?} {error}", error.kind);
    assert_eq!(fs::read(outside.path("victim")).unwrap(), b"precious");
    assert_eq!(folder.names(), ["app", "dir"]);

    // Swapped in while the new files are made.
    let folder = Folder::new();
    folder.write("app", OLD);
    let swap = Saboteur::new(|| symlink(outside.root(), folder.path("dir")).unwrap());
    let result = apply(&patch, folder.root(), &ApplyOptions::default(), &swap);
    assert!(swap.was_active());
    result.unwrap_err();
    assert_eq!(fs::read(outside.path("victim")).unwrap(), b"precious");
    assert_eq!(outside.names(), ["fix.pwp", "victim"]);
    assert_eq!(fs::read(folder.path("app")).unwrap(), OLD);
    assert_eq!(folder.names(), ["app", "dir"]);
}

/// Does something to the target while the new file is made.
struct Saboteur<F> {
    active: AtomicBool,
    act: F,
}

impl<F: Fn() + Sync> Saboteur<F> {
    fn new(act: F) -> Self {
        Self { active: AtomicBool::new(false), act }
    }

    fn was_active(&self) -> bool {
        self.active.load(Ordering::SeqCst)
    }
}

impl<F: Fn() + Sync> Progress for Saboteur<F> {
    fn begin(&self, task: &str, _total: u64) {
        if task == "apply" && !self.active.swap(true, Ordering::SeqCst) {
            (self.act)();
        }
    }

    fn advance(&self, _bytes: u64) {}

    fn end(&self) {}
}

/// Row 12: an old file that changes while it is read is noticed, and what the other has written stays.
#[test]
fn a_target_that_changes_meanwhile_is_left_to_whoever_changes_it() {
    let old = noise(1, 3 << 20);
    let mut new = old.clone();
    new[1 << 20..][..50].fill(7);
    new[3 << 19..][..50].fill(8);
    let folder = Folder::new();
    let patch = folder.patch(&old, &new, &DiffOptions::default());
    type Act = fn(&PathBuf);
    let acts: [(&str, Act); 4] = [
        ("cut short", |target| fs::OpenOptions::new().write(true).open(target).unwrap().set_len(1000).unwrap()),
        ("emptied", |target| fs::write(target, b"").unwrap()),
        ("replaced", |target| {
            let draft = target.with_extension("draft");
            fs::write(&draft, b"of somebody else").unwrap();
            fs::rename(&draft, target).unwrap();
        }),
        ("one byte", |target| {
            let mut bytes = fs::read(target).unwrap();
            bytes[2 << 20] ^= 1;
            fs::write(target, bytes).unwrap();
        }),
    ];
    for (what, act) in acts {
        let target = folder.write("app", &old);
        let saboteur = Saboteur::new(|| act(&target));
        let error = apply(&patch, &target, &ApplyOptions::default(), &saboteur).unwrap_err();
        assert!(saboteur.was_active());
        assert!(matches!(error.kind, ErrorKind::Busy | ErrorKind::Malformed), "{what}: {:?} {error}", error.kind);
        let mine = folder.write("model", &old);
        act(&mine);
        assert!(fs::read(&target).unwrap() == fs::read(&mine).unwrap(), "{what}");
        fs::remove_file(mine).unwrap();
        assert_eq!(folder.names(), ["app", "fix.pwp"], "{what}");
    }
}

/// Row 17: ranges that do not fit are refused when a patch is made and when it is read.
#[test]
fn ranges_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    let (old, new) = (folder.write("old", &noise(1, 100)), folder.write("new", &noise(2, 80)));
    let patch = folder.path("fix.pwp");
    for (ignore, retain) in [
        ("90+11", ""),
        ("100+1", ""),
        ("0xFFFFFFFFFFFFFFFF+1", ""),
        ("10+10,15+10", ""),
        ("", "95+10"),
        ("", "90+10=75"),
        ("", "10+10,15+10=40"),
        ("", "10+10=20,30+10=25"),
        ("10+10", "15+10"),
    ] {
        let options = DiffOptions {
            ignore: if ignore.is_empty() { vec![] } else { parse_ignore(ignore).into_iter().collect() },
            retain: if retain.is_empty() { vec![] } else { parse_retain(retain).into_iter().collect() },
            ..DiffOptions::default()
        };
        if options.ignore.is_empty() && options.retain.is_empty() {
            continue; // Refused when it is parsed.
        }
        let error = diff(std::slice::from_ref(&old), &new, &patch, &options, &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage, "{ignore} / {retain}: {error}");
        assert!(!patch.exists());
    }
    let retain = |old_offset, len, new_offset| RetainRange { old_offset, len, new_offset };
    type Change = fn(&mut FilePatch);
    let changes: [(&str, Change); 5] = [
        ("ignored beyond the end", |patch| patch.olds[0].file.regions.ignore = vec![ByteRange::new(8, 3)]),
        ("retained beyond the new end", |patch| patch.new.retained = vec![ByteRange::new(5, 3)]),
        ("ignored and retained", |patch| patch.olds[0].file.regions.ignore = vec![ByteRange::new(1, 3)]),
        ("empty", |patch| patch.olds[0].file.regions.ignore = vec![ByteRange::new(1, 0)]),
        ("wrapping", |patch| patch.olds[0].file.regions.ignore = vec![ByteRange::new(3, u64::MAX - 3)]),
    ];
    for (what, change) in changes {
        let bytes = forged_file(&one_cover(4, 2), |patch| {
            patch.new.retained = vec![ByteRange::new(0, 2)];
            patch.olds[0].file.regions.retain = vec![retain(2, 2, 0)];
            change(patch);
        });
        malformed(what, &bytes);
    }
    for old_offset in [9, 10, 1 << 40, u64::MAX] {
        let bytes = forged_file(&one_cover(4, 2), |patch| {
            patch.new.retained = vec![ByteRange::new(0, 2)];
            patch.olds[0].file.regions.retain = vec![retain(old_offset, 2, 0)];
        });
        malformed("retained beyond the old end", &bytes);
    }
}

/// Row 17: nothing of an ignored or retained range is copied anywhere, whatever it holds.
#[test]
fn ignored_and_retained_bytes_never_leak() {
    let vendor = noise(3, 20_000);
    let mut new = vendor.clone();
    new.splice(7000..7000, vendor[4000..4600].iter().copied()); // A copy of what is ignored and of its surroundings.
    new.extend_from_slice(&vendor[9990..10_120]); // And of what is retained.
    let options = DiffOptions {
        ignore: vec![parse_ignore("4100+256").unwrap()],
        retain: vec![parse_retain("10000+100=10600").unwrap()],
        ..DiffOptions::default()
    };
    let folder = Folder::new();
    let patch = folder.patch(&vendor, &new, &options);
    for fill in 0..24u8 {
        let mut user = vendor.clone();
        match fill {
            0 => user[4100..4356].fill(0),
            1 => user[10_000..10_100].fill(0),
            _ => {
                user[4100..4356].copy_from_slice(&noise(100 + u64::from(fill), 256));
                user[10_000..10_100].copy_from_slice(&noise(200 + u64::from(fill), 100));
            }
        }
        let target = folder.write("app", &user);
        let report = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
        assert_eq!(report.outcome, ApplyOutcome::Applied);
        let made = fs::read(&target).unwrap();
        assert!(made[10_600..10_700] == user[10_000..10_100]);
        assert!(made[..10_600] == new[..10_600] && made[10_700..] == new[10_700..], "fill {fill}");
        revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
        assert!(fs::read(&target).unwrap() == user);
    }
}

/// Row 18: two old versions that could be taken for each other are refused when the patch is made.
#[test]
fn old_versions_that_could_be_taken_for_each_other_are_refused() {
    let folder = Folder::new();
    let first = noise(5, 500);
    let mut second = first.clone();
    second[100..110].fill(0xEE);
    let olds = [folder.write("first", &first), folder.write("second", &second)];
    let new = folder.write("new", &noise(6, 500));
    let patch = folder.path("fix.pwp");
    let retain = |ranges: &[&str]| DiffOptions {
        retain: ranges.iter().map(|range| parse_retain(range).unwrap()).collect(),
        ..DiffOptions::default()
    };
    for ranges in [["1:100+10=200", "2:90+10=200"], ["1:95+20=200", "2:98+20=200"]] {
        let error = diff(&olds, &new, &patch, &retain(&ranges), &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage, "{ranges:?}: {error}");
    }
    // What tells them apart stays outside the ranges here; and with the same ranges they are one version.
    for ranges in [["1:300+10=200", "2:310+10=200"], ["1:100+10=200", "2:100+10=200"]] {
        diff(&olds, &new, &patch, &retain(&ranges), &Quiet).unwrap();
        for old in &olds {
            assert_eq!(verify(&patch, Some(old)).unwrap().answer, VerifyAnswer::WouldApply, "{ranges:?}");
        }
    }
    // Ignored bytes have no part in the result: which version it is taken for makes no difference.
    let options = DiffOptions { ignore: vec![parse_ignore("1:100+10").unwrap()], ..DiffOptions::default() };
    diff(&olds, &new, &patch, &options, &Quiet).unwrap();
    let target = folder.write("app", &second);
    apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    assert!(fs::read(&target).unwrap() == fs::read(&new).unwrap());
    revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
    assert!(fs::read(&target).unwrap() == second);
}

#[test]
fn there_may_be_255_old_versions_and_no_more() {
    let folder = Folder::new();
    let olds: Vec<PathBuf> =
        (0..256).map(|i| folder.write(&format!("old{i}"), format!("version {i}").as_bytes())).collect();
    let new = folder.write("new", b"version 256 is the last");
    let patch = folder.path("fix.pwp");
    let error = diff(&olds, &new, &patch, &DiffOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage, "{error}");
    diff(&olds[..255], &new, &patch, &DiffOptions::default(), &Quiet).unwrap();
    for index in [0, 100, 254] {
        let report = apply(&patch, &olds[index], &ApplyOptions::default(), &Quiet).unwrap();
        assert_eq!((report.outcome, report.from), (ApplyOutcome::Applied, Some(index + 1)));
    }
    let many = |count: u64| {
        forged_file(&one_cover(4, 2), |patch| {
            let template = patch.olds[0].clone();
            patch.olds = (0..count)
                .map(|i| {
                    let mut old = template.clone();
                    old.file.size += i;
                    old
                })
                .collect();
        })
    };
    malformed("256 old versions", &many(256));
    assert!(verify(&folder.write("many", &many(255)), None).is_ok());
}

/// Row 20: a patch of as many covers as possible takes time in proportion to its length.
#[test]
fn a_million_covers_of_one_byte_take_no_time() {
    const COUNT: usize = 1_000_000;
    let backwards = number(3); // Zigzag of -2: each cover starts one byte before the last.
    let streams = [
        raw(LITERAL_LENGTHS, vec![0; COUNT]),
        raw(COVER_LENGTHS, vec![1; COUNT]),
        raw(SEEKS, [number(2 * (COUNT as u64 - 1)), backwards.repeat(COUNT - 1)].concat()),
    ];
    let old = noise(9, COUNT);
    let new: Vec<u8> = old.iter().rev().copied().collect();
    let body = [header(COUNT as u64, COUNT as u64), segment(COUNT as u64, COUNT as u64, &streams), vec![0]].concat();
    let bytes = forged_file(&body, |patch| {
        patch.new = NewFile { size: COUNT as u64, hash: *blake3::hash(&new).as_bytes(), retained: vec![] };
        patch.olds[0].file.size = COUNT as u64;
        patch.olds[0].file.hash = *blake3::hash(&old).as_bytes();
    });
    let folder = Folder::new();
    let (target, patch) = (folder.write("app", &old), folder.write("fix.pwp", &bytes));
    let started = Instant::now();
    apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    assert!(fs::read(&target).unwrap() == new);
    revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
    assert!(fs::read(&target).unwrap() == old);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
