//! Patches in Microsoft's PA19 format, for the same verbs.
//!
//! Old and new file are held in memory, as the format asks: its deltas look anywhere in the old file.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use patchwright_formats::lzx::Level;
use patchwright_formats::manifest::NewFile;
use patchwright_formats::pa19::{
    self, Change, Header, IfNew, LzxMode, OldInput, Outcome, Pa19Error, PatchCode, Profile, SignatureKind, flags,
};
use patchwright_formats::{Blanked, PatchId, ReadAt, Regions, RetainRange, region, source};

use crate::atomic::{open_for_reading, write_atomically};
use crate::error::{Error, ErrorKind, Result};
use crate::file_delta::{FileDelta, Made};
use crate::inspect::{ignored, retained};
use crate::options::{Lzx, Pa19Options, Pa19Profile, SignatureOptions};
use crate::patch_file::Patch;
use crate::progress::Progress;
use crate::recognise::Version;
use crate::report::{
    DiffReport, DiffedOld, ExtractReport, InspectPa19Report, InspectedPa19Old, SignatureReport, Subject, hex,
};

/// First bytes of every PA19 file.
const MAGIC: &[u8] = b"PA19";
/// Files of the format are shorter than this.
const MAX_LEN: u64 = 1 << 32;

/// A patch of either format.
pub(crate) enum Opened {
    /// One of ours.
    Pwp(Patch),
    /// One of Microsoft's.
    Pa19(Pa19File),
}

impl Opened {
    /// Opens the patch at `path`, told apart by its first bytes. Undo records are refused.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if is_pa19(path)? { Pa19File::open(path).map(Self::Pa19) } else { Patch::open_forward(path).map(Self::Pwp) }
    }
}

/// Whether the file at `path` begins like a PA19 patch.
pub(crate) fn is_pa19(path: &Path) -> Result<bool> {
    begins_with(path, MAGIC)
}

/// Whether the file at `path` begins with these bytes.
pub(crate) fn begins_with(path: &Path, magic: &[u8]) -> Result<bool> {
    let failed = |error: io::Error| Error::io("open the patch", path, &error);
    let mut found = Vec::new();
    open_for_reading(path).map_err(failed)?.take(magic.len() as u64).read_to_end(&mut found).map_err(failed)?;
    Ok(found == magic)
}

/// A PA19 patch in memory, its header read and its CRC checked.
pub(crate) struct Pa19File {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Header,
}

impl Pa19File {
    /// Reads the patch at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = read_file(path)?;
        let header = pa19::Patch::read(&bytes).map_err(|error| pa19_error(&error).at(path))?.header;
        Ok(Self { path: path.to_owned(), bytes, header })
    }

    fn patch(&self) -> Result<pa19::Patch<'_>> {
        pa19::Patch::read(&self.bytes).map_err(|error| pa19_error(&error).at(&self.path))
    }

    /// What is in the patch.
    pub(crate) fn inspect(&self) -> Result<InspectPa19Report> {
        let patch = self.patch()?;
        let header = &self.header;
        let old = |entry: &pa19::OldEntry| InspectedPa19Old {
            bytes: entry.len.into(),
            crc32: format!("{:08x}", entry.crc),
            ignore: ignored(&entry.ignore),
            retain: retained(&entry.retain),
            rift_entries: entry.rift.entries().len(),
            interleaved_ranges: entry.interleave.len(),
            stream_bytes: entry.stream_len.into(),
            window_bytes: 1 << header.window_for(entry.len).log2(),
        };
        Ok(InspectPa19Report {
            schema: "patchwright.inspect-pa19/1",
            patch: self.path.clone(),
            id: hex(&self.id().0),
            patch_bytes: self.bytes.len() as u64,
            options: format!("{:#010x}", header.flags),
            extended_options: format!("{:#x}", header.ext),
            file_time: header.file_time,
            image_base: header.coff.map(|coff| format!("{:#x}", coff.base)),
            link_time: header.coff.map(|coff| coff.time),
            resource_time: header.resource_time,
            new_bytes: header.new_len.into(),
            new_crc32: format!("{:08x}", header.new_crc),
            header_bytes: patch.header_len as u64,
            header_only: patch.is_header_only(),
            olds: header.olds.iter().map(old).collect(),
        })
    }

    /// Makes sure that every stream is there.
    pub(crate) fn check_streams(&self) -> Result<()> {
        if self.patch()?.is_header_only() {
            return Err(Error::new(ErrorKind::Malformed, "the patch is only a header: its streams are missing")
                .at(&self.path)
                .hint("Windows Installer keeps such headers to choose patches by; apply the patch it was taken from"));
        }
        Ok(())
    }

    fn unknown(&self, len: usize) -> Error {
        let olds = self.header.olds.iter().enumerate().map(|(index, entry)| {
            let verdict = if entry.len as usize == len { "same length, other content" } else { "other length" };
            format!(
                "old version {}: {} bytes, crc32 {:08x} once normalised ({verdict})",
                index + 1,
                entry.len,
                entry.crc
            )
        });
        let new = format!("new version: {} bytes, crc32 {:08x}", self.header.new_len, self.header.new_crc);
        Error::new(
            ErrorKind::WrongInput,
            format!("this file of {len} bytes is not a version that the patch knows; nothing was changed"),
        )
        .details(olds.chain([new]))
        .hint("the file differs outside the ignored and retained ranges: is it the right file, unmodified?")
    }

    fn retain(&self, index: usize) -> Vec<RetainRange> {
        self.header.olds.get(index).map(|entry| entry.retain.clone()).unwrap_or_default()
    }
}

