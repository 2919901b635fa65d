//! `patchwright status`

use crate::harness::{Sandbox, check_errors, versions};

#[test]
fn applied_patches_are_listed() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    let id = sandbox.json("inspect fix.pwp").1["id"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.ok("status old").stdout, "old: no patch that can be taken back\n");

    sandbox.ok("apply fix.pwp old");
    let ran = sandbox.ok("status old");
    assert!(ran.stdout.starts_with("old: 1 applied patch\n  revert    id "), "{ran:?}");
    assert!(ran.stdout.contains(&format!("  possible  {id}  ")), "{ran:?}");
    let (code, report) = sandbox.json("status old");
    assert_eq!(code, 0);
    assert_eq!(report["schema"], "patchwright.status/1");
    assert_eq!(report["unfinished"], false);
    assert_eq!(report["applied"][0]["id"], id.as_str());
    assert_eq!(report["applied"][0]["revertible"], true);

    sandbox.write("old", "changed by hand");
    let ran = sandbox.ok("status old");
    assert!(ran.stdout.contains("  impossible: the target has changed  "), "{ran:?}");
    check_errors(&sandbox, &[("status missing", 5, "missing: ")]);
}
