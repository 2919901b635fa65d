//! Patches for folders: what the manifest says about each entry, and what is refused.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use patchwright::range_list::parse_ignore;
use patchwright::report::{ApplyOutcome, DiffReport, Subject, TreeSummary};
use patchwright::{ApplyOptions, DiffOptions, ErrorKind, Quiet, RevertOptions, apply, diff, revert};
use patchwright_formats::manifest::{Node, OldTree, Source, TreePatch};
use patchwright_formats::{Blanked, ByteRange, Container, Kind, Manifest, ReadAt, TreePath, source};
use proptest::prelude::*;
use tempfile::TempDir;

/// What stands at a path of a test tree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Folder(u32),
    File(u32, Vec<u8>),
    Link(String),
}

type Tree = BTreeMap<String, Item>;

fn file(bytes: impl AsRef<[u8]>) -> Item {
    Item::File(0o644, bytes.as_ref().to_vec())
}

fn link(target: &str) -> Item {
    Item::Link(target.to_owned())
}

/// A tree; the folders that entries stand in come by themselves.
fn tree<const N: usize>(items: [(&str, Item); N]) -> Tree {
    let mut tree = Tree::new();
    for (path, item) in items {
        for (at, _) in path.match_indices('/') {
            tree.entry(path[..at].to_owned()).or_insert(Item::Folder(0o755));
        }
        tree.insert(path.to_owned(), item);
    }
    tree
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn build(root: &Path, tree: &Tree) {
    fs::create_dir(root).unwrap();
    for (path, item) in tree {
        let path = root.join(path);
        match item {
            Item::Folder(_) => fs::create_dir(&path).unwrap(),
            Item::File(mode, bytes) => {
                fs::write(&path, bytes).unwrap();
                set_mode(&path, *mode);
            }
            Item::Link(target) => symlink(target, &path).unwrap(),
        }
    }
    for (path, item) in tree.iter().rev() {
        if let Item::Folder(mode) = item {
            set_mode(&root.join(path), *mode);
        }
    }
}

/// Bytes that look like nothing else.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        })
        .collect()
}

fn edited(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes.splice(middle..middle, *b"an edit");
    bytes
}

struct Bench {
    folder: TempDir,
    olds: Vec<PathBuf>,
    new: PathBuf,
    options: DiffOptions,
}

impl Bench {
    fn new(olds: &[Tree], new: &Tree) -> Self {
        let folder = TempDir::new().unwrap();
        let paths: Vec<PathBuf> = (1..=olds.len()).map(|number| folder.path().join(format!("old{number}"))).collect();
        for (path, tree) in paths.iter().zip(olds) {
            build(path, tree);
        }
        let new_path = folder.path().join("new");
        build(&new_path, new);
        Self { folder, olds: paths, new: new_path, options: DiffOptions::default() }
    }

    fn regions(mut self, text: &str) -> Self {
        let path = self.folder.path().join("regions.toml");
        fs::write(&path, text).unwrap();
        self.options.regions = Some(path);
        self
    }

    fn patch(&self) -> PathBuf {
        self.folder.path().join("fix.pwp")
    }

    fn diff(&self) -> patchwright::Result<DiffReport> {
        diff(&self.olds, &self.new, &self.patch(), &self.options, &Quiet)
    }

    /// The patch, taken apart.
    fn made(&self) -> Patch {
        let report = self.diff().unwrap();
        let bytes = fs::read(self.patch()).unwrap();
        let container = Container::read(&bytes).unwrap();
        let kinds: Vec<Kind> = container.entries().iter().map(|entry| entry.kind).collect();
        let index = container.find_one(Kind::MANIFEST).unwrap().unwrap();
        let Manifest::Tree(tree) =
            Manifest::decode(&container.read_blob(&bytes, index, 1 << 20).unwrap(), &kinds).unwrap()
        else {
            panic!("a patch for a file")
        };
        Patch { report, tree, bodies: kinds.len() - 1, bytes }
    }

    /// What the refusal lists, the temporary folder left out.
    fn refused(&self, kind: ErrorKind) -> Vec<String> {
        let error = self.diff().unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(!self.patch().exists());
        let folder = format!("{}/", self.folder.path().display());
        error.details.iter().map(|line| line.replace(&folder, "")).collect()
    }
}

struct Patch {
    report: DiffReport,
    tree: TreePatch,
    bodies: usize,
    bytes: Vec<u8>,
}

impl Patch {
    /// A line for each entry of the new version: `=` made from an unchanged file, `~` from another, `+` from nothing.
    fn lines(&self, old: usize) -> Vec<String> {
        let old = &self.tree.olds[old];
        let mut sources = old.sources.iter();
        self.tree
            .new
            .iter()
            .map(|entry| match &entry.node {
                Node::Folder { mode } => format!("{}/ {mode:o}", entry.path),
                Node::Symlink { target } => format!("{} -> {target}", entry.path),
                Node::File { mode, .. } => format!("{} {mode:o} {}", entry.path, origin(old, sources.next().unwrap())),
            })
            .collect()
    }
}