impl FileDelta for Pa19File {
    fn id(&self) -> PatchId {
        let mut hasher = blake3::Hasher::new_derive_key("Patchwright identity of a PA19 patch, version 1");
        hasher.update(&self.bytes);
        PatchId(*hasher.finalize().as_bytes())
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn new_len(&self) -> u64 {
        self.header.new_len.into()
    }

    fn file_time(&self) -> Option<i64> {
        self.header.file_time.map(i64::from)
    }

    fn recognise(&self, file: &dyn ReadAt, name: &Path, _progress: &dyn Progress) -> Result<Version> {
        let old = read_all(file).map_err(|error| Error::io("read", name, &error))?;
        match pa19::test(&self.bytes, &old, IfNew::Copy) {
            Ok(Outcome::Old(index)) => Ok(Version::Old(index)),
            Ok(Outcome::New(Change::Unmodified | Change::Modified)) => Ok(Version::New),
            Err(error) if error.code == PatchCode::WrongFile => Err(self.unknown(old.len()).at(name)),
            Err(error) => Err(pa19_error(&error).at(&self.path)),
        }
    }

    fn make(&self, user_old: &dyn ReadAt, index: usize, out: &mut dyn Write, progress: &dyn Progress) -> Result<Made> {
        let failed = |error: io::Error| Error::io("make the new file", &self.path, &error);
        let old = read_all(user_old).map_err(failed)?;
        progress.begin("apply", self.new_len());
        let applied = pa19::apply(&self.bytes, &old, IfNew::Copy);
        progress.advance(self.new_len());
        progress.end();
        let new = applied.map_err(|error| pa19_error(&error).at(&self.path))?.new;
        out.write_all(&new).map_err(failed)?;
        let retain = self.retain(index);
        let mut places: Vec<_> = retain.iter().map(|range| range.new_side()).filter(|range| range.len > 0).collect();
        places.sort_unstable();
        let blanks = region::union(places.iter().copied());
        let hash = source::hash(&Blanked::new(&new, blanks)).map_err(failed)?;
        Ok(Made {
            raw_hash: *blake3::hash(&new).as_bytes(),
            new: NewFile { size: new.len() as u64, hash, retained: places },
            retain: retain.into_iter().filter(|range| range.len > 0).collect(),
            covers: None,
        })
    }
}

/// An old file for [`diff`].
pub(crate) struct Old {
    pub(crate) path: PathBuf,
    pub(crate) regions: Regions,
}

/// Writes a PA19 patch.
pub(crate) fn diff(
    olds: &[Old],
    new: &Path,
    patch: &Path,
    options: &Pa19Options,
    mut warnings: Vec<String>,
) -> Result<DiffReport> {
    let new_bytes = read_file(new)?;
    let old_bytes = olds.iter().map(|old| read_file(&old.path)).collect::<Result<Vec<_>>>()?;
    let inputs: Vec<OldInput<'_>> =
        olds.iter().zip(&old_bytes).map(|(old, bytes)| OldInput { bytes, regions: &old.regions }).collect();
    let choices = create_options(options, new)?;
    let created = pa19::create(&inputs, &new_bytes, &choices).map_err(|error| pa19_error(&error))?;
    warnings.extend(created.warnings.iter().map(ToString::to_string));
    write_atomically(patch, None, |out| {
        out.write_all(&created.patch).map_err(|error| Error::io("write the patch", patch, &error))
    })?;
    let bytes = created.patch;
    let header = pa19::Patch::read(&bytes).map_err(|error| Error::bug(error.to_string()))?.header;
    let made = Pa19File { path: patch.to_owned(), bytes, header };
    // Old files that are the same to the patch share an entry.
    let stream_len = |index: usize| match pa19::test(&made.bytes, &old_bytes[index], IfNew::Copy) {
        Ok(Outcome::Old(entry)) => made.header.olds.get(entry).map_or(0, |entry| u64::from(entry.stream_len)),
        _ => 0,
    };
    let report = |(index, old): (usize, &Old)| DiffedOld {
        path: old.path.clone(),
        bytes: old_bytes[index].len() as u64,
        delta_bytes: stream_len(index),
        methods: vec!["lzx delta"],
        via: None,
    };
    Ok(DiffReport {
        schema: "patchwright.diff/1",
        patch: patch.to_owned(),
        id: hex(&made.id().0),
        patch_bytes: made.bytes.len() as u64,
        subject: Subject::File,
        new_bytes: new_bytes.len() as u64,
        olds: olds.iter().enumerate().map(report).collect(),
        tree: None,
        hot: Vec::new(),
        warnings,
    })
}

fn create_options(options: &Pa19Options, new: &Path) -> Result<pa19::CreateOptions> {
    let mut bits = 0;
    for (wanted, bit) in [
        (options.fail_if_same, flags::FAIL_IF_SAME_FILE),
        (options.fail_if_bigger, flags::FAIL_IF_BIGGER),
        (options.large_window, flags::USE_LZX_LARGE),
    ] {
        bits |= if wanted { bit } else { 0 };
    }
    let file_time = if options.timestamp { modified(new)? } else { None };
    Ok(pa19::CreateOptions {
        profile: match options.profile {
            Pa19Profile::Raw => Profile::Raw,
            Pa19Profile::Native => Profile::Native,
        },
        mode: match options.lzx {
            Lzx::A => LzxMode::A,
            Lzx::B => LzxMode::B,
            Lzx::Best => LzxMode::Best,
        },
        flags: bits,
        // What appliers since Windows XP SP2 and Server 2003 know, and what gives the smallest patches.
        ext: if options.profile == Pa19Profile::Native { flags::EXT_RESOURCE_2 | flags::EXT_IRELOC_2 } else { 0 },
        file_time,
        max_window: None,
        level: if options.fast { Level::Fast } else { Level::Best },
    })
}

/// The time of the last change of a file; none when the format cannot hold it.
fn modified(path: &Path) -> Result<Option<u32>> {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified());
    let time = time.map_err(|error| Error::io("look at", path, &error))?;
    Ok(time.duration_since(UNIX_EPOCH).ok().and_then(|since| u32::try_from(since.as_secs()).ok()))
}

