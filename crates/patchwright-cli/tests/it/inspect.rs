//! `patchwright inspect`

use std::process::Stdio;

use crate::apply::trees;
use crate::harness::{RANGES, Sandbox, check_errors, noise, versions};

#[test]
fn a_patch_is_described() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.write("older", noise(1, 18_000));
    sandbox.ok(&format!("diff older old new -o fix.pwp --ignore 1:0x10+1 {RANGES}"));
    let (code, report) = sandbox.json("inspect fix.pwp");
    assert_eq!(code, 0);
    assert_eq!(report["schema"], "patchwright.inspect/1");
    assert_eq!(report["subject"], "file");
    assert_eq!(report["patch_bytes"], sandbox.read("fix.pwp").len());
    assert_eq!(report["new"]["bytes"], 20_135);
    assert_eq!(report["olds"][0]["ignore"].as_array().unwrap().len(), 2);
    assert_eq!(report["olds"][1]["ignore"][0]["offset"], 0x40);
    assert_eq!(report["olds"][1]["retain"][0]["new_offset"], 0x180);

    let text = sandbox.ok("inspect fix.pwp").stdout;
    for expect in [
        "\nNew version\n  size    20,135 bytes (19.7 KiB)\n",
        "\nOld version 1\n  size    18,000 bytes (17.6 KiB)\n",
        "  ranges  2 ignored ranges, 1 retained range\n",
        "\nOld version 2\n  size    20,000 bytes (19.5 KiB)\n",
        "  range   old offset  new offset    length\n",
        "  ignore        0x40           -   8 bytes\n",
        "  retain       0x100       0x180  16 bytes\n",
        "\nBlobs\n",
        "\nDelta in blob 0, version 3: ",
    ] {
        assert!(text.contains(expect), "{expect:?} is missing:\n{text}");
    }
    check_errors(&sandbox, &[("inspect old", 3, "error: old: "), ("inspect missing", 5, "error: missing: ")]);
}

#[test]
fn nothing_has_no_share() {
    let sandbox = Sandbox::new();
    sandbox.write("old", "some");
    sandbox.write("new", "");
    let ran = sandbox.ok("diff old new -o fix.pwp");
    assert!(ran.stdout.contains(" bytes\nnew    0 bytes\n"), "{ran:?}");
    let ran = sandbox.ok("inspect fix.pwp");
    assert!(ran.stdout.contains("\nDelta in blob 0, version 2: 0 segments\n"), "{ran:?}");
}

/// What a patch says of its paths may be anything: it reaches the terminal harmless.
#[test]
fn names_in_a_patch_are_escaped() {
    let sandbox = Sandbox::new();
    sandbox.write("tree-1/a", "old");
    sandbox.write("tree-2/a", "new");
    sandbox.write("tree-2/photo\u{202e}gpj.exe", "new");
    sandbox.ok("diff tree-1 tree-2 -o fix.pwp");
    let ran = sandbox.ok("inspect fix.pwp");
    assert!(ran.stdout.contains("photo\\u{202e}gpj.exe\n"), "{ran:?}");
    let ran = sandbox.ok("inspect fix.pwp --json");
    assert!(ran.stdout.contains("photo\\u202egpj.exe"), "{ran:?}");
}

#[test]
fn a_patch_for_a_folder_is_described() {
    let sandbox = Sandbox::new();
    trees(&sandbox);
    sandbox.ok("diff tree-1 tree-2 -o fix.pwp");
    let text = sandbox.ok("inspect fix.pwp").stdout;
    for expect in ["\nfor    a folder\n", "  renamed ", "moved/new-name (from old-name)\n", "bin/app\n"] {
        assert!(text.contains(expect), "{expect:?} is missing:\n{text}");
    }
    assert_eq!(sandbox.json("inspect fix.pwp").1["subject"], "tree");
}

/// A reader that has seen enough, such as `head -1`, is no failure.
#[test]
fn a_reader_may_leave_early() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    sandbox.ok("diff old new -o fix.pwp");
    for line in ["inspect fix.pwp", "inspect fix.pwp --json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = sandbox.command(line).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{line}");
    }
}
