//! One engine, three versions of bodies: the right one is made, all are followed, and neither sees what is blank.

use patchwright_delta::{
    ApplyError, CoverLog, CreateOptions, Method, Profile, apply, create, create::SizeTraded, create_plain, describe,
    invert,
};
use patchwright_formats::{Blanked, ByteRange, ReadAt};
use proptest::prelude::*;

use crate::images::{Kind, Program};
use crate::inputs::noise;

fn made(old: &dyn ReadAt, body: &[u8], new_len: usize) -> Result<(Vec<u8>, CoverLog), ApplyError> {
    let (mut new, mut log) = (Vec::new(), CoverLog::new());
    apply(old, &body, new_len as u64, &mut new, &mut |cover| log.push(cover))?;
    Ok((new, log))
}

fn body(old: &dyn ReadAt, new: &dyn ReadAt, options: &CreateOptions) -> Vec<u8> {
    let mut body = Vec::new();
    let stats = create(old, new, options, &|_| (), &mut body).unwrap();
    assert_eq!(stats.body_len, body.len() as u64);
    if let Some(spending) = stats.spending {
        assert_eq!(spending.total(), stats.body_len, "every byte is accounted for");
    }
    body
}

fn profiles() -> [CreateOptions; 3] {
    Profile::ALL.map(|profile| CreateOptions { profile, ..CreateOptions::default() })
}

fn programs() -> [(Vec<u8>, Vec<u8>); 2] {
    let program = Program::new(5, 400);
    [Kind::ElfX64, Kind::PeX86]
        .map(|kind| (program.image(kind), program.clone().with_longer_function(7, 40).image(kind)))
}

#[test]
fn bodies_of_all_versions_lead_there_and_back() {
    let data = (noise(1, 9000), noise(2, 700));
    for (old, new) in programs().into_iter().chain([data]) {
        let mut plain = Vec::new();
        create_plain(&old, &new, &CreateOptions::default(), &|_| (), &mut plain).unwrap();
        for body in profiles().map(|options| body(&old, &new, &options)).into_iter().chain([plain]) {
            let info = describe(&body).unwrap();
            let version = info.version;
            assert_eq!(version, body[0]);
            assert_eq!((info.header.old_len, info.header.new_len), (old.len() as u64, new.len() as u64));
            let parts: u64 = info.parts.iter().map(|part| part.stored_len).sum();
            assert_eq!(parts, if version == 1 { 0 } else { body.len() as u64 });
            let (found, log) = made(&old, &body, new.len()).unwrap();
            assert!(found == new, "the new file comes back");
            let mut back = Vec::new();
            invert(&old, &new, log, &mut back).unwrap();
            assert_eq!(back[0], 1, "the way back is quick to make");
            assert!(made(&new, &back, old.len()).unwrap().0 == old, "the old file comes back");
        }
    }
}

#[test]
fn what_does_not_fit_in_memory_gets_a_body_of_the_first_version() {
    let (old, new) = (noise(1, 3000), noise(1, 3001));
    let check = |max_memory_bytes, version: u8, expect: Method| {
        let mut body = Vec::new();
        let options = CreateOptions { max_memory_bytes, ..CreateOptions::default() };
        let stats = create(&old, &new, &options, &|_| (), &mut body).unwrap();
        assert_eq!((body[0].min(2), stats.method), (version, expect), "{max_memory_bytes}");
        let traded =
            matches!(stats.size_traded, Some(SizeTraded::Memory { allowed, .. }) if allowed == max_memory_bytes);
        assert_eq!(traded, version == 1, "{:?}", stats.size_traded);
    };
    check(4 << 30, 2, Method::Prediction);
    check(1 << 20, 1, Method::Suffixes);
    check(0, 1, Method::Blocks { sample_distance: 32 });
}

#[test]
fn lengths_are_compared_before_the_old_file_is_read() {
    /// A file that says it is long and cannot be read.
    struct Unreadable;
    impl ReadAt for Unreadable {
        fn len_bytes(&self) -> u64 {
            1 << 50
        }

        fn read_exact_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
            panic!("nobody reads this");
        }
    }
    let (old, new) = (noise(1, 3000), noise(2, 3001));
    let body = body(&old, &new, &CreateOptions::default());
    assert!(matches!(
        made(&Unreadable, &body, new.len()),
        Err(ApplyError::OldLength { stated: 3000, actual }) if actual == 1 << 50
    ));
}

#[test]
fn versions_to_come_are_refused_as_such() {
    let (old, new) = (noise(1, 300), noise(2, 301));
    for options in profiles() {
        let mut body = body(&old, &new, &options);
        for version in [0, 4, 0xD2, 0xFF] {
            body[0] = version;
            for error in [made(&old, &body, 301).unwrap_err(), describe(&body).unwrap_err()] {
                assert!(error.to_string().contains("needs a newer release"), "{error}");
            }
        }
    }
    for body in [&b""[..], b"\x01", b"\x02", b"\x02\x0e", b"\x03", b"\x03\x02\x00\x00"] {
        assert!(describe(&body).is_err() && made(&old, body, 301).is_err(), "{body:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Ignored and retained bytes read as zeros before the engine sees them: whatever stands there, the body and what it
    /// makes are the same.
    #[test]
    fn blank_bytes_change_nothing(
        kind in 0..2usize,
        places in prop::collection::vec((0..10_000usize, 1..200usize), 1..12),
        fill in prop::collection::vec(any::<u8>(), 64),
    ) {
        let (old, new) = &programs()[kind];
        let blanks = || places.iter().map(|(at, len)| ByteRange::new(*at as u64, *len as u64));
        prop_assert!(old.len() > 10_200, "all places lie in the file");
        let mut users = old.clone();
        for (at, len) in &places {
            users[*at..at + len].iter_mut().zip(fill.iter().cycle()).for_each(|(byte, other)| *byte = *other);
        }
        for options in profiles() {
            let first = body(&Blanked::new(old, blanks()), new, &options);
            prop_assert!(body(&Blanked::new(&users, blanks()), new, &options) == first, "the same body");
            for whose in [old, &users] {
                prop_assert!(made(&Blanked::new(whose, blanks()), &first, new.len()).unwrap().0 == *new);
            }
        }
    }
}
