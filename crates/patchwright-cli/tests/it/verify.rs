//! `patchwright verify`

use crate::harness::{Sandbox, check_errors, versions};

#[test]
fn the_answer_is_the_exit_code() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    sandbox.write("other", "other");
    let patch = sandbox.read("fix.pwp");
    for (line, code, answer, expect) in [
        ("verify fix.pwp", 0, "intact", "yes: fix.pwp is whole\n"),
        ("verify fix.pwp old", 0, "would-apply", "yes: fix.pwp would apply to old, which is old version 1\n"),
        ("verify fix.pwp new", 0, "already-new", "yes: new is the new version of fix.pwp already\n"),
        ("verify fix.pwp other", 1, "would-not-apply", "no: fix.pwp would not apply to other\n  "),
    ] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stdout.starts_with(expect), "{line}: {ran:?}");
        assert_eq!(ran.stderr, "", "{line}");
        let (code_in_json, report) = sandbox.json(line);
        assert_eq!(code_in_json, code, "{line}");
        assert_eq!(report["schema"], "patchwright.verify/1", "{line}");
        assert_eq!(report["answer"], answer, "{line}");
        assert_eq!(report["objections"].as_array().unwrap().is_empty(), code == 0, "{line}");
    }
    // Every byte counts.
    for at in (0..patch.len()).step_by(patch.len() / 40) {
        let mut damaged = patch.clone();
        damaged[at] ^= 0x20;
        sandbox.write("damaged.pwp", damaged);
        assert_eq!(sandbox.run("verify damaged.pwp").code, 3, "byte {at}");
    }
    check_errors(
        &sandbox,
        &[("verify old", 3, "old: "), ("verify missing", 5, "missing: "), ("verify fix.pwp missing", 5, "missing: ")],
    );
}
