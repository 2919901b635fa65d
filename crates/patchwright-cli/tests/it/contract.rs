//! What needs no patch: usage, streams, colours, help.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Ran, Sandbox};

/// Calls that cannot be: exit 2, nothing on standard output, the message on standard error.
#[test]
fn usage_errors_exit_with_2() {
    let sandbox = Sandbox::new();
    for (line, expect) in [
        ("", "Usage: patchwright"),
        ("frobnicate", "unrecognized subcommand 'frobnicate'"),
        ("diff", "<OLD... NEW>"),
        ("diff old -o p", "an old and a new version are needed"),
        ("diff -o p", "<OLD... NEW>"),
        ("diff old new", "--output <PATCH>"),
        ("diff old new -o p --threads 0", "a whole number from 1"),
        ("diff old new -o p --threads two", "a whole number from 1"),
        ("diff old new -o p --max-memory 2GB", "KiB, MiB, GiB or TiB"),
        ("diff old new -o p --max-memory 0", "no memory"),
        ("diff old new -o p --ignore", "a value is required"),
        ("diff old new -o p -o q", "cannot be used multiple times"),
        ("apply patch", "<TARGET>"),
        ("revert patch", "<TARGET>"),
        ("status", "<TARGET>"),
        ("status a b", "unexpected argument 'b'"),
        ("inspect", "<PATCH>"),
        ("verify", "<PATCH>"),
        ("verify a b c", "unexpected argument 'c'"),
        ("inspect x --color purple", "invalid value 'purple'"),
        ("completions tcsh", "invalid value 'tcsh'"),
        ("completions bash --json", "no report"),
        ("man --json", "no report"),
        // Verbs and flags of later releases are not there yet.
        ("diff old new -o p --hot", "unexpected argument '--hot'"),
        ("diff old new -o p --format zip", "invalid value 'zip' for '--format <FORMAT>'"),
        ("apply p t --running", "unexpected argument '--running'"),
        ("apply p t --pid 1", "unexpected argument '--pid'"),
        ("status --pid 1", "unexpected argument '--pid'"),
        ("msp build x", "unrecognized subcommand 'msp'"),
        ("cc", "<COMPILER ARGS>"),
        ("cc --pad 121 -- gcc", "121"),
        ("cc --audit maybe -- gcc", "invalid value 'maybe'"),
        ("cl --pw-audit=maybe", "invalid value 'maybe'"),
        ("link --pw-no-such-switch", "unexpected argument '--no-such-switch'"),
        ("cc --no-such-switch gcc -c x.c", "unexpected argument '--no-such-switch'"),
    ] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
        assert!(ran.stderr.contains(expect), "{line}: {ran:?}");
        if !line.ends_with("--json") {
            assert_eq!(ran.stdout, "", "{line}");
        }
    }
}

/// Every range that cannot be read is named, not the first one only.
#[test]
fn bad_ranges_are_all_named() {
    let sandbox = Sandbox::new();
    let line = "diff old new -o p --ignore 5 --ignore 1:2+3 --retain x:1+2 --retain 1+2=z --ignore 1+2,,3+4";
    let ran = sandbox.run(line);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.stdout, "");
    assert_eq!(
        ran.stderr,
        "\
error: ranges that cannot be read
  --ignore 5: '5' is not of the form OFFSET+LENGTH
  --ignore 1+2,,3+4: '' is not of the form OFFSET+LENGTH
  --retain x:1+2: 'x' is not the number of an old file: they count from 1
  --retain 1+2=z: 'z' is not a decimal or 0x hexadecimal number
hint: a range is OFFSET+LENGTH, a retained one also OFFSET+LENGTH=NEWOFFSET; numbers are decimal or 0x
"
    );
}

