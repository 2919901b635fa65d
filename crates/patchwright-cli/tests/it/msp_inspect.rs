//! `patchwright msp inspect`

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Sandbox, check_errors};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/msp")
}

/// A patch and two versions of its product; and the patch with a damaged name of its cabinet's format, header and signature.
pub(crate) fn installers(sandbox: &Sandbox) {
    for name in ["app.msp", "app-1.0.msi", "app-1.1.msi"] {
        sandbox.write(name, fs::read(testdata().join(name)).unwrap());
    }
    let mut odd = sandbox.read("app.msp");
    // The cabinet claims another version, and the header of the delta is no longer one.
    let at = |odd: &[u8], what: &[u8]| odd.windows(what.len()).position(|found| found == what).unwrap();
    let cabinet = at(&odd, b"MSCF");
    odd[cabinet + 25] = 9;
    let header = at(&odd, b"PA19");
    odd[header] = b'X';
    sandbox.write("odd.msp", odd);
}

/// What is printed for the patch in `testdata`, word for word.
#[test]
fn a_patch_reads_like_this() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    let golden = testdata().join("inspect.txt");
    let printed = sandbox.ok("msp inspect app.msp --against app-1.0.msi").stdout;
    if std::env::var_os("PATCHWRIGHT_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&golden, &printed).unwrap();
    }
    assert_eq!(printed, fs::read_to_string(golden).unwrap_or_default());
}

/// The same as JSON; `--against` answers.
#[test]
fn a_patch_says_what_it_is_for() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    let (code, report) = sandbox.json("msp inspect app.msp --against app-1.0.msi");
    assert_eq!((code, &report["schema"]), (0, &"patchwright.msp-inspect/1".into()));
    assert_eq!(report["product_codes"][0], "{11111111-2222-3333-4444-555555555555}");
    assert_eq!(report["signed"], false);
    assert_eq!(report["transforms"][0]["validation"], "0x0922");
    assert_eq!(report["transforms"][0]["tables"][1]["changed_columns"], serde_json::json!(["FileSize", "Version"]));
    let header = &report["files"][0]["header"];
    assert_eq!(
        (&header["olds"][1]["bytes"], &header["olds"][1]["retain"][0]["old_offset"]),
        (&640.into(), &110.into())
    );
    assert_eq!(report["against"]["applies"], true);
    let (code, report) = sandbox.json("msp inspect app.msp --against app-1.1.msi");
    assert_eq!((code, &report["against"]["applies"]), (1, &false.into()));
    assert_eq!(report["against"]["transforms"][0]["mismatches"][0]["what"], "version");
    let (code, report) = sandbox.json("msp inspect app.msp");
    assert_eq!((code, report.get("against")), (0, None));
}

/// A part that is damaged is told, and does not hide the others.
#[test]
fn damaged_parts_are_told() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    let (code, report) = sandbox.json("msp inspect odd.msp");
    assert_eq!(code, 0);
    assert!(report["cabinets"][0]["fault"].as_str().unwrap().contains("Version 9.3"), "{report:#}");
    assert!(report["files"][0]["header"]["fault"].is_string(), "{report:#}");
    let lints: Vec<&str> =
        report["lints"].as_array().unwrap().iter().filter_map(|lint| lint["code"].as_str()).collect();
    assert!(lints.contains(&"unreadable-cabinet") && lints.contains(&"file-not-in-cabinet"), "{lints:?}");
    let whole = sandbox.read("app.msp");
    sandbox.write("cut.msp", &whole[..whole.len() / 2]);
    sandbox.write("junk", "junk");
    check_errors(
        &sandbox,
        &[
            ("msp inspect junk", 3, "not a Windows Installer database"),
            ("msp inspect cut.msp", 3, "cut.msp: "),
            ("msp inspect app-1.0.msi", 3, "it is that of an installer or another database, not that of a patch"),
            ("msp inspect missing", 5, "missing"),
            ("msp inspect app.msp --against junk", 3, "junk: "),
            ("inspect app.msp", 3, "`patchwright msp inspect` tells what is in a .msp"),
            ("apply app.msp junk", 3, "`patchwright msp inspect` tells what is in a .msp"),
        ],
    );
}
