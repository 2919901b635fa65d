//! `patchwright pcp`

use std::env;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Sandbox, check_errors};

const NEW: &str = "pcp new 1.0/app.msi 1.1/app.msi -o app.pcp --patch-guid {5406b219-a1ac-4bc4-8695-72292c8195ac}";

/// Two installers, made of text archives.
fn installers(sandbox: &Sandbox) {
    for version in ["1.0", "1.1"] {
        sandbox.write(
            "msi.d/Property.idt",
            format!(
                "Property\tValue\ns72\tl0\nProperty\tProperty\nManufacturer\tExample\nProductCode\t\
                 {{11111111-2222-3333-4444-555555555555}}\nProductName\tNote Pad\nProductVersion\t{version}.0\n\
                 ARPHELPLINK\thttps://example.org\n"
            ),
        );
        sandbox.write(&format!("{version}/file"), "");
        sandbox.ok(&format!("pcp import msi.d -o {version}/app.msi"));
    }
}

#[test]
fn from_two_installers_to_a_checked_file() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    let ran = sandbox.ok(NEW);
    assert!(ran.stdout.contains("{5406B219-A1AC-4BC4-8695-72292C8195AC}"), "{ran:?}");
    assert!(ran.stderr.contains("note: DisplayName"), "{ran:?}");
    assert_eq!(sandbox.ok("pcp check app.pcp").stdout, "yes: app.pcp is sound\n");

    // As text and back: the same text, the same bytes.
    let (_, exported) = sandbox.json("pcp export app.pcp -o text");
    assert_eq!(exported["schema"], "patchwright.pcp-export/1");
    assert!(exported["files"].as_array().unwrap().contains(&"ImageFamilies.idt".into()));
    let (_, imported) = sandbox.json("pcp import text -o again.pcp");
    assert_eq!(imported["schema"], "patchwright.pcp-import/1");
    assert!(imported["tables"].as_array().unwrap().contains(&"_Validation".into()));
    assert!(sandbox.read("app.pcp") == sandbox.read("again.pcp"));
    sandbox.ok("pcp export again.pcp -o text-again");
    assert_eq!(sandbox.listing("text"), sandbox.listing("text-again"));
    assert_eq!(
        String::from_utf8(sandbox.read("text/UpgradedImages.idt")).unwrap(),
        "Upgraded\tMsiPath\tPatchMsiPath\tSymbolPaths\tFamily\r\ns13\ts255\tS255\tS255\ts8\r\n\
         UpgradedImages\tUpgraded\r\nNew\t1.1/app.msi\t\t\tNotePad\r\n"
    );

    // Without a GUID every call makes another.
    let guid = |output: &str| {
        let (_, report) = sandbox.json(&format!("pcp new 1.0/app.msi 1.1/app.msi -o {output}"));
        assert_eq!(report["schema"], "patchwright.pcp-new/1");
        report["patch_guid"].as_str().unwrap().to_owned()
    };
    assert_ne!(guid("a.pcp"), guid("b.pcp"));
}

#[test]
fn everything_that_is_wrong_is_listed() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    sandbox.ok(NEW);
    sandbox.ok("pcp export app.pcp -o text");
    sandbox.write(
        "text/TargetFiles_OptionalData.idt",
        "Target\tFTK\tIgnoreOffsets\tIgnoreLengths\ns13\ts255\tS255\tS255\nTargetFiles_OptionalData\tTarget\tFTK\n\
         Nix\tapp\t0x10,32\t4\n",
    );
    sandbox.ok("pcp import text -o bad.pcp");
    let ran = sandbox.run("pcp check bad.pcp");
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stdout,
        "\
no: bad.pcp has 3 errors, 0 warnings

error: TargetFiles_OptionalData.SymbolPaths: the column is missing
  ERROR_PCW_INVALID_PCP_TARGETFILES_OPTIONALDATA (0xC00E5211)
  compare the table with one that `patchwright pcp new` writes

error: TargetFiles_OptionalData [Nix, app].Target: \"Nix\" is no row of TargetImages
  ERROR_PCW_TFILEDATA_BAD_TARGET_FIELD (0xC00E514F)
  name a target image that there is; case matters

error: TargetFiles_OptionalData [Nix, app].IgnoreOffsets: 2 offsets and 1 lengths
  ERROR_PCW_TFILEDATA_IGNORE_COUNT_MISMATCH (0xC00E516F)
  give each offset a length
"
    );
    let (code, report) = sandbox.json("pcp check bad.pcp");
    assert_eq!(code, 1);
    assert_eq!(report["schema"], "patchwright.pcp-check/1");
    assert_eq!(report["errors"], 3);
    assert_eq!(report["findings"][1]["row"], "Nix, app");
}

