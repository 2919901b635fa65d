//! A release archive: the programs, manual pages, completions, integrations into build systems, and the licences.
//!
//! The same commit and compiler give the same bytes: no paths of this machine in the program, and every member of the
//! archive with the time of the commit, in a fixed order, owned by nobody.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::run::{cargo, output, root, sha256, show, target_dir};
use crate::{Result, run};

/// Texts and generated pages that go along: where they are in the repository, where in the archive.
const TEXTS: &[(&str, &str)] = &[
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("docs/man", "man"),
    ("docs/completions", "completions"),
    ("integrations", "integrations"),
];

/// Programs of the package.
const PROGRAMS: &[&str] = &["patchwright", "patchwright-linker"];

/// Names that make `patchwright` a compiler or linker driver, for build systems that take the path of one program.
const DRIVERS: &[&str] = &["patchwright-cc", "patchwright-cl", "patchwright-link"];

pub(crate) fn run(mut args: Args) -> Result {
    let out = root().join(args.value("--out")?.as_deref().unwrap_or("dist"));
    args.free(0)?;
    let host = host()?;
    let name = format!("patchwright-{}-{host}", env!("CARGO_PKG_VERSION"));
    let stage = target_dir().join("dist").join(&name);
    let _ = fs::remove_dir_all(&stage);
    fs::create_dir_all(&stage)?;
    fs::create_dir_all(&out)?;

    let programs = build()?;
    for name in PROGRAMS {
        let program = programs.join(name);
        fs::copy(&program, stage.join(name)).map_err(|error| format!("{}: {error}", program.display()))?;
    }
    for name in DRIVERS {
        std::os::unix::fs::symlink("patchwright", stage.join(name))?;
    }
    for (from, to) in TEXTS {
        let from = root().join(from);
        if !from.exists() {
            return Err(format!("{} is not there", from.display()).into());
        }
        show(Command::new("cp").arg("-r").arg(from).arg(stage.join(to)))?;
    }
    let archive = out.join(format!("{name}.tar.gz"));
    pack(&stage, &name, &archive)?;
    println!("{}  {}", sha256(&archive)?, archive.display());
    Ok(())
}

/// Builds in a directory of its own: other flags would throw the usual build away.
fn build() -> Result<PathBuf> {
    let dir = target_dir().join("dist/build");
    let cargo_home =
        std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=patchwright", root().display())];
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
    let build = ["build", "--release", "--locked", "--package", "patchwright-cli", "--target-dir"];
    // The encoded form is the one in which a path may hold a space.
    show(cargo().args(build).arg(&dir).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))?;
    Ok(dir.join("release"))
}

fn pack(stage: &Path, name: &str, archive: &Path) -> Result {
    let mut tar = Command::new("tar");
    tar.args(["--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"]);
    tar.arg(format!("--mtime=@{}", commit_time()));
    // A pipe: gzip then has no name and no time to write down.
    tar.args(["--use-compress-program=gzip -9n", "-cf"]).arg(archive);
    show(tar.arg("-C").arg(stage.parent().ok_or("the stage lies in a directory")?).arg(name))
}

/// Seconds since 1970 of the commit, or what `SOURCE_DATE_EPOCH` says.
fn commit_time() -> String {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return time;
    }
    let log = ["log", "-1", "--format=%ct"];
    output(Command::new("git").args(log).current_dir(run::root()))
        .map_or_else(|_| "0".into(), |time| time.trim().into())
}

fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not tell its host")?;
    Ok(host.into())
}
