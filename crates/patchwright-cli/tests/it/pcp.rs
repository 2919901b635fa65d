//! `patchwright pcp`

use std::env;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Sandbox, check_errors};

const NEW: &str = "pcp new 1.0/app.msi 1.1/app.msi -o app.pcp --patch-guid {5406b219-a1ac-4bc4-8695-72292c8195ac}";

/// Two installers, made of text archives, each with a file beside it.
pub(crate) fn installers(sandbox: &Sandbox) {
    for (version, package) in [("1.0", "A0"), ("1.1", "A1")] {
        installer(sandbox, version, package, "{11111111-2222-3333-4444-555555555555}");
    }
}

fn installer(sandbox: &Sandbox, version: &str, package: &str, product: &str) {
    let archives = [
        (
            "Property",
            format!(
                "Property\tValue\ns72\tl0\nProperty\tProperty\nManufacturer\tExample\nProductCode\t{product}\n\
                 ProductName\tNote Pad\nProductVersion\t{version}.0\nARPHELPLINK\thttps://example.org\n\
                 UpgradeCode\t{{AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE}}\n"
            ),
        ),
        (
            "Directory",
            "Directory\tDirectory_Parent\tDefaultDir\ns72\tS72\tl255\nDirectory\tDirectory\nTARGETDIR\t\tSourceDir\n\
             Bin\tTARGETDIR\tbin\n"
                .to_owned(),
        ),
        ("Component", "Component\tDirectory_\ns72\ts72\nComponent\tComponent\nMain\tBin\n".to_owned()),
        (
            "File",
            "File\tComponent_\tFileName\tFileSize\tVersion\tLanguage\tAttributes\tSequence\n\
             s72\ts72\tl255\ti4\tS72\tS20\tI2\ti4\nFile\tFile\napp\tMain\tapp.exe\t7\t\t\t\t1\n"
                .to_owned(),
        ),
        (
            "Media",
            "DiskId\tLastSequence\tDiskPrompt\tCabinet\tVolumeLabel\tSource\ni2\ti4\tL64\tS255\tS32\tS72\n\
             Media\tDiskId\n1\t1\t\t\t\t\n"
                .to_owned(),
        ),
        (
            "_SummaryInformation",
            format!(
                "PropertyId\tValue\ni2\tl255\n_SummaryInformation\tPropertyId\n1\t1252\n7\tx64;1033\n\
                 9\t{{00000000-0000-0000-0000-0000000000{package}}}\n14\t200\n15\t0\n"
            ),
        ),
    ];
    for (name, text) in archives {
        sandbox.write(&format!("msi.d/{name}.idt"), text);
    }
    sandbox.write(&format!("{version}/bin/app.exe"), format!("app {version}"));
    sandbox.ok(&format!("pcp import msi.d -o {version}/app.msi"));
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
fn what_is_typed_stands_before_what_installers_say() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    sandbox
        .ok(&format!("{NEW} --metadata DisplayName=Fix --metadata Description=a=b --metadata OptimizedInstallMode=1"));
    sandbox.ok("pcp export app.pcp -o text");
    let text = String::from_utf8(sandbox.read("text/PatchMetadata.idt")).unwrap();
    for row in ["\tDisplayName\tFix\r\n", "\tDescription\ta=b\r\n", "\tOptimizedInstallMode\t1\r\n"] {
        assert_eq!(text.matches(row).count(), 1, "{text}");
    }
    assert_eq!(text.matches("DisplayName").count(), 1, "{text}");
    for bad in ["DisplayName", "=x", "DisplayName="] {
        let ran = sandbox.run(&format!("{NEW} --metadata {bad}"));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("NAME=VALUE is needed"), "{ran:?}");
    }
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

