//! What the installer will not like about a patch, and what its maker may not have meant.

use std::collections::{BTreeMap, BTreeSet};

use super::files::ambiguous;
use super::{Header, Overview, Shipping};
use crate::transform::Definition;
use crate::transform::info::Validation;

/// Something that the installer will not like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// What sort of thing it is, for scripts: `not-removable`, `no-sequence`, …
    pub code: &'static str,
    /// What it is.
    pub message: String,
    /// What follows from it, or what to do; may be empty.
    pub hint: &'static str,
}

impl Lint {
    pub(super) fn of(code: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self { code, message: message.into(), hint }
    }
}

/// Tables that a removable patch adds nothing to.
const FORBID_REMOVAL: [&str; 30] = [
    "AppId",
    "BindImage",
    "Class",
    "Complus",
    "CreateFolder",
    "DuplicateFile",
    "Environment",
    "Extension",
    "Font",
    "IniFile",
    "IsolatedComponent",
    "LockPermissions",
    "MIME",
    "MoveFile",
    "MsiLockPermissionsEx",
    "MsiServiceConfig",
    "MsiServiceConfigFailureActions",
    "ODBCAttribute",
    "ODBCDataSource",
    "ODBCDriver",
    "ODBCSourceAttribute",
    "ODBCTranslator",
    "ProgId",
    "PublishComponent",
    "RemoveIniFile",
    "SelfReg",
    "ServiceControl",
    "ServiceInstall",
    "TypeLib",
    "Verb",
];

/// Tables that a patch may change without making the installer go through all of its actions.
const OPTIMISED: [&str; 27] = [
    "AdminExecuteSequence",
    "AdminUISequence",
    "Condition",
    "CustomAction",
    "File",
    "FileSFPCatalog",
    "InstallExecuteSequence",
    "InstallUISequence",
    "Media",
    "MoveFile",
    "MsiAssembly",
    "MsiDigitalCertificate",
    "MsiDigitalSignature",
    "MsiFileHash",
    "MsiPatchHeaders",
    "Patch",
    "PatchPackage",
    "Property",
    "Registry",
    "SFPCatalog",
    "TypeLib",
    "_Columns",
    "_Storages",
    "_Streams",
    "_Tables",
    "_TransformView",
    "_Validation",
];

/// The highest number that a disk should have: Wine gives those above to disks itself.
const LARGEST_DISK_ID: i32 = 29_999;

/// All of them, in the order of what they are about.
pub(super) fn lints(overview: &Overview) -> Vec<Lint> {
    let mut lints = Vec::new();
    transforms(overview, &mut lints);
    sequencing(overview, &mut lints);
    removal(overview, &mut lints);
    optimisation(overview, &mut lints);
    media(overview, &mut lints);
    files(overview, &mut lints);
    lints
}

fn transforms(overview: &Overview, lints: &mut Vec<Lint>) {
    for shown in &overview.transforms {
        let name = &shown.name;
        match &shown.fault {
            Some(fault) => {
                lints.push(Lint::of(
                    "unreadable-transform",
                    fault.clone(),
                    "the patch does not apply, or not all of it",
                ));
                continue;
            }
            None if !shown.listed => {
                let message = format!("transform {name}: the summary information does not list it");
                lints.push(Lint::of("unlisted-transform", message, "it is never applied"));
            }
            None => {}
        }
        for objection in &shown.summary_faults {
            lints.push(Lint::of("transform-summary", format!("transform {name}: {objection}"), objection.hint));
        }
        let Some(info) = &shown.info else { continue };
        let undecoded = shown.tables.iter().filter(|table| table.undecoded_bytes > 0);
        for table in undecoded {
            let message =
                format!("transform {name}: table {} is none of Windows Installer, its rows are not shown", table.name);
            lints.push(Lint::of("unknown-table", message, "name the product with --against"));
        }
        let listed = |code: &str| overview.summary.product_codes.iter().any(|other| other.eq_ignore_ascii_case(code));
        if info.validation.has(Validation::PRODUCT) && !shown.second && !listed(&info.base.code) {
            let message =
                format!("transform {name}: it is for the product {}, which the patch does not list", info.base.code);
            lints.push(Lint::of("unlisted-product", message, "it is never applied"));
        }
    }
    let names: BTreeSet<&str> = overview.transforms.iter().map(|one| one.name.as_str()).collect();
    for one in &overview.transforms {
        let partner = one.name.strip_prefix('#').map_or_else(|| format!("#{}", one.name), str::to_owned);
        if one.listed && !names.contains(partner.as_str()) {
            let message = format!("transform {}: there is no {partner}", one.name);
            lints.push(Lint::of(
                "half-a-pair",
                message,
                "transforms of a patch come in pairs: what changes, and the book of the patch",
            ));
        }
    }
    let package = overview
        .transforms
        .iter()
        .any(|one| one.tables.iter().any(|table| table.name == "PatchPackage" && table.inserted > 0));
    if !package {
        lints.push(Lint::of(
            "no-patch-package",
            "no transform adds a row to PatchPackage",
            "Windows Installer refuses the patch with error 2768",
        ));
    }
}

