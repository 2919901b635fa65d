//! What the patch says about itself, and its place among others.

use super::{At, Findings, METADATA, SEQUENCE, TARGETS, at, is_identifier};
use crate::code as pcw;
use crate::guid::is_guid;
use crate::pcp::Pcp;

const REQUIRED_METADATA: [&str; 7] = [
    "AllowRemoval",
    "Classification",
    "Description",
    "DisplayName",
    "ManufacturerName",
    "MoreInfoURL",
    "TargetProductName",
];
const OTHER_METADATA: [&str; 4] = ["CreationTimeUTC", "MinorUpdateTargetRTM", "OptimizeCA", "OptimizedInstallMode"];

pub(super) fn metadata(pcp: &Pcp, findings: &mut Findings) {
    let version = pcp.minimum_msi_version();
    let Some(rows) = &pcp.metadata else {
        let what = format!("the table is missing, though MinimumRequiredMsiVersion is {version}");
        let hint = "add the table with its seven required properties";
        match version {
            300 => findings.error(pcw::MISSING_PATCHMETADATA, At::table(METADATA), what, hint),
            301.. => findings.warning(pcw::MISSING_PATCHMETADATA, At::table(METADATA), what, hint),
            _ => {}
        }
        return;
    };
    for row in rows {
        let key = format!("{}, {}", row.company.as_deref().unwrap_or_default(), row.property);
        let at = at(METADATA, &key);
        let bad = |what: &str, hint, findings: &mut Findings| {
            findings.error(pcw::INVALID_PATCHMETADATA_PROP, at.column("Value"), what, hint);
        };
        let Some(value) = &row.value else {
            bad("it is empty", "fill it in, or remove the row", findings);
            continue;
        };
        if row.company.is_some() {
            continue;
        }
        let name = row.property.as_str();
        if !REQUIRED_METADATA.iter().chain(&OTHER_METADATA).any(|known| *known == name) {
            let what = format!("{name:?} is no standard property");
            let hint = "correct the name, or name in Company who defines it";
            findings.error(pcw::WRONG_PATCHMETADATA_STRD_PROP, at.column("Property"), what, hint);
        }
        match name {
            "AllowRemoval" | "MinorUpdateTargetRTM" | "OptimizedInstallMode"
                if !matches!(value.as_str(), "0" | "1") =>
            {
                bad(&format!("{value:?} is neither 0 nor 1"), "write 1 for yes, 0 for no", findings);
            }
            "OptimizeCA" if value.parse::<u8>().is_ok_and(|bits| bits <= 7) => {}
            "OptimizeCA" => bad(&format!("{value:?} is not from 0 to 7"), "write a sum of 1, 2 and 4", findings),
            "CreationTimeUTC" if !is_creation_time(value) => {
                bad(&format!("{value:?} is no time"), "write mm-dd-yy HH:MM, in UTC", findings);
            }
            _ => {}
        }
    }
    if rows.is_empty() && version < 300 {
        return;
    }
    let is_set = |name: &str| rows.iter().any(|row| row.company.is_none() && row.property == name);
    for name in REQUIRED_METADATA.iter().filter(|name| !is_set(name)) {
        let key = format!(", {name}");
        let what = format!("{name} is not set");
        let at = at(METADATA, &key).column("Property");
        if version < 300 {
            findings.warning(pcw::PATCHPROPERTYNOTSET, at, what, "add a row for it");
        } else {
            findings.error(pcw::PATCHMETADATA_PROP_NOT_SET, at, what, "add a row for it");
        }
    }
}

/// Whether a text is `mm-dd-yy HH:MM`, or with a year of four digits.
fn is_creation_time(text: &str) -> bool {
    let in_range = |text: &str, digits: usize, from: u16, to: u16| {
        text.len() == digits
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse().is_ok_and(|number| (from..=to).contains(&number))
    };
    let Some((date, clock)) = text.split_once(' ') else { return false };
    let (date, clock): (Vec<&str>, Vec<&str>) = (date.split('-').collect(), clock.split(':').collect());
    let ([month, day, year], [hour, minute]) = (date.as_slice(), clock.as_slice()) else { return false };
    in_range(month, 2, 1, 12)
        && in_range(day, 2, 1, 31)
        && (in_range(year, 2, 0, 99) || in_range(year, 4, 1980, 9999))
        && in_range(hour, 2, 0, 23)
        && in_range(minute, 2, 0, 59)
}

pub(super) fn sequence(pcp: &Pcp, findings: &mut Findings) {
    let Some(rows) = &pcp.sequence else { return };
    if rows.is_empty() {
        let what = "the table has no rows; PATCHWIZ makes a patch of it that Windows Installer refuses";
        let hint = "remove the table, or add a row";
        findings.warning(pcw::INVALID_PCP_PATCHSEQUENCE, At::table(SEQUENCE), what, hint);
    }
    for row in rows {
        let key = format!("{}, {}", row.patch_family, row.target.as_deref().unwrap_or_default());
        let at = at(SEQUENCE, &key);
        if row.patch_family.is_empty() {
            findings.error(
                pcw::NULL_PATCHFAMILY,
                at.column("PatchFamily"),
                "it is empty",
                "name the family of patches",
            );
        } else if !is_identifier(&row.patch_family) {
            let what = format!("{:?} is no identifier", row.patch_family);
            let hint = "begin with a letter or underscore and go on with letters, digits, underscores and dots";
            findings.error(pcw::INVALID_PCP_PATCHSEQUENCE, at.column("PatchFamily"), what, hint);
        }
        if let Some(target) = &row.target
            && !is_guid(target)
            && !pcp.targets.iter().any(|row| row.target == *target)
        {
            let what = format!("{target:?} is neither a row of {TARGETS} nor a product code");
            let hint = "name a target image or a {GUID}, or leave it empty for every target";
            findings.error(pcw::SEQUENCING_BAD_TARGET, at.column("Target"), what, hint);
        }
        if let Some(version) = &row.sequence
            && !is_version(version)
        {
            let what = format!("{version:?} is no version");
            let hint = "write one to four numbers up to 65535 with dots between them";
            findings.error(pcw::BAD_SEQUENCE, at.column("Sequence"), what, hint);
        }
        if row.supersede.is_some_and(|flag| !(0..=1).contains(&flag)) {
            let hint = "write 1 if the patch replaces earlier ones of its family, 0 or nothing if not";
            findings.error(pcw::INVALID_SUPERCEDENCE, at.column("Supersede"), "it is neither 0 nor 1", hint);
        }
    }
}

fn is_version(text: &str) -> bool {
    let field = |field: &str| {
        !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()) && field.parse::<u16>().is_ok()
    };
    text.split('.').count() <= 4 && text.split('.').all(field)
}
