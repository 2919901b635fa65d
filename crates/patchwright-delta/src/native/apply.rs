//! Old bytes and a body to the new bytes.

use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, mpsc};
use std::thread;

use crate::ApplyError;
use crate::cover::Cover;
use crate::format::malformed;

use super::body::{self, Kind, Parts, Shape};
use super::code::{index, relocated};
use super::coder::Decoder;
use super::head::{self, Head};
use super::image::Layout;
use super::literals::OldIndex;
use super::map::AddressMap;
use super::memory;
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
/// [`invert`](crate::invert()). Memory is the old file, which the caller holds, for each thread a segment of at most
/// 16 MiB, and at most [`MIXED_MEMORY`](super::MIXED_MEMORY) of tables: where they do not fit for all threads, fewer work.
/// Whether the bytes are the right ones only a hash of the whole can tell.
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
        let slots = memory::MIN_SLOTS;
        return make_all(&parts, &Common { shape, old, known: None, slots }, threads, sink);
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
    let shared = memory::shared(&head, &map, relocated.len(), shape);
    let (threads, slots) = match parts.any(Kind::Mixed) {
        true => memory::share(shape, shared, threads)?,
        false => (threads, memory::MIN_SLOTS),
    };
    make_all(&parts, &Common { shape, old, known, slots }, threads, sink)
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
    head.covers.shrink_to_fit();
    Ok(head)
}

/// Makes the segments, `threads` of them at a time, and hands them over in order.
///
/// There are never more than `threads` segments in memory: one that is made waits for those before it, and its maker
/// with it.
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
    let mut hand_over = |bytes: Vec<u8>| bytes.chunks(PIECE).try_for_each(|piece| sink.write_all(piece));
    let threads = threads.get().min(places.len());
    if threads < 2 {
        return (0..places.len()).try_for_each(|number| hand_over(make(number)?).map_err(ApplyError::Sink));
    }
    let (tickets, wanted) = mpsc::channel::<usize>();
    let wanted = Mutex::new(wanted);
    let (wanted, make, places) = (&wanted, &make, &places);
    // The tickets end with this closure, and with them the makers.
    thread::scope(move |scope| {
        let (results, made) = mpsc::channel();
        for _ in 0..threads {
            let results = results.clone();
            scope.spawn(move || {
                let next = || wanted.lock().ok()?.recv().ok();
                while let Some(number) = next() {
                    // A panic is carried to the one who waits, who would wait for ever otherwise.
                    let result = catch_unwind(AssertUnwindSafe(|| make(number)));
                    if results.send((number, result)).is_err() {
                        break;
                    }
                }
            });
        }
        let mut waiting = Vec::new();
        waiting.resize_with(places.len(), || None);
        let order = |number: usize| tickets.send(number).expect("whoever reads tickets lives longer");
        (0..threads).for_each(order);
        for number in 0..places.len() {
            while waiting[number].is_none() {
                let (number, result) = made.recv().expect("this side holds a sender too");
                waiting[number] = Some(result);
            }
            let result = waiting[number].take().expect("waited for").unwrap_or_else(|panic| resume_unwind(panic));
            hand_over(result?).map_err(ApplyError::Sink)?;
            if number + threads < places.len() {
                order(number + threads);
            }
        }
        Ok(())
    })
}
