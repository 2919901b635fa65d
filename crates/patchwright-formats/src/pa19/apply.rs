//! Patch and old file to new file.

use std::ops::ControlFlow;

use super::error::{Pa19Error, PatchCode};
use super::header::{Coff, Header, OldEntry, Patch};
use super::normalise::{Change, blank, normalise, to_indices};
use super::transform::transform;
use crate::lzx;
use crate::region::{ByteRange, RetainRange};

/// What to do with an old file that is the new file already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfNew {
    /// Make a copy of it.
    #[default]
    Copy,
    /// Fail if it is the new file byte for byte, retained ranges aside (`APPLY_OPTION_FAIL_IF_EXACT`).
    FailIfExact,
    /// Fail also if it is another copy of the same image, rebased or bound (`APPLY_OPTION_FAIL_IF_CLOSE`).
    FailIfClose,
}

/// A new file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its bytes.
    pub new: Vec<u8>,
    /// Its time of last change in seconds since 1970, if the patch carries one.
    pub file_time: Option<u32>,
    /// How it came about.
    pub outcome: Outcome,
}

/// How an old file and a patch belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The old file is the one with this index in the header.
    Old(usize),
    /// The old file is the new file already. `Modified`: only after normalisation.
    New(Change),
}

/// Makes the new file.
///
/// # Errors
/// | code | when |
/// |---|---|
/// | [`Corrupt`](PatchCode::Corrupt) | the patch breaks a rule of its format, or makes something else than it promises |
/// | [`NewerFormat`](PatchCode::NewerFormat) | the patch has options that we do not know |
/// | [`WrongFile`](PatchCode::WrongFile) | no old file of the patch is this one |
/// | [`NotNecessary`](PatchCode::NotNecessary) | `if_new` says so |
/// | [`NotAvailable`](PatchCode::NotAvailable) | only the header is there |
/// | [`DecodeFailure`](PatchCode::DecodeFailure) | the compressed stream, or the relocations of the old image, are damaged |
pub fn apply(patch: &[u8], old: &[u8], if_new: IfNew) -> Result<Applied, Pa19Error> {
    let patch = Patch::read(patch)?;
    let header = &patch.header;
    let (outcome, reference) = recognise(header, old, if_new)?;
    let new = match outcome {
        Outcome::New(_) => {
            let mut new = reference;
            for range in retained(header) {
                copy_within(old, range.new_side(), &mut new, range.new_offset);
            }
            new
        }
        Outcome::Old(index) => {
            let mut new = make(&patch, index, reference)?;
            let mut ranges = header.olds[index].retain.clone();
            // Where retained ranges overlap in the new file, the last one of the old file is seen.
            ranges.sort_by_key(|range| range.old_offset);
            for range in ranges {
                copy_within(old, range.old(), &mut new, range.new_offset);
            }
            new
        }
    };
    Ok(Applied { new, file_time: header.file_time, outcome })
}

/// Whether the patch belongs to this old file, by the header alone; nothing is decompressed.
///
/// # Errors
/// Those of [`apply`], except for those of the streams.
pub fn test(patch: &[u8], old: &[u8], if_new: IfNew) -> Result<Outcome, Pa19Error> {
    let patch = Patch::read(patch)?;
    Ok(recognise(&patch.header, old, if_new)?.0)
}

/// The retained ranges; lengths and new offsets are the same for all old files.
fn retained(header: &Header) -> &[RetainRange] {
    header.olds.first().map_or(&[], |entry| &entry.retain)
}

/// Finds out which file of the patch `old` is; also returns what serves as reference, or as the new file.
fn recognise(header: &Header, old: &[u8], if_new: IfNew) -> Result<(Outcome, Vec<u8>), Pa19Error> {
    if let Some((change, new)) = recognise_new(header, old) {
        let refuse = match if_new {
            IfNew::Copy => false,
            IfNew::FailIfExact => change == Change::Unmodified,
            IfNew::FailIfClose => true,
        };
        if refuse {
            let what = "the old file is the new file already";
            return Err(Pa19Error::new(PatchCode::NotNecessary, "old file", 0, what));
        }
        return Ok((Outcome::New(change), new));
    }
    let mut normalised: Option<Vec<u8>> = None;
    for (index, entry) in header.olds.iter().enumerate().filter(|(_, entry)| entry.len as usize == old.len()) {
        if normalised.is_none() {
            let mut bytes = old.to_vec();
            normalise(&mut bytes, header.flags, coff(header), [])?;
            normalised = Some(bytes);
        }
        let mut reference = normalised.clone().expect("set above");
        blank(&mut reference, blanks(header, entry));
        if crc32fast::hash(&reference) == entry.crc {
            return Ok((Outcome::Old(index), reference));
        }
    }
    Err(Pa19Error::new(PatchCode::WrongFile, "old file", 0, "the patch is not for a file of this content"))
}

