//! `patchwright check`

use std::fs;
use std::path::Path;

use crate::harness::{Sandbox, check_errors};

/// A library for x64 Windows without symbols, compiled with nothing that makes room for patches.
pub(crate) fn image() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pa19/t64_1_dll")).unwrap()
}

#[test]
fn the_answer_is_the_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.write("image.dll", image());
    let good = good_name(&sandbox);
    sandbox.write("good", format!("# names\n{good} # this one\n\n"));
    sandbox.write("missing", format!("{good}\nnowhere\n"));
    for (line, code, expect) in [
        (
            "check image.dll".to_owned(),
            1,
            "no: image.dll is not hot-patchable: 71 of 206 functions that are asked for\n",
        ),
        (
            "check image.dll --require list --list good".to_owned(),
            0,
            "yes: image.dll is hot-patchable: all of 1 function",
        ),
        ("check image.dll --require list --list missing".to_owned(), 1, "no: image.dll"),
        (format!("check image.dll --function {good}"), 0, &format!("function  {good}\n")),
        ("check image.dll --function f20".to_owned(), 1, "function  f20\n"),
        ("check image.dll --function f20 --allow none".to_owned(), 1, "function  f20\n"),
        ("check image.dll --function nowhere".to_owned(), 1, "no: image.dll has no function nowhere\n"),
        ("check image.dll --min-pad 120".to_owned(), 1, "no: image.dll is not hot-patchable: 0 of 206"),
    ] {
        sandbox.write("none", "");
        let ran = sandbox.run(&line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stdout.starts_with(expect), "{line}: {ran:?}");
        let (code_in_json, report) = sandbox.json(&line);
        assert_eq!(code_in_json, code, "{line}");
        assert_eq!(report["schema"], "patchwright.check/1", "{line}");
        assert_eq!(report["answer"] == "hot-patchable", code == 0, "{line}");
    }
    let text = sandbox.run("check image.dll").stdout;
    for expect in
        ["\nHP-A01, broken by 77 functions\n  rule: ", "\n  remedy: compile with ", " more; --json lists all\n"]
    {
        assert!(text.contains(expect), "{expect}: {text}");
    }
    assert!(
        sandbox.run("check image.dll --require list --list missing").stdout.contains("not in the image: nowhere\n")
    );
}

/// A function may fail if it is allowed to, but something must be left to ask for.
#[test]
fn failures_can_be_allowed() {
    let sandbox = Sandbox::new();
    sandbox.write("image.dll", image());
    let good = good_name(&sandbox);
    sandbox.write("list", format!("{good}\nf20\n"));
    sandbox.write("allow", "f20\n");
    assert_eq!(sandbox.run("check image.dll --require list --list list").code, 1);
    assert_eq!(sandbox.run("check image.dll --require list --list list --allow allow").code, 0);
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("text", "hello");
    sandbox.write("cut", &image()[..3000]);
    let mut other = image();
    let at = usize::from(other[0x3c]) + 4;
    // IMAGE_FILE_MACHINE_RISCV64
    other[at..at + 2].copy_from_slice(&0x5064_u16.to_le_bytes());
    sandbox.write("riscv.dll", other);
    sandbox.write("cut.a", "!<arch>\na.o/            0           0     0     644     99999     `\n");
    check_errors(
        &sandbox,
        &[
            ("check text", 3, "text: "),
            ("check cut", 3, "cut: "),
            ("check riscv.dll", 3, ""),
            ("check cut.a", 3, "cut.a: "),
            ("check text --pdb missing", 5, "missing: "),
            ("check missing", 5, "missing: "),
            ("check text --require list", 2, "belong together"),
            ("check text --list text", 2, "belong together"),
            ("check text --function f --require all", 2, "cannot be used with"),
            ("check text --min-pad 121", 2, "121"),
        ],
    );
}

/// The name of a function that is hot-patchable.
fn good_name(sandbox: &Sandbox) -> String {
    let (_, report) = sandbox.json("check image.dll");
    let functions = report["functions"].as_array().unwrap();
    let good = functions.iter().find(|one| one["verdict"] == "hot-patchable" && one["names"][0].is_string()).unwrap();
    good["names"][0].as_str().unwrap().to_owned()
}
