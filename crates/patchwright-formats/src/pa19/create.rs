//! Old files and new file to patch.
//!
//! In order: inputs are checked; the header is planned; every old file becomes what the applier will make of it, which
//! is the only form in which it is ever looked at; the choices that the format leaves open are made by trying them; the
//! streams are compressed, and decompressed again.

mod check;
mod search;

use std::fmt;

use super::apply::{coff, make};
use super::error::{Pa19Error, PatchCode};
use super::flags;
use super::header::{Coff, Header, OldEntry, Patch, seal, window_cap};
use super::normalise::{blank, normalise};
use super::pe32::{Pe32, directory, u16_at, u32_at};
use crate::lzx::{Level, Window};
use crate::region::{ByteRange, Regions};
use search::Job;

/// Most old files of one patch. Appliers take 255, the genuine creator makes 127.
pub const MAX_OLDS: usize = 127;

/// An old file and what is not to be looked at in it. An old file that is not there is empty.
#[derive(Clone, Copy, Debug)]
pub struct OldInput<'a> {
    /// All of its bytes.
    pub bytes: &'a [u8],
    /// Its ignored and retained ranges. Retained ones have the same order in all old files.
    pub regions: &'a Regions,
}

/// Whether relative calls are translated before compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LzxMode {
    /// They are not (`PATCH_OPTION_USE_LZX_A`).
    A,
    /// They are if the new file is an executable image (`PATCH_OPTION_USE_LZX_B`).
    B,
    /// The smaller of the two (`PATCH_OPTION_USE_LZX_BEST`).
    #[default]
    Best,
}

/// What is done to 32-bit images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Nothing: every applier can apply the patch, Wine included.
    #[default]
    Raw,
    /// Normalisation and transforms: rebased and bound copies are recognised, and patches are smaller.
    Native,
}

/// What a patch is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// What is done to 32-bit images.
    pub profile: Profile,
    /// Whether relative calls are translated.
    pub mode: LzxMode,
    /// Option bits ([`flags`]): those of normalisation, and `FAIL_IF_SAME_FILE` and `FAIL_IF_BIGGER`.
    ///
    /// `USE_LZX_LARGE` allows windows of up to 32 MiB. With [`Profile::Raw`] those of normalisation mean nothing.
    pub flags: u32,
    /// Extended option bits: transforms that are not to be made, and the second versions of two of them.
    pub ext: u32,
    /// Time of last change of the new file in seconds since 1970; without it, appliers leave the time alone.
    pub file_time: Option<u32>,
    /// The largest window, in bytes; rounded up to a power of two. Wine takes no patch that states its window.
    pub max_window: Option<u32>,
    /// How much time compression takes. What is only tried is always compressed fast.
    pub level: Level,
}

/// A patch, and what its maker should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The bytes of the patch.
    pub patch: Vec<u8>,
    /// What might surprise.
    pub warnings: Vec<Warning>,
}

/// Something about a patch that might surprise. Old files count from 0 in the order of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Only the head of the old file, as long as the window, was used; `USE_LZX_LARGE` may help.
    OldLargerThanWindow {
        /// Which old file.
        old: usize,
        /// How much of it was used.
        window_bytes: usize,
    },
    /// The same bytes of the old file are ignored and retained; they are retained.
    IgnoredAndRetained {
        /// Which old file.
        old: usize,
    },
    /// The relocations of the old image are damaged, so that rebased copies are not recognised.
    RebaseLeftOut {
        /// Which old file.
        old: usize,
    },
    /// The checksum of an image depends on its ignored and retained bytes, so it is not restored either.
    ChecksumLeftOut {
        /// Which old file.
        old: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldLargerThanWindow { old, window_bytes } => {
                write!(f, "old file {}: only the first {window_bytes} bytes fit in the window", old + 1)
            }
            Self::IgnoredAndRetained { old } => {
                write!(f, "old file {}: an ignored range overlaps a retained one", old + 1)
            }
            Self::RebaseLeftOut { old } => {
                write!(f, "old file {}: its relocations are damaged, so rebased copies are not recognised", old + 1)
            }
            Self::ChecksumLeftOut { old } => {
                write!(f, "old file {}: it has ranges, so the checksum of the image is left out of account", old + 1)
            }
        }
    }
}

