//! What is encoded decodes, and what is damaged is refused or makes no more than it should.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the numbers are those of the test"
)]

use patchwright_formats::lzx::{
    CHUNK_LEN, E8, EncodeOptions, Level, LzxErrorKind, Window, decode, decode_with, encode,
};
use proptest::prelude::*;

/// A generator of bytes that is the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Words of a small vocabulary.
    fn text(&mut self, len: usize) -> Vec<u8> {
        let words: Vec<Vec<u8>> = (0..200)
            .map(|_| {
                let len = 2 + self.below(7);
                (0..len).map(|_| b'a' + self.below(26) as u8).chain([b' ']).collect()
            })
            .collect();
        let mut text = Vec::new();
        while text.len() < len {
            let word = self.below(14) * self.below(14);
            text.extend(&words[word]);
        }
        text.truncate(len);
        text
    }

    /// A copy with bytes changed, inserted and removed.
    fn edited(&mut self, old: &[u8], edits: usize) -> Vec<u8> {
        let mut new = old.to_vec();
        for _ in 0..edits {
            let at = self.below(new.len() + 1);
            match self.below(3) {
                0 => drop(new.splice(at..at, self.bytes(20))),
                1 => drop(new.drain(at..(at + 13).min(new.len()))),
                _ => new[at..].iter_mut().take(4).for_each(|byte| *byte = byte.wrapping_add(1)),
            }
        }
        new
    }
}

const LEVELS: [Level; 2] = [Level::Fast, Level::Best];

/// Encodes and decodes with both levels; returns the stream of the better one.
#[track_caller]
fn check(name: &str, reference: &[u8], new: &[u8], window: Window, e8: E8) -> Vec<u8> {
    let [_, best] = LEVELS.map(|level| {
        let options = EncodeOptions { e8, level };
        let stream = encode(reference, new, window, &options).unwrap();
        match decode(&stream, reference, new.len(), window) {
            Ok(made) => assert!(made == new, "{name}, {level:?}: other bytes"),
            Err(error) => panic!("{name}, {level:?}: {error}"),
        }
        stream
    });
    best
}

/// No more than 18 bytes for each chunk are needed besides the bytes themselves.
#[track_caller]
fn check_bounded(name: &str, reference: &[u8], new: &[u8], window: Window) {
    let stream = check(name, reference, new, window, E8::Never);
    let bound = new.len() + 24 * (new.len().div_ceil(CHUNK_LEN) + 1);
    assert!(stream.len() <= bound, "{name}: {} bytes for {}", stream.len(), new.len());
}

#[test]
fn files_of_every_awkward_length() {
    let mut random = Random(1);
    let (noise, text) = (random.bytes(3 * CHUNK_LEN), random.text(3 * CHUNK_LEN));
    for len in [0, 1, 2, 3, 4, 5, 9, 100, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 98_303] {
        check_bounded("noise", &[], &noise[..len], Window::MIN);
        check_bounded("text", &[], &text[..len], Window::MIN);
        check_bounded("zeros", &[], &vec![0; len], Window::MIN);
        check_bounded("the same", &noise, &noise[..len], Window::MIN);
        check_bounded("shifted", &noise[1..], &noise[..len], Window::MIN);
        check_bounded("noise after text", &text[..len], &noise[..len], Window::MIN);
    }
}

#[test]
fn raw_bytes_in_odd_numbers_end_anywhere() {
    let mut random = Random(2);
    let noise = random.bytes(2 * CHUNK_LEN + 10);
    let text = random.text(2 * CHUNK_LEN);
    for before in [0, 1, 2, 3, 1000, 1001] {
        for noise_len in [CHUNK_LEN - 1000, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 2 * CHUNK_LEN - 1001] {
            let new = [&text[..before], &noise[..noise_len], &text[..CHUNK_LEN]].concat();
            check_bounded("noise in text", &[], &new, Window::MIN);
        }
    }
}

#[test]
fn all_windows_decode() {
    let mut random = Random(3);
    let old = random.text(200_000);
    let new = random.edited(&old, 100);
    for log2 in 17..=25 {
        check("edits", &old, &new, Window::new(log2).unwrap(), E8::Never);
    }
    // Most of the old file lies outside the smallest window; its end is never seen.
    let stream = check("swapped", &old, &[&old[150_000..], &old[..50_000]].concat(), Window::MIN, E8::Never);
    let mut other = old.clone();
    other[131_072..].fill(b'x');
    let new = [&old[150_000..], &old[..50_000]].concat();
    assert!(decode(&stream, &other, new.len(), Window::MIN).unwrap() == new);
}

#[test]
fn distances_reach_to_the_edge_of_the_window() {
    let mut random = Random(4);
    let noise = random.bytes(1000);
    for (gap, far) in [(131_069 - 1000, false), (131_070 - 1000, true), (140_000, true)] {
        let filler = random.bytes(gap);
        let new = [&noise[..], &filler[..], &noise[..]].concat();
        let stream = check("far", &[], &new, Window::MIN, E8::Never);
        assert_eq!(stream.len() > new.len() - 900, far, "{gap}: {} of {}", stream.len(), new.len());
    }
}

