//! `patchwright msp build` and `patchwright msimsp`

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::harness::{Sandbox, check_errors};
use crate::pcp::{has, skip};

const WINE: &str = "/usr/lib/wine/wine64";

/// A product that `wixl` makes, its files in a cabinet inside the installer. `None` without `wixl`.
pub(crate) fn installers(sandbox: &Sandbox) -> Option<()> {
    if !has("wixl") {
        skip("wixl", "wixl is needed");
        return None;
    }
    for (version, package) in [("1.0.0", "A"), ("1.0.1", "B")] {
        sandbox.write(
            "app.wxs",
            format!(
                r#"<?xml version="1.0"?><Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
                <Product Id="{{11111111-2222-3333-4444-777777777777}}" UpgradeCode="{{AAAAAAAA-BBBB-CCCC-DDDD-FFFFFFFFFFFF}}"
                  Name="Note Pad" Version="{version}" Manufacturer="Example" Language="1033">
                <Package Id="{{{package}1000000-0000-0000-0000-000000000000}}" InstallerVersion="310" Compressed="yes"/>
                <Property Id="ARPHELPLINK" Value="https://example.org"/>
                <Media Id="1" Cabinet="data.cab" EmbedCab="yes"/>
                <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="D" Name="NotePad">
                  <Component Id="C" Guid="{{11111111-2222-3333-4444-888888888888}}">
                    <File Id="app" Name="application.exe" Source="app.exe" KeyPath="yes"/>
                    <File Id="help" Name="help.txt" Source="help.txt"/>
                  </Component></Directory></Directory>
                <Feature Id="F" Level="1"><ComponentRef Id="C"/></Feature></Product></Wix>"#
            ),
        );
        let text: String = (0..4000).map(|line| format!("line {line} of the application\n")).collect();
        sandbox.write("app.exe", text.replace("line 2000 ", &format!("line 2000 in version {version} ")));
        sandbox.write("help.txt", format!("help for {version}"));
        fs::create_dir_all(sandbox.path(version)).unwrap();
        let made = Command::new("wixl")
            .args(["-o", &format!("{version}/app.msi"), "app.wxs"])
            .current_dir(sandbox.path(""))
            .output();
        assert!(made.as_ref().unwrap().status.success(), "{made:?}");
    }
    Some(())
}

/// Patch creation properties `sized.pcp` over installers without any tool of others: the patch has a delta, a whole file, a
/// warning and a note.
pub(crate) fn described(sandbox: &Sandbox) {
    let guid = |letter: &str| format!("{{{0}-2222-3333-4444-555555555555}}", letter.repeat(8));
    for (version, build) in [("1.0.0", "1"), ("1.0.1", "2")] {
        let tables = [
            (
                "Property",
                format!(
                    "Property\tValue\ns72\tl0\nProperty\tProperty\nManufacturer\tExample\nProductCode\t{}\nProductName\tPad\n\
                     ProductLanguage\t1033\nProductVersion\t{version}\nUpgradeCode\t{}\nARPHELPLINK\thttps://example.org\n",
                    guid("A"),
                    guid("B")
                ),
            ),
            ("Directory", "Directory\tDirectory_Parent\tDefaultDir\ns72\tS72\tl255\nDirectory\tDirectory\nTARGETDIR\t\tSourceDir\n".to_owned()),
            (
                "Component",
                "Component\tComponentId\tDirectory_\tAttributes\tCondition\tKeyPath\ns72\tS38\ts72\ti2\tS255\tS72\nComponent\tComponent\n\
                 c\t\tTARGETDIR\t0\t\tapp\n"
                    .to_owned(),
            ),
            (
                "File",
                "File\tComponent_\tFileName\tFileSize\tVersion\tLanguage\tAttributes\tSequence\ns72\ts72\tl255\ti4\tS72\tS20\tI2\ti2\n\
                 File\tFile\napp\tc\tapp.exe\t1\t\t\t0\t1\nhelp\tc\thelp.txt\t1\t\t\t0\t2\n"
                    .to_owned(),
            ),
            (
                "Media",
                "DiskId\tLastSequence\tDiskPrompt\tCabinet\tVolumeLabel\tSource\ni2\ti2\tL64\tS255\tS32\tS72\nMedia\tDiskId\n1\t2\t\t\t\t\n"
                    .to_owned(),
            ),
            (
                "InstallExecuteSequence",
                "Action\tCondition\tSequence\ns72\tS255\tI2\nInstallExecuteSequence\tAction\nInstallFiles\t\t4000\n".to_owned(),
            ),
            (
                "_SummaryInformation",
                format!("PropertyId\tValue\ni2\tl255\n_SummaryInformation\tPropertyId\n1\t1252\n7\tx64;1033\n9\t{}\n14\t200\n15\t0\n", guid(build)),
            ),
        ];
        for (name, text) in tables {
            sandbox.write(&format!("tables-{version}/{name}.idt"), text);
        }
        let text: String = (0..3000).map(|line| format!("{line} ")).collect();
        sandbox.write(&format!("sized-{version}/app.exe"), text.replace(" 1500 ", &format!(" {version} ")));
        sandbox.write(&format!("sized-{version}/help.txt"), format!("help for {version}"));
        sandbox.ok(&format!("pcp import tables-{version} -o sized-{version}/app.msi"));
    }
    sandbox.ok("pcp new sized-1.0.0/app.msi sized-1.0.1/app.msi -o sized.pcp");
}

