//! Our ARM decoders against LLVM's disassembler, instruction by instruction, on the C library of each machine.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::{Isa, What, decode};
use crate::image::{Image, Mark};

const OBJDUMP: &str = "llvm-objdump-19";

fn skip(reason: &str) {
    eprintln!("skipped: decoders: {reason}");
    if let Some(path) = std::env::var_os("PATCHWRIGHT_SKIPS") {
        let mut skips = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(skips, "skipped: decoders: {reason}").unwrap();
    }
}

/// A line of the disassembly: address, length, mnemonic, the last number written in hexadecimal.
fn parse(line: &str) -> Option<(u64, usize, &str, Option<u64>)> {
    let (address, rest) = line.trim_start().split_once(": ")?;
    let address = u64::from_str_radix(address, 16).ok()?;
    let mut fields = rest.split('\t');
    let len = fields.next()?.split_whitespace().map(|group| group.len() / 2).sum();
    let mnemonic = fields.next()?.trim();
    let operands = fields.next().unwrap_or_default();
    // What stands behind the operands explains them.
    let operands = operands.split(['<', '@', '/']).next().unwrap_or_default().trim_end();
    let target =
        operands.rsplit([' ', ',']).next().and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    Some((address, len, mnemonic, target))
}

/// Whether LLVM calls it a branch with a target.
fn is_branch(mnemonic: &str) -> bool {
    let stem = mnemonic.strip_suffix(".w").or(mnemonic.strip_suffix(".n")).unwrap_or(mnemonic);
    let conditions =
        ["eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "hs", "cs", "cc"];
    let is = |root: &str| stem.strip_prefix(root).is_some_and(|rest| rest.is_empty() || conditions.contains(&rest));
    is("b") || is("bl") || is("blx") || is("b.") || matches!(stem, "cbz" | "cbnz" | "tbz" | "tbnz")
}

fn check(compiler: &str, flags: &[&str], isa_wanted: &[Isa], least: usize) {
    let folder = std::env::temp_dir().join(format!("patchwright-decoders-{compiler}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let done = compare(compiler, flags, &folder);
    fs::remove_dir_all(&folder).unwrap();
    let Some(seen) = done else { return };
    for isa in isa_wanted {
        let number = seen.iter().filter(|known| *known == isa).count();
        assert!(number >= least, "{compiler}: {number} instructions of {isa:?}");
    }
}

/// The set of each instruction that was compared.
fn compare(compiler: &str, flags: &[&str], folder: &Path) -> Option<Vec<Isa>> {
    let (source, out) = (folder.join("a.c"), folder.join("out"));
    fs::write(&source, "#include <stdio.h>\nint main(int c, char **v) { return printf(\"%f\", c * 1.5); }\n").unwrap();
    let built = Command::new(compiler).args(flags).args(["-O2", "-static"]).arg(&source).arg("-o").arg(&out).status();
    if !built.is_ok_and(|status| status.success()) {
        skip(&format!("{compiler} is needed"));
        return None;
    }
    let Ok(listing) = Command::new(OBJDUMP).arg("-d").arg(&out).output() else {
        skip(&format!("{OBJDUMP} is needed"));
        return None;
    };
    let data = fs::read(&out).unwrap();
    let image = Image::read(&data).unwrap();
    let mut seen = Vec::new();
    for line in String::from_utf8(listing.stdout).unwrap().lines() {
        let Some((address, len, mnemonic, target)) = parse(line) else { continue };
        // Directives are data; so is what is no instruction to either.
        if mnemonic.starts_with(['.', '<']) || image.mark(address) == Some(Mark::Data) {
            continue;
        }
        let isa = image.isa(address);
        let ours = decode(isa, image.memory(address), address).unwrap();
        assert_eq!(ours.len, len, "{line}");
        let theirs = target.filter(|_| is_branch(mnemonic));
        let told = match ours.what {
            What::Branch { to, .. } => to,
            _ => None,
        };
        assert_eq!(told, theirs, "{line}: {ours:?}");
        let call = matches!(ours.what, What::Branch { call: true, .. });
        if theirs.is_some() {
            assert_eq!(
                call,
                mnemonic.starts_with("bl")
                    && !matches!(mnemonic, "ble" | "blt" | "bls" | "blo" | "ble.w" | "blt.w" | "bls.w" | "blo.w"),
                "{line}"
            );
        }
        let nop = matches!(mnemonic, "nop" | "nop.w");
        assert!(!nop || matches!(ours.what, What::Filler { breakpoint: false }), "{line}: {ours:?}");
        seen.push(isa);
    }
    Some(seen)
}

#[test]
fn arm_and_thumb_like_llvm() {
    check("arm-linux-gnueabihf-gcc", &[], &[Isa::Thumb, Isa::A32], 900);
}

#[test]
fn arm64_like_llvm() {
    check("aarch64-linux-gnu-gcc", &["-mbranch-protection=standard"], &[Isa::A64], 50_000);
}
