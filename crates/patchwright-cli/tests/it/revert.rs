//! `patchwright revert`

use crate::harness::{Sandbox, check_errors, versions};

#[test]
fn only_what_was_applied_can_be_taken_back() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    let old = sandbox.read("old");
    sandbox.write("third", [new.as_slice(), b"more"].concat());
    sandbox.ok("diff old new -o one.pwp");
    sandbox.ok("diff new third -o two.pwp");
    sandbox.write("app", &old);
    sandbox.write("other", "other");
    sandbox.write("text.pwp", "no patch");
    check_errors(
        &sandbox,
        &[
            ("revert one.pwp other", 4, "other: "),
            ("revert one.pwp missing", 5, "missing: "),
            ("revert missing.pwp app", 5, "error: missing.pwp: "),
            ("revert text.pwp app", 3, "error: text.pwp: "),
        ],
    );
    assert_eq!(sandbox.ok("revert one.pwp app").stdout, "app is an old version already; nothing is changed\n");
    sandbox.ok("apply one.pwp app");
    sandbox.ok("apply two.pwp app");
    check_errors(&sandbox, &[("revert one.pwp app", 4, "app: ")]);

    let (code, report) = sandbox.json("revert two.pwp app");
    assert_eq!(code, 0);
    assert_eq!(report["schema"], "patchwright.revert/1");
    assert_eq!(report["outcome"], "reverted");
    assert_eq!(report["target"], "app");
    assert_eq!(sandbox.read("app"), new);
    sandbox.ok("revert one.pwp app");
    assert_eq!(sandbox.read("app"), old);
    assert_eq!(sandbox.json("revert one.pwp app").1["outcome"], "already-old");
}

#[test]
fn a_target_that_changed_since_is_left_alone() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    sandbox.ok("apply fix.pwp old");
    sandbox.write("old", "changed by hand");
    check_errors(&sandbox, &[("revert fix.pwp old", 4, "old: ")]);
    assert_eq!(sandbox.read("old"), b"changed by hand");
}

#[test]
fn without_a_record_there_is_no_way_back() {
    let sandbox = Sandbox::new();
    let new = versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    let ran = sandbox.ok("apply fix.pwp old --no-undo");
    assert!(!ran.stdout.contains("kept for revert"), "{ran:?}");
    assert_eq!(sandbox.json("status old").1["applied"].as_array().unwrap().len(), 0);
    check_errors(&sandbox, &[("revert fix.pwp old", 4, "old: ")]);
    assert_eq!(sandbox.read("old"), new);
}
