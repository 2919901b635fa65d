//! Looks at all of a patch of Windows Installer.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use patchwright_formats::pa19;
use patchwright_msi::database::Database;
use patchwright_msi::msp::overview::{
    Against, CabinetSummary, Family, Header, Lint, Overview, ShippedFile, Shipping, TableSummary, TransformSummary,
    overview,
};
use patchwright_msi::msp::{Metadata, Msp};
use patchwright_msi::transform::Definition;
use patchwright_msi::transform::info::Product;

use super::inspect_report::{
    InspectedCabinet, InspectedFamily, InspectedFile, InspectedHeader, InspectedLint, InspectedMember,
    InspectedMetadata, InspectedMismatch, InspectedProduct, InspectedStream, InspectedTable, InspectedTransform,
    InspectedVerdict, MspAgainst, MspInspectReport, MspOld,
};
use super::report::MspSequence;
use crate::atomic::open_for_reading;
use crate::error::{Error, Result};
use crate::inspect::{ignored, retained};

/// Tells what is in a patch, whoever made it; with `against`, also what it does to that product.
///
/// Cabinets are listed, not unpacked, and stay on the disk: memory grows with tables and transforms alone. A part that is
/// damaged does not hide the others; what is wrong with it is in the report.
///
/// # Errors
/// A file that is no patch, or whose tables cannot be read ([`crate::ErrorKind::Malformed`]); reading failed.
pub fn inspect(patch: &Path, against: Option<&Path>) -> Result<MspInspectReport> {
    let base = against.map(|path| crate::installer::load(path).map(|database| (path, database))).transpose()?;
    let failed = |error: std::io::Error| Error::io("read", patch, &error);
    let file: File = open_for_reading(patch).map_err(failed)?;
    let patch_bytes = file.metadata().map_err(failed)?.len();
    let mut msp = Msp::open(BufReader::new(file)).map_err(|error| {
        crate::installer::failed(&error, patch)
            .hint("a .msp is needed; `patchwright inspect` tells about .pwp and PA19 patches")
    })?;
    let made = overview(&mut msp, base.as_ref().map(|(_, database): &(&Path, Database)| database));
    Ok(report(made, patch, patch_bytes, base.map(|(path, _)| path)))
}

fn report(overview: Overview, patch: &Path, patch_bytes: u64, installer: Option<&Path>) -> MspInspectReport {
    let summary = overview.summary;
    let streams = |streams: Vec<(String, u64)>| -> Vec<InspectedStream> {
        streams.into_iter().map(|(name, bytes)| InspectedStream { name, bytes }).collect()
    };
    MspInspectReport {
        schema: "patchwright.msp-inspect/1",
        patch: patch.to_owned(),
        patch_bytes,
        patch_code: summary.patch_code,
        title: summary.title,
        subject: summary.subject,
        author: summary.author,
        comments: summary.comments,
        sources: summary.sources,
        installer: summary.installer,
        installer_version: installer_version(summary.installer),
        product_codes: summary.product_codes,
        replaces: summary.replaces,
        signed: !overview.signature.is_empty(),
        signature: streams(overview.signature),
        sequence: overview.sequence.map(|rows| rows.iter().map(MspSequence::from).collect()),
        metadata: overview.metadata.map(|rows| rows.into_iter().map(metadata).collect()),
        families: overview.families.into_iter().map(family).collect(),
        transforms: overview.transforms.into_iter().map(transform).collect(),
        files: overview.files.into_iter().map(file).collect(),
        cabinets: overview.cabinets.into_iter().map(cabinet).collect(),
        other_streams: streams(overview.other_streams),
        against: overview.against.zip(installer).map(|(found, installer)| against(found, installer)),
        lints: overview.lints.into_iter().map(lint).collect(),
    }
}

fn installer_version(word_count: i32) -> Option<&'static str> {
    match word_count {
        1 => Some("1.0"),
        2 => Some("1.2"),
        3 => Some("2.0"),
        4 => Some("3.0"),
        5 => Some("3.1"),
        6 => Some("4.0"),
        _ => None,
    }
}

fn metadata(row: Metadata) -> InspectedMetadata {
    InspectedMetadata { company: row.company, property: row.property, value: row.value }
}

fn family(family: Family) -> InspectedFamily {
    InspectedFamily {
        disk_id: family.disk_id,
        last_sequence: family.last_sequence,
        cabinet: family.cabinet,
        source: family.source,
        disk_prompt: family.disk_prompt,
        volume_label: family.volume_label,
        added_by: family.transforms,
    }
}

