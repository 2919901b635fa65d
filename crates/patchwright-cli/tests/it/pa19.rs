//! Patches in Microsoft's format, by the same verbs.

use std::fs;
use std::path::Path;

use crate::harness::{Sandbox, check_errors};

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pa19").join(name)).unwrap()
}

/// Two versions of a 32-bit and of a 64-bit image, and a user's copy with a stamp.
fn images(sandbox: &Sandbox) {
    for (name, file) in [("old32", "t1_dll"), ("new32", "t2_dll"), ("old64", "t64_1_dll"), ("new64", "t64_2_dll")] {
        sandbox.write(name, data(file));
    }
    for bits in ["32", "64"] {
        let mut users = sandbox.read(&format!("old{bits}"));
        users[0x40..0x50].copy_from_slice(b"licensed: nobody");
        users[0x60..0x64].fill(0xEE);
        sandbox.write(&format!("user{bits}"), users);
    }
}

#[test]
fn stamped_images_go_to_the_new_version_and_back() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    for bits in ["32", "64"] {
        for profile in ["raw", "native"] {
            sandbox.ok(&format!(
                "diff old{bits} new{bits} -o fix.pa19 --format pa19 --profile {profile} --retain 0x40+16=0x44 --ignore 0x60+4"
            ));
            let before = sandbox.read(&format!("user{bits}"));
            let mut expect = sandbox.read(&format!("new{bits}"));
            expect[0x44..0x54].copy_from_slice(b"licensed: nobody");
            sandbox.ok(&format!("verify fix.pa19 user{bits}"));
            sandbox.ok(&format!("apply fix.pa19 user{bits} -o out"));
            assert!(sandbox.read("out") == expect, "{bits} {profile}");
            sandbox.ok(&format!("apply fix.pa19 user{bits} --dry-run"));
            assert!(sandbox.read(&format!("user{bits}")) == before, "{bits} {profile}");
            let (_, report) = sandbox.json(&format!("apply fix.pa19 user{bits}"));
            assert_eq!((&report["outcome"], &report["from"]), (&"applied".into(), &1.into()));
            assert!(sandbox.read(&format!("user{bits}")) == expect, "{bits} {profile}");
            let (_, again) = sandbox.json(&format!("apply fix.pa19 user{bits}"));
            assert_eq!(again["outcome"], "already-new", "{bits} {profile}");
            sandbox.ok(&format!("revert fix.pa19 user{bits}"));
            assert!(sandbox.read(&format!("user{bits}")) == before, "{bits} {profile}");
        }
    }
}

#[test]
fn the_genuine_creators_patches_apply() {
    let sandbox = Sandbox::new();
    for (patch, old, new) in [
        ("text_best.pa19", "txt_a", "txt_b"),
        ("pe32_best.pa19", "t1_dll", "t2_dll"),
        ("pe64_B.pa19", "t64_1_dll", "t64_2_dll"),
        ("two_olds.pa19", "txt_c", "txt_b"),
        ("interleave.pa19", "txt_big_a", "txt_big_b"),
    ] {
        sandbox.write("genuine.pa19", data(patch));
        sandbox.write("target", data(old));
        sandbox.ok("inspect genuine.pa19");
        let (code, report) = sandbox.json("apply genuine.pa19 target");
        assert_eq!((code, &report["outcome"]), (0, &"applied".into()), "{patch}: {report}");
        assert!(sandbox.read("target") == data(new), "{patch}");
    }
}

#[test]
fn the_time_of_change_travels_unless_it_is_left_out() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    fs::File::options().write(true).open(sandbox.path("new64")).unwrap().set_modified(time).unwrap();
    sandbox.ok("diff old64 new64 -o with.pa19 --format pa19");
    sandbox.ok("diff old64 new64 -o without.pa19 --format pa19 --no-timestamp");
    let (_, with) = sandbox.json("inspect with.pa19");
    let (_, without) = sandbox.json("inspect without.pa19");
    assert_eq!((&with["file_time"], without.get("file_time")), (&1_234_567_890.into(), None));
    sandbox.ok("apply with.pa19 old64");
    assert_eq!(fs::metadata(sandbox.path("old64")).unwrap().modified().unwrap(), time);
}

#[test]
fn headers_and_signatures_are_the_genuine_ones() {
    let sandbox = Sandbox::new();
    sandbox.write("fix.pa19", data("text_best.pa19"));
    sandbox.write("txt_a", data("txt_a"));
    sandbox.ok("inspect fix.pa19 --extract-header header");
    let (_, header) = sandbox.json("inspect header");
    assert_eq!(header["header_only"], true);
    let ran = sandbox.run("verify header");
    assert_eq!(ran.code, 3, "{ran:?}");
    sandbox.write("eight", [0xCC; 8]);
    assert_eq!(sandbox.ok("inspect --signature eight").stdout, "58ea8bb8  eight\n");
    assert_eq!(sandbox.ok("inspect --signature --md5 eight").stdout, "7bffa66e1c861fcbf38426d134508908  eight\n");
}

#[test]
fn what_cannot_be_is_refused_with_the_code_of_the_patch_api() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    sandbox.write("noise", data("rnd_a"));
    sandbox.write("one", data("one"));
    sandbox.ok("diff old32 new32 -o fix.pa19 --format pa19");
    let mut damaged = sandbox.read("fix.pa19");
    damaged[100] ^= 1;
    sandbox.write("damaged.pa19", damaged);
    check_errors(
        &sandbox,
        &[
            ("diff old32 new32 -o p --profile native", 2, "options of the PA19 format without --format pa19"),
            ("diff new32 new32 -o p --format pa19 --fail-if-same", 1, "ERROR_PATCH_SAME_FILE (0xC00E3103)"),
            ("diff noise one -o p --format pa19 --fail-if-bigger", 1, "ERROR_PATCH_BIGGER_THAN_COMPRESSED"),
            ("diff old32 new32 -o p --format pa19 --retain 0x7fffffff+9", 2, "reaches beyond the end"),
            ("apply damaged.pa19 old32", 3, "ERROR_PATCH_CORRUPT (0xC00E4102)"),
            ("apply fix.pa19 noise", 4, "is not a version that the patch knows"),
            ("inspect old32 --extract-header h", 3, "ERROR_PATCH_CORRUPT (0xC00E4102)"),
        ],
    );
    let ran = sandbox.run("verify fix.pa19 noise");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!sandbox.path("p").exists());
}
