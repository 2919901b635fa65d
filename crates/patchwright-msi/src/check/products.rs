//! Products: their codes and versions, alone, from an old image to its new one, and against the validation flags.

use std::collections::BTreeMap;

use super::pairs::{Pair, Pairs};
use super::{At, Findings, SEQUENCE, Severity, TARGETS, UPGRADED, at, flags};
use crate::code::{self as pcw, Code};
use crate::guid::is_guid;
use crate::image::{Images, Product};
use crate::pcp::Pcp;

/// Bits of `ProductValidateFlags`.
mod bits {
    pub(super) const PRODUCT: u32 = 0x002;
    pub(super) const COMPARISONS: u32 = 0x7c0;
    pub(super) const LESS: u32 = 0x040;
    pub(super) const GREATER: u32 = 0x400;
    pub(super) const UPGRADE_CODE: u32 = 0x800;
}
/// What stands for the flags where the column is empty.
const DEFAULT_FLAGS: u32 = 0x922;

struct Codes {
    code: Code,
    version: Code,
    upgrade_code: Code,
}

pub(super) fn products(pcp: &Pcp, images: &Images, pairs: &Pairs<'_>, findings: &mut Findings) {
    let asks = |name: &str| {
        pcp.targets.iter().any(|row| {
            (row.target == name || row.upgraded == name)
                && flags_of(row.product_validate_flags.as_deref()) & bits::UPGRADE_CODE != 0
        })
    };
    let codes = Codes {
        code: pcw::BAD_UPGRADED_IMAGE_PRODUCT_CODE,
        version: pcw::BAD_UPGRADED_IMAGE_PRODUCT_VERSION,
        upgrade_code: pcw::BAD_UPGRADED_IMAGE_UPGRADE_CODE,
    };
    for row in &pcp.upgraded {
        if let Some(opened) = images.upgraded(&row.upgraded) {
            product(&opened.image.product, at(UPGRADED, &row.upgraded), &codes, asks(&row.upgraded), findings);
        }
    }
    let codes = Codes {
        code: pcw::BAD_TARGET_IMAGE_PRODUCT_CODE,
        version: pcw::BAD_TARGET_IMAGE_PRODUCT_VERSION,
        upgrade_code: pcw::BAD_TARGET_IMAGE_UPGRADE_CODE,
    };
    for row in &pcp.targets {
        if let Some(opened) = images.target(&row.target) {
            product(&opened.image.product, at(TARGETS, &row.target), &codes, asks(&row.target), findings);
        }
    }
    package_codes(pcp, images, pairs, findings);
    for pair in pairs.iter() {
        change(pcp, pair, findings);
        validation(pcp, pair, findings);
    }
    told_apart(pairs, findings);
    sequence(pcp, images, pairs, findings);
}

/// The flags of a row; the default where they cannot be read, which was told with the tables.
fn flags_of(text: Option<&str>) -> u32 {
    text.and_then(flags).unwrap_or(DEFAULT_FLAGS)
}

fn product(product: &Product, at: At<'_>, codes: &Codes, upgrade_code_counts: bool, findings: &mut Findings) {
    let at = at.column("MsiPath");
    let hint = "correct the table Property of the installer";
    let guid = |name: &str, value: &Option<String>| match value {
        None => Some(format!("{name} is not set")),
        Some(code) if !is_guid(code) => Some(format!("{name} is {code:?}, which is no GUID in braces")),
        Some(code) if code.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            Some(format!("{name} is {code}: Windows Installer takes capital letters alone"))
        }
        Some(_) => None,
    };
    if let Some(what) = guid("ProductCode", &product.code) {
        findings.error(codes.code, at, what, hint);
    }
    match &product.version {
        None => findings.error(codes.version, at, "ProductVersion is not set", hint),
        Some(version) if !is_product_version(version) => {
            let what = format!("ProductVersion is {version:?}, which is no version");
            findings.error(codes.version, at, what, "write major.minor.build, up to 255.255.65535");
        }
        Some(_) => {}
    }
    match (guid("UpgradeCode", &product.upgrade_code), &product.upgrade_code) {
        (Some(what), None) if !upgrade_code_counts => findings.warning(codes.upgrade_code, at, what, hint),
        (Some(what), _) => findings.error(codes.upgrade_code, at, what, hint),
        (None, _) => {}
    }
}

/// Two to four parts; the fourth is not looked at by Windows Installer.
fn is_product_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let limits = [255, 255, 65535, u32::MAX];
    let fits = |(part, limit): (&&str, u32)| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|number| number <= limit)
    };
    (2..=4).contains(&parts.len()) && parts.iter().zip(limits).all(fits)
}

