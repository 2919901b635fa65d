//! Bodies that nobody should have made. Each test that stands for a known weakness of other appliers names it.

use std::io;

use patchwright_delta::format::{APPLY_MEMORY, MAX_WINDOW};
use patchwright_delta::{ApplyError, CoverLog, CreateOptions, apply, describe, invert};
use patchwright_formats::ReadAt;

use crate::inputs::{body, noise, try_apply};

const LITERAL_LENGTHS: u8 = 0;
const COVER_LENGTHS: u8 = 1;
const SEEKS: u8 = 2;
const GAPS: u8 = 3;
const RUN_LENGTHS: u8 = 4;
const CORRECTIONS: u8 = 5;
const LITERALS: u8 = 9;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
const LZMA: u8 = 2;

const OLD: &[u8] = b"0123456789";

/// Numbers as the format spells them, written down once more on purpose.
fn number(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = value;
    while rest >= 0x80 {
        bytes.push((rest % 0x80) as u8 | 0x80);
        rest /= 0x80;
    }
    bytes.push(rest as u8);
    bytes
}

fn numbers(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| number(*value)).collect()
}

fn header(old_len: u64, new_len: u64) -> Vec<u8> {
    [&[1, 0, 0, 0][..], &old_len.to_le_bytes(), &new_len.to_le_bytes()].concat()
}

/// A stream: kind, codec, raw length, stored bytes.
type StreamParts = (u8, u8, u64, Vec<u8>);

fn segment(output_len: u64, cover_count: u64, streams: &[StreamParts]) -> Vec<u8> {
    let mut bytes = [vec![1], number(output_len), number(cover_count), vec![streams.len() as u8]].concat();
    for (kind, codec, raw_len, stored) in streams {
        bytes.extend([vec![*kind, *codec], number(*raw_len), number(stored.len() as u64)].concat());
    }
    streams.iter().for_each(|(_, _, _, stored)| bytes.extend(stored));
    bytes
}

fn raw(kind: u8, stored: Vec<u8>) -> StreamParts {
    (kind, RAW, stored.len() as u64, stored)
}

/// A body of one segment of `new_len` bytes for [`OLD`].
fn one(new_len: u64, cover_count: u64, streams: &[StreamParts]) -> Vec<u8> {
    [header(OLD.len() as u64, new_len), segment(new_len, cover_count, streams), vec![0]].concat()
}

/// The streams of one cover: literal length, length, seek as it is stored.
fn cover(literal_len: u64, len: u64, seek: u64) -> [StreamParts; 3] {
    [raw(LITERAL_LENGTHS, number(literal_len)), raw(COVER_LENGTHS, number(len)), raw(SEEKS, number(seek))]
}

fn attempt(body: &[u8]) -> Result<Vec<u8>, ApplyError> {
    let new_len = body.get(12..20).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    try_apply(OLD, body, new_len).map(|(new, _)| new)
}

/// Expects the body to be refused as malformed, with these words.
fn malformed(body: &[u8], structure: &str, what: &str) {
    match attempt(body) {
        Err(ApplyError::Malformed { structure: found, offset, what: found_what }) => {
            assert_eq!((found, found_what), (structure, what));
            assert!(offset <= body.len() as u64);
        }
        other => panic!("expected malformed {structure}: {what}, got {other:?}"),
    }
}

fn unsupported(body: &[u8], what: &str, value: u64) {
    match attempt(body) {
        Err(ApplyError::Unsupported { what: found, value: found_value, .. }) => {
            assert_eq!((found, found_value), (what, value));
        }
        other => panic!("expected unsupported {what} {value}, got {other:?}"),
    }
}

fn too_large(body: &[u8]) {
    match attempt(body) {
        Err(ApplyError::TooLarge { need, limit, .. }) => assert!(need > limit && limit <= APPLY_MEMORY),
        other => panic!("expected too large, got {other:?}"),
    }
}

#[test]
fn a_body_written_by_hand_applies() {
    // "ab", then 4 bytes from offset 3 with the second one raised by 5, then "c".
    let [lengths, covers, seeks] = cover(2, 4, 2);
    let streams = [
        lengths,
        covers,
        seeks,
        raw(GAPS, number(1)),
        raw(RUN_LENGTHS, number(0)),
        raw(CORRECTIONS, vec![5]),
        raw(LITERALS, b"abc".to_vec()),
    ];
    let by_hand = one(7, 1, &streams);
    assert_eq!(attempt(&by_hand).unwrap(), b"ab3956c");
    assert_eq!(example_of_the_format_document(), by_hand);
    assert_eq!(attempt(&one(3, 0, &[raw(LITERALS, b"abc".to_vec())])).unwrap(), b"abc");
    assert_eq!(attempt(&[header(10, 0), vec![0]].concat()).unwrap(), b"");
}