fn origin(old: &OldTree, source: &Source) -> String {
    match source {
        Source::Whole { .. } => "+".to_owned(),
        Source::Same { entry } => format!("= {}", old.entries[*entry].path),
        Source::Delta { entry, .. } => format!("~ {}", old.entries[*entry].path),
    }
}

/// Asserts what becomes of one old tree, and that it does, and that it can be taken back.
fn check(old: &Tree, new: &Tree, expect: &[&str]) -> TreeSummary {
    let bench = Bench::new(std::slice::from_ref(old), new);
    let patch = bench.made();
    assert_eq!(patch.lines(0), expect);
    let mut users = old.clone();
    users.retain(|path, _| !path.starts_with(".patchwright"));
    there_and_back(&bench, &patch, 0, &users, new).unwrap();
    patch.report.tree.unwrap()
}

#[test]
fn every_kind_of_change_is_in_the_manifest() {
    let app = noise(1, 5000);
    let old = tree([
        ("bin/app", Item::File(0o755, app.clone())),
        ("bin/stays", file("the same in both")),
        ("empty", Item::Folder(0o700)),
        ("gone/file", file("nobody misses it")),
        ("link", link("bin/app")),
        ("script", file("#!/bin/sh\n")),
    ]);
    let new = tree([
        ("added", file("something that was not there before")),
        ("bin/app", Item::File(0o4755, edited(&app))),
        ("bin/stays", file("the same in both")),
        ("empty", Item::Folder(0o1777)),
        ("hollow/inner", Item::Folder(0o755)),
        ("link", link("bin/stays")),
        ("script", Item::File(0o755, b"#!/bin/sh\n".to_vec())),
        ("way/out", link("../../elsewhere")),
    ]);
    let summary = check(
        &old,
        &new,
        &[
            "added 644 +",
            "bin/ 755",
            "bin/app 4755 ~ bin/app",
            "bin/stays 644 = bin/stays",
            "empty/ 1777",
            "hollow/ 755",
            "hollow/inner/ 755",
            "link -> bin/stays",
            "script 755 = script",
            "way/ 755",
            "way/out -> ../../elsewhere",
        ],
    );
    assert_eq!(summary, TreeSummary { added: 5, removed: 2, changed: 2, renamed: 0, mode_changed: 2, unchanged: 2 });
}

#[test]
fn renames_are_found_with_and_without_an_edit() {
    let (one, two) = (noise(1, 3000), noise(2, 3000));
    let old = tree([("a", file(&one)), ("lib/b", file(&two)), ("lib/stays", file("x"))]);
    let new = tree([("lib/stays", file("x")), ("moved", file(&one)), ("usr/b.1", file(edited(&two)))]);
    let summary = check(
        &old,
        &new,
        &["lib/ 755", "lib/stays 644 = lib/stays", "moved 644 = a", "usr/ 755", "usr/b.1 644 ~ lib/b"],
    );
    assert_eq!((summary.renamed, summary.removed, summary.added), (2, 0, 1));
}

#[test]
fn files_that_change_places_are_taken_from_each_other() {
    let (one, two) = (noise(1, 3000), noise(2, 3000));
    let old = tree([("a", file(&one)), ("b", file(&two))]);
    let new = tree([("a", file(&two)), ("b", file(&one))]);
    check(&old, &new, &["a 644 = b", "b 644 = a"]);
}

#[test]
fn another_sort_of_entry_at_a_path_is_no_old_file() {
    let old = tree([("a", file("a file")), ("b/inside", file("in b")), ("c", link("a")), ("d/x", file("in d"))]);
    let new = tree([
        ("a/inside", file("new in a")),
        ("b", file("was a folder")),
        ("c", file("was a link")),
        ("d", link("c")),
    ]);
    check(&old, &new, &["a/ 755", "a/inside 644 +", "b 644 +", "c 644 +", "d -> c"]);
}

#[test]
fn copies_and_twice_renamed_files_come_from_the_best_source() {
    let (base, other) = (noise(1, 4000), noise(2, 4000));
    let old = tree([("gone", file(&base)), ("stays", file(&other))]);
    let new = tree([
        ("copy", file(&other)),
        ("copy-edited", file(edited(&other))),
        ("first", file(&base)),
        ("second", file(edited(&base))),
        ("stays", file(&other)),
    ]);
    check(
        &old,
        &new,
        &["copy 644 = stays", "copy-edited 644 ~ stays", "first 644 = gone", "second 644 ~ gone", "stays 644 = stays"],
    );
}

