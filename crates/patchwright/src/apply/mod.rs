//! `patchwright apply`: from the old version to the new one, entirely or not at all.

pub(crate) mod file;
pub(crate) mod tree;
mod tree_undo;
mod tree_work;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use patchwright_formats::Manifest;
use patchwright_formats::journal::RawPath;

use crate::disk::{Disk, OsDisk};
use crate::error::{Error, ErrorKind, Result};
use crate::file_delta::{FileDelta, PwpFile};
use crate::options::{ApplyOptions, HardLinks, Parts, Processes};
use crate::pa19::Opened;
use crate::patch_file::Patch;
use crate::processes;
use crate::progress::Progress;
use crate::report::{ApplyOutcome, ApplyReport};

/// Applies the patch at `patch` to the file or folder at `target`.
///
/// A target that is the new version already is a success and stays as it is. One that is no version the patch knows
/// is left alone: [`ErrorKind::WrongInput`]. Memory stays below [`patchwright_delta::format::APPLY_MEMORY`] plus the
/// manifest, whatever the sizes; the disk needs room for the new file beside the old one.
pub fn apply(patch: &Path, target: &Path, options: &ApplyOptions, progress: &dyn Progress) -> Result<ApplyReport> {
    let patch = match Opened::open(patch)? {
        Opened::Pwp(patch) => patch,
        Opened::Pa19(patch) => {
            processes::refuse_without_hot_part(&options.processes)?;
            return apply_single(&patch, target, options, progress);
        }
    };
    if options.parts == Parts::HotOnly && options.processes == Processes::None {
        return Err(Error::new(ErrorKind::Usage, "neither the file nor any process is to be patched")
            .hint("name processes: --running, or --pid PID"));
    }
    // What cannot be is said before anything is changed.
    let chosen = processes::choose(&patch, &options.processes)?;
    let cold = match options.parts {
        Parts::HotOnly => {
            ApplyReport { target: target.to_owned(), ..file::report(patch.id(), ApplyOutcome::Untouched) }
        }
        Parts::All | Parts::ColdOnly => apply_files(&patch, target, options, progress)?,
    };
    // A process that starts from now on starts the new version.
    let done = processes::apply(&patch, &chosen, &options.limits, options.dry_run)?;
    Ok(ApplyReport { processes: done, ..cold })
}

fn apply_files(patch: &Patch, target: &Path, options: &ApplyOptions, progress: &dyn Progress) -> Result<ApplyReport> {
    match &patch.manifest {
        Manifest::File(manifest) => apply_single(&PwpFile { patch, manifest }, target, options, progress),
        Manifest::Tree(manifest) => {
            let place = FolderPlace::of(target)?;
            let report = match &options.output {
                None => tree::apply(&place.disk, patch, manifest, options, progress),
                Some(output) => tree::apply_to(&place, patch, manifest, output, options, progress),
            };
            report
                .map(|report| ApplyReport { target: target.to_owned(), ..report })
                .map_err(|error| error.under(target, Path::new(""), target))
        }
    }
}

fn apply_single(
    patch: &dyn FileDelta,
    target: &Path,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    let place = Place::of_file(target)?;
    let report = match &options.output {
        None => file::apply(&place.disk, &place.name, patch, options, progress),
        Some(output) => file::apply_to(&place, patch, output, options, progress),
    };
    report
        .map(|report| ApplyReport { target: target.to_owned(), ..report })
        .map_err(|error| error.under(&place.root, &place.name, target))
}

/// A folder that is patched as a tree.
pub(crate) struct FolderPlace {
    pub(crate) root: PathBuf,
    pub(crate) disk: OsDisk,
}

impl FolderPlace {
    /// Opens the folder that `target` leads to.
    pub(crate) fn of(target: &Path) -> Result<Self> {
        let root = target.canonicalize().map_err(|error| Error::io("find the target", target, &error))?;
        if !root.is_dir() {
            return Err(Error::new(ErrorKind::WrongInput, "the patch is for a folder, and this is a file").at(target));
        }
        let disk = OsDisk::open(&root).map_err(|error| Error::io("open the folder", target, &error))?;
        Ok(Self { root, disk })
    }
}

/// A file, seen from the folder it stands in.
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) disk: OsDisk,
    pub(crate) name: PathBuf,
}

impl Place {
    /// Finds the file that `target` leads to. A symbolic link is followed: the link stays and its file is patched.
    pub(crate) fn of_file(target: &Path) -> Result<Self> {
        let real = target.canonicalize().map_err(|error| Error::io("find the target", target, &error))?;
        if real.is_dir() {
            return Err(Error::new(ErrorKind::WrongInput, "the patch is for a file, and this is a folder").at(target));
        }
        let (Some(root), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(Error::new(ErrorKind::WrongInput, "this is not a file").at(target));
        };
        let disk = OsDisk::open(root).map_err(|error| Error::io("open the folder", root, &error))?;
        Ok(Self { root: root.to_owned(), disk, name: name.into() })
    }
}

/// Makes sure that the file at `path` can be replaced, and lists every reason why not at once.
pub(crate) fn check_replaceable(disk: &dyn Disk, paths: &[&Path], hard_links: HardLinks) -> Result<()> {
    let mut objections: Vec<(&Path, String)> = Vec::new();
    let mut kind = ErrorKind::Io;
    let mut hints = Vec::new();
    let mut object = |path, line: String, hint: &'static str| {
        objections.push((path, line));
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    };
    let root = disk.stat(Path::new("")).map_err(|error| Error::io("look at the folder", "", &error))?;
    for path in paths.iter().copied() {
        let failed = |error: io::Error| Error::io("look at", path, &error);
        let Some(stat) = disk.stat(path).map_err(failed)? else { continue };
        if root.is_some_and(|root| root.device != stat.device) {
            object(
                path,
                "the file stands on another file system than its folder".to_owned(),
                "a mount point cannot be replaced: patch what is mounted there",
            );
        }
        if stat.names > 1 && hard_links == HardLinks::Refuse {
            kind = ErrorKind::Refused;
            let others = match stat.names - 1 {
                1 => "another name (a hard link)".to_owned(),
                count => format!("{count} other names (hard links)"),
            };
            object(
                path,
                format!("the file has {others}, which would stay at the old version"),
                "--break-hard-links replaces this name alone",
            );
        }
        if disk.is_immutable(path).map_err(failed)? {
            object(path, "the file is marked immutable or append-only".to_owned(), "`chattr -ia` takes the mark away");
        }
    }
    match objections.as_slice() {
        [] => Ok(()),
        [(path, line)] => Err(Error::new(kind, line.clone()).at(path).hint(hints.join("; "))),
        several => {
            let lines = several.iter().map(|(path, line)| format!("{}: {line}", path.display()));
            Err(Error::new(kind, "this cannot be replaced").at("").details(lines).hint(hints.join("; ")))
        }
    }
}

/// Makes sure that `needed` bytes can be written beside the target.
pub(crate) fn check_space(disk: &dyn Disk, needed: u64) -> Result<()> {
    let free = disk.free_bytes().map_err(|error| Error::io("ask for free space", "", &error))?;
    if needed > free {
        return Err(Error::new(ErrorKind::Io, format!("{needed} bytes are needed beside the target, {free} are free"))
            .at("")
            .hint("nothing was changed; free some space and run the same command again"));
    }
    Ok(())
}

/// A path as the journal writes it.
pub(crate) fn raw_path(path: &Path) -> RawPath {
    let path: &OsStr = path.as_os_str();
    path.as_bytes().to_vec()
}