/// Old versions in any order, two products, a file in another folder: what is made passes the check.
#[test]
fn several_installers_become_families_and_targets() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    installer(&sandbox, "1.0.5", "A5", "{11111111-2222-3333-4444-555555555555}");
    installer(&sandbox, "1.2", "B0", "{22222222-2222-3333-4444-555555555555}");
    installer(&sandbox, "1.3", "B1", "{22222222-2222-3333-4444-555555555555}");
    sandbox.write("out/x", "");
    sandbox.ok("pcp new 1.0.5/app.msi 1.0/app.msi 1.1/app.msi --also 1.2/app.msi 1.3/app.msi -o out/app.pcp");
    assert_eq!(sandbox.ok("pcp check out/app.pcp").stdout, "yes: out/app.pcp is sound\n");
    sandbox.ok("pcp export out/app.pcp -o text");
    let rows = |table: &str| {
        let text = String::from_utf8(sandbox.read(&format!("text/{table}.idt"))).unwrap();
        text.lines().skip(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        rows("TargetImages"),
        [
            "Old\t../1.0/app.msi\t\tNew\t1\t0x00000922\t0",
            "Old2\t../1.0.5/app.msi\t\tNew\t2\t0x00000922\t0",
            "Old3\t../1.2/app.msi\t\tNew2\t3\t0x00000922\t0",
        ]
    );
    assert_eq!(rows("UpgradedImages"), ["New\t../1.1/app.msi\t\t\tNotePad", "New2\t../1.3/app.msi\t\t\tNotePad2"]);
    assert_eq!(
        rows("PatchSequence"),
        [
            "NotePad\t{11111111-2222-3333-4444-555555555555}\t1.1.0\t1",
            "NotePad2\t{22222222-2222-3333-4444-555555555555}\t1.3.0\t1",
        ]
    );
    // One pair of one product: the row is for all targets; a major upgrade has none.
    sandbox.ok("pcp new 1.0/app.msi 1.1/app.msi -o one.pcp");
    sandbox.ok("pcp export one.pcp -o one");
    assert!(String::from_utf8(sandbox.read("one/PatchSequence.idt")).unwrap().ends_with("NotePad\t\t1.1.0\t1\r\n"));
    let ran = sandbox.ok("pcp new 1.0/app.msi 1.3/app.msi -o major.pcp");
    assert!(ran.stderr.contains("the product codes differ"), "{ran:?}");
    let (code, report) = sandbox.json("pcp check major.pcp");
    assert_eq!((code, &report["errors"], &report["notes"]), (0, &0.into(), &1.into()));
    sandbox.ok("pcp export major.pcp -o major");
    assert!(!sandbox.path("major/PatchSequence.idt").exists());
}

/// Paths of Windows are mapped, and what is wrong with an image is found; or not looked for.
#[test]
fn images_are_found_and_looked_into() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    sandbox.ok(NEW);
    sandbox.ok("pcp export app.pcp -o text");
    sandbox.write(
        "text/TargetImages.idt",
        "Target\tMsiPath\tSymbolPaths\tUpgraded\tOrder\tProductValidateFlags\tIgnoreMissingSrcFiles\n\
         s13\ts255\tS255\ts13\ti2\tS16\ti2\nTargetImages\tTarget\n\
         Old\tC:\\Build\\Out\\1.0\\APP.MSI\t\tNew\t1\t0x00000922\t0\n",
    );
    sandbox.write(
        "text/UpgradedImages.idt",
        "Upgraded\tMsiPath\tPatchMsiPath\tSymbolPaths\tFamily\ns13\ts255\tS255\tS255\ts8\nUpgradedImages\tUpgraded\n\
         New\t%version%\\app.msi\t\t\tNotePad\n",
    );
    sandbox.ok("pcp import text -o windows.pcp");
    let (code, report) = sandbox.json("pcp check windows.pcp");
    assert_eq!(code, 1);
    assert_eq!(report["images"], true);
    let codes: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|found| found["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["ERROR_PCW_FAILED_EXPAND_PATH", "ERROR_PCW_IMAGE_PATH_NOT_EXIST"]);
    assert_eq!(sandbox.ok("pcp check windows.pcp --no-images").stdout, "yes: windows.pcp is sound\n");
    let check = |more: &[&str]| {
        let mut command = sandbox.command("pcp check windows.pcp --map");
        let map = format!(r"c:\build\out={}", sandbox.path("").display());
        crate::harness::Ran::of(command.arg(map).args(more).env("Version", "1.1"))
    };
    let ran = check(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "yes: windows.pcp is sound\n"), "{}", ran.stderr);
    // A file is missing.
    fs::remove_file(sandbox.path("1.1/bin/app.exe")).unwrap();
    let ran = check(&[]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            1,
            "\
no: windows.pcp has 1 error, 0 warnings

error: UpgradedImages [New].MsiPath: 1 file missing
    app: bin/app.exe is missing
  ERROR_PCW_UPGRADED_MISSING_SRC_FILES (0xC00E5121)
  lay all files of the image out beside it; for an old image, IgnoreMissingSrcFiles may be 1
"
        )
    );
    check_errors(
        &sandbox,
        &[
            ("pcp check windows.pcp --map build=/srv", 2, "does not begin as C:"),
            ("pcp check windows.pcp --map C:=/srv --no-images", 2, "--no-images"),
        ],
    );
}