/// Errors in JSON: one object on standard output, the same exit code; the text stays on standard error.
#[test]
fn errors_are_objects_in_json() {
    let sandbox = Sandbox::new();
    for (line, code, kind, message) in [
        ("diff old new -o p --ignore 5", 2, "usage", "ranges that cannot be read"),
        ("diff old -o p", 2, "usage", "an old and a new version are needed, there is only one file"),
        ("inspect", 2, "usage", "the following required arguments were not provided:"),
        ("frobnicate", 2, "usage", "unrecognized subcommand 'frobnicate'"),
        ("completions bash", 2, "usage", "this command has no report to print as JSON"),
    ] {
        let (exit, object) = sandbox.json(line);
        assert_eq!(exit, code, "{line}");
        assert_eq!(object["schema"], "patchwright.error/1", "{line}");
        assert_eq!(object["kind"], kind, "{line}");
        assert_eq!(object["exit_code"], code, "{line}");
        assert_eq!(object["message"], message, "{line}");
        assert!(object["details"].is_array(), "{line}");
        assert!(object["path"].is_null(), "{line}");
        assert!(sandbox.run(&format!("{line} --json")).stderr.starts_with("error: "), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn json_replaces_what_it_cannot_spell_in_a_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let ran = Ran::of(sandbox.command("inspect --json").arg(OsStr::from_bytes(b"a\xff")));
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stdout.contains("\"path\": \"a\u{fffd}\""), "{ran:?}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let sandbox = Sandbox::new();
    for (line, expect) in [
        ("--version", concat!("patchwright ", env!("CARGO_PKG_VERSION"), "\n")),
        ("--help", "Exit codes:"),
        ("-h", "Commands:"),
        ("help diff", "--retain <[N:]OLDOFF+LEN[=NEWOFF][,...]>"),
        ("diff --help", "   1  there is nothing to patch"),
        ("apply --help", "   4  the patch was not made for this target"),
        ("revert --help", "   4  the target is not what the patch made of it"),
        ("status --help", "   0  the report is printed"),
        ("inspect --help", "   3  it is no patch"),
        ("verify --help", "   1  the patch is whole, but it would not apply"),
        ("--json --version", "patchwright "),
    ] {
        let ran = sandbox.ok(line);
        assert!(ran.stdout.contains(expect), "{line}: {ran:?}");
        assert_eq!(ran.stderr, "", "{line}");
    }
}

/// Without a terminal there is no colour unless asked for; NO_COLOR yields to the flag.
#[test]
fn colours_are_as_asked() {
    let sandbox = Sandbox::new();
    let bad_range = "diff old new -o p --ignore 5";
    for (line, no_color, coloured) in [
        (bad_range.to_owned(), false, false),
        (bad_range.to_owned(), true, false),
        (format!("{bad_range} --color never"), false, false),
        (format!("{bad_range} --color=always"), false, true),
        (format!("{bad_range} --color always"), true, true),
        ("diff --color always".to_owned(), false, true),
        ("diff --color never".to_owned(), false, false),
        ("--color always --json frobnicate".to_owned(), false, true),
    ] {
        let mut command = sandbox.command(&line);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, 2, "{line}");
        assert_eq!(ran.stderr.contains('\u{1b}'), coloured, "{line}, NO_COLOR {no_color}: {ran:?}");
        assert!(!ran.stdout.contains('\u{1b}'), "{line}");
    }
}

/// `NO_COLOR` also beats an environment that forces colours.
#[test]
fn no_color_is_honoured() {
    let sandbox = Sandbox::new();
    let line = "diff old new -o p --ignore 5";
    let forced = Ran::of(sandbox.command(line).env("CLICOLOR_FORCE", "1"));
    assert!(forced.stderr.contains('\u{1b}'), "{forced:?}");
    let plain = Ran::of(sandbox.command(line).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1"));
    assert!(!plain.stderr.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn completions_and_pages_are_printed() {
    let sandbox = Sandbox::new();
    for (line, file) in [
        ("completions bash", "completions/patchwright.bash"),
        ("completions zsh", "completions/_patchwright"),
        ("completions fish", "completions/patchwright.fish"),
        ("completions powershell", "completions/patchwright.ps1"),
        ("man", "man/patchwright.1"),
    ] {
        let ran = sandbox.ok(line);
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        assert_eq!(ran.stdout, fs::read_to_string(docs.join(file)).unwrap(), "{line}");
        assert_eq!(ran.stderr, "", "{line}");
    }
    let told = sandbox.ok("man -o pages/man1").stdout;
    assert_eq!(told.lines().count(), 20);
    assert_eq!(told.lines().next(), Some("pages/man1/patchwright.1"));
    assert!(String::from_utf8(sandbox.read("pages/man1/patchwright-diff.1")).unwrap().contains("\\-\\-retain"));
}

/// A reader that leaves early is no failure; a full disk is.
#[cfg(target_os = "linux")]
#[test]
fn closed_and_full_outputs() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = sandbox.command("completions bash").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");

    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = sandbox.command("completions bash").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ran.status.code(), Some(5));
    assert!(String::from_utf8(ran.stderr).unwrap().contains("cannot write to standard output"));

    let closed = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" >&- 2>&-", env!("CARGO_BIN_EXE_patchwright"), "completions", "bash"])
        .status()
        .unwrap();
    assert_eq!(closed.code(), Some(0));
}