/// The parts of a version that count; missing ones are 0.
fn version_of(product: &Product) -> Option<[u32; 3]> {
    let text = product.version.as_deref().filter(|text| is_product_version(text))?;
    let mut parts = [0; 3];
    for (part, field) in parts.iter_mut().zip(text.split('.')) {
        *part = field.parse().ok()?;
    }
    Some(parts)
}

fn package_codes(pcp: &Pcp, images: &Images, pairs: &Pairs<'_>, findings: &mut Findings) {
    let hint = "every build of an installer needs a package code of its own";
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    for row in &pcp.upgraded {
        let Some(code) = images.upgraded(&row.upgraded).and_then(|opened| package_code(&opened.image.product)) else {
            continue;
        };
        let other = *first.entry(code).or_insert(&row.upgraded);
        if other != row.upgraded {
            let at = at(UPGRADED, &row.upgraded).column("MsiPath");
            findings.error(
                pcw::DUP_UPGRADED_IMAGE_PACKCODE,
                at,
                format!("the image {other} has the same package code"),
                hint,
            );
        }
    }
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    for row in &pcp.targets {
        let Some(code) = images.target(&row.target).and_then(|opened| package_code(&opened.image.product)) else {
            continue;
        };
        let other = *first.entry(code).or_insert(&row.target);
        if other != row.target {
            let at = at(TARGETS, &row.target).column("MsiPath");
            findings.error(
                pcw::DUP_TARGET_IMAGE_PACKCODE,
                at,
                format!("the image {other} has the same package code"),
                hint,
            );
        }
    }
    for pair in pairs.iter() {
        let (old, new) = (package_code(&pair.old.image.product), package_code(&pair.new.image.product));
        if old.is_some() && old == new {
            let at = at(UPGRADED, &pair.upgraded.upgraded).column("MsiPath");
            let what = format!("its target {} has the same package code", pair.target.target);
            findings.warning(pcw::DUP_UPGRADED_IMAGE_PACKCODE, at, what, hint);
        }
    }
}

fn package_code(product: &Product) -> Option<String> {
    product.package_code.as_ref().map(|code| code.to_ascii_uppercase())
}

/// What changes from an old product to its new one, and whether it may.
fn change(pcp: &Pcp, pair: &Pair<'_>, findings: &mut Findings) {
    let allowed = |property: &str| pcp.property(property) == Some("1");
    let (old, new) = (&pair.old.image.product, &pair.new.image.product);
    let at = at(TARGETS, &pair.target.target).column("MsiPath");
    let (Some(old_code), Some(new_code)) = (&old.code, &new.code) else { return };
    let same_code = old_code.eq_ignore_ascii_case(new_code);
    if !same_code {
        let what = format!("the product code changes from {old_code} to {new_code}");
        if allowed("AllowProductCodeMismatches") {
            let hint = "nothing, if a major upgrade is meant";
            findings.warning(pcw::PCW_MISMATCHED_PRODUCT_CODES, at, what, hint);
            let what = "the patch makes another product of the installed one".to_owned();
            let hint = "test it well: Windows Installer removes the old product in the same transaction";
            findings.add(Severity::Note, pcw::MAJOR_UPGRADE_PATCH, at, what, hint);
        } else {
            let hint = "build the new installer with the old product code, or set AllowProductCodeMismatches to 1";
            findings.error(pcw::MISMATCHED_PRODUCT_CODES, at, what, hint);
        }
    }
    let (Some(from), Some(to)) = (version_of(old), version_of(new)) else { return };
    if from[0] != to[0] {
        let what = format!("the major version changes from {} to {}", from[0], to[0]);
        if !allowed("AllowProductVersionMajorMismatches") {
            let hint = "change the minor version, or set AllowProductVersionMajorMismatches to 1";
            findings.error(pcw::MISMATCHED_PRODUCT_VERSIONS, at, what, hint);
        } else if same_code {
            let hint = "give the new version a product code of its own, or change its minor version instead";
            findings.warning(pcw::INVALID_MAJOR_VERSION, at, what + ", the product code does not", hint);
        } else {
            let hint = "nothing, if a major upgrade is meant";
            findings.warning(pcw::PCW_MISMATCHED_PRODUCT_VERSIONS, at, what, hint);
        }
    }
    if !same_code && from == to {
        let what = "the product code changes, and the first three parts of the version do not";
        findings.error(pcw::MATCHED_PRODUCT_VERSIONS, at, what, "raise the version of the new installer");
    }
}

