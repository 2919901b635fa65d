//! Streams of the genuine creator.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lzx_support;

use std::ops::ControlFlow;

use lzx_support::{Table, Vector, interleaved, vectors};
use patchwright_formats::lzx::{Level, decode, decode_prefix};

#[test]
fn genuine_streams_make_the_new_file() {
    for vector in vectors() {
        let made = decode(&vector.stream, &vector.reference, vector.new.len(), vector.window);
        match made {
            Ok(made) => assert!(made == vector.new, "{}: other bytes", vector.name),
            Err(error) => panic!("{}: {error}", vector.name),
        }
    }
}

#[test]
fn genuine_streams_of_an_interleaved_patch_follow_each_other() {
    let (streams, ranges) = interleaved();
    let mut rest = &streams[..];
    for Vector { reference, new, window, .. } in ranges {
        let (made, used) =
            decode_prefix(rest, &reference, new.len(), window, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(made == new, "other bytes");
        rest = &rest[used..];
    }
    assert_eq!(rest, []);
}

/// Two in a hundred is what any stream may be larger by; on average ours are to be smaller.
#[test]
fn our_streams_are_no_larger_than_genuine_ones() {
    let table = Table::of(&vectors(), Level::Best);
    println!("{table}");
    for row in &table.rows {
        assert!(row.ratio() <= 1.02, "{}: {} bytes, the genuine creator makes {}", row.name, row.ours, row.genuine);
    }
    assert!(table.mean() <= 1.0, "on average {:.4} of the genuine size", table.mean());
}
