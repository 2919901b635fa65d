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
