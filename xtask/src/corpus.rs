//! Pairs of real program files, an old and a new version each, to measure on.
//!
//! Fetched by package name and version through the ordinary package clients and checked against `bench/corpus.sha256`. A
//! pair that cannot be had is named and left out: Debian drops superseded versions after a while.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::args::Args;
use crate::fetch::{Release, Source, download, extract};
use crate::run::{read, root, sha256};
use crate::setup::{Group, ensure};
use crate::{Failure, Result};
use Source::{Debian, Npm, PyPi};

/// An old and a new version of one file.
struct Pair {
    /// `d..` are pairs; the new files of `m01`, `m02` and of `m03`, `m04` are those of `d03` and `d10`.
    id: &'static str,
    what: &'static str,
    source: Source,
    package: &'static str,
    old: &'static str,
    new: &'static str,
    platform: &'static str,
    member: &'static str,
}

#[rustfmt::skip]
const PAIRS: &[Pair] = &[
    pair("d01", "ELF x86-64, C, minor", Debian, "openssh-server", ["1:9.2p1-2+deb12u7", "1:9.2p1-2+deb12u10"], "amd64", "usr/sbin/sshd"),
    pair("d02", "ELF x86-64, C and assembly, minor", Debian, "libssl3", ["3.0.17-1~deb12u2", "3.0.22-1~deb12u2"], "amd64", "usr/lib/x86_64-linux-gnu/libcrypto.so.3"),
    pair("d03", "ELF x86-64, Rust, minor", PyPi, "ruff", ["0.11.9", "0.11.10"], "manylinux_2_17_x86_64", "*/scripts/ruff"),
    pair("d04", "ELF x86-64, C++, major", PyPi, "duckdb", ["1.1.3", "1.2.0"], "manylinux_2_17_x86_64", "duckdb/duckdb.cpython-311-*.so"),
    pair("d05", "ELF x86-64, Go, minor", Npm, "@esbuild/linux-x64", ["0.25.4", "0.25.5"], "", "package/bin/esbuild"),
    pair("d06", "ELF aarch64, Rust and C, minor", PyPi, "cryptography", ["44.0.2", "44.0.3"], "manylinux_2_34_aarch64", "cryptography/hazmat/bindings/_rust.abi3.so"),
    pair("d07", "ELF aarch64, Rust, major", PyPi, "ruff", ["0.10.0", "0.11.0"], "manylinux_2_17_aarch64", "*/scripts/ruff"),
    pair("d08", "ELF aarch64, C++, minor", PyPi, "pyarrow", ["19.0.0", "19.0.1"], "manylinux_2_28_aarch64", "pyarrow/libarrow.so.*"),
    pair("d09", "PE x64, Rust, minor", PyPi, "uv", ["0.7.3", "0.7.4"], "win_amd64", "*/scripts/uv.exe"),
    pair("d10", "PE x64, C++ (MSVC), minor", PyPi, "PySide6-Essentials", ["6.8.2", "6.8.3"], "win_amd64", "PySide6/Qt6Core.dll"),
    pair("d11", "PE x64, C++ (MSVC), major", PyPi, "clang-format", ["18.1.8", "19.1.7"], "win_amd64", "clang_format/data/bin/clang-format.exe"),
    pair("d12", "PE x86, C++ (MSVC), minor", PyPi, "grpcio", ["1.72.1", "1.72.2"], "win32", "grpc/_cython/cygrpc.cp311-win32.pyd"),
    pair("d13", "PE x86, Rust, major", PyPi, "ruff", ["0.10.0", "0.11.0"], "win32", "*/scripts/ruff.exe"),
    pair("d14", "Mach-O arm64, Rust, minor", PyPi, "uv", ["0.7.3", "0.7.4"], "macosx_11_0_arm64", "*/scripts/uv"),
    pair("m01", "older than d03", PyPi, "ruff", ["0.11.8", "0.11.10"], "manylinux_2_17_x86_64", "*/scripts/ruff"),
    pair("m02", "older than m01", PyPi, "ruff", ["0.11.7", "0.11.10"], "manylinux_2_17_x86_64", "*/scripts/ruff"),
    pair("m03", "older than d10", PyPi, "PySide6-Essentials", ["6.8.1", "6.8.3"], "win_amd64", "PySide6/Qt6Core.dll"),
    pair("m04", "older than m03", PyPi, "PySide6-Essentials", ["6.8.0", "6.8.3"], "win_amd64", "PySide6/Qt6Core.dll"),
];