/// The three commands of the guide, on installers as a build server has them; then Wine installs and patches.
#[test]
fn three_commands_lead_from_two_installers_to_a_patch() {
    let sandbox = Sandbox::new();
    if installers(&sandbox).is_none() {
        return;
    }
    sandbox.ok("pcp new 1.0.0/app.msi 1.0.1/app.msi -o app.pcp --patch-guid {5406B219-A1AC-4BC4-8695-72292C8195AC}");
    sandbox.ok("pcp check app.pcp");
    let ran = sandbox.ok("msp build app.pcp -o app.msp");
    assert!(ran.stdout.contains("PatchGUID  {5406B219-A1AC-4BC4-8695-72292C8195AC}\n"), "{ran:?}");
    assert!(ran.stdout.contains("delta") && ran.stdout.contains("whole"), "{ran:?}");
    let inspected = sandbox.json("msp inspect app.msp --against 1.0.0/app.msi");
    assert_eq!(inspected.0, 0, "{:#}", inspected.1);

    // The same through the flags of Msimsp.exe, byte for byte.
    let ran = sandbox.ok("msimsp /S app.pcp -P again.msp -lp app.log -f parts -d");
    assert!(ran.stderr.contains("note: the patch is made"), "{ran:?}");
    assert!(sandbox.read("app.msp") == sandbox.read("again.msp"));
    let log = String::from_utf8(sandbox.read("app.log")).unwrap();
    assert!(log.contains("Patch file created: FTK=app; temp location="), "{log}");
    assert!(log.contains("Performance: phase III: "), "{log}");
    assert!(!sandbox.path("parts").exists());
    assert!(sandbox.ok("msimsp -?").stdout.contains("-lp LOG"));

    if !PathBuf::from(WINE).exists() {
        skip("wine", "wine64 is needed");
        return;
    }
    let msiexec = |verb: &str, file: &str| {
        let path = format!("Z:{}", sandbox.path(file).display()).replace('/', "\\");
        let status = Command::new(WINE)
            .args(["msiexec", verb, &path, "/qn"])
            .env("WINEPREFIX", sandbox.path("prefix"))
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env("HOME", sandbox.path(""))
            .env_remove("DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap();
    };
    let installed = || {
        ["application.exe", "help.txt"]
            .map(|name| fs::read(sandbox.path("prefix/drive_c/NotePad").join(name)).unwrap_or_default())
    };
    msiexec("/i", "1.0.0/app.msi");
    assert_eq!(installed()[1], b"help for 1.0.0");
    msiexec("/p", "app.msp");
    let patched = installed();
    let _ = Command::new("/usr/lib/wine/wineserver64").arg("-k").env("WINEPREFIX", sandbox.path("prefix")).status();
    // What is left of the sources is the second version's.
    assert!(patched[0] == sandbox.read("app.exe"), "the delta");
    assert_eq!(patched[1], b"help for 1.0.1");
}

#[test]
fn what_cannot_be_is_refused_with_codes() {
    let sandbox = Sandbox::new();
    sandbox.write("junk.pcp", "junk");
    check_errors(
        &sandbox,
        &[
            ("msp build none.pcp", 5, "No such file"),
            ("msp build junk.pcp -o x.msp", 3, "not a Windows Installer database"),
            ("msimsp", 2, "-s is missing"),
            ("msimsp -s", 2, "needs a path"),
            ("msimsp -q x", 2, "no flag of Msimsp.exe"),
            ("msimsp -s none.pcp", 5, "ERROR_PCW_PCP_DOESNT_EXIST (0xC00E5101)"),
            ("msimsp /s junk.pcp", 3, "ERROR_PCW_PCP_BAD_FORMAT (0xC00E5102)"),
        ],
    );
}
