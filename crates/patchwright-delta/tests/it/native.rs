//! Bodies that foretell references: they come back, are small where addresses moved, and refuse what is broken.

use std::num::NonZero;

use patchwright_delta::{ApplyError, CreateOptions, native};
use proptest::prelude::*;

use crate::images::{KINDS, Kind, Program};
use crate::inputs::{self, noise};

fn create(old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let stats = native::create(old, new, &native::Options::default(), &mut body).unwrap();
    assert_eq!(stats.body_len, body.len() as u64);
    body
}

fn apply(old: &[u8], body: &[u8], new_len: usize, threads: usize) -> Result<Vec<u8>, ApplyError> {
    let mut made = Vec::new();
    let mut end = 0;
    let threads = NonZero::new(threads).unwrap();
    native::apply(old, body, new_len as u64, threads, &mut made, &mut |cover| {
        assert!(cover.len > 0 && cover.new_offset >= end, "{cover:?} after {end}");
        end = cover.new_offset + cover.len;
        assert!(end <= new_len as u64 && cover.old_offset + cover.len <= old.len() as u64, "{cover:?}");
    })?;
    assert_eq!(made.len(), new_len);
    Ok(made)
}

fn check(old: &[u8], new: &[u8]) -> Vec<u8> {
    let body = create(old, new);
    for threads in [1, 3] {
        assert!(apply(old, &body, new.len(), threads).unwrap() == new, "the new file comes back");
    }
    body
}

#[test]
fn files_of_any_kind_come_back() {
    let data = noise(1, 70_000);
    let text = b"all the king's horses and all the king's men ".repeat(400);
    for (old, new) in [
        (&b""[..], &b""[..]),
        (b"", b"a"),
        (b"a", b""),
        (b"ab", b"ba"),
        (b"\x7FELF", b"\x7FELF\x02\x01"),
        (b"MZ", b"MZ"),
        (&data, &data),
        (b"", &data),
        (&data, b""),
        (&data, &data[1..]),
        (&data[30_000..], &data),
        (&text, &text[7..9000]),
        (&data, &text),
    ] {
        check(old, new);
    }
}

#[test]
fn a_function_that_grows_costs_little_more_than_itself() {
    for kind in KINDS {
        let program = Program::new(5, 700);
        let old = program.image(kind);
        let new = program.with_longer_function(100, 24).image(kind);
        let body = check(&old, &new);
        let (streams, _) = inputs::body(&old, &new, &CreateOptions::default());
        assert!(body.len() < 500, "{kind:?}: {} bytes", body.len());
        assert!(body.len() * 4 < streams.len(), "{kind:?}: {} bytes, {} as streams", body.len(), streams.len());
    }
}

#[test]
fn images_of_different_machines_come_back() {
    let program = Program::new(9, 60);
    for from in KINDS {
        for to in KINDS {
            check(&program.image(from), &program.image(to));
        }
    }
}

#[test]
fn bodies_do_not_depend_on_threads() {
    let program = Program::new(3, 2000);
    let (old, new) = (program.image(Kind::ElfX64), program.with_longer_function(7, 40).image(Kind::ElfX64));
    let with =
        |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| create(&old, &new));
    assert!(with(1) == with(4));
}

#[test]
fn a_body_is_for_files_of_its_lengths() {
    let (old, new) = (noise(1, 500), noise(2, 600));
    let body = create(&old, &new);
    assert!(matches!(apply(&old[1..], &body, 600, 1), Err(ApplyError::OldLength { stated: 500, actual: 499 })));
    assert!(matches!(apply(&old, &body, 601, 1), Err(ApplyError::NewLength { stated: 600, expected: 601 })));
}

#[test]
fn memory_is_stated_and_bounded() {
    let program = Program::new(8, 200);
    for kind in KINDS {
        let (old, new) = (program.image(kind), program.clone().with_longer_function(9, 40).image(kind));
        let body = create(&old, &new);
        for threads in [1, 2, 64] {
            let stated = native::stated_memory(&body, NonZero::new(threads).unwrap()).unwrap();
            let room = new.len() as u64..=native::MIXED_MEMORY + new.len() as u64;
            assert!(room.contains(&stated), "{kind:?}: {stated} with {threads} threads");
        }
        for len in 0..20 {
            assert!(native::stated_memory(&body[..len], NonZero::<usize>::MIN).is_err(), "cut to {len}");
        }
    }
}

