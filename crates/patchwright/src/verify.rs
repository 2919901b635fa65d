//! `patchwright verify`: is the patch whole, and would it apply.

use std::io;
use std::path::Path;

use patchwright_formats::Manifest;
use patchwright_formats::manifest::{FilePatch, TreePatch};

use crate::Quiet;
use crate::apply::file::{recognise_at, refuse_unfinished};
use crate::apply::{FolderPlace, Place, tree};
use crate::error::{ErrorKind, Result};
use crate::make::make_new;
use crate::options::ApplyOptions;
use crate::patch_file::Patch;
use crate::recognise::Version;
use crate::report::{VerifyAnswer, VerifyReport, hex};

/// Checks every byte of the patch; with a target, also whether it would apply there, down to the last byte made.
///
/// A damaged patch is an error ([`ErrorKind::Malformed`]); a target that it would not apply to is an answer.
pub fn verify(patch: &Path, target: Option<&Path>) -> Result<VerifyReport> {
    let patch = Patch::open(patch)?;
    patch.verify_all()?;
    check_bodies(&patch)?;
    let mut report = VerifyReport {
        schema: "patchwright.verify/1",
        patch: patch.path().to_owned(),
        id: hex(&patch.id().0),
        target: target.map(Path::to_owned),
        answer: VerifyAnswer::Intact,
        from: None,
        objections: Vec::new(),
    };
    let Some(target) = target else { return Ok(report) };
    let answer = match &patch.manifest {
        Manifest::File(manifest) => would_apply_to_file(&patch, manifest, target),
        Manifest::Tree(manifest) => would_apply_to_tree(&patch, manifest, target),
    };
    match answer {
        Ok(Version::New) => report.answer = VerifyAnswer::AlreadyNew,
        Ok(Version::Old(index)) => {
            report.answer = VerifyAnswer::WouldApply;
            report.from = Some(index + 1);
        }
        Err(error) if matches!(error.kind, ErrorKind::WrongInput | ErrorKind::Busy | ErrorKind::Refused) => {
            report.answer = VerifyAnswer::WouldNotApply;
            report.objections = std::iter::once(error.message).chain(error.details).collect();
        }
        Err(error) => return Err(error),
    }
    Ok(report)
}

/// Reads the headers of every delta.
fn check_bodies(patch: &Patch) -> Result<()> {
    for (index, entry) in patch.container.entries().iter().enumerate() {
        if entry.kind == patchwright_formats::Kind::COLD {
            patchwright_delta::describe(&patch.body_unchecked(index)?)
                .map_err(|error| crate::make::apply_error(&error).at(patch.path()))?;
        }
    }
    Ok(())
}

fn would_apply_to_tree(patch: &Patch, manifest: &TreePatch, target: &Path) -> Result<Version> {
    let place = FolderPlace::of(target)?;
    let rehearsal = ApplyOptions { dry_run: true, ..ApplyOptions::default() };
    let report = tree::apply(&place.disk, patch, manifest, &rehearsal, &Quiet)?;
    Ok(report.from.map_or(Version::New, |number| Version::Old(number - 1)))
}

fn would_apply_to_file(patch: &Patch, manifest: &FilePatch, target: &Path) -> Result<Version> {
    let place = Place::of_file(target)?;
    refuse_unfinished(&place.disk)?;
    let found = recognise_at(&place.disk, &place.name, manifest, &Quiet)?;
    if let Version::Old(index) = found.version {
        let old = &manifest.olds[index];
        let body = patch.body_unchecked(old.body)?;
        make_new(&*found.file, &old.file.regions, &body, &manifest.new, &mut io::sink(), &Quiet)
            .map_err(|error| error.at(patch.path()))?;
    }
    Ok(found.version)
}