/// Makes a patch from `olds`, at least one, to `new`.
///
/// # Errors
/// | code | when |
/// |---|---|
/// | [`InvalidParameter`](PatchCode::InvalidParameter) | no or too many old files or ranges; ranges outside their file; retained ranges that overlap; unknown options |
/// | [`FileTooLarge`](PatchCode::FileTooLarge) | a file of 4 GiB or more, or more than 2 GiB to be looked at together |
/// | [`RetainRangesDiffer`](PatchCode::RetainRangesDiffer) | lengths or new offsets of retained ranges differ between old files |
/// | [`SameFile`](PatchCode::SameFile) | the only old file is the new file, and the options ask |
/// | [`BiggerThanCompressed`](PatchCode::BiggerThanCompressed) | the patch is no smaller than the new file compressed, and the options ask |
/// | [`EncodeFailure`](PatchCode::EncodeFailure) | what was made cannot be applied; a bug |
pub fn create(olds: &[OldInput<'_>], new: &[u8], options: &CreateOptions) -> Result<Created, Pa19Error> {
    let mut warnings = check::inputs(olds, new, options)?;
    let blank_new = blanked(new, olds[0].regions.new_blanks());
    let mut header = plan(olds, &blank_new, options, &mut warnings);
    header.new_crc = crc32fast::hash(&blank_new);

    let mut jobs: Vec<Job> = Vec::new();
    for old in olds {
        let job = prepare(old, &blank_new, &header)?;
        if job.entry.stream_len == SAME && olds.len() == 1 && header.has(flags::FAIL_IF_SAME_FILE) {
            return Err(Pa19Error::new(PatchCode::SameFile, "old file", 0, "the old file is the new file"));
        }
        if !jobs.iter().any(|earlier| earlier.is_same_as(&job)) {
            jobs.push(job);
        }
    }
    plan_window(&mut header, &jobs, options);
    for (old, input) in olds.iter().enumerate() {
        let window_bytes = header.window_for(length(input.bytes)).len_bytes();
        if input.bytes.len() > window_bytes {
            warnings.push(Warning::OldLargerThanWindow { old, window_bytes });
        }
    }

    let streams = search::streams(&mut header, &mut jobs, &blank_new, options)?;
    for (job, stream) in jobs.iter_mut().zip(&streams) {
        job.entry.stream_len = length(stream);
    }
    header.olds = jobs.iter().map(|job| job.entry.clone()).collect();
    let mut patch = header.write();
    patch.extend(streams.concat());
    seal(&mut patch);

    if header.has(flags::FAIL_IF_BIGGER) && patch.len() >= compressed_len(&blank_new, &header)? {
        let what = "the patch is no smaller than the new file compressed";
        return Err(Pa19Error::new(PatchCode::BiggerThanCompressed, "patch", 0, what));
    }
    verify(&patch, jobs)?;
    Ok(Created { patch, warnings })
}

/// In an entry that is being made: there will be no stream, since the old file is the new file.
const SAME: u32 = 0;
/// In an entry that is being made: there will be a stream.
const DIFFERENT: u32 = 1;

/// The length of something that the checks have found to be below 4 GiB.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the checks have refused longer files")
}

fn blanked(bytes: &[u8], ranges: impl IntoIterator<Item = ByteRange>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    blank(&mut bytes, ranges);
    bytes
}

