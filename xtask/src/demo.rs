//! The main job on a real program, narrated.
//!
//! A vendor has two versions of a program. A customer's copy of the old one carries a stamp of its own. One patch, made
//! without that copy, takes it to the new version with the stamp kept, and back. Every command is printed as typed, with
//! what it printed and its exit code; whatever is not as promised ends the demo with an error. Then the same is done to a
//! server that runs (`demo_live`).
//!
//! The program comes from the machine's Debian sources, else from PyPI, else from the Rust compiler; the second run finds it
//! in `target/demo`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::args::Args;
use crate::elf::longest_padding;
use crate::fetch::{Release, Source, download, extract};
use crate::run::{cargo, output, read, sha256, show, succeeds, target_dir};
use crate::setup::{Group, Rights, apt_update, ensure};
use crate::stage::{STAMP_LEN, Stage, chapter, host, overwrite, promise, stamp};
use crate::{Failure, Result, demo_live};

/// Where the program of the demo may come from, best first.
#[derive(Clone, Copy)]
enum Origin {
    Debian,
    PyPi,
    Own,
}

impl Origin {
    fn find(self, dir: &Path) -> Result<Program> {
        match self {
            Origin::Debian => from_debian(dir),
            Origin::PyPi => from_pypi(dir),
            Origin::Own => from_compiler(dir),
        }
    }
}

/// A program file in two versions, `old` and `new` in a directory of its own.
struct Program {
    name: String,
    /// The argument that makes it tell its version.
    version_flag: String,
    origin: String,
    old_version: String,
    new_version: String,
    dir: PathBuf,
}

pub(crate) fn run(mut args: Args) -> Result {
    let origins = match args.value("--from")?.as_deref() {
        None => &[Origin::Debian, Origin::PyPi, Origin::Own][..],
        Some("debian") => &[Origin::Debian],
        Some("pypi") => &[Origin::PyPi],
        Some("own") => &[Origin::Own],
        Some(other) => return Err(Failure::Usage(format!("--from {other}: debian, pypi or own"))),
    };
    let bin = args.value("--bin")?;
    args.free(0)?;
    ensure(Group::Demo)?;

    let bin = match bin {
        Some(bin) => fs::canonicalize(&bin).map_err(|error| format!("{bin}: {error}"))?,
        None => build()?,
    };
    let program = find_program(&target_dir().join("demo"), origins)?;
    let started = Instant::now();
    Story::new(&program, &bin)?.tell()?;
    demo_live::tell(&bin)?;
    println!("The demo held every promise it made, in {:.1} s.", started.elapsed().as_secs_f64());
    Ok(())
}

fn build() -> Result<PathBuf> {
    show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;
    Ok(target_dir().join("release/patchwright"))
}

// --- the program

fn find_program(dir: &Path, origins: &[Origin]) -> Result<Program> {
    let mut objections = Vec::new();
    for origin in origins {
        match origin.find(dir) {
            Ok(program) => return Ok(program),
            Err(error) => {
                eprintln!("not that way: {error}");
                objections.push(error.to_string());
            }
        }
    }
    Err(format!("no program to patch: {}", objections.join("; ")).into())
}

/// Programs of Debian with fixes in nearly every release: package, member, version flag.
const DEBIAN: &[(&str, &str, &str)] = &[
    ("libc-bin", "*sbin/ldconfig", "--version"),
    ("openssl", "usr/bin/openssl", "version"),
    ("openssh-client", "usr/bin/ssh", "-V"),
    ("perl-base", "usr/bin/perl", "-v"),
];

