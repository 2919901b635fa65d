//! What is made comes back, both ways, by both methods, and is small where it should be.

use patchwright_delta::format::Codec;
use patchwright_delta::{CoverLog, CreateOptions, Method, describe, invert};
use proptest::prelude::*;

use crate::inputs::{BLOCKS, body, noise, options, try_apply};

/// Creates, applies, inverts and applies back, by both methods; returns the body of the default method.
fn check(old: &[u8], new: &[u8]) -> Vec<u8> {
    let bodies = options().map(|options| {
        let (body, stats) = body(old, new, &options);
        let blocks = options == BLOCKS && old.len() + new.len() > 0;
        assert_eq!(matches!(stats.method, Method::Blocks { .. }), blocks);
        assert_eq!(stats.size_traded.is_some(), blocks);
        let info = describe(&body).unwrap();
        assert_eq!((info.header.old_len, info.header.new_len), (old.len() as u64, new.len() as u64));
        assert_eq!(info.cover_count, Some(stats.cover_count));
        assert_eq!(info.streams, stats.streams);
        let (made, log) = try_apply(old, &body, new.len() as u64).unwrap();
        assert!(made == new, "the new file comes back");
        check_inverted(old, new, log);
        body
    });
    let [suffixes, _] = bodies;
    suffixes
}

fn check_inverted(old: &[u8], new: &[u8], log: CoverLog) -> u64 {
    let mut back = Vec::new();
    let stats = invert(&old, &new, log, &mut back).unwrap();
    assert_eq!(stats.body_len, back.len() as u64);
    let (made, _) = try_apply(new, &back, old.len() as u64).unwrap();
    assert!(made == old, "the old file comes back");
    stats.body_len
}

#[test]
fn empty_equal_and_tiny_files_come_back() {
    let data = noise(1, 5000);
    for (old, new) in [
        (&b""[..], &b""[..]),
        (b"", b"a"),
        (b"a", b""),
        (b"a", b"b"),
        (b"ab", b"ba"),
        (&data, &data),
        (b"", &data),
        (&data, b""),
        (&data, &data[1..]),
        (&data[..33], &data[..32]),
        (&data[..32], &data[..33]),
    ] {
        check(old, new);
    }
}

#[test]
fn moved_truncated_repeated_and_reversed_parts_come_back() {
    let data = noise(2, 300_000);
    let moved = [&data[200_000..], &data[50_000..120_000], &data[..60_000]].concat();
    check(&data, &moved);
    check(&moved, &data);
    check(&data, &data[..123_456]);
    check(&data[100_000..], &data);
    check(&data, &data[1000..9000].repeat(40));
    check(&data, &data.iter().rev().copied().collect::<Vec<u8>>());
}

#[test]
fn covers_that_cross_pieces_and_blocks_come_back() {
    let old = noise(3, 3 << 20);
    let mut new = [&noise(4, 1000)[..], &old].concat();
    for at in (0..new.len()).step_by(4099) {
        new[at] ^= 0x55;
    }
    check(&old, &new);
}

#[test]
fn a_small_edit_makes_a_small_body() {
    let old = noise(5, 1 << 20);
    let mut new = old.clone();
    new[500_000] ^= 1;
    new.splice(600_000..600_000, *b"a few new bytes");
    for options in options() {
        let (body, stats) = body(&old, &new, &options);
        assert!(body.len() < 120, "{} bytes, {stats:?}", body.len());
    }
    let (same, _) = body(&old, &old, &CreateOptions::default());
    assert!(same.len() < 60, "{} bytes", same.len());
}

#[test]
fn shifted_pointers_make_corrections_and_no_literals() {
    let old: Vec<u8> = (0..40_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 8 << 2).to_le_bytes()).collect();
    let shift = |word: &[u8]| u32::from_le_bytes(word.try_into().unwrap()).wrapping_add(0x10).to_le_bytes();
    let mut new = old.clone();
    for at in (0..old.len()).step_by(64) {
        new[at..at + 4].copy_from_slice(&shift(&old[at..at + 4]));
    }
    for options in options() {
        let (_, stats) = body(&old, &new, &options);
        assert!(stats.literal_bytes < 100, "{stats:?}");
        assert!(stats.cover_count < 5, "{stats:?}");
    }
    check(&old, &new);
}