/// A patch can be applied to what it has made, and to a rebased or bound copy of that.
fn recognise_new(header: &Header, old: &[u8]) -> Option<(Change, Vec<u8>)> {
    if old.len() != header.new_len as usize {
        return None;
    }
    let mut bytes = old.to_vec();
    blank(&mut bytes, retained(header).iter().map(|range| range.new_side()));
    if crc32fast::hash(&bytes) == header.new_crc {
        return Some((Change::Unmodified, bytes));
    }
    let change = normalise(&mut bytes, header.flags, coff(header), []).ok()?;
    (change == Change::Modified && crc32fast::hash(&bytes) == header.new_crc).then_some((change, bytes))
}

/// Base and time of normalisation; without them in the header nothing is rebased.
pub(super) fn coff(header: &Header) -> Coff {
    header.coff.unwrap_or(Coff { base: 0, time: 0 })
}

/// What is zero in the reference. The CRC of an old file that is the new file does not leave ignored ranges out.
fn blanks<'a>(header: &Header, entry: &'a OldEntry) -> impl Iterator<Item = ByteRange> + use<'a> {
    let ignore = if entry.stream_len == 0 && header.new_len != 0 { &[][..] } else { &entry.ignore };
    ignore.iter().copied().chain(entry.retain.iter().map(|range| range.old()))
}

/// The new file with its retained ranges zero.
pub(super) fn make(patch: &Patch<'_>, index: usize, mut reference: Vec<u8>) -> Result<Vec<u8>, Pa19Error> {
    let header = &patch.header;
    let entry = &header.olds[index];
    let stream = patch.stream(index).ok_or_else(|| {
        let what = format!("old file {index}: only the header of the patch is there");
        Pa19Error::new(PatchCode::NotAvailable, "stream", patch.header_len as u64, what)
    })?;
    let new = if header.new_len == 0 {
        Vec::new()
    } else if stream.is_empty() {
        reference
    } else {
        transform(&mut reference, &entry.rift, header.ext, header.resource_time.unwrap_or(0));
        decode(stream, &reference, header, entry)?
    };
    if new.len() != header.new_len as usize || crc32fast::hash(&new) != header.new_crc {
        let what = format!("old file {index}: the new file does not have the recorded CRC");
        return Err(Pa19Error::corrupt("new file CRC", 0, what));
    }
    Ok(new)
}

fn decode(stream: &[u8], reference: &[u8], header: &Header, entry: &OldEntry) -> Result<Vec<u8>, Pa19Error> {
    let window = header.window_for(entry.len);
    if entry.interleave.is_empty() {
        return lzx::decode(stream, reference, header.new_len as usize, window).map_err(decode_failure);
    }
    let mut new = Vec::new();
    let mut rest = stream;
    for piece in &entry.interleave {
        let start = piece.old_offset as usize;
        let reference = reference.get(start..start + piece.old_len as usize);
        let reference = reference.expect("reading the header has checked it against the length of the old file");
        let (made, used) =
            lzx::decode_prefix(rest, reference, piece.new_len as usize, window, &mut |_| ControlFlow::Continue(()))
                .map_err(decode_failure)?;
        new.extend_from_slice(&made);
        rest = &rest[used..];
    }
    match rest.len() {
        0 => Ok(new),
        left => Err(Pa19Error::new(
            PatchCode::DecodeFailure,
            "stream",
            (stream.len() - left) as u64,
            format!("{left} bytes follow the last piece"),
        )),
    }
}

fn decode_failure(error: lzx::LzxError) -> Pa19Error {
    Pa19Error::new(PatchCode::DecodeFailure, error.structure, error.offset as u64, error.to_string())
}

/// Copies a range of the old file to an offset of the new one; the header has bounded both.
fn copy_within(old: &[u8], from: ByteRange, new: &mut [u8], to: u64) {
    let from = to_indices(from).and_then(|from| old.get(from));
    let to = to_indices(ByteRange::new(to, from.map_or(0, |bytes| bytes.len() as u64))).and_then(|to| new.get_mut(to));
    if let Some((from, to)) = from.zip(to) {
        to.copy_from_slice(from);
    }
}
