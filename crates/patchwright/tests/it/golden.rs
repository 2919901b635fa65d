//! Patches of earlier releases apply for ever: `testdata/patches`.

use std::fs;
use std::path::{Path, PathBuf};

use patchwright::report::{ApplyOutcome, VerifyAnswer};
use patchwright::{ApplyOptions, Quiet, RevertOptions, apply, revert, verify};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/patches").join(name)
}

#[test]
fn a_file_patch_of_version_1_applies_and_is_taken_back() {
    let fixture = fixture("v1-file");
    let patch = fixture.join("patch.pwp");
    assert_eq!(verify(&patch, None).unwrap().answer, VerifyAnswer::Intact);
    let folder = TempDir::new().unwrap();
    for number in [1, 2] {
        let before = fs::read(fixture.join(format!("user{number}"))).unwrap();
        let target = folder.path().join("target");
        fs::write(&target, &before).unwrap();
        let report = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
        assert_eq!((report.outcome, report.from), (ApplyOutcome::Applied, Some(number)));
        assert_eq!(fs::read(&target).unwrap(), fs::read(fixture.join(format!("result{number}"))).unwrap());
        revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
        assert_eq!(fs::read(&target).unwrap(), before);
    }
}

#[test]
fn a_file_patch_of_version_2_applies_from_every_version_and_is_taken_back() {
    let fixture = fixture("v2-file");
    let patch = fixture.join("patch.pwp");
    assert_eq!(verify(&patch, None).unwrap().answer, VerifyAnswer::Intact);
    let folder = TempDir::new().unwrap();
    // Where the stamp stands in each old version, and bytes that may be anything.
    for (number, stamp, open) in [(1, 0x100, 0x80), (2, 0x140, 0x90), (3, 0x180, 0xA0)] {
        let mut before = fs::read(fixture.join(format!("old{number}"))).unwrap();
        before[stamp..stamp + 16].copy_from_slice(b"licence: 0042 me");
        before[open..open + 8].copy_from_slice(b"whatever");
        let target = folder.path().join("target");
        fs::write(&target, &before).unwrap();
        let report = apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
        assert_eq!((report.outcome, report.from), (ApplyOutcome::Applied, Some(number)));
        let mut expect = fs::read(fixture.join("new")).unwrap();
        expect[0x200..0x210].copy_from_slice(b"licence: 0042 me");
        assert!(fs::read(&target).unwrap() == expect);
        revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
        assert!(fs::read(&target).unwrap() == before);
    }
}

#[test]
fn a_folder_patch_of_version_1_applies_and_is_taken_back() {
    let fixture = fixture("v1-tree");
    let patch = fixture.join("patch.pwp");
    assert_eq!(verify(&patch, None).unwrap().answer, VerifyAnswer::Intact);
    let folder = TempDir::new().unwrap();
    copy(&fixture.join("old"), folder.path());
    let users = fs::read(fixture.join("user-app")).unwrap();
    fs::write(folder.path().join("bin/app"), &users).unwrap();
    let before = contents(folder.path());
    let report = apply(&patch, folder.path(), &ApplyOptions::default(), &Quiet).unwrap();
    assert_eq!((report.outcome, report.from), (ApplyOutcome::Applied, Some(1)));
    let mut expect = contents(&fixture.join("new"));
    let app = &mut expect.iter_mut().find(|(path, _)| path == "bin/app").unwrap().1;
    app[0x48..0x58].copy_from_slice(&users[0x40..0x50]);
    assert_eq!(contents(folder.path()), expect);
    revert(&patch, folder.path(), &RevertOptions::default(), &Quiet).unwrap();
    assert_eq!(contents(folder.path()), before);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (path, bytes) in contents(from) {
        let place = to.join(&path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        match bytes.strip_prefix(b"-> ") {
            Some(target) => std::os::unix::fs::symlink(std::str::from_utf8(target).unwrap(), place).unwrap(),
            None => fs::write(place, bytes).unwrap(),
        }
    }
}

/// Every file and link below a folder with its content, sorted; our own folder is left out.
fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_symlink() {
                found.push((name, format!("-> {}", fs::read_link(&path).unwrap().display()).into_bytes()));
            } else if !path.is_dir() {
                found.push((name, fs::read(&path).unwrap()));
            } else if name != ".patchwright" {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}