/// Everything of the header that does not depend on the content of old files, but for damage.
fn plan(olds: &[OldInput<'_>], new: &[u8], options: &CreateOptions, warnings: &mut Vec<Warning>) -> Header {
    let mut header = Header { new_len: length(new), file_time: options.file_time, ..Header::default() };
    header.flags = options.flags & (flags::FAIL_IF_SAME_FILE | flags::FAIL_IF_BIGGER);
    header.flags |= if options.mode == LzxMode::B { flags::USE_LZX_B } else { flags::USE_LZX_A };
    if options.file_time.is_some() {
        header.flags |= flags::TIMESTAMP;
    }
    match options.profile {
        Profile::Raw => {
            header.flags |= flags::NO_BINDFIX | flags::NO_LOCKFIX | flags::NO_REBASE | flags::NO_RESTIMEFIX;
        }
        Profile::Native => plan_image(&mut header, olds, new, options, warnings),
    }
    header
}

/// What normalisation and transforms will do.
fn plan_image(
    header: &mut Header,
    olds: &[OldInput<'_>],
    new: &[u8],
    options: &CreateOptions,
    warnings: &mut Vec<Warning>,
) {
    header.flags |= options.flags & check::NORMALISATION;
    let images: Vec<usize> = (0..olds.len()).filter(|old| Pe32::parse(olds[*old].bytes).is_some()).collect();
    match Pe32::parse(new) {
        None => header.flags |= flags::NO_REBASE | flags::NO_RESTIMEFIX,
        Some(pe) => {
            if !images.is_empty() {
                header.ext = options.ext;
            }
            let base = pe.image_base(new) & 0xFFFF_0000;
            let new_coff = Coff { base, time: u32_at(new, pe.time_at()).unwrap_or(0) };
            if !header.has(flags::NO_REBASE) {
                let options = header.flags;
                let damaged = images
                    .iter()
                    .find(|old| normalise(&mut olds[**old].bytes.to_vec(), options, new_coff, []).is_err());
                match damaged {
                    Some(old) => {
                        header.flags |= flags::NO_REBASE;
                        warnings.push(Warning::RebaseLeftOut { old: *old });
                    }
                    None => header.coff = Some(new_coff),
                }
            }
            match resource_time(new, &pe).filter(|_| !header.has(flags::NO_RESTIMEFIX)) {
                Some(time) => header.resource_time = Some(time),
                None => header.flags |= flags::NO_RESTIMEFIX,
            }
        }
    }
    let ranged = |old: &&usize| !olds[**old].regions.ignore.is_empty() || !olds[**old].regions.retain.is_empty();
    if let Some(old) = images.iter().find(ranged)
        && !header.has(flags::NO_CHECKSUM)
    {
        header.flags |= flags::NO_CHECKSUM;
        warnings.push(Warning::ChecksumLeftOut { old: *old });
    }
}

/// The time of the first resource directory that has one, three levels deep at most.
fn resource_time(image: &[u8], pe: &Pe32) -> Option<u32> {
    // Directories of a level that are looked at.
    const MAX_LEVEL: usize = 1 << 12;
    let tree = pe.mapped(image, directory::RESOURCE)?;
    let mut level = vec![tree.start];
    for _ in 0..3 {
        let mut next = Vec::new();
        for at in level {
            match u32_at(image, at + 4)? {
                0 => {}
                time => return Some(time),
            }
            let count = usize::from(u16_at(image, at + 12)?) + usize::from(u16_at(image, at + 14)?);
            let targets = (0..count).map_while(|index| u32_at(image, at + 16 + 8 * index + 4));
            let directories = targets.filter(|target| target & 0x8000_0000 != 0);
            let places = directories.map(|target| tree.start + (target & 0x7FFF_FFFF) as usize);
            next.extend(places.take(MAX_LEVEL - next.len()));
        }
        level = next;
    }
    None
}

/// An old file as the applier sees it, and its entry as far as that follows from it.
fn prepare(old: &OldInput<'_>, blank_new: &[u8], header: &Header) -> Result<Job, Pa19Error> {
    let regions = old.regions;
    let mut reference = old.bytes.to_vec();
    normalise(&mut reference, header.flags, coff(header), [])?;
    // Another copy of the new file has no stream. One with ignored ranges has, or else what the API says of their
    // CRC would make it fail where ignored bytes differ.
    let in_place = regions.retain.iter().all(|range| range.old_offset == range.new_offset);
    let same = in_place && blanked(&reference, regions.new_blanks()) == blank_new;
    let no_stream = header.new_len == 0 || (same && regions.ignore.is_empty());
    blank(&mut reference, regions.old_blanks());
    let entry = OldEntry {
        len: length(old.bytes),
        crc: crc32fast::hash(&reference),
        ignore: regions.ignore.clone(),
        retain: regions.retain.clone(),
        stream_len: if no_stream { SAME } else { DIFFERENT },
        ..OldEntry::default()
    };
    Ok(Job { entry, reference })
}

/// A window is stated only where it is smaller than what follows from the lengths; a large one allowed only if needed.
fn plan_window(header: &mut Header, jobs: &[Job], options: &CreateOptions) {
    let large = options.flags & flags::USE_LZX_LARGE != 0;
    let natural = |job: &Job| Window::natural(job.entry.len.into(), header.new_len.into(), window_cap(large));
    let Some(largest) = jobs.iter().map(natural).max_by_key(|window| window.log2()) else { return };
    if largest.log2() > window_cap(false).log2() {
        header.flags |= flags::USE_LZX_LARGE;
    }
    let limit = options.max_window.map(|bytes| bytes.checked_next_power_of_two().map_or(32, u32::ilog2));
    let limit = limit.and_then(|log2| Window::new(u8::try_from(log2.max(17)).ok()?));
    if let Some(limit) = limit.filter(|limit| limit.log2() < largest.log2()) {
        header.window = Some(limit);
        header.ext |= flags::EXT_WINDOW;
    }
}

/// The length of the new file compressed alone, as the options ask to compare it with.
fn compressed_len(new: &[u8], header: &Header) -> Result<usize, Pa19Error> {
    search::encode(&[], new, header.window_for(0), search::best_e8(new, length(new)), Level::Best)
        .map(|stream| stream.len())
}

/// Decompresses what was made.
fn verify(patch: &[u8], jobs: Vec<Job>) -> Result<(), Pa19Error> {
    let failure = |error: Pa19Error| Pa19Error { code: PatchCode::EncodeFailure, ..error };
    let patch = Patch::read(patch).map_err(failure)?;
    for (index, job) in jobs.into_iter().enumerate() {
        if job.entry.stream_len > 0 {
            make(&patch, index, job.reference).map_err(failure)?;
        }
    }
    Ok(())
}
