//! Paths of a `.pcp` that do not lead to what they should.

use super::{At, EXTERNAL_FILES, Findings, PROPERTIES, TARGETS, UPGRADED, at};
use crate::code::{self as pcw, Code};
use crate::image::{Images, Located, Unlocated};
use crate::pcp::Pcp;

/// What PATCHWIZ says about a path.
struct Codes {
    missing: Code,
    not_msi: Code,
}

const HINT_MISSING: &str =
    "correct the path, or map it: --map 'C:\\build=/srv/build'; paths without root begin at the .pcp";

pub(super) fn paths(pcp: &Pcp, images: &Images, findings: &mut Findings) {
    for (property, variable) in &images.unset {
        let what = format!("the variable %{variable}% is not set");
        findings.error(
            pcw::FAILED_EXPAND_PATH,
            at(PROPERTIES, property).column("Value"),
            what,
            "set it, or correct its name",
        );
    }
    let upgraded = Codes { missing: pcw::UPGRADED_IMAGE_PATH_NOT_EXIST, not_msi: pcw::UPGRADED_IMAGE_PATH_NOT_MSI };
    let patch =
        Codes { missing: pcw::UPGRADED_IMAGE_PATCH_PATH_NOT_EXIST, not_msi: pcw::UPGRADED_IMAGE_PATCH_PATH_NOT_MSI };
    let target = Codes { missing: pcw::TARGET_IMAGE_PATH_NOT_EXIST, not_msi: pcw::TARGET_IMAGE_PATH_NOT_MSI };
    let external = Codes { missing: pcw::EXTFILE_MISSING_FILE, not_msi: pcw::EXTFILE_MISSING_FILE };
    // An empty path was told with the tables.
    for row in pcp.upgraded.iter().filter(|row| !row.msi_path.is_empty()) {
        let at = at(UPGRADED, &row.upgraded);
        path(images.upgraded.get(&row.upgraded), at.column("MsiPath"), &upgraded, findings);
        path(images.patch_databases.get(&row.upgraded), at.column("PatchMsiPath"), &patch, findings);
    }
    for row in pcp.targets.iter().filter(|row| !row.msi_path.is_empty()) {
        path(images.targets.get(&row.target), at(TARGETS, &row.target).column("MsiPath"), &target, findings);
    }
    for row in pcp.external_files.iter().filter(|row| !row.file_path.is_empty()) {
        let key = format!("{}, {}, {}", row.family, row.ftk, row.file_path);
        path(images.external.get(&row.file_path), at(EXTERNAL_FILES, &key).column("FilePath"), &external, findings);
    }
}

fn path<T>(located: Option<&Located<T>>, at: At<'_>, codes: &Codes, findings: &mut Findings) {
    let Some(Err(why)) = located else { return };
    let (code, hint) = match why {
        Unlocated::Unset(_) => (pcw::FAILED_EXPAND_PATH, "set the variable, or correct its name"),
        Unlocated::Unmapped(_) => (pcw::IMAGE_PATH_NOT_EXIST, "say where it is: --map 'C:\\build=/srv/build'"),
        Unlocated::Missing(_) => (codes.missing, HINT_MISSING),
        Unlocated::Ambiguous(_) => (codes.missing, "spell the path as the folder does, or remove all but one"),
        Unlocated::NotADatabase { .. } => (codes.not_msi, "name the .msi of the image"),
        Unlocated::Unreadable { .. } => (pcw::CANT_READ_FILE, "check who may read it"),
    };
    findings.error(code, at, why.to_string(), hint);
}