#[test]
fn equal_files_move_together_with_their_folder() {
    let same = noise(1, 500);
    let old = tree([("v1/x/f", file(&same)), ("v1/y/f", file(&same)), ("v1/y/__init__", file("")), ("v1/z", file(""))]);
    let new = tree([("v2/x/f", file(&same)), ("v2/y/f", file(&same)), ("v2/y/__init__", file("")), ("v2/w", file(""))]);
    check(
        &old,
        &new,
        &[
            "v2/ 755",
            "v2/w 644 +",
            "v2/x/ 755",
            "v2/x/f 644 = v1/x/f",
            "v2/y/ 755",
            "v2/y/__init__ 644 = v1/y/__init__",
            "v2/y/f 644 = v1/y/f",
        ],
    );
}

#[test]
fn what_is_like_nothing_is_made_from_nothing() {
    let old = tree([("a", file(noise(1, 4000))), ("b", file(noise(2, 4000)))]);
    let new = tree([("b", file(noise(2, 4000))), ("c", file(noise(3, 4000)))]);
    check(&old, &new, &["b 644 = b", "c 644 +"]);
}

#[test]
fn excluded_paths_are_left_out_on_both_sides() {
    let old = tree([("etc/app.conf", file("old")), ("etc/keys/one", file("1")), ("x", file("1"))]);
    let new = tree([("etc/app.conf", file("new")), ("etc/keys/two", file("2")), ("x", file("2"))]);
    let bench = Bench::new(&[old], &new).regions(
        "[[exclude]]\npath = \"etc/app.conf\"\n[[exclude]]\npath = \"etc/keys\"\n[[exclude]]\npath = \"nowhere\"\n",
    );
    let patch = bench.made();
    assert_eq!(patch.lines(0), ["etc/ 755", "x 644 ~ x"]);
    assert_eq!(patch.tree.olds[0].entries.len(), 2);
    assert_eq!(patch.report.warnings, ["[[exclude]] 'nowhere': no tree has this path"]);
}

#[test]
fn our_own_folder_is_left_out() {
    let old = tree([(".patchwright/lock", file("")), ("sub/.patchwright/x", file("1"))]);
    check(
        &old,
        &tree([("sub/.patchwright/x", file("1")), ("y", link("x"))]),
        &["sub/ 755", "sub/.patchwright/ 755", "sub/.patchwright/x 644 = sub/.patchwright/x", "y -> x"],
    );
}

#[test]
fn ranges_follow_their_file_to_its_new_name() {
    let app = noise(1, 3000);
    let mut stamped = app.clone();
    stamped[0x100..0x110].copy_from_slice(b"licence 00000000");
    let old = tree([("app", file(&app)), ("cache", file("same content")), ("stamp", file([7; 16]))]);
    let new =
        tree([("bin/application", file(&stamped)), ("cache", file("same content")), ("etc/stamp", file([9; 16]))]);
    let bench = Bench::new(std::slice::from_ref(&old), &new)
        .regions(
            "[[retain]]\npath = \"app\"\nranges = \"0x100+16\"\n[[ignore]]\npath = \"cache\"\nranges = \"0+4,8+0\"\n[[retain]]\npath = \"stamp\"\nranges = \"8+8,0+8\"\n",
        );
    let patch = bench.made();
    assert_eq!(
        patch.lines(0),
        ["bin/ 755", "bin/application 644 = app", "cache 644 ~ cache", "etc/ 755", "etc/stamp 644 = stamp"]
    );
    assert_eq!(patch.report.warnings, ["old tree 1: cache: ignore range 0x8+0 is empty and left out"]);
    let files: Vec<_> = patch.tree.new.iter().filter_map(|entry| entry.node.file()).collect();
    assert_eq!(files[0].retained.len(), 1);
    assert_eq!(files[2].retained.iter().map(|range| range.offset).collect::<Vec<_>>(), [0, 8]);
    stamped[0x100..0x110].fill(0);
    assert_eq!(files[0].hash, *blake3::hash(&stamped).as_bytes());
    let old_app = patch.tree.olds[0].entries[0].node.file().unwrap();
    assert_eq!(old_app.hash, files[0].hash);
    assert_eq!(old_app.regions.retain.len(), 1);
    there_and_back(&bench, &patch, 0, &old, &new).unwrap();
}

#[test]
fn a_renamed_and_edited_file_takes_its_moved_range_along() {
    let app = noise(1, 3000);
    let patch = Bench::new(&[tree([("app", file(&app))])], &tree([("app2", file(edited(&app)))]))
        .regions("[[retain]]\npath = \"app\"\nranges = \"2000+32=2007\"\n")
        .made();
    assert_eq!(patch.lines(0), ["app2 644 ~ app"]);
    assert_eq!(patch.tree.new[0].node.file().unwrap().retained[0].offset, 2007);
}

