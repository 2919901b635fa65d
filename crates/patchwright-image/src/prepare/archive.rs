//! Archives (`.a`, `.lib`, `.rlib`): their objects are prepared, everything else stays byte for byte where it can.
//!
//! The order of members, their headers but for the length, the table of long names and the names in the symbol index are
//! kept. What changes with the length of members is the offsets in the index: GNU's `/` and `/SYM64/`, and the second
//! linker member of `.lib` files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::bytes::{array, put, range, u32_at};
use super::{PrepareOptions, PreparedFunction, prepare};
use crate::error::ImageError;

const MAGIC: &[u8] = b"!<arch>\n";
const THIN: &[u8] = b"!<thin>\n";
const HEADER: u64 = 60;

/// An archive, prepared.
#[derive(Clone, Debug)]
pub struct PreparedArchive<'data> {
    /// The new archive; borrowed where nothing had to change.
    pub bytes: Cow<'data, [u8]>,
    /// Its objects, in order; members that are no objects are left out.
    pub members: Vec<PreparedMember>,
}

/// An object of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedMember {
    /// Its name.
    pub name: String,
    /// What became of its functions, or why it stays as it was.
    pub result: Result<Vec<PreparedFunction>, ImageError>,
}

/// Prepares every object of an archive.
///
/// An object that cannot be prepared stays as it was and is reported; it does not keep the others from it.
///
/// # Errors
/// The archive itself is damaged, or of a form that cannot be written anew.
pub fn prepare_archive<'data>(
    data: &'data [u8],
    options: &PrepareOptions,
) -> Result<PreparedArchive<'data>, ImageError> {
    if data.starts_with(THIN) {
        return Err(ImageError::unsupported("a thin archive, whose members are files of their own: prepare those"));
    }
    let members = read(data)?;
    let done: Vec<_> = members.par_iter().map(|member| member.prepare(options)).collect();
    let reports = members.iter().zip(&done).filter_map(|(member, (_, result))| {
        Some(PreparedMember { name: member.name.clone(), result: result.clone()? })
    });
    let reports = reports.collect();
    if done.iter().all(|(bytes, _)| matches!(bytes, Cow::Borrowed(_))) {
        return Ok(PreparedArchive { bytes: Cow::Borrowed(data), members: reports });
    }
    let bodies: Vec<_> = done.into_iter().map(|(bytes, _)| bytes).collect();
    Ok(PreparedArchive { bytes: Cow::Owned(write(data, &members, &bodies)?), members: reports })
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// `/`: big-endian offsets.
    Index,
    /// `/SYM64/`: the same with 64 bits.
    WideIndex,
    /// The second `/` of a `.lib`: little-endian offsets of members.
    MemberIndex,
    /// `//` and other members of the archive's own.
    Own,
    /// A file.
    File,
}

/// What is said about an object.
type Told = Result<Vec<PreparedFunction>, ImageError>;

#[derive(Debug)]
struct Member<'data> {
    sort: Sort,
    name: String,
    /// Of the header.
    offset: u64,
    header: &'data [u8],
    data: &'data [u8],
}

impl<'data> Member<'data> {
    /// The bytes of the member from now on, and what is to be said about it, if it is an object.
    fn prepare(&self, options: &PrepareOptions) -> (Cow<'data, [u8]>, Option<Told>) {
        if self.sort != Sort::File || !is_object(self.data) {
            return (Cow::Borrowed(self.data), None);
        }
        match prepare(self.data, options) {
            Ok(prepared) => (prepared.bytes, Some(Ok(prepared.functions))),
            Err(error) => (Cow::Borrowed(self.data), Some(Err(error))),
        }
    }
}

/// Whether a member may hold code: an object of some format, or bitcode. Import members of a `.lib` do not.
fn is_object(data: &[u8]) -> bool {
    match data {
        [0x7f, b'E', b'L', b'F', ..] | [b'B', b'C', 0xc0, 0xde, ..] | [0xde, 0xc0, 0x17, 0x0b, ..] => true,
        // IMAGE_FILE_MACHINE_UNKNOWN and 0xffff: version 0 is an import, 1 and 2 anonymous objects.
        [0, 0, 0xff, 0xff, version, ..] => *version != 0,
        // x86, x64, ARM64
        [0x4c, 0x01, ..] | [0x64, 0x86, ..] | [0x64, 0xaa, ..] => true,
        _ => false,
    }
}

