//! Images whose files are missing, cannot be read, or lie where PATCHWIZ does not look.

use std::collections::BTreeMap;

use super::{At, Findings, Options, Severity, TARGETS, UPGRADED, at};
use crate::code::{self as pcw, Code};
use crate::image::{FaultKind, Images, Opened};
use crate::pcp::Pcp;

struct Codes {
    compressed: Code,
    missing: Code,
    not_msi: Code,
}

pub(super) fn contents(pcp: &Pcp, images: &Images, options: Options, findings: &mut Findings) {
    let codes = Codes {
        compressed: pcw::UPGRADED_IMAGE_COMPRESSED,
        missing: pcw::UPGRADED_MISSING_SRC_FILES,
        not_msi: pcw::UPGRADED_IMAGE_PATH_NOT_MSI,
    };
    for row in &pcp.upgraded {
        if let Some(opened) = images.upgraded(&row.upgraded) {
            image(opened, at(UPGRADED, &row.upgraded), &codes, (options, false), findings);
        }
    }
    let codes = Codes {
        compressed: pcw::TARGET_IMAGE_COMPRESSED,
        missing: pcw::TARGET_MISSING_SRC_FILES,
        not_msi: pcw::TARGET_IMAGE_PATH_NOT_MSI,
    };
    for row in &pcp.targets {
        if let Some(opened) = images.target(&row.target) {
            let may_miss = row.ignore_missing_src_files.is_some_and(|flag| flag != 0);
            image(opened, at(TARGETS, &row.target), &codes, (options, may_miss), findings);
        }
    }
}

fn image(opened: &Opened, at: At<'_>, codes: &Codes, (options, may_miss): (Options, bool), findings: &mut Findings) {
    let at = at.column("MsiPath");
    if opened.image.is_compressed() {
        let severity = if options.strict { Severity::Error } else { Severity::Note };
        let what = "files are in cabinets: they are unpacked; PATCHWIZ refuses the image".to_owned();
        findings.add(severity, codes.compressed, at, what, "for PATCHWIZ, lay the files out with `msiexec /a`");
    }
    for fault in &opened.image.faults {
        let (code, hint) = match fault {
            FaultKind::NoDirectoryTable => (pcw::MISSING_DIRECTORY_TABLE, "this is no installer: name another"),
            _ => (codes.not_msi, "its tables are damaged: build the installer again"),
        };
        findings.error(code, at, fault.to_string(), hint);
    }
    let mut groups: BTreeMap<Group, Vec<String>> = BTreeMap::new();
    for (file, fault) in opened.faults() {
        groups.entry(Group::of(fault)).or_default().push(format!("{}: {fault}", file.key));
    }
    for (group, details) in groups {
        let count = details.len();
        let what = |what: &str| format!("{count} {} {what}", if count == 1 { "file" } else { "files" });
        let (severity, code, what, hint) = match group {
            Group::Missing if may_miss => {
                let hint = "IgnoreMissingSrcFiles is 1: users of this version get no patch of them";
                (Severity::Note, codes.missing, what("missing: left out of the patch"), hint)
            }
            Group::Missing => {
                let hint = "lay all files of the image out beside it; for an old image, IgnoreMissingSrcFiles may be 1";
                (Severity::Error, codes.missing, what("missing"), hint)
            }
            Group::Ambiguous => {
                let hint = "remove all but one: Windows does not tell them apart";
                (Severity::Error, codes.missing, what("with several names that differ in case alone"), hint)
            }
            Group::Nowhere => {
                let hint = "build the installer again: its tables do not say where these files are";
                (Severity::Error, codes.missing, what("without a place"), hint)
            }
            Group::Unreadable => {
                let hint = "copy the image again, and check who may read it";
                (Severity::Error, pcw::CANT_READ_FILE, what("not to be read"), hint)
            }
            Group::Other => {
                let hint = "the cabinet belongs to another build of the installer: copy both again";
                (Severity::Error, pcw::CANT_READ_FILE, what("other than the installer states"), hint)
            }
        };
        findings.list(severity, code, at, (what, details), hint);
    }
}

/// Faults that have the same remedy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Missing,
    Ambiguous,
    Nowhere,
    Unreadable,
    Other,
}

impl Group {
    fn of(fault: &FaultKind) -> Self {
        match fault {
            FaultKind::Missing(_) | FaultKind::NotInCabinet(_) => Self::Missing,
            FaultKind::NoColumn { .. }
            | FaultKind::NoDirectoryTable
            | FaultKind::BadRow(_)
            | FaultKind::NoComponent(_)
            | FaultKind::NoDirectory(_)
            | FaultKind::TooDeep(_)
            | FaultKind::BadName(_)
            | FaultKind::NoCabinet(_) => Self::Nowhere,
            FaultKind::Ambiguous(_) => Self::Ambiguous,
            FaultKind::BadCabinet { .. } | FaultKind::Unreadable { .. } => Self::Unreadable,
            FaultKind::Size { .. } | FaultKind::Hash { .. } => Self::Other,
        }
    }
}
