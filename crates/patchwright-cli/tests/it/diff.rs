//! `patchwright diff`

use crate::harness::{RANGES, Sandbox, check_errors, noise, versions};

#[test]
fn same_inputs_make_the_same_patch() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.write("older", noise(1, 18_000));
    for (index, extra) in ["", "--threads 1", "--threads 3", "--quiet", "--json"].iter().enumerate() {
        sandbox.ok(&format!("diff older old new -o p{index} {RANGES} {extra}"));
        assert_eq!(sandbox.read("p0"), sandbox.read(&format!("p{index}")), "{extra}");
    }
}

#[test]
fn it_tells_what_it_made() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    let ran = sandbox.ok("diff old new -o fix.pwp");
    assert_eq!(ran.stderr, "", "there is no progress without a terminal");
    let size = sandbox.read("fix.pwp").len() as u64;
    assert!(ran.stdout.starts_with("patch  fix.pwp\nid     "), "{ran:?}");
    assert!(ran.stdout.contains("\nnew    20,135 bytes (19.7 KiB)\n"), "{ran:?}");
    assert!(ran.stdout.contains("\nOld versions\n"), "{ran:?}");
    assert!(size < 1000, "{size}");

    let (code, report) = sandbox.json("diff old new -o fix.pwp");
    assert_eq!(code, 0);
    assert_eq!(report["schema"], "patchwright.diff/1");
    assert_eq!(report["patch"], "fix.pwp");
    assert_eq!(report["patch_bytes"], size);
    assert_eq!(report["subject"], "file");
    assert_eq!(report["new_bytes"], 20_135);
    assert_eq!(report["olds"][0]["path"], "old");
    assert_eq!(report["olds"][0]["bytes"], 20_000);
    assert!(ran.stdout.contains(report["id"].as_str().unwrap()), "{ran:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    sandbox.write("tree/file", "x");
    check_errors(
        &sandbox,
        &[
            ("diff missing new -o p", 5, "error: missing: "),
            ("diff old missing -o p", 5, "error: missing: "),
            ("diff old new -o nowhere/p", 5, "nowhere"),
            ("diff old old -o p", 1, "nothing to patch"),
            ("diff tree tree -o p", 1, "nothing to patch"),
            ("diff tree new -o p", 2, "tree: this is a folder"),
            ("diff old tree -o p", 2, "old: this is a file"),
            ("diff old new -o new", 2, "new"),
            ("diff old new -o old", 2, "old"),
            ("diff old new -o p --ignore 2:0+1", 2, "2"),
            ("diff old new -o p --ignore 20000+1", 2, "0x4e20+1 reaches beyond the end"),
            ("diff old new -o p --ignore 0+8 --retain 4+8", 2, "overlap"),
            ("diff old new -o p --retain 0+8=20130", 2, "0x4ea2+8 reaches beyond the end"),
            ("diff tree tree -o p --ignore 0+1", 2, "--regions"),
            ("diff old new -o p --regions missing.toml", 5, "error: missing.toml: "),
        ],
    );
    assert_eq!(sandbox.read("new"), new);
    assert!(!sandbox.path("p").exists());
}