/// The bytes in the first block marked `hex` of `docs/formats/delta.md`; what follows two spaces is a remark.
fn example_of_the_format_document() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/delta.md");
    let text = std::fs::read_to_string(path).unwrap();
    let block = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let bytes = block.lines().flat_map(|line| line.split("  ").next().unwrap().split_whitespace());
    bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn unknown_numbers_are_unsupported() {
    for (offset, what) in [(0, "format version"), (1, "transform"), (2, "transform version"), (3, "flags")] {
        let mut body = one(3, 0, &[raw(LITERALS, b"abc".to_vec())]);
        body[offset] = 9;
        unsupported(&body, what, 9);
        assert!(matches!(describe(&body), Err(ApplyError::Unsupported { .. })));
    }
    unsupported(&one(3, 0, &[raw(10, b"abc".to_vec())]), "stream kind", 10);
    unsupported(&one(3, 0, &[(LITERALS, 3, 3, b"abc".to_vec())]), "codec", 3);
    unsupported(&[header(10, 3), vec![7]].concat(), "segment mark", 7);
}

#[test]
fn lengths_of_other_files_are_told_apart() {
    let body = one(3, 0, &[raw(LITERALS, b"abc".to_vec())]);
    assert!(matches!(try_apply(b"012345678", &body, 3), Err(ApplyError::OldLength { stated: 10, actual: 9 })));
    assert!(matches!(try_apply(OLD, &body, 4), Err(ApplyError::NewLength { stated: 3, expected: 4 })));
}

/// Row 1: bspatch read signed lengths and wrote before its buffer.
#[test]
fn row_1_lengths_near_2_to_the_63_and_64_are_refused() {
    for len in [u64::MAX, u64::MAX - 5, 1 << 63, (1 << 63) - 1, 8] {
        malformed(&one(7, 1, &cover(0, len, 0)), "segment", "its covers make more than the segment");
        malformed(&one(7, 1, &cover(len, 1, 0)), "segment", "its covers make more than the segment");
    }
}

/// Row 2: single checks passed, sums overflowed; the old position ran out of the file on either side.
#[test]
fn row_2_covers_outside_the_old_file_are_refused() {
    let zigzags = [1u64, 3, u64::MAX, u64::MAX - 1, 8, 20, 22];
    for seek in zigzags {
        malformed(&one(7, 1, &cover(0, 7, seek)), "segment", "a cover lies outside the old file");
    }
    // The second seek starts from where the first cover ends, and leads beyond either end.
    for seek in [12, u64::MAX - 1, u64::MAX, 23] {
        let streams = [
            raw(LITERAL_LENGTHS, numbers(&[0, 0])),
            raw(COVER_LENGTHS, numbers(&[5, 5])),
            raw(SEEKS, numbers(&[0, seek])),
        ];
        malformed(&one(10, 2, &streams), "segment", "a cover lies outside the old file");
    }
}

/// Row 4: header sizes near 2^63 and absurd counts reached the allocator.
#[test]
fn row_4_absurd_counts_are_refused_before_anything_is_allocated() {
    let literals = || raw(LITERALS, b"abc".to_vec());
    malformed(&one(3, u64::MAX, &[literals()]), "segment header", "it has more covers than output bytes");
    let huge = [header(10, u64::MAX), segment(u64::MAX, u64::MAX, &[literals()]), vec![0]].concat();
    malformed(&huge, "literal lengths", "it ends too early");
    let bomb = |raw_len| one(3, 0, &[(LITERALS, ZSTD, raw_len, vec![0x28; 20])]);
    malformed(&bomb(u64::MAX), "segment header", "a stream is longer than the segment can use");
    malformed(&bomb(4), "segment header", "a stream is longer than the segment can use");
    let mut beyond = one(3, 0, &[literals()]);
    let at = beyond.len() - 5;
    beyond[at] = 100;
    malformed(&beyond, "segment header", "its streams reach beyond the end of the body");
    malformed(&one(3, 0, &[(LITERALS, RAW, 3, vec![])]), "segment header", "it lists an empty stream");
    malformed(&one(3, 0, &[(LITERALS, RAW, 0, vec![1])]), "segment header", "it lists an empty stream");
}