#[test]
fn old_versions_share_what_is_the_same() {
    let (app, lib) = (noise(1, 4000), noise(2, 4000));
    let mut older = app.clone();
    older[17] ^= 1;
    let old = |app: &Vec<u8>| tree([("app", file(app)), ("lib", file(&lib))]);
    let new = tree([("app", file(edited(&app))), ("extra", file("whole")), ("lib", file(edited(&lib)))]);
    let patch = Bench::new(&[old(&app), old(&older), tree([("library", file(&lib))])], &new).made();
    assert_eq!(patch.lines(0), ["app 644 ~ app", "extra 644 +", "lib 644 ~ lib"]);
    assert_eq!(patch.lines(1), patch.lines(0));
    assert_eq!(patch.lines(2), ["app 644 +", "extra 644 +", "lib 644 ~ library"]);
    // Two for the app, one from nothing, and one each for what all share.
    assert_eq!(patch.bodies, 5);
    let sources = |old: usize| &patch.tree.olds[old].sources;
    assert_eq!((sources(0)[1], sources(0)[2]), (sources(1)[1], sources(1)[2]));
    assert_eq!(patch.report.subject, Subject::Tree);
    assert_eq!(patch.report.new_bytes, 4007 + 5 + 4007);
    assert_eq!(patch.report.olds.iter().map(|old| old.bytes).collect::<Vec<_>>(), [8000, 8000, 4000]);
    assert!(patch.report.olds[1].delta_bytes < patch.report.olds[0].delta_bytes);
    assert!(patch.report.olds.iter().all(|old| old.methods == ["prediction"]));
}

#[test]
fn versions_that_say_nothing_new_are_left_out() {
    let (one, two) = (tree([("x", file("1"))]), tree([("x", file("2"))]));
    let patch = Bench::new(&[two.clone(), one.clone(), one], &two).made();
    assert_eq!(patch.tree.olds.len(), 1);
    let ends = |line: &str, end: &str| assert!(line.ends_with(end), "{line}");
    ends(&patch.report.warnings[0], "old1) is the new version already and left out");
    ends(&patch.report.warnings[1], "old2) and left out");
    let nothing = Bench::new(std::slice::from_ref(&two), &two);
    assert_eq!(nothing.refused(ErrorKind::No), ["old tree 1 (old1) is the new version already and left out"]);
}

#[test]
fn a_permission_bit_alone_is_a_change() {
    let summary = check(&tree([("x", file("1"))]), &tree([("x", Item::File(0o600, b"1".to_vec()))]), &["x 600 = x"]);
    assert_eq!(summary.mode_changed, 1);
}

#[test]
fn everything_that_cannot_stand_in_a_patch_is_listed_at_once() {
    let plain = tree([("x", file("1"))]);
    let bad = tree([
        ("README", file("1")),
        ("a\\b/inside", file("1")),
        ("bell\u{7}", file("1")),
        ("nul.txt", file("1")),
        ("readme", file("2")),
    ]);
    let bench = Bench::new(&[plain, bad.clone()], &bad);
    fs::write(bench.new.join(OsStr::from_bytes(b"latin-\xe9")), "1").unwrap();
    symlink(OsStr::from_bytes(b"\xff"), bench.new.join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.new.join("socket")).unwrap();
    let common = |root: &str| {
        [
            format!("'{root}/a\\\\b' has a backslash in it"),
            format!("'{root}/bell\\u{{7}}' has a control character in it"),
            format!("'{root}/nul.txt' has a name that Windows takes for a device"),
        ]
    };
    let mut expect: Vec<String> = common("old2").into();
    expect.push("'old2/README' and 'old2/readme' are one name on some file systems".to_owned());
    expect.extend(common("new"));
    expect.insert(6, "'new/latin-\u{fffd}' is not UTF-8".to_owned());
    expect.insert(7, "'new/link' is a symbolic link to a path that is not UTF-8".to_owned());
    expect.push("'new/socket' is a device, pipe or socket".to_owned());
    expect.push("'new/README' and 'new/readme' are one name on some file systems".to_owned());
    assert_eq!(bench.refused(ErrorKind::Usage), expect);
}

#[test]
fn all_faults_of_the_ranges_are_listed_at_once() {
    let old = tree([("app", file(noise(1, 100))), ("gone", file(noise(2, 100))), ("other", file("12345678"))]);
    let second = tree([("app", file(noise(3, 100)))]);
    let new = tree([("app", file(noise(4, 100))), ("other", file("87654321"))]);
    let bench = Bench::new(&[old, second], &new).regions(
        "[[ignore]]\nranges = \"1+2\"\n[[ignore]]\npath = \"nowhere\"\nranges = \"1+2\"\n\
         [[ignore]]\npath = \"other\"\nold = 2\nranges = \"1+2\"\n[[ignore]]\npath = \"app\"\nold = 3\nranges = \"1+2\"\n\
         [[ignore]]\npath = \"app\"\nold = 2\nranges = \"90+20\"\n[[retain]]\npath = \"app\"\nold = 1\nranges = \"0+4\"\n\
         [[retain]]\npath = \"gone\"\nranges = \"0+4\"\n[[ignore]]\npath = \"other\"\nranges = \"0+9\"\n\
         [[ignore]]\npath = \"secret\"\nranges = \"0+9\"\n[[exclude]]\npath = \"secret\"\n",
    );
    assert_eq!(
        bench.refused(ErrorKind::Usage),
        [
            "a range belongs to old version 3, there are 2",
            "[[ignore]] 0x1+2: names no path, and folders are compared",
            "[[ignore]] 'nowhere': no old tree has such a file",
            "[[ignore]] 'other': old tree 2 has no such file",
            "[[ignore]] 'secret': the path is excluded",
            "gone: old file 1: the retained bytes would be lost: the new version has no file at this path, and none that is recognised as this one renamed",
            "other: old file 1: ignore range 0x0+9 reaches beyond the end of the file (8 bytes)",
            "app: old file 2: ignore range 0x5a+20 reaches beyond the end of the file (100 bytes)",
            "app: old file 2: no retain range for new offset 0x0, but old file 1 has one (0x0+4=0x0)",
        ]
    );
}