#[test]
fn what_cannot_be_is_refused() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    sandbox.ok(NEW);
    sandbox.write("junk", "junk");
    sandbox.write("empty/none", "");
    sandbox.write("stale/Gone.idt", "A\ns72\nGone\tA\n");
    sandbox.write("broken/T.idt", "A\ni2\nT\tA\nx\n");
    let whole = sandbox.read("app.pcp");
    sandbox.write("cut.pcp", &whole[..whole.len() / 2]);
    check_errors(
        &sandbox,
        &[
            ("pcp check junk", 3, "not a Windows Installer database"),
            ("pcp check cut.pcp", 3, "cut.pcp: "),
            ("pcp check missing", 5, "missing"),
            ("pcp import empty -o x", 3, "no text archives"),
            ("pcp import broken -o x", 3, "T.idt, line 4: column A: \"x\" is no number"),
            ("pcp export app.pcp -o stale", 2, "Gone.idt"),
            ("pcp new app.pcp 1.1/app.msi -o x", 3, "app.pcp: table Property: it is missing"),
            ("pcp new 1.0/app.msi 1.1/app.msi -o x --patch-guid 1", 2, "'1' is no GUID"),
        ],
    );
    assert!(!sandbox.path("x").exists());
}

/// Says that a group of tests cannot run here, where `xtask test` can see it.
fn skip(reason: &str) {
    eprintln!("skipped: msitools: {reason}");
    if let Some(path) = env::var_os("PATCHWRIGHT_SKIPS") {
        let mut skips = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(skips, "skipped: msitools: {reason}").unwrap();
    }
}

/// GNOME's msitools reads what we import, and we read what it imports: every table is the same.
#[test]
fn msitools_reads_and_writes_the_same() {
    let has =
        |name: &str| Command::new(name).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !has("msiinfo") || !has("msibuild") {
        skip("msiinfo and msibuild are needed");
        return;
    }
    let sandbox = Sandbox::new();
    installers(&sandbox);
    sandbox.ok(NEW);
    sandbox.ok("pcp export app.pcp -o text");
    sandbox.write(
        "text/FamilyFileRanges.idt",
        "Family\tFTK\tRetainOffsets\tRetainLengths\r\ns8\ts255\ts128\ts128\r\nFamilyFileRanges\tFamily\tFTK\r\n\
         NotePad\tapp.exe\t0x10,64\t8,8\r\nNotePad\tlib.dll\t16\t4\r\n",
    );
    sandbox.write(
        "text/Odd.idt",
        "Name\tNumber\tText\r\ns72\ti4\tL0\r\nOdd\tName\tNumber\r\n\
         a\t-5\ttext\r\na\t7\t\r\nb\t2147483647\tx\r\n",
    );
    sandbox.write("text/Escaped.idt", "Name\r\ns72\r\nEscaped\tName\r\na\u{10}b\u{19}c\u{11}d\r\n");
    sandbox.ok("pcp import text -o ours.pcp");
    let (_, exported) = sandbox.json("pcp export ours.pcp -o ours");
    let files: Vec<&str> = exported["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let tables = || files.iter().filter_map(|file| file.strip_suffix(".idt")).filter(|name| *name != "_ForceCodepage");
    for table in tables().filter(|name| *name != "_SummaryInformation") {
        let ran = Command::new("msiinfo").arg("export").arg(sandbox.path("ours.pcp")).arg(table).output().unwrap();
        let ours = String::from_utf8(sandbox.read(&format!("ours/{table}.idt"))).unwrap();
        // It shows a tab in a text as a tab, where msidb writes what stands for one.
        let ours = ours.replace('\u{10}', "\t").replace('\u{19}', "\n").replace('\u{11}', "\r");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), ours, "{table}");
    }
    let mut build = Command::new("msibuild");
    build.arg(sandbox.path("theirs.pcp"));
    // Nor does it read what stands for a tab.
    for table in tables().filter(|name| *name != "Escaped") {
        build.arg("-i").arg(sandbox.path(&format!("ours/{table}.idt")));
    }
    assert!(build.status().unwrap().success());
    sandbox.ok("pcp export theirs.pcp -o theirs");
    for table in tables().filter(|name| !["_SummaryInformation", "Escaped"].contains(name)) {
        let [ours, theirs] = ["ours", "theirs"].map(|folder| sandbox.read(&format!("{folder}/{table}.idt")));
        assert_eq!(String::from_utf8_lossy(&theirs), String::from_utf8_lossy(&ours), "{table}");
    }
}