fn sequencing(overview: &Overview, lints: &mut Vec<Lint>) {
    match &overview.sequence {
        None => lints.push(Lint::of(
            "no-sequence",
            "the patch has no MsiPatchSequence",
            "it applies in the order in which patches are given, and old files are not kept for its deltas",
        )),
        Some(rows) if rows.is_empty() => lints.push(Lint::of(
            "empty-sequence",
            "MsiPatchSequence has no rows",
            "Windows Installer refuses the patch; leave the table out, or fill it",
        )),
        Some(_) if !overview.summary.replaces.is_empty() => lints.push(Lint::of(
            "obsoletion-ignored",
            "the patch lists patches that it takes the place of, and has MsiPatchSequence as well",
            "Windows Installer 3.0 and later ignores the list",
        )),
        Some(_) => {}
    }
}

/// The value of a standard property.
fn metadata<'a>(overview: &'a Overview, name: &str) -> Option<&'a str> {
    let rows = overview.metadata.as_deref().unwrap_or_default();
    rows.iter().find(|row| row.company.is_none() && row.property == name)?.value.as_deref()
}

fn removal(overview: &Overview, lints: &mut Vec<Lint>) {
    const REMOVABLE: &str = "the patch cannot be removed";
    if metadata(overview, "AllowRemoval") != Some("1") {
        let hint = "MsiPatchMetadata would need a row (no company, AllowRemoval, 1)";
        lints.push(Lint::of("not-removable", format!("{REMOVABLE}: it does not say AllowRemoval=1"), hint));
    }
    let major = overview
        .transforms
        .iter()
        .filter(|one| one.info.as_ref().is_some_and(|info| !info.base.code.eq_ignore_ascii_case(&info.result.code)));
    for one in major {
        let message = format!("{REMOVABLE}: transform {} is a major upgrade", one.name);
        lints.push(Lint::of("not-removable", message, "ship major upgrades as installers"));
    }
    for (table, names) in
        tables_where(overview, |table| FORBID_REMOVAL.contains(&table.name.as_str()) && table.inserted > 0)
    {
        let message = format!("{REMOVABLE}: {names} adds to the table {table}");
        lints.push(Lint::of("not-removable", message, "what is added there cannot be taken back"));
    }
}

fn optimisation(overview: &Overview, lints: &mut Vec<Lint>) {
    let outside = tables_where(overview, |table| {
        let touched = table.inserted + table.updated + table.deleted + table.undecoded_bytes > 0;
        let defined =
            matches!(table.definition, Some(Definition::Added | Definition::Widened(_) | Definition::Dropped));
        !OPTIMISED.contains(&table.name.as_str()) && (touched || defined)
    });
    for (table, names) in outside {
        let message = format!("{names} changes the table {table}");
        lints.push(Lint::of(
            "not-optimised",
            message,
            "the installer goes through all actions of the product, not only those of its files",
        ));
    }
    if metadata(overview, "OptimizedInstallMode") != Some("1") {
        let message = "the patch does not say OptimizedInstallMode=1";
        lints.push(Lint::of(
            "not-optimised",
            message,
            "Windows Installer 3.1 and later then goes through all actions of the product",
        ));
    }
}

