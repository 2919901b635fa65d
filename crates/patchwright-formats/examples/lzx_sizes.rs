//! Prints how long our LZX DELTA streams are beside those of the genuine creator, as a table, and how long that takes.
//!
//! `cargo run --release -p patchwright-formats --example lzx_sizes` compares the vectors in `testdata/pa19`;
//! with a level (`fast` or `best`) and two files as arguments it encodes the second against the first.

#![allow(clippy::unwrap_used, reason = "an example that cannot go on has nothing to clean up")]

#[path = "../tests/lzx_support/mod.rs"]
mod lzx_support;

use std::time::{Duration, Instant};

use lzx_support::{Table, vectors};
use patchwright_formats::lzx::{E8, EncodeOptions, Level, Window, decode, encode};

fn main() {
    match &std::env::args().skip(1).collect::<Vec<_>>()[..] {
        [] => compare_vectors(),
        [level, old, new] if level == "fast" => measure(Level::Fast, old, new),
        [level, old, new] if level == "best" => measure(Level::Best, old, new),
        _ => eprintln!("usage: lzx_sizes [fast|best OLD NEW]"),
    }
}

fn compare_vectors() {
    for level in [Level::Fast, Level::Best] {
        let table = Table::of(&vectors(), level);
        println!("{level:?}\n\n{table}");
    }
}

fn measure(level: Level, old: &str, new: &str) {
    let (old, new) = (std::fs::read(old).unwrap(), std::fs::read(new).unwrap());
    let window = Window::natural(old.len() as u64, new.len() as u64, Window::MAX);
    let options = EncodeOptions { e8: E8::Never, level };
    let (stream, encoding) = timed(|| encode(&old, &new, window, &options).unwrap());
    let (made, decoding) = timed(|| decode(&stream, &old, new.len(), window).unwrap());
    assert!(made == new, "decoded to other bytes");
    let [encoding, decoding] = [encoding, decoding].map(|time| time.as_secs_f64());
    println!("{} bytes, encoding {encoding:.2} s, decoding {decoding:.3} s", stream.len());
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}