/// An export is whole or does not happen, and leaves other people's files alone.
#[test]
fn an_export_changes_all_of_a_folder_or_nothing() {
    let sandbox = Sandbox::new();
    installers(&sandbox);
    sandbox.ok(NEW);
    sandbox.write("text/README", "mine");
    sandbox.ok("pcp export app.pcp -o text");
    assert_eq!(sandbox.read("text/README"), b"mine");
    sandbox.write("text/Properties.idt", "broken");
    sandbox.ok("pcp export app.pcp -o text");
    let before = sandbox.listing("text");
    // What is refused changes nothing.
    sandbox.write("text/more/file", "");
    check_errors(
        &sandbox,
        &[
            ("pcp export app.pcp -o text", 2, "folders that are not ours"),
            ("pcp export app.pcp -o .", 2, "the folder is the current one"),
        ],
    );
    fs::remove_dir_all(sandbox.path("text/more")).unwrap();
    assert_eq!(sandbox.listing("text"), before);
    let left = fs::read_dir(sandbox.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name.to_string_lossy().starts_with(".patchwright")).count(), 0);
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
            ("pcp new 1.0/app.msi -o x", 2, "at least one old installer"),
        ],
    );
    assert!(!sandbox.path("x").exists());
}

/// Says that a group of tests cannot run here, where `xtask test` can see it.
pub(crate) fn skip(group: &str, reason: &str) {
    eprintln!("skipped: {group}: {reason}");
    if let Some(path) = env::var_os("PATCHWRIGHT_SKIPS") {
        let mut skips = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(skips, "skipped: {group}: {reason}").unwrap();
    }
}

