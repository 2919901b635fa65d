//! What we create in the PA19 format, applied by Wine's `mspatcha.dll`: agreement is a test, not a claim.
//!
//! Wine is more lenient than the format in places, so that our own strict reader follows each patch as well (`diff`
//! itself does not ship one that it cannot follow). Where Wine refuses what is legal, the row says so.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patchwright::range_list::{parse_ignore, parse_retain};
use patchwright::{ApplyOptions, DiffOptions, Lzx, Pa19Options, Pa19Profile, PatchFormat, Quiet, apply, diff};
use tempfile::TempDir;

use crate::skips::skip;

/// Debian's Wine, called directly: its wrapper asks for a 32-bit one.
const WINE: &str = "/usr/lib/wine/wine64";
const MINGW: &str = "x86_64-w64-mingw32-gcc";

/// What Wine says of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wine {
    /// It makes the exact new bytes.
    Applies,
    /// It refuses with this code, although the patch is legal.
    Refuses(u32),
}

/// `ERROR_PATCH_CORRUPT`: how Wine reads headers with base and time of an image, and identical files with ignore ranges.
const CORRUPT: Wine = Wine::Refuses(0xC00E_4102);

struct Row {
    name: &'static str,
    olds: Vec<Vec<u8>>,
    new: Vec<u8>,
    ignore: &'static [&'static str],
    retain: &'static [&'static str],
    options: Pa19Options,
    wine: Wine,
}

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pa19").join(name)).unwrap()
}

fn row(name: &'static str, olds: &[Vec<u8>], new: Vec<u8>) -> Row {
    let options = Pa19Options::default();
    Row { name, olds: olds.to_vec(), new, ignore: &[], retain: &[], options, wine: Wine::Applies }
}

/// Code and text and noise, moved about.
fn shuffled(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let run = (state >> 60) as usize + 1;
        out.extend(std::iter::repeat_n((state >> 40) as u8, run));
    }
    out.truncate(len);
    out
}

fn edited(old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    let third = new.len() / 3;
    new[third..third + 100].fill(0x90);
    new.rotate_left(1000);
    new.splice(2000..2000, b"inserted".repeat(50));
    new
}

fn rows() -> Vec<Row> {
    let with = |lzx| Pa19Options { lzx, ..Pa19Options::default() };
    let native = Pa19Options { profile: Pa19Profile::Native, ..Pa19Options::default() };
    let (dll32, dll64) = (|n| data(&format!("t{n}_dll")), |n| data(&format!("t64_{n}_dll")));
    let big = shuffled(1, 9 << 20);
    let mut stamped = row("32-bit image with a stamp", &[dll32(1)], dll32(2));
    (stamped.retain, stamped.ignore) = (&["0x40+32=0x40"], &["0x60+8"]);
    let mut stamped64 = row("64-bit image with a stamp", &[dll64(1)], dll64(2));
    (stamped64.retain, stamped64.ignore) = (&["0x40+32=0x42"], &["0x70+4"]);
    let mut several = row("several old files, each with its ranges", &[data("txt_a"), data("txt_c")], data("txt_b"));
    (several.ignore, several.retain) = (&["1:100+10,50+7", "2:0x80+16"], &["1:500+20=700", "2:900+20=700"]);
    let mut wide = row("more than 8 MiB", std::slice::from_ref(&big), edited(&big));
    wide.options.large_window = true;
    vec![
        row("text", &[data("txt_a")], data("txt_b")),
        row("noise", &[data("rnd_a")], data("rnd_b")),
        row("larger text", &[data("txt_big_a")], data("txt_big_b")),
        row("nothing in common", &[data("rnd_a")], data("txt_b")),
        row("zeros", &[data("zeros")], data("zeros_x")),
        row("a mixture of runs", &[shuffled(3, 300_000)], edited(&shuffled(3, 300_000))),
        row("one byte", &[data("txt_a")], vec![7]),
        row("32 KiB and one", &[shuffled(5, 32_769)], shuffled(6, 32_769)),
        row("32-bit image", &[dll32(1)], dll32(2)),
        Row { options: with(Lzx::A), ..row("64-bit image, calls as they are", &[dll64(1)], dll64(2)) },
        Row { options: with(Lzx::B), ..row("64-bit image, calls translated", &[dll64(1)], dll64(2)) },
        Row { options: with(Lzx::B), ..row("32-bit image, calls translated", &[dll32(1)], dll32(2)) },
        Row { options: native.clone(), ..row("64-bit image, native", &[dll64(1)], dll64(2)) },
        stamped,
        stamped64,
        several,
        wide,
        Row {
            options: native,
            wine: CORRUPT,
            ..row("32-bit image, native: Wine has no transforms", &[dll32(1)], dll32(2))
        },
        Row { wine: CORRUPT, ..row("an empty new file", &[data("txt_a")], Vec::new()) },
    ]
}