/// Tables for which this holds, and the names of the transforms in which it does.
fn tables_where(overview: &Overview, holds: impl Fn(&super::TableSummary) -> bool) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in &overview.transforms {
        for table in one.tables.iter().filter(|table| holds(table)) {
            found.entry(table.name.clone()).or_default().push(&one.name);
        }
    }
    found.into_iter().map(|(table, names)| (table, names.join(", "))).collect()
}

fn media(overview: &Overview, lints: &mut Vec<Lint>) {
    if overview.families.is_empty() && !overview.cabinets.is_empty() {
        lints.push(Lint::of("no-media", "no transform adds a disk", "the cabinets of the patch are never opened"));
    }
    let mut sources = BTreeSet::new();
    let cabinets: BTreeSet<&str> = overview.cabinets.iter().map(|cabinet| cabinet.name.as_str()).collect();
    let used: BTreeSet<&str> = overview.families.iter().filter_map(|family| family.cabinet.strip_prefix('#')).collect();
    for family in &overview.families {
        let disk = format!("disk {}", family.disk_id);
        match &family.source {
            None => lints.push(Lint::of(
                "no-source",
                format!("{disk}: it has no source"),
                "the installer does not take it for a disk of the patch",
            )),
            Some(source) if !sources.insert(source) => {
                lints.push(Lint::of(
                    "same-source",
                    format!("{disk}: its source {source} is that of another disk"),
                    "each needs a property of its own",
                ));
            }
            Some(_) => {}
        }
        if family.disk_id > LARGEST_DISK_ID {
            lints.push(Lint::of(
                "disk-id",
                format!("{disk}: the number is one of those that Wine gives itself"),
                "take one below 30000",
            ));
        }
        let cabinet = family.cabinet.strip_prefix('#');
        if !cabinet.is_some_and(|name| cabinets.contains(name)) {
            lints.push(Lint::of(
                "no-cabinet",
                format!("{disk}: the patch has no cabinet {}", family.cabinet),
                "its files cannot be installed",
            ));
        }
    }
    for cabinet in &overview.cabinets {
        if let Err(fault) = &cabinet.members {
            lints.push(Lint::of("unreadable-cabinet", format!("cabinet {}: {fault}", cabinet.name), ""));
        }
        if !used.contains(cabinet.name.as_str()) {
            lints.push(Lint::of("unused-cabinet", format!("cabinet {}: no disk has it", cabinet.name), ""));
        }
    }
}

fn files(overview: &Overview, lints: &mut Vec<Lint>) {
    for file in ambiguous(&overview.files) {
        lints.push(Lint::of(
            "file-twice",
            format!("file {file}: the transforms say different things of it"),
            "a cabinet has a file once, whole or as a delta",
        ));
    }
    for file in &overview.files {
        let name = &file.file;
        match (&file.cabinet, file.member_bytes) {
            (None, _) => lints.push(Lint::of(
                "file-without-disk",
                format!("file {name}: no disk of the patch has the number {}", file.sequence),
                "it cannot be installed",
            )),
            (Some(cabinet), None) => lints.push(Lint::of(
                "file-not-in-cabinet",
                format!("file {name}: {cabinet} does not list it"),
                "it cannot be installed",
            )),
            (Some(_), Some(len)) => {
                if let Shipping::Delta { patch_bytes, .. } = file.shipping
                    && u64::try_from(patch_bytes) != Ok(len)
                {
                    let message = format!("file {name}: its delta has {len} bytes, the table Patch says {patch_bytes}");
                    lints.push(Lint::of("delta-size", message, ""));
                }
            }
        }
        if let Shipping::Delta { header: Header::Missing, .. } = file.shipping {
            lints.push(Lint::of(
                "no-header",
                format!("file {name}: its delta has no header"),
                "Windows Installer sees by it whether the delta applies",
            ));
        }
    }
    let known: BTreeSet<(Option<&str>, &str)> =
        overview.files.iter().map(|file| (file.cabinet.as_deref(), file.file.as_str())).collect();
    for cabinet in &overview.cabinets {
        for member in cabinet.members.as_deref().unwrap_or_default() {
            if !known.contains(&(Some(&cabinet.name), &member.name)) {
                let message = format!("cabinet {}: no transform speaks of {}", cabinet.name, member.name);
                lints.push(Lint::of("unknown-member", message, ""));
            }
        }
    }
}