/// The oldest and the newest version that the machine's own sources offer.
fn from_debian(dir: &Path) -> Result<Program> {
    if let Some(objection) = Source::Debian.objection() {
        return Err(objection.into());
    }
    if let Some(program) = DEBIAN.iter().find_map(|candidate| cached_debian(dir, candidate)) {
        return Ok(program);
    }
    if !DEBIAN.iter().any(|(package, ..)| debian_versions(package).len() > 1)
        && let Some(rights) = Rights::find()
    {
        println!("renews the Debian package lists to find a program in two versions");
        apt_update(rights)?;
    }
    let mut last = Failure::from("the Debian sources have no program in two versions");
    for (package, member, version_flag) in DEBIAN {
        let versions = debian_versions(package);
        let [old_version, .., new_version] = versions.as_slice() else { continue };
        let names = [member.rsplit('/').next().unwrap_or(member), version_flag, package];
        match fetch(dir, Source::Debian, names, member, [old_version, new_version]) {
            Ok(program) => return Ok(program),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What an earlier run fetched, whatever the sources offer today.
fn cached_debian(dir: &Path, (package, member, version_flag): &(&str, &str, &str)) -> Option<Program> {
    let dir = dir.join(format!("deb-{package}"));
    let versions = fs::read_to_string(dir.join("versions")).ok()?;
    let (old_version, new_version) = versions.trim().split_once(' ')?;
    let name = member.rsplit('/').next()?;
    Some(Program {
        name: name.into(),
        version_flag: (*version_flag).into(),
        origin: format!("the Debian package {package}"),
        old_version: old_version.into(),
        new_version: new_version.into(),
        dir,
    })
}

/// Versions of `package` in the machine's sources, oldest first.
fn debian_versions(package: &str) -> Vec<String> {
    let table = output(Command::new("apt-cache").args(["madison", package])).unwrap_or_default();
    let mut versions = madison(&table);
    let older = |a: &String, b: &String| succeeds(Command::new("dpkg").args(["--compare-versions", a, "lt", b]));
    versions.sort_by(|a, b| if older(a, b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater });
    versions
}

/// Reads `package | version | source` lines; sources of the package's own sources do not count.
fn madison(table: &str) -> Vec<String> {
    let mut versions = Vec::new();
    for line in table.lines().filter(|line| line.trim_end().ends_with("Packages")) {
        if let Some(version) = line.split('|').nth(1).map(|version| version.trim().to_owned())
            && !versions.contains(&version)
        {
            versions.push(version);
        }
    }
    versions
}

fn from_pypi(dir: &Path) -> Result<Program> {
    if !dir.join("pypi-ninja/versions").exists() && Source::PyPi.objection().is_some() {
        ensure(Group::DemoPyPi)?;
    }
    let names = ["ninja", "--version", "ninja"];
    fetch(dir, Source::PyPi, names, "ninja-*/scripts/ninja", ["1.11.1.3", "1.13.0"])
}

/// Fetches two versions of a program, unless an earlier run did.
fn fetch(
    dir: &Path,
    source: Source,
    [name, version_flag, package]: [&str; 3],
    member: &str,
    versions: [&str; 2],
) -> Result<Program> {
    let (prefix, origin) = match source {
        Source::Debian => ("deb", format!("the Debian package {package}")),
        _ => ("pypi", format!("the PyPI package {package}")),
    };
    let downloads = dir.join("downloads");
    let dir = dir.join(format!("{prefix}-{package}"));
    let [old_version, new_version] = versions.map(String::from);
    let program =
        Program { name: name.into(), version_flag: version_flag.into(), origin, old_version, new_version, dir };
    let done = program.dir.join("versions");
    if done.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&program.dir)?;
    for (side, version) in ["old", "new"].into_iter().zip(versions) {
        println!("fetches {package} {version}");
        let archive = download(Release { source, package, version, platform: "" }, &downloads)?;
        extract(&archive, member, &program.dir.join(side))?;
    }
    program.check()?;
    fs::write(done, versions.join(" "))?;
    Ok(program)
}

/// The last resort: a program of our own, compiled twice.
fn from_compiler(dir: &Path) -> Result<Program> {
    const SOURCE: &str = include_str!("demo_program.rs");
    let program = Program {
        name: "tally".into(),
        version_flag: "--version".into(),
        origin: "xtask/src/demo_program.rs, compiled here twice".into(),
        old_version: "1.0.0".into(),
        new_version: "1.1.0".into(),
        dir: dir.join("own-tally"),
    };
    let done = program.dir.join("versions");
    if done.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&program.dir)?;
    let source = program.dir.join("tally.rs");
    fs::write(&source, SOURCE)?;
    for (side, version, cfg) in [("old", &program.old_version, ""), ("new", &program.new_version, "newer")] {
        let mut rustc = Command::new("rustc");
        rustc
            .args(["--edition", "2021", "-Copt-level=2", "-Cstrip=symbols", "-o"])
            .arg(program.dir.join(side))
            .arg(&source);
        if !cfg.is_empty() {
            rustc.args(["--cfg", cfg]);
        }
        show(rustc.env("TALLY_VERSION", version))?;
    }
    program.check()?;
    fs::write(done, "")?;
    Ok(program)
}

impl Program {
    fn old_file(&self) -> PathBuf {
        self.dir.join("old")
    }

    fn new_file(&self) -> PathBuf {
        self.dir.join("new")
    }

    /// Refuses a program that has no room for a stamp, is the same in both versions, or does not run here.
    fn check(&self) -> Result {
        self.stamp_places()?;
        if read(&self.old_file())? == read(&self.new_file())? {
            return Err(format!("{} is the same file in both versions", self.name).into());
        }
        for file in [self.old_file(), self.new_file()] {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
            if !succeeds(Command::new(&file).arg(&self.version_flag)) {
                return Err(format!("{} does not run on this machine", file.display()).into());
            }
        }
        Ok(())
    }

    /// Offsets of the stamp in the old and in the new file.
    fn stamp_places(&self) -> Result<[usize; 2]> {
        let place = |file: PathBuf| -> Result<usize> {
            let bytes = read(&file)?;
            stamp_place(&bytes).ok_or_else(|| format!("{} has no room for a stamp", file.display()).into())
        };
        Ok([place(self.old_file())?, place(self.new_file())?])
    }
}

/// A program with a place for the stamp marks it; any other gets it into the padding between its sections.
pub(crate) fn stamp_place(file: &[u8]) -> Option<usize> {
    let mark = [b'_'; STAMP_LEN];
    if let Some(at) = file.windows(STAMP_LEN).position(|window| window == mark) {
        return Some(at);
    }
    let padding = longest_padding(file)?;
    let at = padding.start.next_multiple_of(STAMP_LEN);
    (at + STAMP_LEN <= padding.end).then_some(at)
}

// --- the story

/// The directory of the demo, with the vendor's files and the customer's.
struct Story<'a> {
    program: &'a Program,
    stage: Stage,
}