#[test]
fn wine_applies_what_we_create() {
    let has_mingw = Command::new(MINGW).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !Path::new(WINE).exists() || !has_mingw {
        skip("wine", "wine64 and gcc-mingw-w64-x86-64 are needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/wine/apply.c");
    let built = Command::new(MINGW).args(["-O1", "-o"]).arg(root.join("apply.exe")).arg(driver).status().unwrap();
    assert!(built.success());
    let rows = rows();
    let mut list = String::new();
    let mut expected = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for (number, expect) in prepare(root, index, row).into_iter().enumerate() {
            let name = format!("{index}-{number}");
            list.push_str(&format!("{index}.pa19|{name}.old|{name}.new\n"));
            expected.push((row, name, expect));
        }
    }
    fs::write(root.join("list"), list).unwrap();
    let answers = run_wine(root);
    assert_eq!(answers.len(), expected.len(), "{answers:?}");
    for ((row, name, expect), answer) in expected.iter().zip(answers) {
        assert_eq!(answer, row.wine, "{}", row.name);
        if row.wine == Wine::Applies {
            assert!(fs::read(root.join(format!("{name}.new"))).unwrap() == *expect, "{}", row.name);
        }
    }
}

/// Makes the patch of a row and a user's copy of each old file; returns what each must become, as our own reader has it.
fn prepare(root: &Path, index: usize, row: &Row) -> Vec<Vec<u8>> {
    let write = |name: String, bytes: &[u8]| -> PathBuf {
        let path = root.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let olds: Vec<PathBuf> =
        row.olds.iter().enumerate().map(|(number, old)| write(format!("{index}-{number}.vendor"), old)).collect();
    let new = write(format!("{index}.vendor"), &row.new);
    let patch = root.join(format!("{index}.pa19"));
    let options = DiffOptions {
        ignore: row.ignore.iter().map(|text| parse_ignore(text).unwrap()).collect(),
        retain: row.retain.iter().map(|text| parse_retain(text).unwrap()).collect(),
        format: PatchFormat::Pa19(row.options.clone()),
        ..DiffOptions::default()
    };
    diff(&olds, &new, &patch, &options, &Quiet).unwrap_or_else(|error| panic!("{}: {error}", row.name));
    (0..row.olds.len())
        .map(|number| {
            let mut users = row.olds[number].clone();
            let mine = |old: Option<usize>| old.is_none_or(|old| old == number + 1);
            for arg in options.ignore.iter().filter(|arg| mine(arg.old)) {
                for range in &arg.ranges {
                    users[range.offset as usize..][..range.len as usize].fill(0xEE);
                }
            }
            let mut expect = row.new.clone();
            for arg in options.retain.iter().filter(|arg| mine(arg.old)) {
                for range in &arg.ranges {
                    users[range.old_offset as usize..][..range.len as usize].fill(0x55);
                    expect[range.new_offset as usize..][..range.len as usize].fill(0x55);
                }
            }
            let target = write(format!("{index}-{number}.old"), &users);
            let ours = root.join("ours");
            let to_ours = ApplyOptions { output: Some(ours.clone()), ..ApplyOptions::default() };
            apply(&patch, &target, &to_ours, &Quiet).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            assert!(fs::read(ours).unwrap() == expect, "{}", row.name);
            expect
        })
        .collect()
}

fn run_wine(root: &Path) -> Vec<Wine> {
    let ran = Command::new(WINE)
        .args(["apply.exe", "list"])
        .current_dir(root)
        .env("WINEPREFIX", root.join("prefix"))
        .env("WINEDEBUG", "-all")
        .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
        .env("HOME", root)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // The server would keep the folder busy for a while.
    let _ = Command::new("/usr/lib/wine/wineserver64").arg("-k").env("WINEPREFIX", root.join("prefix")).status();
    assert!(ran.status.success(), "{ran:?}");
    let text = String::from_utf8(ran.stdout).unwrap();
    text.lines()
        .map(|line| match line.trim().split_once(' ') {
            Some(("1", _)) => Wine::Applies,
            Some(("0", code)) => Wine::Refuses(u32::from_str_radix(code, 16).unwrap()),
            _ => panic!("{text}"),
        })
        .collect()
}
