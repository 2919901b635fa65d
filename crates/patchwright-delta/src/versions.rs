//! One engine, three versions of bodies.
//!
//! The first byte of a body says which version it is. Version 1 knows bytes alone and takes the old file through a
//! window, so there is no file that it is not for; version 2 ([`native`]) reads programs, foretells what follows
//! from the move of their addresses, and wants the old file in memory; version 3 is for what no prediction helps,
//! packed as a whole, and is made in place of version 2 where it is smaller. Which one is made follows from the lengths of
//! the files and from the options, and from nothing else: never from the machine.

use std::borrow::Cow;
use std::num::NonZero;
use std::{io, thread};

use patchwright_formats::ReadAt;

use crate::cover::Cover;
use crate::format::malformed;
use crate::inspect::BodyInfo;
use crate::{ApplyError, apply as plain, inspect, native};

/// The longest body that is read into memory: a file of 2 GiB of noise, and what a bad coder would add to it.
const MAX_NATIVE_BODY: u64 = 9 << 28;

/// Most segments that are made at the same time: each has tables of its own.
const MAX_THREADS: usize = 4;

/// Makes the new file of `new_len` bytes and hands it to `sink`, front to back, in pieces of at most a mebibyte.
///
/// `covers` is told every cover of the body, front to back, for [`invert`](crate::invert()). The bytes are those the
/// body describes; whether they are the right ones only a hash of the whole can tell, and that is the caller's to
/// check before the new file is put to use.
///
/// A body of version 1 takes at most [`APPLY_MEMORY`](crate::format::APPLY_MEMORY). The others have the old file and
/// themselves in memory, and what [`native::apply`] says; they are decoded by as many threads as the machine has, four at
/// most, and what is made does not depend on their number.
///
/// # Errors
///
/// A body that breaks a rule or is for files of other lengths; an old file or body that cannot be read; what `sink` says.
pub fn apply(
    old: &dyn ReadAt,
    body: &dyn ReadAt,
    new_len: u64,
    sink: &mut dyn io::Write,
    covers: &mut dyn FnMut(Cover),
) -> Result<(), ApplyError> {
    if !is_native(body)? {
        return plain::apply(old, body, new_len, sink, covers);
    }
    let body = native_body(body)?;
    // The old file is read only if the body is for one of its length.
    let (stated, _) = native::stated_lengths(&body)?;
    if stated != old.len_bytes() {
        return Err(ApplyError::OldLength { stated, actual: old.len_bytes() });
    }
    let old = whole(old).map_err(ApplyError::OldRead)?;
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let threads = NonZero::new(threads).unwrap_or(NonZero::<usize>::MIN);
    native::apply(&old, &body, new_len, threads, sink, covers)
}

/// Reads what the outside of a body says. Nothing is decoded: a body that can be described may still fail to apply.
///
/// # Errors
///
/// A body that breaks a rule of its outside, needs a newer release, or cannot be read.
pub fn describe(body: &dyn ReadAt) -> Result<BodyInfo, ApplyError> {
    match is_native(body)? {
        true => native::describe(&native_body(body)?),
        false => inspect::describe(body),
    }
}

fn is_native(body: &dyn ReadAt) -> Result<bool, ApplyError> {
    let mut version = [0];
    if body.len_bytes() == 0 {
        return Ok(false);
    }
    body.read_exact_at(&mut version, 0).map_err(ApplyError::BodyRead)?;
    Ok([[native::VERSION], [native::PACKED_VERSION]].contains(&version))
}

fn native_body(body: &dyn ReadAt) -> Result<Cow<'_, [u8]>, ApplyError> {
    if body.len_bytes() > MAX_NATIVE_BODY {
        return Err(malformed("header", 0, "it is longer than any new file that it can make"));
    }
    whole(body).map_err(ApplyError::BodyRead)
}

/// All bytes of a file, if there is room for them.
pub(crate) fn whole(file: &dyn ReadAt) -> io::Result<Cow<'_, [u8]>> {
    if let Some(bytes) = file.in_memory() {
        return Ok(Cow::Borrowed(bytes));
    }
    let len = usize::try_from(file.len_bytes()).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    bytes.resize(len, 0);
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Cow::Owned(bytes))
}
