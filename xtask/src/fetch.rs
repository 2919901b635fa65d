//! Released program files, through the ordinary package clients: pip, npm, apt-get.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::run::{has, output, succeeds};

/// Who publishes a package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    PyPi,
    Npm,
    Debian,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::PyPi => "pypi",
            Source::Npm => "npm",
            Source::Debian => "deb",
        }
    }

    /// Says why packages cannot be had from here on this machine.
    pub(crate) fn objection(self) -> Option<&'static str> {
        match self {
            Source::PyPi if pip().is_none() => Some("there is no pip"),
            Source::Npm if !has("npm") => Some("there is no npm"),
            Source::Debian if !has("apt-get") || !has("dpkg-deb") => Some("there is no apt-get"),
            _ => None,
        }
    }
}

/// One version of a package.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release<'a> {
    pub(crate) source: Source,
    pub(crate) package: &'a str,
    pub(crate) version: &'a str,
    /// A pip platform tag or a Debian architecture; empty for this machine's.
    pub(crate) platform: &'a str,
}

impl Release<'_> {
    /// Name of the directory that holds the archive.
    fn slot(&self) -> String {
        let Release { source, package, version, platform } = self;
        format!("{}__{package}__{version}__{platform}", source.name()).replace(['/', ':'], "_")
    }
}

/// Downloads the archive of `release` below `downloads`, or finds it there.
pub(crate) fn download(release: Release<'_>, downloads: &Path) -> Result<PathBuf> {
    let slot = downloads.join(release.slot());
    if let Some(archive) = first_file(&slot) {
        return Ok(archive);
    }
    if let Some(objection) = release.source.objection() {
        return Err(objection.into());
    }
    // What a broken download leaves behind never counts as the archive.
    let part = downloads.join(format!("{}.part", release.slot()));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part)?;
    output(client(release).ok_or("there is no client")?.current_dir(&part))?;
    let _ = fs::remove_dir_all(&slot);
    fs::rename(&part, &slot)?;
    first_file(&slot).ok_or_else(|| format!("{}: the client left no archive", slot.display()).into())
}

/// The command that downloads `release` into its working directory.
fn client(release: Release<'_>) -> Option<Command> {
    let Release { source, package, version, platform } = release;
    let mut command;
    match source {
        Source::PyPi => {
            command = pip()?;
            command.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]);
            if !platform.is_empty() {
                command.args(["--python-version", "3.11", "--implementation", "cp", "--platform", platform]);
                command.args(["--abi", "cp311", "--abi", "abi3", "--abi", "none"]);
            }
            command.arg(format!("{package}=={version}"));
        }
        Source::Npm => {
            command = Command::new("npm");
            command.args(["pack", "--silent", &format!("{package}@{version}")]);
        }
        Source::Debian => {
            command = Command::new("apt-get");
            // The sandbox user may not write here, and apt-get would warn about it.
            command.args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
            command.arg(match platform {
                "" => format!("{package}={version}"),
                architecture => format!("{package}:{architecture}={version}"),
            });
        }
    }
    Some(command)
}

fn pip() -> Option<Command> {
    if has("pip") {
        return Some(Command::new("pip"));
    }
    let mut module = Command::new("python3");
    module.args(["-m", "pip"]);
    succeeds(Command::new("python3").args(["-m", "pip", "--version"])).then_some(module)
}

/// Copies the one member of `archive` that matches the pattern `member` to `out`.
pub(crate) fn extract(archive: &Path, member: &str, out: &Path) -> Result {
    let part = out.with_extension("part");
    let file = File::create(&part).map_err(|error| format!("{}: {error}", part.display()))?;
    match archive.extension().and_then(|extension| extension.to_str()) {
        Some("whl") => unzip(archive, member, file),
        Some("deb") => undeb(archive, member, file),
        _ => wait(Command::new("tar").args(["--wildcards", "-xzOf"]).arg(archive).arg(member).stdout(file)),
    }?;
    if fs::metadata(&part)?.len() == 0 {
        return Err(format!("{}: {member} is empty", archive.display()).into());
    }
    Ok(fs::rename(&part, out)?)
}

/// Where pip is, Python is; and Python reads its own archives.
fn unzip(archive: &Path, member: &str, out: File) -> Result {
    const PROGRAM: &str = "
import fnmatch, shutil, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
names = [name for name in archive.namelist() if fnmatch.fnmatch(name, sys.argv[2])]
if len(names) != 1: sys.exit(f'{sys.argv[2]} matches {names}')
with archive.open(names[0]) as member: shutil.copyfileobj(member, sys.stdout.buffer)
";
    wait(Command::new("python3").args(["-c", PROGRAM]).arg(archive).arg(member).stdout(out))
}

fn undeb(archive: &Path, member: &str, out: File) -> Result {
    let mut dpkg = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(archive).stdout(Stdio::piped()).spawn()?;
    let tar = dpkg.stdout.take().expect("piped above");
    let pattern = format!("./{member}");
    wait(Command::new("tar").args(["--wildcards", "-xOf", "-", &pattern]).stdin(tar).stdout(out))?;
    let status = dpkg.wait()?;
    if status.success() { Ok(()) } else { Err(format!("dpkg-deb {}: {status}", archive.display()).into()) }
}

/// Runs a command whose output goes to a file.
fn wait(command: &mut Command) -> Result {
    let child = command.stderr(Stdio::piped()).spawn()?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(complaint.trim().lines().last().unwrap_or("extraction failed").to_owned().into())
}

fn first_file(dir: &Path) -> Option<PathBuf> {
    fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_plain_names() {
        let release = Release {
            source: Source::Debian,
            package: "openssh-server",
            version: "1:9.2p1-2+deb12u7",
            platform: "amd64",
        };
        assert_eq!(release.slot(), "deb__openssh-server__1_9.2p1-2+deb12u7__amd64");
        let release = Release { source: Source::Npm, package: "@esbuild/linux-x64", version: "0.25.4", platform: "" };
        assert_eq!(release.slot(), "npm__@esbuild_linux-x64__0.25.4__");
    }
}