#[test]
fn errors_of_the_sink_come_through_and_pieces_are_small() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
            assert!(piece.len() <= 1 << 20, "a piece is at most a mebibyte");
            self.0 = self.0.checked_sub(piece.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(piece.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let old = noise(1, 3 << 20);
    let new = [&old[1 << 20..], &old[..1 << 20]].concat();
    let body = create(&old, &new);
    let with_room = |room: usize| {
        let threads = NonZero::new(2).unwrap();
        native::apply(&old, &body, new.len() as u64, threads, &mut Full(room), &mut |_| ())
    };
    assert!(with_room(new.len()).is_ok());
    assert!(matches!(with_room(new.len() - 1), Err(ApplyError::Sink(_))));
    assert!(matches!(with_room(0), Err(ApplyError::Sink(_))));
}

#[test]
fn a_body_leads_back_by_its_covers() {
    let program = Program::new(31, 300);
    let old = program.image(Kind::ElfX64);
    let new = program.with_longer_function(20, 30).image(Kind::ElfX64);
    let body = create(&old, &new);
    let mut log = patchwright_delta::CoverLog::new();
    native::apply(&old, &body, new.len() as u64, NonZero::<usize>::MIN, &mut Vec::new(), &mut |cover| log.push(cover))
        .unwrap();
    let mut back = Vec::new();
    patchwright_delta::invert(&old, &new, log, &mut back).unwrap();
    let (made, _) = inputs::try_apply(&new, &back, old.len() as u64).unwrap();
    assert!(made == old, "the old file comes back");
}

#[test]
fn broken_bodies_are_refused_or_make_a_file_of_the_stated_length() {
    for kind in [Kind::ElfX64, Kind::PeX86] {
        let program = Program::new(11, 120);
        let old = program.image(kind);
        let new = program.with_longer_function(10, 30).image(kind);
        let body = create(&old, &new);
        for len in 0..body.len() {
            assert!(apply(&old, &body[..len], new.len(), 1).is_err(), "cut to {len} of {}", body.len());
        }
        assert!(apply(&old, &[&body[..], b"\0"].concat(), new.len(), 1).is_err(), "with a byte more");
        for at in 0..body.len() {
            for change in [1, 0x80, 0xFF] {
                let mut broken = body.clone();
                broken[at] ^= change;
                // What comes of it is the hash's affair; it must end, and with the stated length.
                let _ = apply(&old, &broken, new.len(), 2);
            }
        }
    }
}

#[test]
fn noise_instead_of_coded_parts_ends() {
    let program = Program::new(11, 120);
    let old = program.image(Kind::PeX64);
    let new_len = 20_000;
    let body = create(&old, &noise(4, new_len));
    let header = 24;
    for seed in 0..40 {
        let mut broken = body.clone();
        let from = header + (seed as usize % 4) * 20;
        let len = broken.len() - from;
        broken[from..].copy_from_slice(&noise(seed, len));
        let _ = apply(&old, &broken, new_len, 1);
    }
}

#[test]
fn an_old_file_of_the_right_length_alone_does_no_harm() {
    let program = Program::new(21, 200);
    for kind in KINDS {
        let old = program.image(kind);
        let new = program.clone().with_longer_function(50, 10).image(kind);
        let body = create(&old, &new);
        let _ = apply(&noise(1, old.len()), &body, new.len(), 1);
        for at in (0..old.len().min(0x400)).step_by(7) {
            let mut other = old.clone();
            other[at] ^= 0xFF;
            let _ = apply(&other, &body, new.len(), 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_files_come_back(old in proptest::collection::vec(any::<u8>(), 0..3000), new in proptest::collection::vec(any::<u8>(), 0..3000)) {
        check(&old, &new);
    }

    #[test]
    fn edited_images_come_back(
        kind in 0usize..4,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..40), 0..20),
    ) {
        let old = Program::new(2, 150).image(KINDS[kind]);
        let mut new = old.clone();
        for (at, byte, len) in edits {
            let at = at.index(new.len());
            if byte & 1 == 0 {
                new.splice(at..at, vec![byte; len]);
            } else {
                new.drain(at..(at + len).min(new.len()));
            }
        }
        check(&old, &new);
    }
}