#[test]
fn retained_bytes_that_could_move_twice_are_refused() {
    let config = |at: usize| {
        let mut bytes = vec![0xFF; 64];
        bytes[at..at + 8].copy_from_slice(b"identity");
        file(bytes)
    };
    let regions = "[[retain]]\npath = \"config\"\nranges = \"0+8=16\"\n";
    let old = tree([("app", file("version 1")), ("config", config(0))]);
    // The application tells the versions apart.
    let new = tree([("app", file("version 2")), ("config", config(16))]);
    Bench::new(std::slice::from_ref(&old), &new).regions(regions).made();
    let new = tree([("app", file("version 1")), ("config", config(16))]);
    assert_eq!(
        Bench::new(std::slice::from_ref(&old), &new).regions(regions).refused(ErrorKind::Usage),
        [
            "old tree 1 (old1) and the new version: applying the patch twice would move the retained bytes of 'config' twice"
        ]
    );
    let regions = "[[retain]]\npath = \"config\"\nold = 1\nranges = \"0+8\"\n[[retain]]\npath = \"config\"\nold = 2\nranges = \"8+8=0\"\n";
    let second = tree([("app", file("version 1")), ("config", config(8))]);
    let new = tree([("app", file("version 2")), ("config", config(0))]);
    assert_eq!(
        Bench::new(&[old, second], &new).regions(regions).refused(ErrorKind::Usage),
        ["old tree 2 (old2) and old tree 1 (old1): they retain other bytes of 'config'"]
    );
}

#[test]
fn ranges_and_outputs_that_make_no_sense_for_folders_are_refused() {
    let mut bench = Bench::new(&[tree([("x", file("1"))])], &tree([("x", file("2"))]));
    let inside = bench.new.join("fix.pwp");
    let error = diff(&bench.olds, &bench.new, &inside, &bench.options, &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.message.contains("lies inside"), "{error}");
    bench.options.ignore = vec![parse_ignore("1+2").unwrap()];
    let error = bench.diff().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.hint.unwrap().contains("regions file"));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let old: Tree = (0..40).map(|i| (format!("f{i:02}"), file(noise(i, 2000 + i as usize * 37)))).collect();
    let new: Tree = old
        .iter()
        .enumerate()
        .map(|(i, (path, item))| {
            let Item::File(_, bytes) = item else { unreachable!() };
            match i % 4 {
                0 => (format!("moved-{path}"), file(edited(bytes))),
                1 => (path.clone(), file(edited(bytes))),
                2 => (format!("n{path}"), file(noise(i as u32 + 100, 900))),
                _ => (path.clone(), item.clone()),
            }
        })
        .collect();
    let mut bench = Bench::new(&[old], &new);
    let mut made = [1, 4].map(|threads| {
        bench.options.threads = Some(threads);
        bench.made()
    });
    assert_eq!(made[0].bytes, made[1].bytes);
    assert_eq!(made[0].report.tree.unwrap(), made[1].report.tree.take().unwrap());
    let summary = made[0].report.tree.unwrap();
    assert_eq!((summary.renamed, summary.changed, summary.added, summary.removed), (10, 10, 10, 10));
}

#[test]
fn thousands_of_new_files_find_their_old_ones() {
    let old: Tree = (0..1500)
        .map(|i| (format!("a/f{i}"), file(noise(i, 700))))
        .chain([("a".to_owned(), Item::Folder(0o755))])
        .collect();
    let new: Tree = (0..1500)
        .map(|i| (format!("b/g{i}"), file(edited(&noise(i, 700)))))
        .chain([("b".to_owned(), Item::Folder(0o755))])
        .collect();
    let patch = Bench::new(&[old], &new).made();
    let wrong = patch
        .lines(0)
        .iter()
        .skip(1)
        .filter(|line| {
            let (path, origin) = line.split_once(" 644 ").unwrap();
            origin != format!("~ a/f{}", &path[3..])
        })
        .count();
    assert_eq!(wrong, 0);
}

fn guide(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide").join(name)).unwrap()
}

