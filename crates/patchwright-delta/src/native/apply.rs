//! Old bytes and a body to the new bytes.

use std::io;
use std::num::NonZero;
use std::thread;

use crate::ApplyError;
use crate::cover::Cover;
use crate::format::malformed;

use super::body::{self, Parts, Shape};
use super::code::{index, relocated};
use super::coder::Decoder;
use super::head::{self, Head};
use super::image::Layout;
use super::literals::OldIndex;
use super::map::AddressMap;
use super::packed::Packed;
use super::pages::Pages;
use super::predict::Images;
use super::segment::{Common, Known, Segment};
use super::tables;

/// How much of the output is handed over at a time.
const PIECE: usize = 1 << 20;

/// Makes the new file of `new_len` bytes and hands it to `sink`, front to back, in pieces of at most a mebibyte.
///
/// `old` is the file as its body was made for: ignored and retained bytes are zeros. `threads` segments are made at the
/// same time; what is made does not depend on it. `covers` is told the covers of the old file, front to back, for
/// [`invert`](crate::invert()). Memory is the old file, which the caller holds, and for each thread a segment of at most
/// 16 MiB and tables of about as much. Whether the bytes are the right ones only a hash of the whole can tell.
///
/// # Errors
///
/// As of [`crate::apply()`]: a body that breaks a rule, or is for files of other lengths; what `sink` says.
pub fn apply(
    old: &[u8],
    body: &[u8],
    new_len: u64,
    threads: NonZero<usize>,
    sink: &mut dyn io::Write,
    covers: &mut dyn FnMut(Cover),
) -> Result<(), ApplyError> {
    if let Some(packed) = Packed::read(body) {
        let packed = packed?;
        check_lengths((packed.old_len, packed.new_len), (old.len() as u64, new_len))?;
        return packed.apply(old, sink);
    }
    let parts = body::read(body)?;
    let shape = &parts.shape;
    check_lengths((shape.old_len, shape.new_len), (old.len() as u64, new_len))?;
    if !parts.need_head() {
        return make_all(&parts, &Common { shape, old, known: None }, threads, sink);
    }
    let old_layout = if shape.image { Layout::of(old) } else { Layout::raw() };
    let head = read_head(shape, parts.head, &old_layout)?;
    head.covers.iter().filter(|cover| cover.old_end() <= old.len() as u64).for_each(|cover| covers(*cover));
    let relocated = relocated(old, &old_layout);
    let map = AddressMap::new(&old_layout, &head.new_layout, &head.pairs, &head.covers);
    let extra = tables::made_anew(old, &old_layout, &head.new_layout, &head.pairs, &map);
    if extra.bytes.len() != index(shape.extra_len) {
        return Err(malformed("head", 0, "what is made anew has another length"));
    }
    let images = Images {
        old,
        extra: &extra,
        old_layout: &old_layout,
        new_layout: &head.new_layout,
        relocated: &relocated,
        map: &map,
    };
    let matches = OldIndex::new(old, shape.old_index);
    let pages = Pages::new(old, &old_layout, &relocated);
    let known = Some(Known { images: &images, pages: &pages, covers: &head.covers, matches: &matches });
    make_all(&parts, &Common { shape, old, known }, threads, sink)
}

fn check_lengths((old, new): (u32, u32), (actual, expected): (u64, u64)) -> Result<(), ApplyError> {
    if u64::from(old) != actual {
        return Err(ApplyError::OldLength { stated: u64::from(old), actual });
    }
    if u64::from(new) != expected {
        return Err(ApplyError::NewLength { stated: u64::from(new), expected });
    }
    Ok(())
}

fn read_head(shape: &Shape, bytes: &[u8], old_layout: &Layout) -> Result<Head, ApplyError> {
    let mut head = Head::default();
    let mut engine = Decoder::new(bytes);
    head::code(&mut engine, &mut head, old_layout, shape.old_len.saturating_add(shape.extra_len), shape.new_len)
        .map_err(|what| malformed("head", 0, what))?;
    if !engine.used_up() {
        return Err(malformed("head", 0, "its length is not that of what it says"));
    }
    Ok(head)
}

/// Makes the segments, `threads` of them at a time, and hands them over in order.
fn make_all(
    parts: &Parts<'_>,
    common: &Common<'_>,
    threads: NonZero<usize>,
    sink: &mut dyn io::Write,
) -> Result<(), ApplyError> {
    let places = body::segments(common.shape.new_len, common.shape.segment_len);
    let make = |number: usize| {
        let (start, len) = places[number];
        let mut out = vec![0; index(len)];
        Segment { number: number as u64, start, part: parts.parts[number] }.make(common, &mut out)?;
        Ok(out)
    };
    for wave in (0..places.len()).collect::<Vec<_>>().chunks(threads.get()) {
        let made: Vec<Result<Vec<u8>, ApplyError>> = match wave {
            [one] => vec![make(*one)],
            many => thread::scope(|scope| {
                let started: Vec<_> = many.iter().map(|number| scope.spawn(|| make(*number))).collect();
                started
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .collect()
            }),
        };
        for bytes in made {
            for piece in bytes?.chunks(PIECE) {
                sink.write_all(piece).map_err(ApplyError::Sink)?;
            }
        }
    }
    Ok(())
}
