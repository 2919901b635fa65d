//! `patchwright apply`

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::harness::{RANGES, Ran, Sandbox, check_errors, noise, versions};

/// A file as a user has it: another stamp, other ignored bytes.
fn installed(sandbox: &Sandbox) -> Vec<u8> {
    let mut user = sandbox.read("old");
    user[0x40..0x48].copy_from_slice(b"whatever");
    user[0x100..0x110].copy_from_slice(b"licence of Alice");
    user
}

fn expected(new: &[u8]) -> Vec<u8> {
    let mut expected = new.to_vec();
    expected[0x180..0x190].copy_from_slice(b"licence of Alice");
    expected
}

#[test]
fn ignored_and_retained_ranges_are_respected() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    sandbox.ok(&format!("diff old new -o fix.pwp {RANGES}"));
    let user = installed(&sandbox);
    sandbox.write("app", &user);
    fs::set_permissions(sandbox.path("app"), fs::Permissions::from_mode(0o751)).unwrap();

    let ran = sandbox.ok("apply fix.pwp app");
    assert!(ran.stdout.starts_with("app is the new version now, from old version 1\n"), "{ran:?}");
    assert!(ran.stdout.contains("\n  written  20,135 bytes (19.7 KiB)\n"), "{ran:?}");
    assert_eq!(sandbox.read("app"), expected(&new));
    assert_eq!(fs::metadata(sandbox.path("app")).unwrap().permissions().mode() & 0o7777, 0o751);

    // Again: it is the new version already.
    let ran = sandbox.ok("apply fix.pwp app");
    assert_eq!(ran.stdout, "app is the new version already\n");
    assert_eq!(sandbox.read("app"), expected(&new));
    let (code, report) = sandbox.json("apply fix.pwp app");
    assert_eq!((code, report["outcome"].as_str()), (0, Some("already-new")));

    let ran = sandbox.ok("revert fix.pwp app");
    assert!(ran.stdout.starts_with("app is again what it was before the patch\n"), "{ran:?}");
    assert_eq!(sandbox.read("app"), user);
}

#[test]
fn each_old_version_is_recognised() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    sandbox.write("older", noise(1, 18_000));
    sandbox.ok("diff older old new -o fix.pwp");
    for (number, name) in [(1, "older"), (2, "old")] {
        let (code, report) = sandbox.json(&format!("apply fix.pwp {name}"));
        assert_eq!(code, 0);
        assert_eq!(report["schema"], "patchwright.apply/1");
        assert_eq!(report["outcome"], "applied");
        assert_eq!(report["target"], name);
        assert_eq!(report["from"], number);
        assert_eq!(sandbox.read(name), new);
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    sandbox.write("box/app", sandbox.read("old"));
    let before = sandbox.listing("box");
    let ran = sandbox.ok("apply fix.pwp box/app --dry-run");
    assert_eq!(ran.stdout, "box/app would become the new version, from old version 1; nothing is changed\n");
    assert_eq!(sandbox.listing("box"), before);
    assert_eq!(sandbox.json("apply fix.pwp box/app --dry-run").1["outcome"], "would-apply");

    sandbox.ok("apply fix.pwp box/app");
    let patched = sandbox.listing("box");
    let ran = sandbox.ok("revert fix.pwp box/app --dry-run");
    assert_eq!(ran.stdout, "box/app would become what it was before the patch; nothing is changed\n");
    assert_eq!(sandbox.listing("box"), patched);
}

#[test]
fn an_output_leaves_the_target_alone() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    sandbox.write("box/app", sandbox.read("old"));
    let before = sandbox.listing("box");
    let ran = sandbox.ok("apply fix.pwp box/app -o result");
    assert!(ran.stdout.starts_with("result is the new version of box/app, from old version 1\n"), "{ran:?}");
    assert_eq!(sandbox.listing("box"), before);
    assert_eq!(sandbox.read("result"), new);
}

