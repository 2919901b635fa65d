//! Bodies of every version and coding, broken: apply ends, with an error or with a file of the stated length.
//!
//! `PATCHWRIGHT_GARBAGE=20000` breaks each body that often, in place of a fuzzer where there is none.

use std::io;

use patchwright_delta::{CreateOptions, Profile, apply, create, create_plain, describe};

use crate::images::{Kind, Program};
use crate::inputs::noise;

/// More than any of these bodies is for.
const ROOM: u64 = 1 << 20;

/// Numbers that look random and are the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }
}

fn bodies() -> Vec<(Vec<u8>, Vec<u8>)> {
    let program = Program::new(9, 60);
    let image = |kind| (program.image(kind), program.clone().with_longer_function(7, 40).image(kind));
    let text = b"all the king's horses and all the king's men ".repeat(60);
    let pairs = [
        image(Kind::ElfX64),
        image(Kind::ElfArm64),
        image(Kind::PeX86),
        image(Kind::PeX64),
        (text.clone(), [&text[7..900], &noise(3, 50)[..], &text[500..]].concat()),
        (noise(1, 800), noise(2, 700)),
        (Vec::new(), text),
    ];
    let mut bodies = Vec::new();
    for (old, new) in pairs {
        for profile in Profile::ALL {
            let mut body = Vec::new();
            let options = CreateOptions { profile, ..CreateOptions::default() };
            create(&old, &new, &options, &|_| (), &mut body).unwrap();
            bodies.push((old.clone(), body));
        }
        let mut body = Vec::new();
        create_plain(&old, &new, &CreateOptions::default(), &|_| (), &mut body).unwrap();
        bodies.push((old, body));
    }
    bodies
}

/// Changes, cuts, doubles or replaces a few bytes, more often near the start, where the lengths are.
fn break_it(body: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..1 + chance.below(3) {
        let end = if chance.below(2) == 0 { body.len().min(64) } else { body.len() };
        let at = chance.below(end);
        match chance.below(6) {
            _ if body.is_empty() => body.push(chance.below(256) as u8),
            0 => body.truncate(at),
            1 => body.insert(at, chance.below(256) as u8),
            2 => drop(body.remove(at)),
            3 => body[at] = [0, 0x7F, 0x80, 0xFF][chance.below(4)],
            4 => body[at] ^= 1 << chance.below(8),
            _ => {
                let to = body.len().min(at + chance.below(64));
                body[at..to].iter_mut().for_each(|byte| *byte = chance.below(256) as u8);
            }
        }
    }
}

#[test]
fn broken_bodies_of_every_coding_end() {
    let count = std::env::var("PATCHWRIGHT_GARBAGE").map_or(25, |count| count.parse::<usize>().unwrap());
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let (mut described, mut made, mut all) = (0usize, 0usize, 0usize);
    for (old, whole) in bodies() {
        for _ in 0..count {
            let mut body = whole.clone();
            break_it(&mut body, &mut chance);
            all += 1;
            let Ok(info) = describe(&body) else {
                assert!(
                    apply(&old, &body, 0, &mut io::sink(), &mut |_| ()).is_err(),
                    "what is refused once is refused"
                );
                continue;
            };
            described += 1;
            let (old_len, new_len) = (info.header.old_len, info.header.new_len);
            if old_len > ROOM || new_len > ROOM {
                continue;
            }
            let mut old = old.clone();
            old.resize(old_len as usize, 0);
            let (mut new, mut end) = (Vec::new(), 0);
            let done = apply(&old, &body, new_len, &mut new, &mut |cover| {
                assert!(cover.len > 0 && cover.new_offset >= end, "{cover:?} after {end}");
                end = cover.new_offset + cover.len;
                assert!(end <= new_len && cover.old_offset + cover.len <= old_len, "{cover:?}");
            });
            assert!(new.len() as u64 <= new_len);
            if done.is_ok() {
                assert_eq!(new.len() as u64, new_len);
                made += 1;
            }
        }
    }
    println!("{all} broken bodies: {described} described, {made} made a file of their length");
    assert!(described > 0 && described < all, "some are refused at once, some later");
}