#[test]
fn long_and_periodic_matches_are_quick_and_short() {
    let mut random = Random(5);
    let pattern = random.bytes(3000);
    for period in [1, 2, 3, 7, 255, 256, 257, 3000] {
        let new: Vec<u8> = pattern[..period].iter().copied().cycle().take(300_000).collect();
        let stream = check("periodic", &[], &new, Window::MIN, E8::Never);
        assert!(stream.len() < period + 300, "{period}: {}", stream.len());
        let stream = check("periodic, old", &new, &new[..299_990], Window::natural(1 << 19, 0, Window::MAX), E8::Never);
        assert!(stream.len() < 160, "{period}: {}", stream.len());
    }
    // Lengths on both sides of each form of extension.
    for len in [256, 257, 258, 511, 512, 513, 514, 1536, 1537, 5632, 5633, 32_767] {
        let new = [&pattern[..100], &vec![7; len], &pattern[100..200], &vec![9; len], &pattern[200..]].concat();
        check("runs", &[], &new, Window::MIN, E8::Never);
    }
}

#[test]
fn calls_are_translated_and_back() {
    let mut random = Random(6);
    let mut code = random.text(100_000);
    for at in (0..code.len() - 20).step_by(37) {
        code[at] = 0xE8;
        let target = (random.below(50) as i32) * 1000 - at as i32;
        code[at + 1..at + 5].copy_from_slice(&target.to_le_bytes());
    }
    let len = code.len() as u32;
    let plain = check("calls", &[], &code, Window::MIN, E8::Never);
    let translated = check("calls", &[], &code, Window::MIN, E8::Always(len));
    assert!(translated.len() < plain.len());
    assert_eq!(check("calls", &[], &code, Window::MIN, E8::IfSmaller(len)), translated);
    let text = random.text(10_000);
    let plain = check("text", &[], &text, Window::MIN, E8::Never);
    assert_eq!(check("text", &[], &text, Window::MIN, E8::IfSmaller(10_000)), plain);
    // Sizes that have nothing to do with the file, and bytes that all look like calls.
    for size in [0, 1, 1000, i32::MAX as u32] {
        check("calls", &[], &code, Window::MIN, E8::Always(size));
        check("E8", &[], &[0xE8; 70_001], Window::MIN, E8::Always(size));
        check("noise", &[], &random.bytes(70_001), Window::MIN, E8::Always(size));
    }
    let options = EncodeOptions { e8: E8::Always(1 << 31), level: Level::Fast };
    assert_eq!(encode(&[], &[1], Window::MIN, &options).unwrap_err().kind, LzxErrorKind::TooLarge);
}

#[test]
fn nothing_is_taken_from_before_the_zeros_that_fill_up_the_reference() {
    let mut random = Random(10);
    let old = random.bytes(40_000);
    // Encoded with 100 bytes too many before the old file, decoded without.
    let far = random.bytes(25_536 + 100);
    let stream = encode(&[&far[..], &old].concat(), &far, Window::MIN, &EncodeOptions::default()).unwrap();
    let error = decode(&stream, &old, far.len(), Window::MIN).unwrap_err();
    assert_eq!(error.kind, LzxErrorKind::Distance { distance: 65_636, limit: 65_536 });
}

#[test]
fn the_same_files_make_the_same_stream() {
    let mut random = Random(9);
    let old = random.text(50_000);
    let new = random.edited(&old, 50);
    for level in LEVELS {
        let stream = || encode(&old, &new, Window::MIN, &EncodeOptions { e8: E8::Never, level }).unwrap();
        assert_eq!(stream(), stream());
    }
}