#[test]
fn a_patch_for_something_else_changes_nothing() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok(&format!("diff old new -o fix.pwp {RANGES}"));
    let patch = sandbox.read("fix.pwp");
    let mut flipped = patch.clone();
    *flipped.last_mut().unwrap() ^= 1;
    sandbox.write("flipped.pwp", flipped);
    sandbox.write("cut.pwp", &patch[..patch.len() / 2]);
    sandbox.write("empty.pwp", "");
    sandbox.write("text.pwp", "this is no patch");
    let mut other = sandbox.read("old");
    other[0x200] ^= 1;
    sandbox.write("box/other", other);
    sandbox.write("box/longer", [sandbox.read("old"), vec![0]].concat());
    sandbox.write("box/empty", "");
    sandbox.write("box/app", sandbox.read("old"));
    let before = sandbox.listing("box");
    check_errors(
        &sandbox,
        &[
            ("apply fix.pwp box/other", 4, "box/other: "),
            ("apply fix.pwp box/longer", 4, "box/longer: "),
            ("apply fix.pwp box/empty", 4, "box/empty: "),
            ("apply fix.pwp box", 4, "box: "),
            ("apply fix.pwp box/missing", 5, "box/missing: "),
            ("apply missing.pwp box/app", 5, "error: missing.pwp: "),
            ("apply flipped.pwp box/app", 3, "error: flipped.pwp: "),
            ("apply cut.pwp box/app", 3, "error: cut.pwp: "),
            ("apply empty.pwp box/app", 3, "error: empty.pwp: "),
            ("apply text.pwp box/app", 3, "error: text.pwp: "),
            ("apply box box/app", 5, "box: "),
            ("apply fix.pwp box/app -o box/app", 2, "box/app"),
            ("apply fix.pwp box/app -o fix.pwp", 2, "fix.pwp"),
        ],
    );
    assert_eq!(sandbox.listing("box"), before);
    assert_eq!(sandbox.read("fix.pwp"), patch);
}

#[test]
fn a_target_with_other_names_needs_consent() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    fs::hard_link(sandbox.path("old"), sandbox.path("twin")).unwrap();
    let before = sandbox.read("old");
    check_errors(&sandbox, &[("apply fix.pwp old", 7, "--break-hard-links")]);
    assert_eq!(sandbox.read("old"), before);
    sandbox.ok("apply fix.pwp old --break-hard-links");
    assert_eq!(sandbox.read("old"), new);
    assert_eq!(sandbox.read("twin"), before);
}

/// The link stays a link; what it leads to is patched.
#[test]
fn a_link_leads_to_the_target() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    sandbox.write("deep/app-1.0", sandbox.read("old"));
    symlink("deep/app-1.0", sandbox.path("app")).unwrap();
    sandbox.ok("apply fix.pwp app");
    assert!(fs::symlink_metadata(sandbox.path("app")).unwrap().is_symlink());
    assert_eq!(sandbox.read("deep/app-1.0"), new);
    assert_eq!(sandbox.json("status app").1["applied"].as_array().unwrap().len(), 1);
    sandbox.ok("revert fix.pwp app");
    assert!(fs::symlink_metadata(sandbox.path("app")).unwrap().is_symlink());
    assert_eq!(sandbox.read("deep/app-1.0"), sandbox.read("old"));
}

