//! No input makes the audit panic, and the number of threads does not show.

use std::fs;
use std::path::Path;

use patchwright_image::{Address, Image, audit};

const IMAGES: [&str; 3] = ["t1_dll", "t64_1_dll", "t64_2_dll"];

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pa19").join(name)).unwrap()
}

/// The verdicts as text, or the error.
fn verdicts(data: &[u8]) -> String {
    match Image::read(data) {
        Err(error) => error.to_string(),
        Ok(image) => {
            let audited = audit(&image, None);
            for function in image.functions() {
                image.place(function.address);
                image.bytes(function.address, Address(u64::MAX));
            }
            format!("{audited:?}")
        }
    }
}

/// The headers of an image are where it is hurt most; of the rest, some places.
fn check_hurt(data: &[u8]) {
    for len in (0..data.len()).step_by(64).filter(|len| *len < 0x1000 || len % 0x1000 == 0) {
        verdicts(&data[..len]);
    }
    let mut state = 0x1234_5678_9abc_def1_u64;
    for round in 0..300 {
        let mut hurt = data.to_vec();
        for _ in 0..=round % 4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let near = if state >> 62 == 0 { data.len() } else { data.len().min(0x600) };
            let at = usize::try_from(state >> 33).unwrap() % near;
            hurt[at] = if state & 0x100 == 0 { 0xff } else { hurt[at] ^ (1 << (state >> 20 & 7)) };
        }
        verdicts(&hurt);
    }
}

#[test]
fn damage_does_no_harm() {
    IMAGES.iter().for_each(|name| check_hurt(&data(name)));
    check_hurt(&super::synthetic::arm64());
    check_hurt(&super::synthetic::x64_object());
    super::rules::images().iter().for_each(|data| check_hurt(data));
}

/// A database is hurt beside an image that is whole.
#[test]
fn damage_to_databases_does_no_harm() {
    let (image, whole) = super::rules::image_with_pdb();
    let read = |pdb: &[u8]| drop(Image::read_with(&image, patchwright_image::Companions { pdb: Some(pdb) }));
    for at in 0..whole.len() {
        let mut hurt = whole.clone();
        for value in [0, 0xff, hurt[at] ^ 1, hurt[at].wrapping_add(1)] {
            hurt[at] = value;
            read(&hurt);
        }
    }
}

/// A program that every Linux has.
#[cfg(target_os = "linux")]
#[test]
fn damage_to_elf_does_no_harm() {
    let data = fs::read("/bin/true").unwrap();
    check_hurt(&data);
    // The section headers are at the end.
    let tail = data.len() - data.len().min(2048);
    for at in (tail..data.len()).step_by(3) {
        let mut hurt = data.clone();
        hurt[at] ^= 0x81;
        verdicts(&hurt);
    }
}

#[test]
fn threads_do_not_show() {
    let data = data("t64_1_dll");
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| verdicts(&data))
    };
    let one = on(1);
    assert!(one.contains("HotPatchable"));
    assert!([2, 3, 8].into_iter().all(|threads| on(threads) == one));
}