impl<'a> Story<'a> {
    fn new(program: &'a Program, bin: &Path) -> Result<Self> {
        let stage = Stage::new("story", &["vendor/1", "vendor/2", "customer", "elsewhere"], bin)?;
        Ok(Story { program, stage })
    }

    fn tell(&self) -> Result {
        let Program { name, version_flag, origin, old_version, new_version, .. } = self.program;
        let [old_at, new_at] = self.program.stamp_places()?;
        let stamp = stamp(&host());
        self.program.check()?;

        chapter(
            "A vendor has two versions of a program",
            &format!("{name} of {origin}: {old_version} and {new_version}."),
        );
        fs::copy(self.program.old_file(), self.stage.dir().join("vendor/1").join(name))?;
        fs::copy(self.program.new_file(), self.stage.dir().join("vendor/2").join(name))?;
        let says_old = self.stage.type_in(&format!("vendor/1/{name} {version_flag} 2>&1 | head -n 1"), 0)?.stdout;
        let says_new = self.stage.type_in(&format!("vendor/2/{name} {version_flag} 2>&1 | head -n 1"), 0)?.stdout;
        if says_old == says_new {
            println!("(Both tell the same version; the hashes below tell them apart.)\n");
        }

        chapter(
            "A customer's copy carries a stamp of its own",
            &format!("{STAMP_LEN} bytes at {old_at:#x}, which the vendor has never seen."),
        );
        let customer = self.stage.dir().join("customer").join(name);
        fs::copy(self.program.old_file(), &customer)?;
        overwrite(&customer, old_at, stamp.as_bytes())?;
        self.read_stamp(old_at, &stamp)?;
        self.stage.type_in(&format!("customer/{name} {version_flag} 2>&1 | head -n 1"), 0)?.says(&says_old)?;
        let before = sha256(&customer)?;
        let bytes_before = read(&customer)?;
        self.stage.type_in(&format!("sha256sum vendor/1/{name} customer/{name}"), 0)?;

        chapter(
            "The vendor makes one patch for all customers",
            &format!("The stamp is kept, and moves to {new_at:#x}, where the new version has room for it."),
        );
        let retain = format!("--retain {old_at:#x}+{STAMP_LEN}={new_at:#x}");
        self.stage.type_in(&format!("patchwright diff vendor/1/{name} vendor/2/{name} -o fix.pwp {retain}"), 0)?;
        self.stage.type_in("patchwright inspect fix.pwp", 0)?;
        self.stage.type_in(&format!("stat -c '%s %n' vendor/2/{name} fix.pwp"), 0)?;

        chapter("The patch knows its file", "A file with one other byte is refused and stays as it is.");
        let stranger = self.stage.dir().join("elsewhere").join(name);
        let mut bytes = bytes_before.clone();
        bytes[old_at + STAMP_LEN] ^= 0xff;
        fs::write(&stranger, &bytes)?;
        self.stage.type_in(&format!("patchwright verify fix.pwp customer/{name}"), 0)?;
        self.stage.type_in(&format!("cmp -l customer/{name} elsewhere/{name}"), 1)?;
        self.stage.type_in(&format!("patchwright verify fix.pwp elsewhere/{name}"), 1)?;
        self.stage.type_in(&format!("patchwright apply fix.pwp elsewhere/{name}"), 4)?;
        promise(read(&stranger)? == bytes, "the refused file is untouched")?;

        chapter("The customer applies it", "The file goes to the new version in one step.");
        self.stage.type_in(&format!("patchwright apply fix.pwp customer/{name}"), 0)?;
        self.stage.type_in(&format!("customer/{name} {version_flag} 2>&1 | head -n 1"), 0)?.says(&says_new)?;
        self.read_stamp(new_at, &stamp)?;
        let mut promised = read(&self.program.new_file())?;
        promised[new_at..new_at + STAMP_LEN].copy_from_slice(stamp.as_bytes());
        promise(
            read(&customer)? == promised,
            "outside the stamp every byte is the vendor's, inside it the customer's",
        )?;
        let typed = format!("cmp -l vendor/2/{name} customer/{name} | wc -l");
        let differ = self.stage.type_in(&typed, 0)?.stdout;
        promise(differ.trim().parse().is_ok_and(|count: usize| count <= STAMP_LEN), "only the stamp differs")?;

        chapter("And takes it back", "The file is again what it was, bit for bit.");
        self.stage.type_in(&format!("patchwright revert fix.pwp customer/{name}"), 0)?;
        self.stage.type_in(&format!("customer/{name} {version_flag} 2>&1 | head -n 1"), 0)?.says(&says_old)?;
        self.read_stamp(old_at, &stamp)?;
        self.stage.type_in(&format!("sha256sum customer/{name}"), 0)?;
        promise(sha256(&customer)? == before, "the hash is the one from before")?;
        promise(read(&customer)? == bytes_before, "every byte is the one from before")?;
        Ok(())
    }

    /// Shows the stamp in the customer's file.
    fn read_stamp(&self, at: usize, stamp: &str) -> Result {
        let name = &self.program.name;
        self.stage.type_in(&format!("tail -c +{} customer/{name} | head -c {STAMP_LEN}", at + 1), 0)?.says(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_table() {
        let table = "  libc-bin | 2.36-9+deb12u14 | http://deb.debian.org/debian bookworm/main amd64 Packages\n  \
                     libc-bin | 2.36-9+deb12u7 | http://deb.debian.org/debian-security bookworm-security/main amd64 Packages\n  \
                     libc-bin | 2.36-9+deb12u7 | http://deb.debian.org/debian bookworm-updates/main amd64 Packages\n     \
                     glibc | 2.36-9+deb12u2 | http://deb.debian.org/debian bookworm/main Sources\n";
        assert_eq!(madison(table), ["2.36-9+deb12u14", "2.36-9+deb12u7"]);
    }

    #[test]
    fn marked_place_wins() {
        let mut file = vec![0; 0x100];
        file[0x33..0x33 + STAMP_LEN].fill(b'_');
        assert_eq!(stamp_place(&file), Some(0x33));
        assert_eq!(stamp_place(b"no program"), None);
    }
}
