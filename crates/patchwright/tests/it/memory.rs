//! `apply` and `revert` keep to their memory, whatever the sizes of the files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use patchwright::{ApplyOptions, DiffOptions, Quiet, RevertOptions, apply, diff, revert};
use patchwright_delta::format::APPLY_MEMORY;

use crate::folder::{Folder, noise};

/// What the process itself, the buffers of the verbs and the allocator take besides the delta engine.
const MARGIN: u64 = 32 << 20;
const IN_CHILD: &str = "PATCHWRIGHT_TEST_MEMORY";
const MIB: usize = 1 << 20;

/// Writes `count` mebibytes that repeat with small differences; `version` edits one byte in ten thousand.
fn write_large(path: &Path, count: usize, version: u8) {
    let mut out = BufWriter::with_capacity(MIB, File::create(path).unwrap());
    let base = noise(1, MIB);
    let mut piece = base.clone();
    for index in 0..count {
        piece.copy_from_slice(&base);
        for at in (index * 97 % 5000..MIB).step_by(10_007) {
            piece[at] ^= (index as u8).wrapping_add(1);
            piece[at / 2] = piece[at / 2].wrapping_add(version);
        }
        out.write_all(&piece).unwrap();
    }
    out.flush().unwrap();
}

/// The most memory this process has had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn apply_and_revert_of_a_large_file_keep_to_their_memory() {
    if let Some(root) = std::env::var_os(IN_CHILD) {
        let (patch, target) = (Path::new(&root).join("fix.pwp"), Path::new(&root).join("app"));
        apply(&patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
        let after_apply = peak();
        revert(&patch, &target, &RevertOptions::default(), &Quiet).unwrap();
        println!("peak: {after_apply} {}", peak());
        return;
    }
    let folder = Folder::new();
    let (target, new) = (folder.path("app"), folder.path("new"));
    write_large(&target, 192, 0);
    write_large(&new, 200, 1);
    let options = DiffOptions { max_memory_bytes: Some(1 << 30), ..DiffOptions::default() };
    diff(std::slice::from_ref(&target), &new, &folder.path("fix.pwp"), &options, &Quiet).unwrap();
    fs::remove_file(new).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::apply_and_revert_of_a_large_file_keep_to_their_memory", "--nocapture"])
        .env(IN_CHILD, folder.root())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("peak: ")).unwrap().1;
    let peaks: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let limit = APPLY_MEMORY + MARGIN;
    println!("apply and revert: {peaks:?} of {limit} bytes");
    assert!(peaks.iter().all(|peak| *peak <= limit), "{peaks:?} bytes exceed {limit}");
}
