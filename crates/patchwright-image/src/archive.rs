//! Members of an archive: `.a`, `.lib`, `.rlib`.
//!
//! Not every member is an object: the library of a DLL has import records, a Rust library its metadata, and a link-time
//! optimising compiler leaves its own language. None of these has machine code, and each is said to be what it is.

use object::read::archive::ArchiveFile;

use crate::error::ImageError;

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'data> {
    /// Its name, as the archive has it.
    pub name: String,
    /// What it is.
    pub content: Content<'data>,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'data> {
    /// Perhaps an object: its bytes.
    Object(&'data [u8]),
    /// Something without machine code: what.
    Other(&'static str),
}

/// Whether the file begins like an archive.
pub fn is_archive(data: &[u8]) -> bool {
    data.starts_with(b"!<arch>\n") || data.starts_with(b"!<thin>\n")
}

/// The members of an archive, in its order.
///
/// # Errors
/// It is damaged, or a thin archive, whose members are files of their own.
pub fn members(data: &[u8]) -> Result<Vec<Member<'_>>, ImageError> {
    let archive = ArchiveFile::parse(data)?;
    if archive.is_thin() {
        return Err(ImageError::unsupported("a thin archive: its members are files of their own, check those"));
    }
    let mut members = Vec::new();
    let mut total = 0_usize;
    for member in archive.members() {
        let member = member?;
        let bytes = member.data(data)?;
        total = total.saturating_add(bytes.len());
        if total > data.len() {
            return Err(ImageError::malformed("members of the archive overlap"));
        }
        let name = String::from_utf8_lossy(member.name()).into_owned();
        let content = content(&name, bytes);
        members.push(Member { name, content });
    }
    Ok(members)
}

fn content<'data>(name: &str, bytes: &'data [u8]) -> Content<'data> {
    // IMPORT_OBJECT_HEADER: a machine type that is none, all bits, version 0. `/bigobj` has the same with a version.
    let import = bytes.starts_with(&[0, 0, 0xff, 0xff, 0, 0]);
    if import {
        Content::Other("an import record")
    } else if bytes.starts_with(&[0, 0, 0xff, 0xff, 1, 0]) {
        Content::Other("for link-time code generation (/GL): what is in it is compiled when it is linked")
    } else if bytes.starts_with(b"BC\xc0\xde") || bytes.starts_with(&[0xde, 0xc0, 0x17, 0x0b]) {
        Content::Other("LLVM bitcode: what is in it is compiled when it is linked")
    } else if name.ends_with(".rmeta") {
        Content::Other("metadata of a Rust library")
    } else if bytes.is_empty() {
        Content::Other("empty")
    } else if object::FileKind::parse(bytes).is_err() {
        Content::Other("no object")
    } else {
        Content::Object(bytes)
    }
}