#[test]
fn the_examples_of_the_guide_are_read() {
    let text = guide("regions.md");
    let examples: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 3);
    let folder = TempDir::new().unwrap();
    let (old, patch) = (folder.path().join("old"), folder.path().join("fix.pwp"));
    fs::write(&old, noise(1, 0x10000)).unwrap();
    let new = folder.path().join("new");
    fs::write(&new, noise(2, 0x10000)).unwrap();
    let mut patches = examples[1..].iter().map(|example| {
        let regions = folder.path().join("regions.toml");
        fs::write(&regions, example).unwrap();
        let options = DiffOptions { regions: Some(regions), ..DiffOptions::default() };
        diff(std::slice::from_ref(&old), &new, &patch, &options, &Quiet).unwrap();
        fs::read(&patch).unwrap()
    });
    assert_eq!(patches.next(), patches.next());
    let version = |seed| {
        tree([
            ("bin/app", file(noise(seed, 0x600))),
            ("etc/app.conf", file(noise(seed, 10))),
            ("share/cache.db", file(noise(seed, 0x3000))),
        ])
    };
    let patch = Bench::new(&[version(1), version(2)], &version(3)).regions(examples[0]).made();
    assert_eq!(patch.report.warnings, Vec::<String>::new());
    assert_eq!(
        patch.lines(1),
        ["bin/ 755", "bin/app 644 ~ bin/app", "etc/ 755", "share/ 755", "share/cache.db 644 ~ share/cache.db"]
    );
}

#[test]
fn the_schema_knows_the_keys_that_the_reader_knows() {
    let schema: serde_json::Value = serde_json::from_str(&guide("regions.schema.json")).unwrap();
    let keys = |at: &str| -> Vec<String> {
        let properties = schema.pointer(at).unwrap_or_else(|| panic!("{at}"));
        properties.as_object().unwrap().keys().cloned().collect()
    };
    let mut of_ranges = keys("/properties/ignore/items/properties");
    of_ranges.extend(keys("/properties/retain/items/properties"));
    of_ranges.sort();
    of_ranges.dedup();
    for (table, known) in [
        ("", keys("/properties")),
        ("[[ignore]]\n", of_ranges.clone()),
        ("[[retain]]\n", of_ranges),
        ("[[exclude]]\n", keys("/properties/exclude/items/properties")),
    ] {
        let bench = Bench::new(&[tree([])], &tree([])).regions(&format!("{table}unheard-of = 1\n"));
        let error = bench.diff().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        let told = error.message.split_once("unknown field `unheard-of`, expected").unwrap().1;
        let mut told: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
        told.sort_unstable();
        assert_eq!(told, known, "{table}");
    }
}

fn paths() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d", "a/x", "a/y", "b/x", "b/x/z", "c/y", "c/y/e"])
}

fn items() -> impl Strategy<Value = Item> {
    let content = (0u32..5, prop::sample::select(vec![0usize, 1, 20, 100, 700, 700, 3000]), any::<bool>());
    prop_oneof![
        6 => (content, prop::sample::select(vec![0o644, 0o755, 0o400, 0o6711])).prop_map(|((seed, len, edit), mode)| {
            let bytes = noise(seed, len);
            Item::File(mode, if edit { edited(&bytes) } else { bytes })
        }),
        2 => prop::sample::select(vec![0o755, 0o700, 0o1777]).prop_map(Item::Folder),
        1 => prop::sample::select(vec!["a", "../outside", "nowhere"]).prop_map(link),
    ]
}

