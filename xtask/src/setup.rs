//! Debian packages that a chore needs and the machine lacks.
//!
//! A package counts as present when the command that we want from it is there, wherever it came from. Installing is said
//! before it is done. Where it may not be done, the error says what to type.

use std::process::Command;

use crate::args::Args;
use crate::run::{has, output, show, succeeds};
use crate::{Failure, Result};

/// A Debian package and the command that we want from it.
struct Package {
    name: &'static str,
    command: &'static str,
}

const fn package(name: &'static str, command: &'static str) -> Package {
    Package { name, command }
}

/// The chores that need packages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    /// A C compiler for the server of the demo, which Rust's linker needs anyway.
    Demo,
    /// The demo without two versions in the Debian sources.
    DemoPyPi,
    Test,
    Bench,
    Corpus,
    /// Debian's sources, and what builds them.
    Servers,
}

impl Group {
    fn named(name: &str) -> Result<Group> {
        match name {
            "demo" => Ok(Group::Demo),
            "test" => Ok(Group::Test),
            "bench" => Ok(Group::Bench),
            "corpus" => Ok(Group::Corpus),
            "servers" => Ok(Group::Servers),
            _ => Err(Failure::Usage(format!("no group of packages is called {name}"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Group::Demo | Group::DemoPyPi => "demo",
            Group::Test => "test",
            Group::Bench => "bench",
            Group::Corpus => "corpus",
            Group::Servers => "servers",
        }
    }

    fn packages(self) -> &'static [Package] {
        const PIP: Package = package("python3-pip", "pip");
        match self {
            Group::Demo => const { &[package("gcc", "gcc"), package("libc6-dev", "/usr/include/stdio.h")] },
            Group::DemoPyPi => &[PIP],
            Group::Test => {
                const {
                    &[
                        package("attr", "setfattr"),
                        package("acl", "setfacl"),
                        package("e2fsprogs", "chattr"),
                        package("xz-utils", "xz"),
                        package("wine64", "/usr/lib/wine/wine64"),
                        package("gcc-mingw-w64-x86-64", "x86_64-w64-mingw32-gcc"),
                        package("msitools", "msiinfo"),
                        package("wixl", "wixl"),
                        package("cabextract", "cabextract"),
                        // Compilers and linkers whose code is made hot-patchable and audited. `gcc-multilib` would drive the
                        // cross compilers out; that of one version does not.
                        package("gcc", "gcc"),
                        package("g++", "g++"),
                        package("gcc-12-multilib", "/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a"),
                        package("g++-12-multilib", "/usr/lib/gcc/x86_64-linux-gnu/12/32/libstdc++.a"),
                        package("gcc-mingw-w64-i686", "i686-w64-mingw32-gcc"),
                        package("g++-mingw-w64-x86-64", "x86_64-w64-mingw32-g++"),
                        package("gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
                        package("libc6-dev-arm64-cross", "/usr/aarch64-linux-gnu/lib/libc.a"),
                        package("gcc-arm-linux-gnueabihf", "arm-linux-gnueabihf-gcc"),
                        package("libc6-dev-armhf-cross", "/usr/arm-linux-gnueabihf/lib/libc.a"),
                        package("clang-19", "clang-19"),
                        package("clang-tools-19", "clang-cl-19"),
                        package("lld-19", "lld-link-19"),
                        package("llvm-19", "llvm-objdump-19"),
                        package("qemu-user", "qemu-aarch64"),
                        package("gdb", "gdb"),
                        // Build systems.
                        package("make", "make"),
                        package("cmake", "cmake"),
                        package("ninja-build", "ninja"),
                        package("meson", "meson"),
                        package("strace", "strace"),
                    ]
                }
            }
            Group::Bench => {
                const {
                    &[
                        package("bsdiff", "bsdiff"),
                        package("xdelta3", "xdelta3"),
                        package("zstd", "zstd"),
                        package("xz-utils", "xz"),
                        // Zucchini is C++ that the clang of the system is too old for.
                        package("clang-19", "clang++-19"),
                    ]
                }
            }
            Group::Corpus => const { &[PIP, package("npm", "npm")] },
            Group::Servers => {
                const {
                    &[
                        package("gcc", "gcc"),
                        package("libc6-dev", "/usr/include/stdio.h"),
                        package("make", "make"),
                        package("patch", "patch"),
                        package("dpkg-dev", "dpkg-source"),
                        package("libevent-dev", "/usr/include/event.h"),
                    ]
                }
            }
        }
    }

    fn missing(self) -> Vec<&'static Package> {
        self.packages().iter().filter(|package| !has(package.command)).collect()
    }
}

pub(crate) fn run(args: Args) -> Result {
    let names = args.free(usize::MAX)?;
    let groups = match names.as_slice() {
        [] => vec![Group::Test],
        names => names.iter().map(|name| Group::named(name)).collect::<Result<_>>()?,
    };
    for group in groups {
        ensure(group)?;
        println!("{}: nothing is missing", group.name());
    }
    Ok(())
}

/// Makes sure that the commands of `group` are there; installs packages, after saying which, where it may.
pub(crate) fn ensure(group: Group) -> Result {
    let missing = group.missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let names = names.join(" ");
    if !has("apt-get") {
        let commands: Vec<&str> = missing.iter().map(|package| package.command).collect();
        return Err(format!("no apt-get here; put these commands on PATH: {}", commands.join(" ")).into());
    }
    let Some(rights) = Rights::find() else {
        return Err(format!(
            "Debian packages are missing and may not be installed from here (not root, no sudo without a password); run:\n  \
             sudo apt-get install -y --no-install-recommends {names}"
        )
        .into());
    };
    println!("installs: {names}");
    // Lists may be old, or absent in a container. When they cannot be renewed, the old ones may still do.
    if let Err(error) = apt_update(rights) {
        eprintln!("{error}; goes on with the package lists that are here");
    }
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    show(rights.command("apt-get").args(install).args(names.split(' ')))?;
    match group.missing().as_slice() {
        [] => Ok(()),
        [package, ..] => Err(format!("{} is installed, but {} is not there", package.name, package.command).into()),
    }
}

/// How this process may act as root.
#[derive(Clone, Copy)]
pub(crate) enum Rights {
    Root,
    Sudo,
}

impl Rights {
    pub(crate) fn find() -> Option<Rights> {
        if output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
            Some(Rights::Root)
        } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
            Some(Rights::Sudo)
        } else {
            None
        }
    }

    fn command(self, program: &str) -> Command {
        let mut command = match self {
            Rights::Root => Command::new("env"),
            Rights::Sudo => Command::new("sudo"),
        };
        if let Rights::Sudo = self {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", program]);
        command
    }
}

/// Renews the package lists.
pub(crate) fn apt_update(rights: Rights) -> Result {
    show(rights.command("apt-get").args(["update", "-q"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_the_names_that_help_tells() {
        for name in ["demo", "test", "bench", "corpus", "servers"] {
            assert_eq!(Group::named(name).unwrap().name(), name);
        }
        assert!(matches!(Group::named("nope"), Err(Failure::Usage(_))));
    }
}
