//! Settings, each by its own rule.

use super::{At, Findings, PROPERTIES, at, flags};
use crate::code as pcw;
use crate::guid::{is_guid, split_guids};
use crate::pcp::Pcp;

/// Properties that are 1, 0 or empty.
const SWITCHES: [&str; 8] = [
    "AllowLaxValidationFlags",
    "AllowProductCodeMismatches",
    "AllowProductVersionMajorMismatches",
    "DontRemoveTempFolderWhenFinished",
    "IncludeWholeFilesOnly",
    "PATCH_CACHE_ENABLED",
    "SEQUENCE_DATA_GENERATION_DISABLED",
    "TrustMsi",
];
/// The other properties that there are.
const OTHER_PROPERTIES: [&str; 11] = [
    "ApiPatchingSymbolFlags",
    "ListOfPatchGUIDsToReplace",
    "ListOfTargetProductCodes",
    "MinimumRequiredMsiVersion",
    "MsiFileToUseToCreatePatchTables",
    "OptimizePatchSizeForLargeFiles",
    "PATCH_CACHE_DIR",
    "PatchGUID",
    "PatchOutputPath",
    "PatchSourceList",
    "SEQUENCE_DATA_SUPERSEDENCE",
];
const KNOWN_MSI_VERSIONS: [&str; 9] = ["100", "120", "200", "300", "310", "400", "405", "450", "500"];

pub(super) fn properties(pcp: &Pcp, findings: &mut Findings) {
    let hint_guid = "write the patch's GUID in braces: {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}";
    match pcp.property("PatchGUID") {
        None => {
            let at = at(PROPERTIES, "PatchGUID").column("Value");
            findings.error(pcw::MISSING_PATCH_GUID, at, "PatchGUID is not set", hint_guid);
        }
        Some(guid) if !is_guid(guid) => {
            let what = format!("{guid:?} is no GUID in braces");
            findings.error(pcw::BAD_PATCH_GUID, at(PROPERTIES, "PatchGUID").column("Value"), what, hint_guid);
        }
        Some(_) => {}
    }
    for row in &pcp.properties {
        let at = at(PROPERTIES, &row.name);
        let known = || SWITCHES.iter().chain(&OTHER_PROPERTIES);
        if !known().any(|known| *known == row.name) {
            let similar = known().find(|known| known.eq_ignore_ascii_case(&row.name));
            let what = match similar {
                Some(known) => format!("there is no such property; the one called {known} is spelled differently"),
                None => "there is no such property".to_owned(),
            };
            findings.warning(pcw::INVALID_PCP_PROPERTY, at.column("Name"), what, "case matters; see docs/guide/pcp.md");
        }
        if let Some(value) = &row.value {
            property(pcp, at.column("Value"), value, findings);
        }
    }
    if pcp.property("PatchOutputPath").is_none() {
        let at = at(PROPERTIES, "PatchOutputPath").column("Value");
        findings.warning(pcw::MISSING_PATCH_PATH, at, "it is not set", "set it, or name the patch when you build it");
    }
    if pcp.property("PATCH_CACHE_ENABLED") == Some("1") && pcp.property("PATCH_CACHE_DIR").is_none() {
        let at = at(PROPERTIES, "PATCH_CACHE_DIR").column("Value");
        let what = "it is not set, though PATCH_CACHE_ENABLED is 1";
        findings.warning(pcw::INVALID_PCP_PROPERTY, at, what, "name the folder of the cache");
    }
}

fn property(pcp: &Pcp, at: At<'_>, value: &str, findings: &mut Findings) {
    let name = at.row.unwrap_or_default();
    match name {
        _ if SWITCHES.contains(&name) && !matches!(value, "0" | "1") => {
            let what = format!("{value:?} is neither 0 nor 1");
            findings.error(pcw::INVALID_PCP_PROPERTY, at, what, "write 1 for yes, 0 or nothing for no");
        }
        "SEQUENCE_DATA_GENERATION_DISABLED" if value == "1" && pcp.sequence.is_none() => {
            let what = "the patch will have no sequence: neither made nor in a table PatchSequence";
            findings.warning(pcw::SEQUENCE_DATA_GENERATION_DISABLED, at, what, "add a PatchSequence table, or write 0");
        }
        "ListOfPatchGUIDsToReplace" => {
            if split_guids(value).is_none() {
                let what = format!("{value:?} is no row of GUIDs in braces");
                findings.error(pcw::BAD_GUIDS_TO_REPLACE, at, what, "write {GUID}{GUID} with nothing between them");
            }
            let hint = "name the patches of one family in PatchSequence instead";
            if pcp.minimum_msi_version() >= 300 {
                let what = "Windows Installer 3.0 ignores the list for patches with a sequence";
                findings.warning(pcw::OBSOLETION_WITH_MSI30, at, what, hint);
            }
            let what = "the list is ignored, since the patch has a sequence";
            let generated = pcp.property("SEQUENCE_DATA_GENERATION_DISABLED") != Some("1");
            if pcp.sequence.is_some() {
                findings.warning(pcw::OBSOLETION_WITH_PATCHSEQUENCE, at, what, hint);
            } else if generated && pcp.minimum_msi_version() < 300 {
                let what = "Windows Installer 3.0 ignores the list, since a sequence is made for the patch";
                findings.warning(pcw::OBSOLETION_WITH_SEQUENCE_DATA, at, what, hint);
            }
        }
        "ListOfTargetProductCodes" => {
            let codes = value.split(';').enumerate();
            let bad: Vec<&str> = codes
                .filter(|(index, code)| !(is_guid(code) || *index == 0 && *code == "*"))
                .map(|(_, code)| code)
                .collect();
            if !bad.is_empty() {
                let what = format!("{bad:?}: neither a product code nor a * at the beginning");
                let hint = "write * for the codes of the target images, or {GUID};{GUID}";
                findings.error(pcw::BAD_TARGET_PRODUCT_CODE_LIST, at, what, hint);
            }
        }
        "ApiPatchingSymbolFlags" if flags(value).is_none_or(|flags| flags > 7) => {
            let what = format!("{value:?} is no 0x and 8 hexadecimal digits, up to 0x00000007");
            let hint = "write 0x00000000, or a sum of 1 (no imagehlp), 2 (no failures), 4 (undecorated too)";
            findings.error(pcw::BAD_API_PATCHING_SYMBOL_FLAGS, at, what, hint);
        }
        "MinimumRequiredMsiVersion" => {
            let hint = "write 100, 200, 300, 310 or 400";
            if value.parse::<u16>().is_err() {
                let what = format!("{value:?} is no version of Windows Installer");
                findings.error(pcw::INVALID_PCP_PROPERTY, at, what, hint);
            } else if !KNOWN_MSI_VERSIONS.contains(&value) {
                let what = format!("{value:?} is no known version of Windows Installer");
                findings.warning(pcw::INVALID_PCP_PROPERTY, at, what, hint);
            }
        }
        "SEQUENCE_DATA_SUPERSEDENCE" => {
            if !matches!(value, "0" | "1") {
                let what = format!("{value:?} is neither 0 nor 1");
                let hint = "write 1 if the patch replaces earlier ones of its family, 0 if not";
                findings.error(pcw::INVALID_SUPERSEDENCE_VALUE, at, what, hint);
            }
            if pcp.sequence.is_some() {
                let what = "it is ignored, since there is a table PatchSequence";
                let hint = "remove the property, or the table";
                findings.warning(pcw::SEQUENCE_DATA_SUPERSEDENCE_IGNORED, at, what, hint);
            }
        }
        _ => {}
    }
}