/// The signature that the patch API gives a file: CRC-32 or MD5 of its normalised form, with its ranges blank.
pub fn signature(path: &Path, options: &SignatureOptions) -> Result<SignatureReport> {
    let mut bytes = read_file(path)?;
    let len = bytes.len() as u64;
    let outside = options.blanks.iter().find(|range| range.end().is_none_or(|end| end > len));
    if let Some(range) = outside {
        let message = format!("range {range} reaches beyond the end of the file ({len} bytes)");
        return Err(Error::new(ErrorKind::Usage, message).at(path));
    }
    let kind = if options.md5 { SignatureKind::Md5 } else { SignatureKind::Crc32 };
    let (signature, change) = pa19::signature(&mut bytes, 0, options.blanks.iter().copied(), kind)
        .map_err(|error| pa19_error(&error).at(path))?;
    Ok(SignatureReport {
        schema: "patchwright.signature/1",
        file: path.to_owned(),
        kind: if options.md5 { "md5" } else { "crc32" },
        signature,
        normalised: change == Change::Modified,
    })
}

/// Writes the header of the PA19 patch at `patch` to `output`, as a patch without streams.
pub fn extract_header(patch: &Path, output: &Path) -> Result<ExtractReport> {
    let bytes = read_file(patch)?;
    let header = pa19::extract_header(&bytes).map_err(|error| pa19_error(&error).at(patch))?;
    let same = |path: &Path| path.canonicalize().ok();
    if same(output).is_some_and(|output| Some(output) == same(patch)) {
        return Err(Error::new(ErrorKind::Usage, "the output is the patch: an input is never overwritten").at(output));
    }
    write_atomically(output, None, |out| {
        out.write_all(&header).map_err(|error| Error::io("write the header", output, &error))
    })?;
    Ok(ExtractReport {
        schema: "patchwright.extract-header/1",
        patch: patch.to_owned(),
        output: output.to_owned(),
        header_bytes: header.len() as u64,
    })
}

/// What an error of the format means for the caller.
fn pa19_error(error: &Pa19Error) -> Error {
    let kind = ErrorKind::ALL.into_iter().find(|kind| kind.exit_code() == error.code.exit_code());
    let made = Error::new(kind.unwrap_or(ErrorKind::Malformed), error.to_string());
    match error.code {
        PatchCode::NewerFormat => made.hint("a newer version of patchwright may know it"),
        PatchCode::Corrupt => made.hint("the file is damaged: fetch it again"),
        PatchCode::BiggerThanCompressed => made.hint("ship the new file itself"),
        _ => made,
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: io::Error| Error::io("read", path, &error);
    let mut file = open_for_reading(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    if len >= MAX_LEN {
        return Err(Error::new(ErrorKind::Malformed, format!("{len} bytes: the PA19 format ends at 4 GiB")).at(path));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn read_all(file: &dyn ReadAt) -> io::Result<Vec<u8>> {
    if file.len_bytes() >= MAX_LEN {
        return Err(io::Error::other("the PA19 format ends at 4 GiB"));
    }
    let mut bytes = vec![0; usize::try_from(file.len_bytes()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