const fn pair(
    id: &'static str,
    what: &'static str,
    source: Source,
    package: &'static str,
    [old, new]: [&'static str; 2],
    platform: &'static str,
    member: &'static str,
) -> Pair {
    Pair { id, what, source, package, old, new, platform, member }
}

pub(crate) fn run(mut args: Args) -> Result {
    let ids = match args.value("--pairs")? {
        Some(list) => list.split(',').map(String::from).collect(),
        None => ids("").collect::<Vec<_>>(),
    };
    let free = args.free(1)?;
    let dir = root().join(free.first().map_or("corpus", String::as_str));
    fetch(&dir, &ids)
}

/// The pairs whose ids start with `prefix`.
pub(crate) fn ids(prefix: &str) -> impl Iterator<Item = String> {
    PAIRS.iter().map(|pair| pair.id.to_owned()).filter(move |id| id.starts_with(prefix))
}

/// Fetches the pairs called `ids` into `dir`; what is there already is only checked.
pub(crate) fn fetch(dir: &Path, ids: &[String]) -> Result {
    if let Some(unknown) = ids.iter().find(|id| !PAIRS.iter().any(|pair| pair.id == **id)) {
        return Err(Failure::Usage(format!("no pair is called {unknown}")));
    }
    let wanted: Vec<&Pair> = PAIRS.iter().filter(|pair| ids.iter().any(|id| id == pair.id)).collect();
    let list = root().join("bench/corpus.sha256");
    let hashes = hashes(&String::from_utf8_lossy(&read(&list)?))?;
    if wanted.iter().any(|pair| !pair.complete(dir))
        && let Err(error) = ensure(Group::Corpus)
    {
        eprintln!("{error}; fetches what the clients that are here can");
    }
    let mut absent = 0;
    for pair in &wanted {
        match pair.fetch(dir, &hashes) {
            Ok(()) => println!("{}: {}", pair.id, pair.title()),
            Err(error) => {
                absent += 1;
                println!("left out: {}: {}: {error}", pair.id, pair.title());
            }
        }
    }
    // What the pairs are, for the report of the benchmark.
    let list: String = PAIRS.iter().map(|pair| format!("{}\t{}\n", pair.id, pair.title())).collect();
    fs::create_dir_all(dir)?;
    fs::write(dir.join("pairs.txt"), list)?;
    println!("{} pairs in {}, {absent} left out", wanted.len() - absent, dir.display());
    if absent == wanted.len() { Err("no pair could be had".into()) } else { Ok(()) }
}

impl Pair {
    fn title(&self) -> String {
        let Pair { package, old, new, what, .. } = self;
        format!("{package} {old} -> {new} ({what})")
    }

    fn complete(&self, dir: &Path) -> bool {
        ["old", "new"].iter().all(|side| dir.join(self.id).join(side).is_file())
    }

    fn fetch(&self, dir: &Path, hashes: &BTreeMap<String, String>) -> Result {
        for (side, version) in [("old", self.old), ("new", self.new)] {
            let name = format!("{}/{side}", self.id);
            let expected = hashes.get(&name).ok_or_else(|| format!("bench/corpus.sha256 has no {name}"))?;
            self.fetch_file(dir, version, &dir.join(&name), expected)?;
        }
        Ok(())
    }

    fn fetch_file(&self, dir: &Path, version: &str, file: &Path, expected: &str) -> Result {
        if file.is_file() && sha256(file)? == *expected {
            return Ok(());
        }
        let Pair { source, package, platform, .. } = *self;
        let archive = download(Release { source, package, version, platform }, &dir.join("downloads"))?;
        fs::create_dir_all(file.parent().expect("a file of a pair lies in the pair's directory"))?;
        extract(&archive, self.member, file)?;
        let found = sha256(file)?;
        if found == *expected {
            return Ok(());
        }
        fs::remove_file(file)?;
        Err(format!("{version} is not the file that was measured: SHA-256 is {found}, not {expected}").into())
    }
}

/// Reads the lines of `sha256sum`: name to hash.
fn hashes(list: &str) -> Result<BTreeMap<String, String>> {
    list.lines().map(line).collect()
}

fn line(line: &str) -> Result<(String, String)> {
    let (hash, name) = line.split_once("  ").ok_or_else(|| format!("not a line of sha256sum: {line}"))?;
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) || name.is_empty() {
        return Err(format!("not a line of sha256sum: {line}").into());
    }
    Ok((name.into(), hash.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_hashes() {
        let hashes = hashes(include_str!("../../bench/corpus.sha256")).unwrap();
        for pair in PAIRS {
            for side in ["old", "new"] {
                assert!(hashes.contains_key(&format!("{}/{side}", pair.id)), "{}/{side}", pair.id);
            }
        }
        assert_eq!(hashes.len(), PAIRS.len() * 2);
    }

    #[test]
    fn lines_that_are_no_hashes_are_refused() {
        let hash = "5de1db3025c921572efa14f234f9751ef92e4260c6e0875d8c73c7da056dffe7";
        assert_eq!(line(&format!("{hash}  d01/old")).unwrap(), ("d01/old".into(), hash.into()));
        for bad in ["", "d01/old", "5de1  d01/old", &format!("{hash}  "), &format!("{}zz  x", &hash[2..])] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }
}
