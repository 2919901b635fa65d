//! Folders: applied and taken back where versions differ in little.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use patchwright::report::{ApplyOutcome, RevertOutcome, VerifyAnswer};
use patchwright::{ApplyOptions, DiffOptions, Quiet, RevertOptions, apply, diff, revert, status, verify};
use tempfile::TempDir;

/// Paths with what stands there: `/` a folder, `-> x` a link, else a file's content; and permission bits.
type Tree = BTreeMap<String, (String, u32)>;

fn tree(entries: &[(&str, &str, u32)]) -> Tree {
    entries.iter().map(|(path, content, mode)| (path.to_string(), (content.to_string(), *mode))).collect()
}

fn build(root: &Path, tree: &Tree) {
    fs::create_dir_all(root).unwrap();
    for (path, (content, mode)) in tree {
        let path = root.join(path);
        match content.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, &path).unwrap(),
            None if content == "/" => fs::create_dir(&path).unwrap(),
            None => fs::write(&path, content).unwrap(),
        }
        if !path.is_symlink() {
            fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        }
    }
}

fn read(root: &Path, below: &Path, into: &mut Tree) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let name = below.join(entry.unwrap().file_name());
        let path = root.join(&name);
        if name == Path::new(".patchwright") {
            continue;
        }
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777;
        let key = name.to_str().unwrap().to_owned();
        if path.is_symlink() {
            into.insert(key, (format!("-> {}", fs::read_link(&path).unwrap().display()), 0));
        } else if path.is_dir() {
            into.insert(key, ("/".to_owned(), mode));
            read(root, &name, into);
        } else {
            into.insert(key, (fs::read_to_string(&path).unwrap(), mode));
        }
    }
}

/// Makes a patch of `olds` and `new`, applies it to a copy of each old version and takes it back, twice.
fn check(olds: &[Tree], new: &Tree) {
    let folder = TempDir::new().unwrap();
    let at = |name: String| folder.path().join(name);
    let mut paths = Vec::new();
    for (number, old) in olds.iter().enumerate() {
        paths.push(at(format!("old{number}")));
        build(&paths[number], old);
    }
    build(&at("new".into()), new);
    let patch = at("fix.pwp".into());
    diff(&paths, &at("new".into()), &patch, &DiffOptions::default(), &Quiet).unwrap();
    for (number, old) in olds.iter().enumerate() {
        let target = at(format!("target{number}"));
        build(&target, old);
        for _ in 0..2 {
            assert_eq!(verify(&patch, Some(&target)).unwrap().answer, VerifyAnswer::WouldApply);
            let report = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
            assert_eq!((report.outcome, report.from), (ApplyOutcome::Applied, Some(number + 1)));
            let mut found = Tree::new();
            read(&target, Path::new(""), &mut found);
            assert_eq!(&found, new);
            let again = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
            assert_eq!(again.outcome, ApplyOutcome::AlreadyNew);
            assert!(status(Some(&target), &[]).unwrap().applied[0].revertible);
            let report = revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
            assert_eq!(report.outcome, RevertOutcome::Reverted);
            let mut found = Tree::new();
            read(&target, Path::new(""), &mut found);
            assert_eq!(&found, old);
            let again = revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
            assert_eq!(again.outcome, RevertOutcome::AlreadyOld);
        }
    }
}

#[test]
fn of_versions_that_contain_each_other_the_fuller_is_taken() {
    let v1 = tree(&[("a", "one", 0o644)]);
    let v2 = tree(&[("a", "one", 0o644), ("c", "see", 0o644)]);
    check(&[v1.clone(), v2.clone()], &tree(&[("a", "two", 0o644), ("c", "saw", 0o644)]));
    check(&[v1, v2], &tree(&[("a", "two", 0o644)]));
}

#[test]
fn a_file_that_is_copied_and_changes_its_mode_is_taken_back() {
    check(&[tree(&[("e", "same", 0o644)])], &tree(&[("a", "same", 0o755), ("e", "same", 0o755)]));
}

#[test]
fn folders_alone_come_and_go() {
    let (few, many) = (tree(&[("b", "/", 0o755)]), tree(&[("b", "/", 0o755), ("c", "/", 0o700)]));
    check(std::slice::from_ref(&few), &many);
    check(&[many], &few);
}

#[test]
fn permission_bits_alone_are_carried_over() {
    let with = |file, folder| tree(&[("b", "/", folder), ("b/run", "#!/bin/sh", file), ("x", "y", 0o600)]);
    check(&[with(0o644, 0o755)], &with(0o755, 0o700));
}

#[test]
fn kinds_change_places() {
    let old = tree(&[("a", "file", 0o644), ("b", "/", 0o755), ("b/x", "inner", 0o644), ("c", "-> a", 0)]);
    let new = tree(&[("a", "/", 0o755), ("a/x", "inner", 0o644), ("b", "-> a", 0), ("c", "file", 0o640)]);
    check(&[old], &new);
}
