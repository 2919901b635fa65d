//! New and old images, as far as their rows tell.

use super::{
    At, FAMILIES, Findings, LONGEST_PATH, TARGETS, UPGRADED, at, duplicates, flags, is_family, is_missing, is_upgraded,
};
use crate::code::{self as pcw, Code};
use crate::pcp::Pcp;

const LONGEST_IMAGE_NAME: usize = 13;

/// Codes for the name and the paths of an image.
struct ImageCodes {
    long: Code,
    bad: Code,
    duplicate: Code,
    path_empty: Code,
    path_long: Code,
}

/// What images have in common: name and path.
fn images<'a>(
    table: &'static str,
    column: &'static str,
    rows: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    codes: &ImageCodes,
    findings: &mut Findings,
) {
    for (name, path) in rows.clone() {
        let at = at(table, name);
        findings.text(at.column(column), name, LONGEST_IMAGE_NAME, codes.bad, codes.long);
        if !name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.')) {
            let what = format!("{name:?} has other characters than letters, digits, underscores and dots");
            findings.error(codes.bad, at.column(column), what, "rename the image, here and where it is named");
        }
        findings.text(at.column("MsiPath"), path, LONGEST_PATH, codes.path_empty, codes.path_long);
    }
    duplicates(rows.map(|(name, _)| (name, name.to_lowercase())), |row, first| {
        let what = format!("{first} is the same name: case does not tell images apart");
        findings.error(codes.duplicate, at(table, row).column(column), what, "rename one of them");
    });
}

pub(super) fn upgraded_images(pcp: &Pcp, findings: &mut Findings) {
    let codes = ImageCodes {
        long: pcw::UPGRADED_IMAGE_NAME_TOO_LONG,
        bad: pcw::BAD_UPGRADED_IMAGE_NAME,
        duplicate: pcw::DUP_UPGRADED_IMAGE_NAME,
        path_empty: pcw::UPGRADED_IMAGE_PATH_EMPTY,
        path_long: pcw::UPGRADED_IMAGE_PATH_TOO_LONG,
    };
    let rows = pcp.upgraded.iter().map(|row| (row.upgraded.as_str(), row.msi_path.as_str()));
    images(UPGRADED, "Upgraded", rows, &codes, findings);
    let is_named = |name: &str| pcp.targets.iter().any(|target| target.upgraded == name);
    for row in &pcp.upgraded {
        let at = at(UPGRADED, &row.upgraded);
        if let Some(path) = &row.patch_msi_path
            && path.chars().count() > LONGEST_PATH
        {
            let what = format!("{} characters; {LONGEST_PATH} is the most", path.chars().count());
            let at = at.column("PatchMsiPath");
            findings.error(pcw::UPGRADED_IMAGE_PATCH_PATH_TOO_LONG, at, what, "make it shorter");
        }
        if !is_family(pcp, &row.family) {
            let what = format!("{:?} is no row of {FAMILIES}", row.family);
            let hint = "name a family that there is; case matters";
            findings.error(pcw::BAD_UPGRADED_IMAGE_FAMILY, at.column("Family"), what, hint);
        }
        if !is_named(&row.upgraded) {
            let what = "no row of TargetImages names it: it is left out of the patch";
            let hint = "add a target image for it, or remove the row";
            findings.warning(pcw::INVALID_PCP_UPGRADEDIMAGES, at.column("Upgraded"), what, hint);
        }
    }
    if !pcp.upgraded.iter().any(|row| is_named(&row.upgraded)) && !is_missing(pcp, UPGRADED) {
        let what = "no new image that a target image names: there is nothing to patch";
        let hint = "add a new image, and a target image whose Upgraded names it";
        findings.error(pcw::NO_UPGRADED_IMAGES_TO_PATCH, At::table(UPGRADED), what, hint);
    }
}

pub(super) fn target_images(pcp: &Pcp, findings: &mut Findings) {
    if pcp.targets.is_empty() && !is_missing(pcp, TARGETS) {
        let what = "the table has no rows";
        findings.error(pcw::INVALID_PCP_TARGETIMAGES, At::table(TARGETS), what, "add a row for each old version");
    }
    let codes = ImageCodes {
        long: pcw::TARGET_IMAGE_NAME_TOO_LONG,
        bad: pcw::BAD_TARGET_IMAGE_NAME,
        duplicate: pcw::DUP_TARGET_IMAGE_NAME,
        path_empty: pcw::TARGET_IMAGE_PATH_EMPTY,
        path_long: pcw::TARGET_IMAGE_PATH_TOO_LONG,
    };
    let rows = pcp.targets.iter().map(|row| (row.target.as_str(), row.msi_path.as_str()));
    images(TARGETS, "Target", rows, &codes, findings);
    let trusts_msi = pcp.property("TrustMsi") == Some("1");
    for row in &pcp.targets {
        let at = at(TARGETS, &row.target);
        if !is_upgraded(pcp, &row.upgraded) {
            let what = format!("{:?} is no row of {UPGRADED}", row.upgraded);
            let hint = "name a new image that there is; case matters";
            findings.error(pcw::BAD_TARGET_IMAGE_UPGRADED, at.column("Upgraded"), what, hint);
        }
        if let Some(text) = &row.product_validate_flags {
            validate_flags(at.column("ProductValidateFlags"), text, findings);
        }
        if trusts_msi && row.ignore_missing_src_files.is_some_and(|flag| flag != 0) {
            let what = "files that are missing cannot be left out while TrustMsi is 1";
            let at = at.column("IgnoreMissingSrcFiles");
            findings.warning(pcw::INVALID_PCP_TARGETIMAGES, at, what, "set one of the two to 0");
        }
    }
    let places =
        pcp.targets.iter().filter_map(|row| Some((row.target.as_str(), format!("{} {}", row.order?, row.upgraded))));
    duplicates(places, |row, first| {
        let what = format!("{first} has the same place");
        let at = at(TARGETS, row).column("Order");
        findings.warning(pcw::INVALID_PCP_TARGETIMAGES, at, what, "number the old versions, the oldest first");
    });
}

fn validate_flags(at: At<'_>, text: &str, findings: &mut Findings) {
    const FIELDS: u32 = 0x38;
    const COMPARISONS: u32 = 0x7c0;
    const ALL: u32 = 0xfff;
    let hint = "write 0x00000922 for the usual: same product, same version, same upgrade code";
    let Some(flags) = flags(text) else {
        let what = format!("{text:?} is no 0x and 8 hexadecimal digits");
        return findings.error(pcw::TARGET_BAD_PROD_VALIDATE, at, what, hint);
    };
    if flags & !ALL != 0 {
        let what = format!("{text} has bits that mean nothing: {:#x}", flags & !ALL);
        findings.error(pcw::TARGET_BAD_PROD_VALIDATE, at, what, hint);
    }
    let (fields, comparisons) = ((flags & FIELDS).count_ones(), (flags & COMPARISONS).count_ones());
    if fields > 1 || comparisons > 1 {
        let what = format!("{text} asks for more than one comparison of versions");
        findings.error(pcw::TARGET_BAD_PROD_VALIDATE, at, what, hint);
    } else if fields != comparisons {
        let what = format!(
            "{text} names {} without the other",
            if fields == 1 { "parts of a version" } else { "a comparison" }
        );
        findings.warning(pcw::INVALID_TRANSFORM_VALIDATION, at, what, hint);
    }
}
