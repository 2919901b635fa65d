//! `patchwright verify`: is the patch whole, and would it apply.

use std::io;
use std::path::Path;

use patchwright_formats::manifest::TreePatch;
use patchwright_formats::{Manifest, PatchId};

use crate::Quiet;
use crate::apply::file::{recognise_at, refuse_unfinished};
use crate::apply::{FolderPlace, Place, tree};
use crate::error::{ErrorKind, Result};
use crate::file_delta::{FileDelta, PwpFile};
use crate::options::ApplyOptions;
use crate::pa19::{Pa19File, is_pa19};
use crate::patch_file::Patch;
use crate::recognise::Version;
use crate::report::{VerifyAnswer, VerifyReport, hex};

/// Checks every byte of the patch; with a target, also whether it would apply there, down to the last byte made.
///
/// A damaged patch is an error ([`ErrorKind::Malformed`]); a target that it would not apply to is an answer.
pub fn verify(patch: &Path, target: Option<&Path>) -> Result<VerifyReport> {
    let report = |id: PatchId| VerifyReport {
        schema: "patchwright.verify/1",
        patch: patch.to_owned(),
        id: hex(&id.0),
        target: target.map(Path::to_owned),
        answer: VerifyAnswer::Intact,
        from: None,
        objections: Vec::new(),
    };
    if is_pa19(patch)? {
        let patch = Pa19File::open(patch)?;
        patch.check_streams()?;
        return answer(report(patch.id()), target.map(|target| would_apply_to_file(&patch, target)));
    }
    let patch = Patch::open(patch)?;
    patch.verify_all()?;
    check_bodies(&patch)?;
    let found = target.map(|target| match &patch.manifest {
        Manifest::File(manifest) => would_apply_to_file(&PwpFile { patch: &patch, manifest }, target),
        Manifest::Tree(manifest) => would_apply_to_tree(&patch, manifest, target),
    });
    answer(report(patch.id()), found)
}

fn answer(mut report: VerifyReport, found: Option<Result<Version>>) -> Result<VerifyReport> {
    let Some(found) = found else { return Ok(report) };
    match found {
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

fn would_apply_to_file(patch: &dyn FileDelta, target: &Path) -> Result<Version> {
    let place = Place::of_file(target)?;
    refuse_unfinished(&place.disk)?;
    let found = recognise_at(&place.disk, &place.name, patch, &Quiet)?;
    if let Version::Old(index) = found.version {
        patch.make(&*found.file, index, &mut io::sink(), &Quiet)?;
    }
    Ok(found.version)
}