#[test]
fn progress_is_told_and_can_stop() {
    let new = Random(7).text(100_000);
    let stream = encode(&[], &new, Window::MIN, &EncodeOptions::default()).unwrap();
    let mut seen = Vec::new();
    let decode = |stop: usize, seen: &mut Vec<usize>| {
        decode_with(&stream, &[], new.len(), Window::MIN, &mut |made| {
            seen.push(made);
            if made >= stop { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        })
    };
    assert!(decode(usize::MAX, &mut seen).unwrap() == new);
    assert_eq!(seen, [0, 32_768, 65_536, 98_304, 100_000]);
    let error = decode(60_000, &mut seen).unwrap_err();
    assert_eq!((error.kind, error.produced), (LzxErrorKind::Cancelled, 65_536));
}

#[test]
fn damaged_streams_never_make_more_than_asked_for() {
    let mut random = Random(8);
    let old = random.text(20_000);
    let new = [random.edited(&old, 40), random.bytes(15_000), vec![0; 4001], random.text(9000)].concat();
    let stream =
        encode(&old, &new, Window::MIN, &EncodeOptions { e8: E8::Always(50_000), level: Level::Best }).unwrap();
    let try_all = |stream: &[u8], new_len: usize| {
        if let Ok(made) = decode(stream, &old, new_len, Window::MIN) {
            assert_eq!(made.len(), new_len);
        }
    };
    for len in (0..stream.len()).step_by(stream.len() / 500) {
        assert!(decode(&stream[..len], &old, new.len(), Window::MIN).is_err(), "cut at {len}");
    }
    for _ in 0..3000 {
        let mut damaged = stream.clone();
        // Most damage to the start, where trees are.
        let at = if random.below(2) == 0 { random.below(600) } else { random.below(stream.len()) };
        damaged[at] ^= 1 << random.below(8);
        try_all(&damaged, new.len());
    }
    for new_len in [0, 1, new.len() - 1, new.len() + 1, 2 * new.len(), usize::MAX] {
        assert!(decode(&stream, &old, new_len, Window::MIN).is_err(), "{new_len}");
    }
    for log2 in 18..=25 {
        try_all(&stream, new.len());
        assert!(decode(&stream, &old, new.len(), Window::new(log2).unwrap()).is_err(), "another window");
    }
    let longer = [&stream[..], &[0]].concat();
    let error = decode(&longer, &old, new.len(), Window::MIN).unwrap_err();
    assert_eq!((error.kind, error.offset), (LzxErrorKind::Trailing { left: 1 }, stream.len()));
}

#[test]
fn hostile_lengths_take_no_memory() {
    // One chunk of zero bits, for a file as long as can be.
    for stream in [&[][..], &[0], &[0, 0], &[2, 0, 0, 0], &[255, 255, 0, 0]] {
        assert!(decode(stream, &[], usize::MAX, Window::MAX).is_err());
    }
    let header = |word: u16, low: u16| [&[8, 0][..], &word.to_le_bytes(), &low.to_le_bytes(), &[0; 4]].concat();
    // Flag 0, type 3, 24 bits of length.
    for (len, kind) in [
        (0u32, LzxErrorKind::BlockLen { stated: 0, room: 9 }),
        (10, LzxErrorKind::BlockLen { stated: 10, room: 9 }),
        (0xFF_FFFF, LzxErrorKind::BlockLen { stated: 0xFF_FFFF, room: 9 }),
        // What follows are distances of zero.
        (9, LzxErrorKind::Distance { distance: 0, limit: 131_069 }),
    ] {
        let bits = 0b0011 << 28 | len << 4;
        let error = decode(&header((bits >> 16) as u16, bits as u16), &[], 9, Window::MIN).unwrap_err();
        assert_eq!(error.kind, kind);
    }
    let bits = 0b0101 << 28 | 9 << 4;
    let error = decode(&header((bits >> 16) as u16, bits as u16), &[], 9, Window::MIN).unwrap_err();
    assert_eq!((error.kind, error.structure), (LzxErrorKind::BlockType(5), "block header"));
}

/// Pieces that relate to each other and to the old file.
fn related() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let piece = (any::<u64>(), 0..5u8, 0..6000usize);
    (any::<u64>(), 0..40_000usize, prop::collection::vec(piece, 0..12)).prop_map(|(seed, old_len, pieces)| {
        let mut random = Random(seed);
        let old = if seed % 2 == 0 { random.text(old_len) } else { random.bytes(old_len) };
        let mut new: Vec<u8> = Vec::new();
        for (seed, kind, len) in pieces {
            let mut random = Random(seed);
            match kind {
                0 => new.extend(random.bytes(len)),
                1 => new.extend(random.text(len)),
                2 => new.extend(std::iter::repeat_n(seed as u8, len * 8)),
                3 if !new.is_empty() => {
                    let start = random.below(new.len());
                    new.extend_from_within(start..(start + len).min(new.len()));
                }
                _ => {
                    let start = random.below(old.len() + 1);
                    let part = old[start..(start + 4 * len).min(old.len())].to_vec();
                    new.extend(random.edited(&part, len / 500));
                }
            }
        }
        (old, new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn anything_comes_back((old, new) in related(), log2 in 17..=25u8, size in 0..200_000u32) {
        let window = Window::new(log2).unwrap();
        check("related", &old, &new, window, E8::Never);
        check("related, translated", &old, &new, window, E8::Always(size));
    }

    #[test]
    fn any_bytes_are_refused_or_decoded(stream in prop::collection::vec(any::<u8>(), 0..400), new_len in 0..70_000usize) {
        let stated = [&(stream.len() as u16).to_le_bytes(), &stream[..]].concat();
        for stream in [&stream, &stated] {
            if let Ok(made) = decode(stream, b"old", new_len, Window::MIN) {
                prop_assert_eq!(made.len(), new_len);
            }
        }
    }
}