/// Two versions of a folder: files changed, renamed, added, removed; links and permission bits.
pub(crate) fn trees(sandbox: &Sandbox) {
    for (tree, seed) in [("tree-1", 10), ("tree-2", 20)] {
        sandbox.write(&format!("{tree}/same"), noise(3, 100));
        sandbox.write(&format!("{tree}/bin/app"), [noise(4, 9000), noise(seed, 50), noise(5, 9000)].concat());
        symlink(format!("app-{seed}"), sandbox.path(&format!("{tree}/bin/link"))).unwrap();
        symlink("app", sandbox.path(&format!("{tree}/bin/kept"))).unwrap();
    }
    sandbox.write("tree-1/old-name", noise(6, 5000));
    sandbox.write("tree-2/moved/new-name", noise(6, 5000));
    sandbox.write("tree-1/gone/file", "gone");
    sandbox.write("tree-2/added/file", "added");
    for (name, mode) in [("tree-1/same", 0o644), ("tree-2/same", 0o600), ("tree-2/bin/app", 0o755)] {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Copies a folder with permission bits and links.
fn copy(sandbox: &Sandbox, from: &str, to: &str) {
    let status = Command::new("cp").arg("-a").args([sandbox.path(from), sandbox.path(to)]).status().unwrap();
    assert!(status.success());
}

/// The listing without what patchwright keeps.
fn visible(sandbox: &Sandbox, name: &str) -> String {
    sandbox
        .listing(name)
        .lines()
        .filter(|line| !line.contains(".patchwright"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn folders_become_the_new_version_and_back() {
    let sandbox = Sandbox::new();
    trees(&sandbox);
    let ran = sandbox.ok("diff tree-1 tree-2 -o fix.pwp");
    assert!(ran.stdout.contains("1 renamed"), "{ran:?}");
    copy(&sandbox, "tree-1", "app");
    sandbox.write("app/mine", "a file of the user");
    let before = sandbox.listing("app");
    let same = fs::metadata(sandbox.path("app/same")).unwrap().ino();

    let ran = sandbox.ok("apply fix.pwp app --dry-run");
    assert!(ran.stdout.starts_with("app would become the new version, from old version 1"), "{ran:?}");
    assert_eq!(sandbox.listing("app"), before);

    let ran = sandbox.ok("apply fix.pwp app");
    assert!(ran.stdout.starts_with("app is the new version now, from old version 1\n"), "{ran:?}");
    assert!(ran.stdout.contains("\n  entries  "), "{ran:?}");
    let mine = "mine 644 \"a file of the user\"\n";
    assert_eq!(visible(&sandbox, "app").replace(mine, ""), visible(&sandbox, "tree-2"));
    assert!(visible(&sandbox, "app").contains(mine));
    assert_eq!(fs::metadata(sandbox.path("app/same")).unwrap().ino(), same, "an unchanged file is not rewritten");

    assert_eq!(sandbox.ok("apply fix.pwp app").stdout, "app is the new version already\n");
    assert_eq!(sandbox.json("verify fix.pwp app").1["answer"], "already-new");
    sandbox.ok("revert fix.pwp app");
    assert_eq!(visible(&sandbox, "app"), before);
}

#[test]
fn a_folder_that_somebody_changed_is_refused() {
    let sandbox = Sandbox::new();
    trees(&sandbox);
    sandbox.ok("diff tree-1 tree-2 -o fix.pwp");
    copy(&sandbox, "tree-1", "app");
    sandbox.write("app/bin/app", "changed by hand");
    fs::remove_file(sandbox.path("app/old-name")).unwrap();
    let before = sandbox.listing("app");
    let ran = sandbox.run("apply fix.pwp app");
    assert_eq!(ran.code, 4, "{ran:?}");
    // All objections at once.
    assert!(ran.stderr.contains("bin/app") && ran.stderr.contains("old-name"), "{ran:?}");
    assert_eq!(sandbox.listing("app"), before);
    let ran = sandbox.run("verify fix.pwp app");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("bin/app") && ran.stdout.contains("old-name"), "{ran:?}");
}

#[test]
fn a_busy_folder_is_left_alone() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    sandbox.write("box/app", sandbox.read("old"));
    sandbox.write("box/.patchwright/lock", "");
    let before = sandbox.listing("box");
    let lock = fs::File::open(sandbox.path("box/.patchwright/lock")).unwrap();
    lock.lock().unwrap();
    let ran = sandbox.run("apply fix.pwp box/app");
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.stderr.contains("another patchwright is at work"), "{ran:?}");
    assert_eq!(sandbox.listing("box"), before);
    lock.unlock().unwrap();
    sandbox.ok("apply fix.pwp box/app");
}

/// A limit on the length of files stands for a full disk: writes fail half-way.
#[test]
fn what_cannot_be_written_leaves_the_old_version() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    sandbox.write("box/app", sandbox.read("old"));
    let before = sandbox.listing("box");
    for line in ["apply fix.pwp box/app", "apply fix.pwp box/app -o box/out", "diff old new -o box/q"] {
        // Blocks of 512 bytes: 16 of them are less than the result, and 0 less than the patch.
        let blocks = if line.starts_with("diff") { 0 } else { 16 };
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {} {line}", env!("CARGO_BIN_EXE_patchwright"));
        let ran = Ran::of(Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")));
        assert_eq!(ran.code, 5, "{line}: {ran:?}");
        assert_eq!(sandbox.listing("box"), before, "{line}: {ran:?}");
    }
}

/// Whenever the process dies, the file is one version or the other, and the next call goes on from there.
#[test]
fn a_killed_call_leaves_one_version_or_the_other() {
    let sandbox = Sandbox::new();
    let old = noise(1, 800_000);
    let new = [&old[..300_000], b"the fix", &old[300_000..]].concat();
    sandbox.write("old", &old);
    sandbox.write("new", &new);
    sandbox.ok("diff old new -o fix.pwp");
    for round in 0..8 {
        sandbox.write("box/app", &old);
        for verb in ["apply", "revert"] {
            let mut call = sandbox.command(&format!("{verb} fix.pwp box/app"));
            let mut child = call.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_millis(2 * round));
            child.kill().unwrap();
            child.wait().unwrap();
            let found = sandbox.read("box/app");
            assert!(found == old || found == new, "{verb}, round {round}");
            sandbox.ok("status box/app");
            // The next call finishes or undoes what was left, then does its own work.
            sandbox.ok(&format!("{verb} fix.pwp box/app"));
            let expected = if verb == "apply" { &new } else { &old };
            assert!(sandbox.read("box/app") == *expected, "{verb}, round {round}");
            assert_eq!(sandbox.json("status box/app").1["unfinished"], false);
        }
    }
    // A call that dies at its very end may leave its stage behind; the next one that changes something clears it.
    sandbox.ok("apply fix.pwp box/app");
    sandbox.ok("revert fix.pwp box/app");
    assert_eq!(sandbox.listing("box").lines().count(), 2, "nothing but the file is left");
}