#[test]
fn thread_count_does_not_change_the_body() {
    let old = noise(6, 3 << 20);
    let mut new = [&old[1 << 20..], &noise(7, 5000), &old[..2 << 20]].concat();
    for at in (0..new.len()).step_by(977) {
        new[at] = new[at].wrapping_add(4);
    }
    for options in options() {
        let bodies = [1, 4].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| body(&old, &new, &options).0)
        });
        assert!(bodies[0] == bodies[1]);
    }
}

#[test]
fn repetitive_files_take_no_quadratic_time() {
    let len = 8 << 20;
    let zeros = vec![0u8; len];
    let with_period = |period: usize| noise(8, period).repeat(len / period);
    for (old, new) in [
        (zeros.clone(), zeros[..len - 1].to_vec()),
        (with_period(2), with_period(3)),
        (with_period(1000), with_period(1000)[500..].to_vec()),
        (with_period(1000), with_period(999)),
    ] {
        for options in options() {
            let (body, _) = body(&old, &new, &options);
            assert!(try_apply(&old, &body, new.len() as u64).unwrap().0 == new);
        }
    }
}

#[test]
fn large_streams_take_the_codec_that_suits_them() {
    let len = (1 << 20) + 1000;
    let prose: Vec<u8> = noise(11, len).iter().map(|byte| b"etaoin shrdlu"[usize::from(byte % 13)]).collect();
    for (new, codec) in [(noise(12, len), Codec::Raw), (vec![7; len], Codec::Zstd), (prose, Codec::Lzma)] {
        let (body, stats) = body(b"", &new, &CreateOptions::default());
        assert_eq!(stats.streams.iter().map(|stream| stream.codec).collect::<Vec<_>>(), [codec]);
        assert!(try_apply(b"", &body, len as u64).unwrap().0 == new);
    }
}

#[test]
fn a_forgetful_log_still_leads_back() {
    let old = noise(9, 400_000);
    let new: Vec<u8> = old.chunks(1000).rev().flat_map(|chunk| chunk[..900].to_vec()).collect();
    let (body, _) = body(&old, &new, &CreateOptions::default());
    let (_, full) = try_apply(&old, &body, new.len() as u64).unwrap();
    let mut small = CoverLog::with_capacity(16);
    for cover in full.covers() {
        small.push(*cover);
    }
    assert!(small.min_len() > 1 && small.covers().len() <= 16);
    let brief = check_inverted(&old, &new, full);
    let long = check_inverted(&old, &new, small);
    assert!(brief < long);
    check_inverted(&old, &new, CoverLog::new());
}

#[test]
fn an_inverted_body_is_about_as_small_as_the_body() {
    let old = noise(10, 1 << 20);
    let mut new = old.clone();
    new[700_000] ^= 1;
    new.drain(300_000..300_100);
    let (body, _) = body(&old, &new, &CreateOptions::default());
    let (_, log) = try_apply(&old, &body, new.len() as u64).unwrap();
    assert!(check_inverted(&old, &new, log) < 250);
}

/// How a new file comes from an old one.
#[derive(Clone, Debug)]
enum Edit {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Copy(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = 0usize..40_000;
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (at.clone(), prop::collection::vec(any::<u8>(), 1..200)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at.clone(), 1usize..5000).prop_map(|(at, len)| Edit::Remove(at, len)),
        (at.clone(), 1usize..5000, at).prop_map(|(from, len, to)| Edit::Copy(from, len, to)),
    ]
}

fn edited(mut data: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let within = |at: usize| at % (data.len() + 1);
        match edit {
            Edit::Set(at, byte) => {
                if let Some(place) = data.get_mut(*at) {
                    *place = *byte;
                }
            }
            Edit::Insert(at, bytes) => {
                let at = within(*at);
                data.splice(at..at, bytes.iter().copied());
            }
            Edit::Remove(at, len) => {
                let at = within(*at);
                data.drain(at..data.len().min(at + len));
            }
            Edit::Copy(from, len, to) => {
                let (from, to) = (within(*from), within(*to));
                let copied = data[from..data.len().min(from + len)].to_vec();
                data.splice(to..to, copied);
            }
        }
    }
    data
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn edited_files_come_back(
        seed in any::<u64>(),
        len in 0usize..40_000,
        edits in prop::collection::vec(edit(), 0..20),
    ) {
        let old = noise(seed, len);
        let new = edited(old.clone(), &edits);
        check(&old, &new);
    }

    #[test]
    fn files_of_few_byte_values_come_back(
        old in prop::collection::vec(0u8..3, 0..2000),
        new in prop::collection::vec(0u8..3, 0..2000),
    ) {
        check(&old, &new);
    }
}