fn read(data: &[u8]) -> Result<Vec<Member<'_>>, ImageError> {
    let mut members: Vec<Member<'_>> = Vec::new();
    let mut long_names: &[u8] = &[];
    let mut at = MAGIC.len() as u64;
    while at < data.len() as u64 {
        let cut = || ImageError::malformed(format!("the archive member at offset {at} is cut"));
        let header = range(data, at, HEADER).ok_or_else(cut)?;
        if header.get(58..) != Some(b"`\n") {
            return Err(ImageError::malformed(format!("no archive member begins at offset {at}")));
        }
        let field = |from: usize, to: usize| {
            let bytes = header.get(from..to).unwrap_or_default();
            String::from_utf8_lossy(bytes).trim_end().to_owned()
        };
        let len: u64 = field(48, 58).parse().map_err(|_| cut())?;
        let body = range(data, at + HEADER, len).ok_or_else(cut)?;
        let name = field(0, 16);
        let sort = match name.as_str() {
            "/" if members.is_empty() => Sort::Index,
            "/" => Sort::MemberIndex,
            "/SYM64/" => Sort::WideIndex,
            "//" => {
                long_names = body;
                Sort::Own
            }
            _ if name.starts_with("/<") => Sort::Own,
            _ if name.starts_with("#1/") || name.starts_with("__.SYMDEF") => {
                return Err(ImageError::unsupported("an archive in the form of BSD"));
            }
            _ => Sort::File,
        };
        let name = match name.strip_prefix('/').and_then(|at| at.parse::<usize>().ok()) {
            Some(at) if sort == Sort::File => long_name(long_names, at),
            _ => name.strip_suffix('/').unwrap_or(&name).to_owned(),
        };
        members.push(Member { sort, name, offset: at, header, data: body });
        // Members begin at even offsets.
        at += HEADER + len + len % 2;
    }
    Ok(members)
}

/// Ends with `/` and a line feed, or, in `.lib` files, with a zero.
fn long_name(names: &[u8], at: usize) -> String {
    let rest = names.get(at..).unwrap_or_default();
    let rest = &rest[..rest.len().min(1 << 14)];
    let end = rest.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(rest.len());
    let name = &rest[..end];
    String::from_utf8_lossy(name.strip_suffix(b"/").unwrap_or(name)).into_owned()
}

fn write(data: &[u8], members: &[Member<'_>], bodies: &[Cow<'_, [u8]>]) -> Result<Vec<u8>, ImageError> {
    let mut offsets = BTreeMap::new();
    let mut at = MAGIC.len() as u64;
    for (member, body) in members.iter().zip(bodies) {
        offsets.insert(member.offset, at);
        let len = body.len() as u64;
        at += HEADER + len + len % 2;
    }
    let mut out = Vec::with_capacity(usize::try_from(at).unwrap_or(0));
    out.extend_from_slice(MAGIC);
    for (member, body) in members.iter().zip(bodies) {
        let body = match member.sort {
            Sort::Index => Cow::Owned(index(body, 4, &offsets)?),
            Sort::WideIndex => Cow::Owned(index(body, 8, &offsets)?),
            Sort::MemberIndex => Cow::Owned(member_index(body, &offsets)?),
            Sort::Own | Sort::File => Cow::Borrowed(&**body),
        };
        out.extend_from_slice(&member.header[..48]);
        if body.len() == member.data.len() {
            out.extend_from_slice(&member.header[48..58]);
        } else {
            out.extend_from_slice(format!("{:<10}", body.len()).as_bytes());
        }
        out.extend_from_slice(b"`\n");
        out.extend_from_slice(&body);
        if body.len() % 2 == 1 && (out.len() as u64) < at {
            // The last member may lack the byte that makes it even.
            let end = member.offset + HEADER + member.data.len() as u64;
            let old = usize::try_from(end).ok().and_then(|end| data.get(end)).filter(|_| member.data.len() % 2 == 1);
            out.push(old.copied().unwrap_or(b'\n'));
        }
    }
    Ok(out)
}

/// `count`, then that many offsets, then names; all numbers big-endian.
fn index(body: &[u8], width: u64, offsets: &BTreeMap<u64, u64>) -> Result<Vec<u8>, ImageError> {
    let cut = || ImageError::malformed("the symbol index of the archive is cut");
    let number = |at: u64| match width {
        4 => array(body, at).map(|bytes| u64::from(u32::from_be_bytes(bytes))),
        _ => array(body, at).map(u64::from_be_bytes),
    };
    let mut out = body.to_vec();
    let count = number(0).filter(|count| *count <= body.len() as u64 / width).ok_or_else(cut)?;
    for at in (1..=count).map(|index| index * width) {
        let new = moved(offsets, number(at).ok_or_else(cut)?)?;
        let big = new.swap_bytes() >> (64 - 8 * width);
        let fits = width == 8 || new <= u64::from(u32::MAX);
        if !fits || !put(&mut out, at, if width == 8 { 8 } else { 4 }, big) {
            return Err(ImageError::unsupported("the archive grows beyond 4 GiB, which its index cannot tell"));
        }
    }
    Ok(out)
}

/// Number of members, their offsets, then symbols by member; all numbers little-endian.
fn member_index(body: &[u8], offsets: &BTreeMap<u64, u64>) -> Result<Vec<u8>, ImageError> {
    let cut = || ImageError::malformed("the second linker member of the archive is cut");
    let mut out = body.to_vec();
    let count = u32_at(body, 0).filter(|count| u64::from(*count) <= body.len() as u64 / 4).ok_or_else(cut)?;
    for at in (1..=u64::from(count)).map(|index| index * 4) {
        let new = moved(offsets, u64::from(u32_at(body, at).ok_or_else(cut)?))?;
        if new > u64::from(u32::MAX) || !put(&mut out, at, 4, new) {
            return Err(ImageError::unsupported("the archive grows beyond 4 GiB, which its index cannot tell"));
        }
    }
    Ok(out)
}

fn moved(offsets: &BTreeMap<u64, u64>, old: u64) -> Result<u64, ImageError> {
    let new = offsets.get(&old).copied();
    new.ok_or_else(|| ImageError::malformed(format!("the index of the archive names no member at offset {old}")))
}
