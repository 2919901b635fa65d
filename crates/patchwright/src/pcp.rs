//! `patchwright pcp`: patch creation properties, made, brought into text and back, and checked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use patchwright_msi::check::{Finding, Severity};
use patchwright_msi::database::Database;
use patchwright_msi::idt::{self, Archive};
use patchwright_msi::is_guid;
use patchwright_msi::pcp::{Image, New, Pair, Pcp};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::atomic::{absolute, open_for_reading, write_atomically};
use crate::atomic_folder::{Entry, write_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::installer::{failed, load};
use crate::pcp_images::open_images;
use crate::report::{PcpCheckReport, PcpExportReport, PcpFinding, PcpImportReport, PcpNewReport};
use crate::windows_path::PathMapping;

/// A text archive or the stream of a cell has at most so many bytes.
const LARGEST_FILE: u64 = 256 << 20;

/// Installers that a new `.pcp` leads from and to.
#[derive(Clone, Debug)]
pub struct PcpPair {
    /// The old one.
    pub old: PathBuf,
    /// The new one; pairs with the same path have the same one.
    pub new: PathBuf,
}

/// What [`new()`] does not read from the installers.
#[derive(Clone, Debug, Default)]
pub struct PcpNewOptions {
    /// The identity of the patch, in braces; a random one without it.
    pub patch_guid: Option<String>,
    /// Rows of `PatchMetadata` by property: `DisplayName`, `MoreInfoURL` and others.
    pub metadata: BTreeMap<String, String>,
}

/// Writes a starting `.pcp` that leads from old installers to new ones.
///
/// Paths without root stand in it as seen from its folder.
pub fn new(pairs: &[PcpPair], output: &Path, options: &PcpNewOptions) -> Result<PcpNewReport> {
    let patch_guid = match options.patch_guid.as_deref() {
        Some(guid) if is_guid(guid) => guid.to_ascii_uppercase(),
        Some(guid) => {
            let error = Error::new(ErrorKind::Usage, format!("'{guid}' is no GUID"));
            return Err(error.hint("write it in braces: {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}"));
        }
        None => random_guid()?,
    };
    let mut installers = BTreeMap::new();
    for path in pairs.iter().flat_map(|pair| [&pair.old, &pair.new]) {
        if !installers.contains_key(path) {
            installers.insert(path, (seen_from(output, path)?, load(path)?));
        }
    }
    let image = |path: &PathBuf| {
        let (path, database) = installers.get(path).expect("read above");
        Image { path, database }
    };
    let pairs: Vec<Pair<'_>> = pairs.iter().map(|pair| Pair { old: image(&pair.old), new: image(&pair.new) }).collect();
    let patch_path = PathBuf::from(output.file_name().unwrap_or_default()).with_extension("msp");
    let options =
        New { pairs: &pairs, patch_guid: &patch_guid, patch_path: unicode(&patch_path)?, metadata: &options.metadata };
    // The errors are about an installer that lacks what is needed, and name it.
    let (database, todos) =
        patchwright_msi::pcp::new(&options).map_err(|error| Error::new(ErrorKind::Malformed, error.to_string()))?;
    save(&database, output)?;
    Ok(PcpNewReport { schema: "patchwright.pcp-new/1", output: output.to_owned(), patch_guid, todos })
}

/// A path without root as it is seen from the folder of `file`; one with a root stays.
fn seen_from(file: &Path, path: &Path) -> Result<String> {
    if path.is_absolute() {
        return Ok(unicode(path)?.to_owned());
    }
    let whole = |path: &Path| {
        let mut names: Vec<OsString> = Vec::new();
        for component in absolute(path).components() {
            match component {
                // Links are not looked at: what is typed counts.
                Component::ParentDir => drop(names.pop()),
                Component::Normal(name) => names.push(name.to_owned()),
                _ => {}
            }
        }
        names
    };
    let (mut folder, names) = (whole(file), whole(path));
    folder.pop();
    let common = folder.iter().zip(&names).take_while(|(one, other)| one == other).count();
    let up = (common..folder.len()).map(|_| OsString::from(".."));
    let seen: PathBuf = up.chain(names[common..].iter().cloned()).collect();
    Ok(unicode(&seen)?.to_owned())
}

/// Writes each table of a database as a text archive into a folder.
///
/// All files change at once or none does; other files in the folder stay. A folder that has an archive of a table which
/// the database lacks is refused: it would come back with the next import.
pub fn export(pcp: &Path, folder: &Path) -> Result<PcpExportReport> {
    let database = load(pcp)?;
    let archives = idt::export(&database).map_err(|error| failed(&error, pcp))?;
    let exists = fs::exists(folder).map_err(|error| Error::io("find", folder, &error))?;
    let there = if exists { archives_in(folder)? } else { Vec::new() };
    let stale: Vec<&String> =
        there.iter().filter(|name| !archives.iter().any(|archive| file_name(archive) == **name)).collect();
    if !stale.is_empty() {
        let error = Error::new(ErrorKind::Usage, "the folder has archives of tables that the database lacks");
        return Err(error.at(folder).details(stale).hint("remove them, or take another folder"));
    }
    let is_ours = |name: &str, is_folder: bool| {
        let archive =
            archives.iter().any(|archive| if is_folder { archive.name == name } else { file_name(archive) == name });
        if archive { Entry::Ours } else { Entry::Other }
    };
    write_folder(folder, is_ours, |draft| {
        for archive in &archives {
            if !archive.streams.is_empty() {
                let streams = draft.join(&archive.name);
                fs::create_dir(&streams).map_err(|error| Error::io("make the folder", &streams, &error))?;
                archive.streams.iter().try_for_each(|(name, bytes)| write(&streams.join(name), bytes))?;
            }
            write(&draft.join(file_name(archive)), &archive.text)?;
        }
        Ok(())
    })?;
    Ok(PcpExportReport {
        schema: "patchwright.pcp-export/1",
        pcp: pcp.to_owned(),
        folder: folder.to_owned(),
        files: archives.iter().map(file_name).collect(),
        left_out: database.others,
    })
}

/// Makes a database of the text archives in a folder.
pub fn import(folder: &Path, output: &Path) -> Result<PcpImportReport> {
    let names = archives_in(folder)?;
    if names.is_empty() {
        let error = Error::new(ErrorKind::Malformed, "the folder has no text archives");
        return Err(error.at(folder).hint("text archives end with .idt; `patchwright pcp export` writes them"));
    }
    let mut files = Vec::new();
    for name in &names {
        let path = folder.join(name);
        files.push(read(&path).map_err(|error| Error::io("read", &path, &error))?);
    }
    let archives = names.iter().map(String::as_str).zip(files.iter().map(Vec::as_slice));
    let database = idt::import(archives, |table, name| {
        // The name of a table comes from the file: no more than a name may lead to a folder.
        if Path::new(table).file_name() != Some(table.as_ref()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the table has no name that a folder can have"));
        }
        read(&folder.join(table).join(name))
    });
    let database = database.map_err(|error| failed(&error, folder))?;
    save(&database, output)?;
    Ok(PcpImportReport {
        schema: "patchwright.pcp-import/1",
        folder: folder.to_owned(),
        output: output.to_owned(),
        tables: database.tables.iter().map(|table| table.name.clone()).collect(),
    })
}

/// Choices of [`check`].
#[derive(Clone, Debug, Default)]
pub struct PcpCheckOptions {
    /// What stands for paths of Windows.
    pub mappings: Vec<PathMapping>,
    /// What PATCHWIZ refuses is an error even where a patch can be made.
    pub strict: bool,
    /// Look at the tables alone and open no image.
    pub no_images: bool,
}

/// Checks a `.pcp` and the images that it names: everything that is wrong, at once.
///
/// Files in cabinets are unpacked into a folder for temporary files, which is gone in the end.
pub fn check(path: &Path, options: &PcpCheckOptions) -> Result<PcpCheckReport> {
    let pcp = Pcp::read(&load(path)?);
    let found = if options.no_images {
        patchwright_msi::check::check(&pcp)
    } else {
        let images = open_images(path, &pcp, &options.mappings)?;
        let judged = patchwright_msi::check::Options { strict: options.strict, ..Default::default() };
        patchwright_msi::check::check_all(&pcp, &images, judged)
    };
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    Ok(PcpCheckReport {
        schema: "patchwright.pcp-check/1",
        pcp: path.to_owned(),
        images: !options.no_images,
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        notes: count(Severity::Note),
        findings: found.into_iter().map(finding).collect(),
    })
}

/// A finding as it is reported.
pub(crate) fn finding(found: Finding) -> PcpFinding {
    PcpFinding {
        severity: match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        code: found.code.name,
        number: format!("0x{:08X}", found.code.number),
        table: found.table,
        row: found.row,
        column: found.column,
        message: found.message,
        details: found.details,
        hint: found.hint,
    }
}

fn save(database: &Database, output: &Path) -> Result<()> {
    let bytes = database.write().map_err(|error| failed(&error, output))?;
    write(output, &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, None, |out| out.write_all(bytes).map_err(|error| Error::io("write", path, &error)))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_for_reading(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 256 MiB"));
    }
    Ok(bytes)
}

fn file_name(archive: &Archive) -> String {
    format!("{}.idt", archive.name)
}

/// Names of the text archives in a folder, sorted.
fn archives_in(folder: &Path) -> Result<Vec<String>> {
    let io = |error: io::Error| Error::io("read the folder", folder, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = PathBuf::from(entry.map_err(io)?.file_name());
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("idt")) {
            names.push(unicode(&path)?.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn unicode(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the path is not Unicode, and a database holds nothing else").at(path)
    })
}

/// A random identity, version 4.
fn random_guid() -> Result<String> {
    let mut bytes = [0_u8; 16];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty());
    if filled.map_err(io::Error::from).is_ok_and(|len| len == bytes.len()) {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        return Ok(format!("{{{}}}", parts.join("-")));
    }
    Err(Error::new(ErrorKind::Io, "the system gives no random numbers").hint("name a GUID yourself"))
}