/// Row 11: windows and dictionaries of gigabytes in a tiny patch.
#[test]
fn row_11_windows_and_dictionaries_are_checked_before_a_decoder_exists() {
    let large = |codec: u8, raw_len: u64, stored: Vec<u8>| {
        let [a, b, c] = cover(0, 1, 0);
        let new_len = raw_len + 1;
        let streams = [a, b, c, (LITERALS, codec, raw_len, stored)];
        [header(10, new_len), segment(new_len, 1, &streams), vec![0]].concat()
    };
    let frame = |window: u8, len: u32| [&[0x28, 0xB5, 0x2F, 0xFD, 0x80, window][..], &len.to_le_bytes()].concat();
    // Window 2^41, 2^31, 2^25, and 2^24 plus an eighth.
    for window in [31 << 3, 21 << 3, 15 << 3, 14 << 3 | 1] {
        too_large(&large(ZSTD, 1 << 31, frame(window, 1 << 31)));
    }
    for log in [25, 31, 32, 40] {
        too_large(&large(LZMA, 1 << 31, vec![93, log, 0, 0, 0, 0, 0]));
    }
    malformed(
        &large(LZMA, 1 << 31, vec![93, 41, 0, 0, 0, 0, 0]),
        "literals",
        "the LZMA dictionary size is out of range",
    );
    // A window that is in bounds but far more than a short stream can use.
    too_large(&large(ZSTD, 300, frame(14 << 3, 300)));
    too_large(&large(LZMA, 300, vec![93, 24, 0, 0, 0, 0, 0]));
    // lc = 8, lp = 4; and out of any range.
    for properties in [4 * 9 + 8, 225, 255] {
        let body = large(LZMA, 300, vec![properties, 12, 0, 0, 0, 0, 0]);
        malformed(&body, "literals", "the LZMA properties are out of range");
    }
}

#[test]
fn row_11_windows_of_all_streams_together_are_bounded() {
    let new_len = 1u64 << 30;
    let stream = |kind: u8| (kind, LZMA, MAX_WINDOW, vec![93, 24, 0, 0, 0, 0, 0]);
    let streams = [LITERAL_LENGTHS, COVER_LENGTHS, SEEKS, LITERALS].map(stream);
    too_large(&[header(10, new_len), segment(new_len, new_len, &streams), vec![0]].concat());
}

#[test]
fn zstandard_frames_of_another_shape_are_refused() {
    let frame = |descriptor: u8, rest: &[u8]| {
        let stored = [&[0x28, 0xB5, 0x2F, 0xFD, descriptor][..], rest].concat();
        one(3, 0, &[(LITERALS, ZSTD, 3, stored)])
    };
    let shape = "the Zstandard frame has a checksum, a dictionary or reserved bits";
    for descriptor in [0x24, 0x21, 0x28] {
        malformed(&frame(descriptor, &[3, 0, 0, 0]), "literals", shape);
    }
    malformed(&frame(0x20, &[4, 0, 0, 0]), "literals", "the Zstandard frame states another length");
    malformed(&frame(0x00, &[0, 0, 0, 0]), "literals", "the Zstandard frame states no length");
    malformed(&frame(0x20, &[]), "literals", "the Zstandard frame is cut short");
    malformed(&one(3, 0, &[(LITERALS, ZSTD, 3, vec![0; 9])]), "literals", "it is not a Zstandard frame");
    // A raw block of three bytes is whole; of two, with more to come, it is cut short; of four, it is too long.
    assert_eq!(attempt(&frame(0x20, &[3, 0x19, 0, 0, b'a', b'b', b'c'])).unwrap(), b"abc");
    malformed(&frame(0x20, &[3, 0x10, 0, 0, b'a', b'b']), "literals", "the Zstandard frame is cut short");
    malformed(&frame(0x20, &[3, 0x11, 0, 0, b'a', b'b']), "literals", "the Zstandard frame is corrupt");
    malformed(&frame(0x20, &[3, 0x21, 0, 0, b'a', b'b', b'c', b'd']), "literals", "the Zstandard frame is corrupt");
    malformed(&frame(0x20, &[3, 0x19, 0, 0, b'a', b'b', b'c', 0]), "literals", "stored bytes are left over");
}

#[test]
fn lzma_data_must_end_where_its_stream_does() {
    let old = noise(1, 100);
    let new: Vec<u8> = (0..3000u32).flat_map(|i| (i * i / 7).to_le_bytes()).collect();
    let (good, stats) = body(&old, &new, &CreateOptions::default());
    let literals = stats.streams.iter().find(|stream| stream.kind.number() == LITERALS).unwrap();
    assert_eq!((stats.streams.len(), literals.codec.number()), (1, LZMA));
    let stored = good[good.len() - 1 - literals.stored_len as usize..good.len() - 1].to_vec();
    let with = |stored: Vec<u8>| {
        let len = new.len() as u64;
        let whole = [header(100, len), segment(len, 0, &[(LITERALS, LZMA, len, stored)]), vec![0]].concat();
        try_apply(&old, &whole, len).map(|(made, _)| made)
    };
    assert!(with(stored.clone()).unwrap() == new);
    assert!(with([stored.clone(), vec![0]].concat()).is_err());
    assert!(with(stored[..stored.len() - 1].to_vec()).is_err());
    assert!(with(stored[..4].to_vec()).is_err());
    assert!(with(stored[..1].to_vec()).is_err());
}