/// Whether the patch would find its target.
fn validation(pcp: &Pcp, pair: &Pair<'_>, findings: &mut Findings) {
    let row = at(TARGETS, &pair.target.target);
    let flags = flags_of(pair.target.product_validate_flags.as_deref());
    let at = row.column("ProductValidateFlags");
    if flags & (bits::PRODUCT | bits::UPGRADE_CODE) == 0 {
        let what = "neither product code nor upgrade code is compared: the patch would be tried on any product";
        let hint = "write 0x00000922 for the usual: same product, same version, same upgrade code";
        if pcp.property("AllowLaxValidationFlags") == Some("1") {
            findings.warning(pcw::IMPROPER_TRANSFORM_VALIDATION, at, what, hint);
        } else {
            findings.error(pcw::LAX_VALIDATION_FLAGS, at, what, hint);
        }
    }
    // Only the image itself is sure to be installed somewhere: a comparison that it fails, nothing passes.
    if matches!(flags & bits::COMPARISONS, bits::LESS | bits::GREATER) {
        let what = "the installed version must differ from that of this image: the patch does not apply to it";
        let hint = "compare for equal (0x100), or for at most (0x080) or at least (0x200)";
        findings.error(pcw::TARGET_WRONG_PRODUCT_VERSION_COMP, at, what, hint);
    }
    let Some(list) = pcp.property("ListOfTargetProductCodes") else { return };
    let Some(code) = &pair.old.image.product.code else { return };
    if !list.split(';').any(|item| item == "*" || item.eq_ignore_ascii_case(code)) {
        let what =
            format!("ListOfTargetProductCodes does not have its product code {code}: the patch is never tried on it");
        findings.error(
            pcw::TARGET_BAD_PROD_CODE_VAL,
            row.column("MsiPath"),
            what,
            "add the code to the list, or write * first",
        );
    }
}

/// Versions of one product that become the same new one: something must tell which is installed.
fn told_apart(pairs: &Pairs<'_>, findings: &mut Findings) {
    for pair in pairs.iter() {
        let flags = flags_of(pair.target.product_validate_flags.as_deref());
        if flags & bits::COMPARISONS != 0 {
            continue;
        }
        let code = |pair: &Pair<'_>| pair.old.image.product.code.clone();
        let other = pairs.iter().find(|other| {
            other.target.target != pair.target.target
                && code(other) == code(pair)
                && version_of(&other.old.image.product) != version_of(&pair.old.image.product)
        });
        if let Some(other) = other {
            let at = at(TARGETS, &pair.target.target).column("ProductValidateFlags");
            let what = format!("the version is not compared, which alone tells it from {}", other.target.target);
            findings.warning(pcw::BAD_PRODUCTVERSION_VALIDATION, at, what, "write 0x00000922");
        }
    }
}

/// Rows of `PatchSequence` whose sense needs the product codes of the images.
fn sequence(pcp: &Pcp, images: &Images, pairs: &Pairs<'_>, findings: &mut Findings) {
    let code = |product: &Product| product.code.as_ref().map(|code| code.to_ascii_uppercase());
    let changes = |pair: &&Pair<'_>| code(&pair.old.image.product) != code(&pair.new.image.product);
    let major = pairs.iter().find(changes);
    if let (Some(pair), None) = (major, &pcp.sequence)
        && pcp.property("SEQUENCE_DATA_GENERATION_DISABLED") != Some("1")
    {
        let what = format!("{} changes the product code: no sequence can be generated", pair.names());
        let hint = "nothing, if the patch stands alone";
        findings.warning(pcw::CANT_GENERATE_SEQUENCEINFO_MAJORUPGD, At::table(SEQUENCE), what, hint);
    }
    let Some(rows) = &pcp.sequence else { return };
    if let (Some(pair), false) = (major, rows.is_empty()) {
        let what =
            format!("{} changes the product code: Windows Installer sequences patches of one product", pair.names());
        findings.warning(pcw::INVALID_PATCH_TYPE_SEQUENCING, At::table(SEQUENCE), what, "remove the table");
    }
    let mut first: BTreeMap<(&str, Option<String>), String> = BTreeMap::new();
    for row in rows {
        let name = row.target.as_deref();
        let product = match name {
            None => None,
            Some(name) if is_guid(name) => Some(name.to_ascii_uppercase()),
            Some(name) => match images.target(name).and_then(|opened| code(&opened.image.product)) {
                Some(code) => Some(code),
                None => continue,
            },
        };
        let key = format!("{}, {}", row.patch_family, name.unwrap_or_default());
        match first.get(&(row.patch_family.as_str(), product.clone())) {
            Some(other) => {
                let what = format!("the row [{other}] is about the same family and product");
                findings.error(
                    pcw::DUPLICATE_SEQUENCE_RECORD,
                    at(SEQUENCE, &key).column("Target"),
                    what,
                    "remove one of them",
                );
            }
            None => drop(first.insert((&row.patch_family, product), key)),
        }
    }
}