/// A change to the entry that the number picks.
#[derive(Clone, Debug)]
enum Edit {
    Remove(usize),
    Rename(usize, &'static str),
    Content(usize),
    Put(&'static str, Item),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let pick = || 0usize..100;
    let edit = prop_oneof![
        1 => pick().prop_map(Edit::Remove),
        1 => (pick(), paths()).prop_map(|(pick, path)| Edit::Rename(pick, path)),
        2 => pick().prop_map(Edit::Content),
        1 => (paths(), items()).prop_map(|(path, item)| Edit::Put(path, item)),
    ];
    prop::collection::vec(edit, 0..4)
}

/// Gives every entry the folders that it stands in; what lies inside a file or link is left out.
fn grown(items: Tree) -> Tree {
    let mut tree = Tree::new();
    // Shorter paths come first.
    for (path, item) in items {
        let mut parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        if parents.all(|at| matches!(tree.entry(at.to_owned()).or_insert(Item::Folder(0o755)), Item::Folder(_))) {
            tree.insert(path, item);
        }
    }
    tree
}

fn changed(tree: &Tree, edits: &[Edit]) -> Tree {
    let mut tree = tree.clone();
    for edit in edits {
        let nth = |pick: &usize| tree.keys().nth(pick % tree.len().max(1)).cloned();
        match edit {
            Edit::Remove(pick) => drop(nth(pick).and_then(|path| tree.remove(&path))),
            Edit::Rename(pick, to) => {
                if let Some(item) = nth(pick).and_then(|path| tree.remove(&path)) {
                    tree.insert((*to).to_owned(), item);
                }
            }
            Edit::Content(pick) => {
                if let Some(Item::File(_, bytes)) = nth(pick).and_then(|path| tree.get_mut(&path)) {
                    *bytes = edited(bytes);
                }
            }
            Edit::Put(path, item) => drop(tree.insert((*path).to_owned(), item.clone())),
        }
    }
    grown(tree)
}

/// Old versions and a new one over few names and few contents, so that everything happens to everything.
fn versions() -> impl Strategy<Value = (Vec<Tree>, Tree)> {
    let base = prop::collection::btree_map(paths().prop_map(str::to_owned), items(), 0..9).prop_map(grown);
    (base, prop::collection::vec(edits(), 2..5)).prop_map(|(base, edits)| {
        let mut versions: Vec<Tree> = edits.iter().map(|edits| changed(&base, edits)).collect();
        let new = versions.pop().unwrap();
        (versions, new)
    })
}

/// A wish for a range: which file, whether to retain, offset, length, and how far it moves.
type Wish = (usize, bool, usize, usize, usize);

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    prop::collection::vec((0usize..100, any::<bool>(), 0usize..4000, 1usize..40, 0usize..8), 0..4)
}

/// A regions file with as much of the wishes as there is room for: at most one range in each file.
fn regions_text(wishes: &[Wish], olds: &[Tree], new: &Tree) -> String {
    let len = |tree: &Tree, path: &String| match tree.get(path) {
        Some(Item::File(_, bytes)) => Some(bytes.len()),
        _ => None,
    };
    let mut tables = BTreeMap::new();
    for (pick, retain, offset, want, shift) in wishes {
        let paths: Vec<&String> =
            olds[0].keys().filter(|path| len(&olds[0], path).is_some_and(|len| len > 0)).collect();
        let Some(path) = paths.get(pick % paths.len().max(1)) else { continue };
        let room = olds.iter().filter_map(|old| len(old, path)).min().unwrap();
        let room = room.min(len(new, path).unwrap_or(usize::MAX));
        let everywhere = olds.iter().all(|old| len(old, path).is_some()) && len(new, path).is_some();
        let (offset, shift) = (offset % room.max(1), shift.saturating_sub(4));
        let want = (*want).min(room.saturating_sub(offset + shift));
        let table = match *retain && everywhere {
            true => format!("[[retain]]\npath = \"{path}\"\nranges = \"{offset}+{want}={}\"\n", offset + shift),
            false => format!("[[ignore]]\npath = \"{path}\"\nranges = \"{offset}+{want}\"\n"),
        };
        tables.entry(*path).or_insert(table);
    }
    tables.into_values().collect()
}

/// Makes the new version from an old one as the manifest says, retained bytes blank, and nothing but that.
fn rebuild(patch: &Patch, number: usize, old: &Tree) -> Tree {
    let container = Container::read(&patch.bytes).unwrap();
    let version = &patch.tree.olds[number];
    assert_eq!(version.entries.len(), old.len());
    let content = |entry: usize| {
        let Some(Item::File(_, bytes)) = old.get(version.entries[entry].path.as_str()) else { panic!("no file") };
        let found = version.entries[entry].node.file().unwrap();
        let view = Blanked::new(bytes.clone(), found.regions.old_blanks());
        let mut blanked = vec![0; bytes.len()];
        view.read_exact_at(&mut blanked, 0).unwrap();
        assert_eq!((found.size, found.hash), (bytes.len() as u64, *blake3::hash(&blanked).as_bytes()));
        blanked
    };
    let make = |mut old: Vec<u8>, mut body: usize, size: u64| {
        loop {
            let link = patch.tree.links.iter().find(|link| link.body == body);
            let mut made = Vec::new();
            let delta = container.blob(&patch.bytes, body).unwrap();
            let size = link.map_or(size, |link| link.makes.size);
            patchwright_delta::apply(&old, &delta, size, &mut made, &mut |_| {}).unwrap();
            // What stands between is the next delta's old file.
            let Some(link) = link else { return made };
            assert_eq!(link.makes.hash, *blake3::hash(&made).as_bytes());
            (old, body) = (made, link.next);
        }
    };
    let mut sources = version.sources.iter();
    let entries = patch.tree.new.iter().map(|entry| {
        let item = match &entry.node {
            Node::Folder { mode } => Item::Folder(*mode),
            Node::Symlink { target } => Item::Link(target.clone()),
            Node::File { mode, file } => {
                let bytes = match *sources.next().unwrap() {
                    Source::Whole { body } => make(Vec::new(), body, file.size),
                    Source::Same { entry } => content(entry),
                    Source::Delta { entry, body } => make(content(entry), body, file.size),
                };
                assert_eq!(file.hash, *blake3::hash(&bytes).as_bytes());
                Item::File(*mode, bytes)
            }
        };
        (entry.path.as_str().to_owned(), item)
    });
    entries.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_the_manifest_says_makes_the_new_tree(
        (olds, new) in versions(),
        wishes in wishes(),
    ) {
        let regions = regions_text(&wishes, &olds, &new);
        let bench = Bench::new(&olds, &new).regions(&regions);
        match bench.diff() {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::No => {
                prop_assert!(olds.iter().all(|old| *old == new));
                return Ok(());
            }
            Err(error) if error.message.contains("taken for one another") => return Ok(()),
            Err(error) => panic!("{error}"),
        }
        let patch = bench.made();
        for (number, reported) in patch.report.olds.iter().enumerate() {
            let place = bench.olds.iter().position(|path| *path == reported.path).unwrap();
            let blank = with_retained(&patch.tree, number, &new, None);
            prop_assert_eq!(rebuild(&patch, number, &olds[place]), blank);
            there_and_back(&bench, &patch, number, &olds[place], &new)?;
        }
    }
}

/// What the new version becomes: with the bytes that `user` retains, or zeroes.
fn with_retained(tree: &TreePatch, number: usize, new: &Tree, user: Option<&Tree>) -> Tree {
    let mut expect = new.clone();
    let mut sources = tree.olds[number].sources.iter();
    for entry in &tree.new {
        let (Some(file), Some(Item::File(_, bytes))) = (entry.node.file(), expect.get_mut(entry.path.as_str())) else {
            continue;
        };
        let source = sources.next().unwrap();
        for (index, range) in file.retained.iter().enumerate() {
            let place = slice(*range);
            let (Source::Same { entry } | Source::Delta { entry, .. }) = source else {
                panic!("retained from nothing")
            };
            let old = &tree.olds[number].entries[*entry];
            let from = slice(old.node.file().unwrap().regions.retain[index].old());
            match user.map(|user| &user[old.path.as_str()]) {
                Some(Item::File(_, users)) => bytes[place].copy_from_slice(&users[from]),
                _ => bytes[place].fill(0),
            }
        }
    }
    expect
}

fn slice(range: ByteRange) -> std::ops::Range<usize> {
    range.offset as usize..(range.offset + range.len) as usize
}

/// What stands in a folder.
fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if metadata.is_symlink() {
                tree.insert(name, link(fs::read_link(&path).unwrap().to_str().unwrap()));
            } else if metadata.is_file() {
                tree.insert(name, Item::File(mode, fs::read(&path).unwrap()));
            } else if name != ".patchwright" {
                tree.insert(name, Item::Folder(mode));
                pending.push(path);
            }
        }
    }
    tree
}