fn transform(transform: TransformSummary) -> InspectedTransform {
    let info = transform.info;
    InspectedTransform {
        name: transform.name,
        role: if transform.second { "bookkeeping" } else { "changes" },
        listed: transform.listed,
        code_page: transform.code_page,
        validation: info.as_ref().map(|info| format!("{:#06x}", info.validation.0)),
        compares: info.as_ref().map_or_else(Vec::new, |info| info.validation.names()),
        error_conditions: info.as_ref().map(|info| format!("{:#06x}", info.suppressed.0)),
        tolerates: info.as_ref().map_or_else(Vec::new, |info| info.suppressed.names()),
        base: info.as_ref().map(|info| product(info.base.clone())),
        result: info.map(|info| product(info.result)),
        tables: transform.tables.into_iter().map(table).collect(),
        fault: transform.fault,
    }
}

fn product(product: Product) -> InspectedProduct {
    InspectedProduct {
        product_code: product.code,
        version: product.version,
        upgrade_code: product.upgrade_code,
        platform: product.platform,
        languages: product.languages,
    }
}

fn table(table: TableSummary) -> InspectedTable {
    InspectedTable {
        table: table.name,
        change: match table.definition {
            Some(Definition::Kept) => "changed",
            Some(Definition::Added) => "added",
            Some(Definition::Widened(_)) => "widened",
            Some(Definition::Dropped) => "dropped",
            None => "unknown",
        },
        new_columns: table.new_columns,
        inserted: table.inserted,
        updated: table.updated,
        deleted: table.deleted,
        changed_columns: table.changed_columns,
        undecoded_bytes: table.definition.is_none().then_some(table.undecoded_bytes),
    }
}

fn file(file: ShippedFile) -> InspectedFile {
    let (kind, vital, header) = match &file.shipping {
        Shipping::Whole => ("whole", None, None),
        Shipping::Delta { vital, header, .. } => ("delta", Some(*vital), Some(inspected(header))),
    };
    InspectedFile {
        file: file.file,
        kind,
        sequence: file.sequence,
        cabinet: file.cabinet,
        bytes: file.member_bytes,
        vital,
        header,
        transforms: file.transforms,
    }
}

/// What a header says. One whose check sum is wrong is told so, and read as far as it goes.
fn inspected(header: &Header) -> InspectedHeader {
    let nothing = |len: usize, fault: String| InspectedHeader {
        header_bytes: len as u64,
        options: None,
        new_bytes: None,
        new_crc32: None,
        olds: Vec::new(),
        fault: Some(fault),
    };
    let Header::Bytes(bytes) = header else { return nothing(0, "there is none".to_owned()) };
    let (header, fault) = match pa19::Patch::read(bytes) {
        Ok(patch) => (patch.header, None),
        Err(error) => match pa19::Header::read(bytes) {
            Ok((header, _)) => (header, Some(error.to_string())),
            Err(_) => return nothing(bytes.len(), error.to_string()),
        },
    };
    let old = |entry: &pa19::OldEntry| MspOld {
        bytes: entry.len.into(),
        crc32: format!("{:08x}", entry.crc),
        stream_bytes: entry.stream_len.into(),
        ignore: ignored(&entry.ignore),
        retain: retained(&entry.retain),
    };
    InspectedHeader {
        header_bytes: bytes.len() as u64,
        options: Some(format!("{:#010x}", header.flags)),
        new_bytes: Some(header.new_len.into()),
        new_crc32: Some(format!("{:08x}", header.new_crc)),
        olds: header.olds.iter().map(old).collect(),
        fault,
    }
}

fn cabinet(cabinet: CabinetSummary) -> InspectedCabinet {
    let (members, fault) = match cabinet.members {
        Ok(members) => (members, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    InspectedCabinet {
        name: cabinet.name,
        bytes: cabinet.len_bytes,
        members: members
            .into_iter()
            .map(|member| InspectedMember { name: member.name, bytes: member.len_bytes })
            .collect(),
        fault,
    }
}

fn against(found: Against, installer: &Path) -> MspAgainst {
    MspAgainst {
        installer: installer.to_owned(),
        product: product(found.product),
        faults: found.faults,
        listed: found.listed,
        applies: found.applies,
        version_after: found.version_after,
        transforms: found
            .transforms
            .into_iter()
            .map(|verdict| InspectedVerdict {
                name: verdict.name,
                applies: verdict.matches && verdict.faults.is_empty(),
                mismatches: verdict
                    .mismatches
                    .into_iter()
                    .map(|one| InspectedMismatch { what: one.what, needed: one.needed, found: one.found })
                    .collect(),
                faults: verdict.faults,
            })
            .collect(),
    }
}

fn lint(lint: Lint) -> InspectedLint {
    InspectedLint { code: lint.code, message: lint.message, hint: lint.hint }
}