/// Whether a command is there.
pub(crate) fn has(name: &str) -> bool {
    Command::new(name).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// GNOME's msitools reads what we import, and we read what it imports: every table is the same.
#[test]
fn msitools_reads_and_writes_the_same() {
    if !has("msiinfo") || !has("msibuild") {
        skip("msitools", "msiinfo and msibuild are needed");
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

/// Debian's Wine, called directly: its wrapper asks for a 32-bit one.
const WINE: &str = "/usr/lib/wine/wine64";
const MSIDB: &str = "/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/msidb.exe";

/// Wine's `msidb` writes what we write, and what it reads of ours comes back the same.
///
/// It differs in what the documentation of Microsoft's own has and Wine lacks: `.ibd` behind the names of streams, and the
/// code page before the name of a table whose texts need it, without which it does read the file. Of a key with several
/// columns it takes the first alone for the name of a stream's file.
#[test]
fn wine_msidb_reads_and_writes_the_same() {
    if !fs::exists(WINE).unwrap() || !fs::exists(MSIDB).unwrap() {
        skip("Wine", "Debian's wine64 with msidb is needed");
        return;
    }
    let sandbox = Sandbox::new();
    installers(&sandbox);
    sandbox.ok(NEW);
    sandbox.ok("pcp export app.pcp -o text");
    sandbox.write("text/Icons.idt", "Name\tSize\tData\r\ns72\ti2\tV0\r\nIcons\tName\r\na b\t16\tx.ico\r\nc\t9\t\r\n");
    sandbox.write("text/Icons/x.ico", b"\0\xff\r\n");
    sandbox.ok("pcp import text -o ours.pcp");
    sandbox.ok("pcp export ours.pcp -o ours");
    // The same with a letter that is not ASCII.
    sandbox.write("letters/T.idt", b"A\r\ns72\r\n1252\tT\tA\r\nGr\xfc\xdfe\r\n");
    sandbox.write("letters/_ForceCodepage.idt", "\r\n\r\n1252\t_ForceCodepage\r\n");
    sandbox.ok("pcp import letters -o letters.pcp");
    let windows = |name: &str| format!("Z:{}", sandbox.path(name).display()).replace('/', "\\");
    let wine = |args: &[&str]| {
        let mut command = Command::new(WINE);
        command.arg(MSIDB).args(args).current_dir(sandbox.path("")).stdin(Stdio::null());
        command.env("WINEPREFIX", sandbox.path("prefix")).env("WINEDEBUG", "-all").env("HOME", sandbox.path(""));
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=").env_remove("DISPLAY");
        // Its exit code says little: it is 1 where there is no summary information. The files are what counts.
        command.output().unwrap();
    };
    fs::create_dir(sandbox.path("theirs")).unwrap();
    fs::create_dir(sandbox.path("letters-theirs")).unwrap();
    wine(&["-d", &windows("ours.pcp"), "-f", &windows("theirs"), "-e", "*"]);
    wine(&["-d", &windows("letters.pcp"), "-f", &windows("letters-theirs"), "-e", "*"]);
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(sandbox.path(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names.into_iter().filter(|name| name.ends_with(".idt") && name != "_SummaryInformation.idt").collect()
    };
    let tables: Vec<String> = names("ours").into_iter().filter(|name| name != "_ForceCodepage.idt").collect();
    assert_eq!(names("theirs"), tables);
    for table in &tables {
        let [ours, theirs] = ["ours", "theirs"].map(|folder| sandbox.read(&format!("{folder}/{table}")));
        let ours = String::from_utf8(ours).unwrap().replace(".ibd", "");
        assert_eq!(String::from_utf8_lossy(&theirs), ours, "{table}");
    }
    assert_eq!(sandbox.read("theirs/Icons/a b"), sandbox.read("ours/Icons/a b.ibd"));
    assert_eq!(sandbox.read("letters-theirs/T.idt"), b"A\r\ns72\r\nT\tA\r\nGr\xfc\xdfe\r\n");
    // And the way back.
    let (made, folder) = (windows("again.pcp"), windows("ours"));
    let mut import = vec!["-c", "-d", &made, "-f", &folder, "-i"];
    import.extend(tables.iter().map(String::as_str));
    wine(&import);
    sandbox.ok("pcp export again.pcp -o again");
    for table in &tables {
        let [ours, again] = ["ours", "again"].map(|folder| sandbox.read(&format!("{folder}/{table}")));
        assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&ours), "{table}");
    }
    assert_eq!(sandbox.read("again/Icons/a b.ibd"), b"\0\xff\r\n");
    let _ = Command::new("/usr/lib/wine/wineserver64").arg("-k").env("WINEPREFIX", sandbox.path("prefix")).status();
}

/// An installer that `wixl` makes, its files in a cabinet inside: they are unpacked, and PATCHWIZ's objection is a note.
#[test]
fn installers_of_wixl_are_images() {
    if !has("wixl") {
        skip("wixl", "wixl is needed");
        return;
    }
    let sandbox = Sandbox::new();
    for (version, package) in [("1.0.0", "A"), ("1.1.0", "B")] {
        let product = format!(
            r#"<?xml version="1.0"?><Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
            <Product Id="{{11111111-2222-3333-4444-555555555555}}" UpgradeCode="{{AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE}}"
              Name="Note Pad" Version="{version}" Manufacturer="Example" Language="1033">
            <Package Id="{{{package}0000000-0000-0000-0000-000000000000}}" InstallerVersion="310" Compressed="yes"/>
            <Property Id="ARPHELPLINK" Value="https://example.org"/>
            <Media Id="1" Cabinet="data.cab" EmbedCab="yes"/>
            <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFilesFolder"><Directory Id="D" Name="Note Pad">
              <Component Id="C" Guid="{{11111111-2222-3333-4444-666666666666}}">
                <File Id="app" Name="application.exe" Source="app.exe" KeyPath="yes"/>
                <File Id="help" Name="help.txt" Source="help.txt"/>
              </Component></Directory></Directory></Directory>
            <Feature Id="F" Level="1"><ComponentRef Id="C"/></Feature></Product></Wix>"#
        );
        sandbox.write("app.wxs", product);
        sandbox.write("app.exe", format!("application {version} ").repeat(10_000));
        sandbox.write("help.txt", "help");
        let ran = Command::new("wixl")
            .args(["-o", &format!("{version}.msi"), "app.wxs"])
            .current_dir(sandbox.path(""))
            .output();
        assert!(ran.as_ref().unwrap().status.success(), "{ran:?}");
    }
    sandbox.ok("pcp new 1.0.0.msi 1.1.0.msi -o app.pcp");
    let (code, report) = sandbox.json("pcp check app.pcp");
    assert_eq!(
        (code, &report["errors"], &report["warnings"], &report["notes"]),
        (0, &0.into(), &0.into(), &2.into()),
        "{report:#}"
    );
    let (code, report) = sandbox.json("pcp check app.pcp --strict");
    assert_eq!((code, &report["errors"]), (1, &2.into()), "{report:#}");
    // Ranges are measured by what comes out of the cabinet: 180,000 bytes.
    sandbox.ok("pcp export app.pcp -o text");
    for (offset, expect) in [(179_996, 0), (179_997, 1)] {
        sandbox.write(
            "text/TargetFiles_OptionalData.idt",
            format!(
                "Target\tFTK\tSymbolPaths\tIgnoreOffsets\tIgnoreLengths\tRetainOffsets\ns13\ts255\tS255\tS255\tS255\tS255\n\
                 TargetFiles_OptionalData\tTarget\tFTK\nOld\tapp\t\t{offset}\t4\t\n"
            ),
        );
        sandbox.ok("pcp import text -o ranges.pcp");
        assert_eq!(sandbox.json("pcp check ranges.pcp").1["errors"], expect);
    }
}