/// Applies the patch to a user's copy of an old version, whose ranges hold other bytes, and takes it back.
fn there_and_back(bench: &Bench, patch: &Patch, number: usize, old: &Tree, new: &Tree) -> Result<(), TestCaseError> {
    let mut users = old.clone();
    for entry in &patch.tree.olds[number].entries {
        if let (Some(file), Some(Item::File(_, bytes))) = (entry.node.file(), users.get_mut(entry.path.as_str())) {
            file.regions.old_blanks().into_iter().for_each(|range| bytes[slice(range)].fill(0xA5));
        }
    }
    // Versions that differ in nothing by which they are recognised are taken for the first of them.
    let entries = patch.tree.olds[number].entries.len();
    let twins = patch.tree.olds.iter().filter(|old| {
        old.entries.len() >= entries
            && old
                .entries
                .iter()
                .all(|entry| fits(&users, &entry.path, &entry.node, |file| (file.hash, file.regions.old_blanks())))
    });
    if twins.count() > 1 {
        return Ok(());
    }
    let target = bench.folder.path().join("target");
    build(&target, &users);
    let report = apply(&bench.patch(), &target, &ApplyOptions::default(), &Quiet).unwrap();
    let expect = with_retained(&patch.tree, number, new, Some(&users));
    prop_assert_eq!(read(&target), expect);
    prop_assert_eq!((report.outcome, report.from), (ApplyOutcome::Applied, Some(number + 1)));
    revert(&bench.patch(), &target, &RevertOptions::default(), &Quiet).unwrap();
    prop_assert_eq!(read(&target), users);
    fs::remove_dir_all(&target).unwrap();
    Ok(())
}

/// Whether a tree has what an entry of a version asks for.
fn fits<F>(tree: &Tree, path: &TreePath, node: &Node<F>, identity: impl Fn(&F) -> ([u8; 32], Vec<ByteRange>)) -> bool {
    match (node, tree.get(path.as_str())) {
        (Node::Folder { .. }, Some(Item::Folder(_))) => true,
        (Node::Symlink { target }, Some(Item::Link(found))) => target == found,
        (Node::File { file, .. }, Some(Item::File(_, bytes))) => {
            let (hash, blanks) = identity(file);
            source::hash(&Blanked::new(bytes, blanks)).unwrap() == hash
        }
        _ => false,
    }
}