#[test]
fn streams_must_be_used_up_and_no_more() {
    let with = |extra: &[StreamParts], new_len| {
        let [a, b, c] = cover(0, 3, 0);
        one(new_len, 1, &[&[a, b, c], extra].concat())
    };
    malformed(&with(&[raw(LITERALS, b"x".to_vec())], 3), "literals", "it holds more than the segment uses");
    malformed(&with(&[], 4), "literals", "it ends too early");
    malformed(&with(&[raw(GAPS, number(0))], 3), "run lengths", "it ends too early");
    let run = |gap, len_less_one| [raw(GAPS, number(gap)), raw(RUN_LENGTHS, number(len_less_one))];
    malformed(&with(&run(0, 0), 3), "corrections of 1 byte", "it ends too early");
    malformed(&with(&run(0, u64::MAX), 3), "corrections of 4 bytes and more", "it ends too early");
    let [gap, len] = run(1, 2);
    malformed(
        &with(&[gap, len, raw(CORRECTIONS + 2, vec![1, 2, 3])], 3),
        "segment",
        "a correction lies beyond the last cover",
    );
    malformed(&with(&[raw(RUN_LENGTHS, number(0))], 3), "run lengths", "it holds more than the segment uses");
    malformed(&with(&[raw(CORRECTIONS, vec![1])], 3), "corrections of 1 byte", "it holds more than the segment uses");
    malformed(
        &with(&[raw(GAPS, number(3)), raw(RUN_LENGTHS, number(0)), raw(CORRECTIONS, vec![1])], 3),
        "segment",
        "a correction lies beyond the last cover",
    );
    malformed(
        &with(&[raw(GAPS, number(u64::MAX)), raw(RUN_LENGTHS, number(0)), raw(CORRECTIONS, vec![1])], 3),
        "segment",
        "a correction lies beyond the last cover",
    );
    malformed(&one(3, 1, &[]), "literal lengths", "it ends too early");
    let [a, b, c] = cover(0, 3, 0);
    malformed(&one(3, 1, &[b.clone(), a.clone(), c.clone()]), "segment header", "its streams are out of order");
    malformed(&one(3, 1, &[a.clone(), b.clone(), c, a]), "segment header", "its streams are out of order");
    malformed(&one(3, 0, &[b]), "segment header", "a stream is longer than the segment can use");
    malformed(
        &one(3, 0, &[(LITERALS, RAW, 3, b"abcd".to_vec())]),
        "literals",
        "the stored length is not the raw length",
    );
}

#[test]
fn numbers_have_one_spelling() {
    let [_, b, c] = cover(0, 3, 0);
    let spelled = |stored: Vec<u8>| one(3, 1, &[raw(LITERAL_LENGTHS, stored), b.clone(), c.clone()]);
    malformed(&spelled(vec![0x80, 0]), "literal lengths", "a number is longer than it needs to be");
    malformed(&spelled(vec![0xFF; 10]), "literal lengths", "a number exceeds 64 bits");
    malformed(&spelled(vec![0x80]), "literal lengths", "it ends too early");
}

/// Row 20: ten million controls that make nothing, or next to nothing.
#[test]
fn row_20_covers_that_make_nothing_are_refused() {
    malformed(&one(3, 1, &cover(0, 0, 0)), "segment", "a cover is empty");
    malformed(&one(3, 1, &cover(1, 0, 0)), "segment", "a cover is empty");
    malformed(&[header(10, 3), segment(0, 0, &[])].concat(), "segment header", "it makes no output");
}

/// Row 20: as many covers as there are bytes still take time in proportion to the output.
#[test]
fn row_20_covers_of_one_byte_take_linear_time() {
    let old = noise(2, 1 << 20);
    let count = 1 << 20;
    let stored = |value: &[u8]| value.repeat(count as usize);
    // Each seek goes back by one byte, so that the same byte is copied again and again.
    let streams = [
        raw(LITERAL_LENGTHS, stored(&[0])),
        raw(COVER_LENGTHS, stored(&[1])),
        raw(SEEKS, [vec![0], vec![1; count as usize - 1]].concat()),
    ];
    let whole = [header(1 << 20, count), segment(count, count, &streams), vec![0]].concat();
    let (made, _) = try_apply(&old, &whole, count).unwrap();
    assert!(made.iter().all(|byte| *byte == old[0]));
}

/// Row 21: one changed header byte made another applier write 256 GiB.
#[test]
fn row_21_output_never_exceeds_the_length_agreed_on() {
    let literals = || raw(LITERALS, b"abc".to_vec());
    let two =
        |new_len| [header(10, new_len), segment(3, 0, &[literals()]), segment(3, 0, &[literals()]), vec![0]].concat();
    assert_eq!(attempt(&two(6)).unwrap(), b"abcabc");
    malformed(&two(5), "segment header", "it makes more than is left of the new file");
    malformed(&two(3), "segment header", "it makes more than is left of the new file");
    malformed(&two(7), "end mark", "the new file is not complete");
    malformed(
        &[header(10, 1 << 38), segment(1 << 38, 0, &[literals()]), vec![0]].concat(),
        "literals",
        "it ends too early",
    );
}

/// Row 22: every cut, every flip, and anything appended.
#[test]
fn row_22_every_prefix_is_an_error() {
    for good in small_bodies() {
        for len in 0..good.len() {
            assert!(attempt(&good[..len]).is_err(), "the first {len} of {} bytes", good.len());
            assert!(describe(&good[..len].to_vec()).is_err());
        }
    }
}

#[test]
fn row_22_every_flipped_bit_gives_an_error_or_no_more_than_the_length_agreed_on() {
    for good in small_bodies() {
        let new_len = u64::from_le_bytes(good[12..20].try_into().unwrap());
        for at in 0..good.len() {
            for mask in [1u8, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                let _ = describe(&bad);
                if let Ok((made, _)) = try_apply(OLD, &bad, new_len) {
                    assert_eq!(made.len() as u64, new_len);
                }
            }
        }
    }
}

#[test]
fn row_22_nothing_may_follow_the_end() {
    for good in small_bodies() {
        malformed(&[good.clone(), vec![0]].concat(), "end mark", "bytes follow it");
        assert!(attempt(&[good.clone(), good].concat()).is_err());
    }
}

/// Bodies for [`OLD`] that use every stream and every codec.
fn small_bodies() -> Vec<Vec<u8>> {
    let [a, b, c] = cover(2, 4, 2);
    let by_hand = [
        a,
        b,
        c,
        raw(GAPS, number(1)),
        raw(RUN_LENGTHS, number(0)),
        raw(CORRECTIONS, vec![5]),
        raw(LITERALS, b"abc".to_vec()),
    ];
    let text = b"so much text that compression pays, so much text that compression does pay, 0123456789".repeat(4);
    let mut bodies = vec![one(7, 1, &by_hand)];
    for new in [&text[..], b"", OLD] {
        bodies.push(body(OLD, new, &CreateOptions::default()).0);
    }
    let mut inverted = Vec::new();
    invert(&text.repeat(3), &OLD, CoverLog::new(), &mut inverted).unwrap();
    bodies.push(inverted);
    bodies
}

#[test]
fn errors_of_reader_and_sink_come_through() {
    struct Broken(u64);
    impl ReadAt for Broken {
        fn len_bytes(&self) -> u64 {
            self.0
        }
        fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let whole = one(7, 1, &cover(0, 7, 0));
    let old = apply(&Broken(10), &whole, 7, &mut Vec::new(), &mut |_| ()).unwrap_err();
    assert!(matches!(&old, ApplyError::OldRead(error) if error.to_string() == "the disk is gone"));
    let sink = apply(&OLD, &whole, 7, &mut Full, &mut |_| ()).unwrap_err();
    assert!(matches!(&sink, ApplyError::Sink(error) if error.to_string() == "the disk is full"));
    let body = apply(&OLD, &Broken(100), 7, &mut Vec::new(), &mut |_| ()).unwrap_err();
    assert!(matches!(&body, ApplyError::BodyRead(_)));
}

#[test]
fn messages_name_the_structure_and_the_offset() {
    let error = attempt(&one(3, 1, &cover(0, 0, 0))).unwrap_err();
    assert_eq!(error.to_string(), "the delta body is malformed: segment at offset 20: a cover is empty");
    let error = attempt(&one(3, 0, &[(LITERALS, 3, 3, b"abc".to_vec())])).unwrap_err();
    assert_eq!(error.to_string(), "the delta body needs a newer release: segment header at offset 20: codec 3");
}
