//! The planner against a process that does what a test wants: threads anywhere, memory that lies, operations that fail
//! at every n-th call. Never half applied.

use std::time::Duration;

use patchwright_formats::PatchId;
use patchwright_formats::hot::journal::MAGIC;
use patchwright_formats::hot::registry::State;
use patchwright_formats::hot::{Base, Body, Form, HotFunction, HotPart, HotRelocation, OldCode, RelocationKind, Site};
use proptest::prelude::*;

use crate::fake::{Fake, Op};
use crate::status::status;
use crate::target::{Protection, Thread};
use crate::{Applied, Limits, LiveError, LiveErrorKind, Outcome, apply, revert};

const BASE: u64 = 0x5555_0000_0000;
const STACK: u64 = 0x7ffd_0000_0000;
const BUILD: [u8; 8] = *b"oldbuild";
const FIRST: PatchId = PatchId([1; 32]);
const SECOND: PatchId = PatchId([2; 32]);
/// Functions of the program, by offset.
const FUNCTIONS: [u64; 3] = [0x1000, 0x1040, 0x1080];
const LEN: u64 = 0x40;

/// An ELF image as it lies in memory: header, three segments, a note with the build identity, code.
fn image() -> Vec<u8> {
    let mut image = vec![0; 0x2000];
    image[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    image[16] = 3;
    image[18] = 62;
    image[32] = 64;
    image[54] = 56;
    image[56] = 2;
    let mut segment = |index: usize, kind: u32, flags: u32, address: u64, len: u64| {
        let at = 64 + 56 * index;
        image[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        image[at + 4..at + 8].copy_from_slice(&flags.to_le_bytes());
        for (field, value) in [(8, address), (16, address), (24, address), (32, len), (40, len)] {
            image[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
        }
    };
    segment(0, 1, 5, 0, 0x2000);
    segment(1, 4, 4, 0x200, 24);
    let mut note = Vec::new();
    for word in [4_u32, 8, 3] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0");
    note.extend(BUILD);
    image[0x200..0x200 + note.len()].copy_from_slice(&note);
    for (index, function) in FUNCTIONS.iter().enumerate() {
        let at = usize::try_from(*function).unwrap();
        image[at..at + 0x40].fill(0x90 + u8::try_from(index).unwrap());
    }
    image
}

fn process() -> Fake {
    let mut fake = Fake::new();
    fake.add(BASE, image(), Protection::TEXT, "/bin/program", (1, 7));
    fake.add(STACK, vec![0; 0x4000], Protection::DATA, "[stack]", (0, 0));
    fake
}

/// A part that replaces the functions with these indices.
fn part(which: &[usize], marker: u8) -> HotPart {
    let image = image();
    let functions = which.iter().enumerate().map(|(slot, index)| {
        let address = FUNCTIONS[*index];
        let at = usize::try_from(address).unwrap();
        let bytes = &image[at..at + 0x40];
        let old = OldCode { address, size: LEN, hash: *blake3::hash(bytes).as_bytes() };
        let site = Site { address, form: Form::Entry, expected: bytes[..5].to_vec() };
        HotFunction {
            name: format!("f{index}"),
            why: "test".into(),
            old: Some(old),
            new: Some((32 * slot as u64, 32)),
            site: Some(site),
        }
    });
    let text = vec![marker; 32 * which.len()];
    let relocation = HotRelocation { at: 1, kind: RelocationKind::Relative32, base: Base::Program, addend: 0x1000 - 4 };
    HotPart {
        old_build: BUILD.to_vec(),
        new_build: vec![marker; 8],
        references: Default::default(),
        body: Body { text, rodata: vec![marker; 10], data: vec![0; 16], bss_bytes: 100 },
        functions: functions.collect(),
        relocations: vec![relocation],
        imports: Vec::new(),
        unwind: None,
    }
}

fn limits() -> Limits {
    Limits { pause: Duration::from_secs(1), deadline: Duration::from_millis(5), ..Limits::default() }
}

fn put(fake: &mut Fake, part: &HotPart, id: PatchId) -> Result<Applied, LiveError> {
    let done = apply(fake, part, id, 0, &limits());
    assert!(!fake.stopped, "the process was left standing");
    assert_eq!(fake.unsafe_writes, 0, "code was written while the process ran");
    done
}

fn take(fake: &mut Fake, id: PatchId) -> Result<Applied, LiveError> {
    let done = revert(fake, id, &limits());
    assert!(!fake.stopped, "the process was left standing");
    assert_eq!(fake.unsafe_writes, 0, "code was written while the process ran");
    done
}

/// How each function behaves: `None` as the old one, or with the marker of the code that it leads to; through the steps
/// of a switch, if a call died in one.
fn behaviour(fake: &Fake) -> Vec<Option<u8>> {
    let byte = |address: u64| {
        let (start, (_, bytes)) = fake.memory.range(..=address).next_back().unwrap();
        bytes[usize::try_from(address - start).unwrap()]
    };
    let bytes = |address: u64, len: u64| (address..address + len).map(byte).collect::<Vec<u8>>();
    let jump = |address: u64| {
        let distance = i32::from_le_bytes(bytes(address + 1, 4).try_into().unwrap());
        (byte(address) == 0xe9).then(|| (address + 5).wrapping_add_signed(i64::from(distance)))
    };
    let behaves = |function: &u64| {
        let entry = BASE + function;
        let at = usize::try_from(*function).unwrap();
        let own = &image()[at..at + 5];
        let Some(mut to) = jump(entry) else {
            assert_eq!(bytes(entry, 5), own, "neither old nor redirected");
            return None;
        };
        if bytes(to, 2) == [0xff, 0x25] {
            let distance = i32::from_le_bytes(bytes(to + 2, 4).try_into().unwrap());
            let slot = (to + 6).wrapping_add_signed(i64::from(distance));
            to = u64::from_le_bytes(bytes(slot, 8).try_into().unwrap());
            if bytes(to, 5) == own {
                assert_eq!(jump(to + 5), Some(entry + 5), "moved instructions go on behind themselves");
                return None;
            }
        }
        // The first bytes may be relocated; the last are the marker.
        Some(byte(to + 31))
    };
    FUNCTIONS.iter().map(behaves).collect()
}

/// The same, of a process that no switch is going on in.
fn redirected(fake: &Fake) -> Vec<Option<u8>> {
    let journals = fake.memory.values().filter(|(_, bytes)| bytes.starts_with(&MAGIC)).count();
    assert_eq!(journals, 0, "a switch is not done");
    behaviour(fake)
}

fn at(ip: u64) -> Thread {
    Thread { id: 7, ip, sp: STACK + 0x1000, bp: 0 }
}

#[test]
fn a_patch_comes_goes_and_comes_again() {
    let mut fake = process();
    let before = fake.memory[&BASE].1.clone();
    let done = put(&mut fake, &part(&[0, 2], 0xaa), FIRST).unwrap();
    assert_eq!((done.outcome, done.functions), (Outcome::Applied, 2));
    assert_eq!(redirected(&fake), [Some(0xaa), None, Some(0xaa)]);
    let mapped = fake.memory.len();
    assert_eq!(put(&mut fake, &part(&[0, 2], 0xaa), FIRST).unwrap().outcome, Outcome::AlreadyApplied);
    assert_eq!(take(&mut fake, FIRST).unwrap().outcome, Outcome::Reverted);
    assert_eq!(fake.memory[&BASE].1, before);
    assert_eq!(take(&mut fake, FIRST).unwrap().outcome, Outcome::NotApplied);
    assert_eq!(put(&mut fake, &part(&[0, 2], 0xaa), FIRST).unwrap().memory_bytes, 0);
    assert_eq!(fake.memory.len(), mapped);
    let listed = status(&mut fake).unwrap();
    assert_eq!((listed.len(), listed[0].state, listed[0].patch), (1, State::Active, FIRST));
}

#[test]
fn a_newer_patch_replaces_all_of_an_older_one_at_once() {
    let mut fake = process();
    put(&mut fake, &part(&[0, 1], 0xaa), FIRST).unwrap();
    let done = put(&mut fake, &part(&[1, 2], 0xbb), SECOND).unwrap();
    assert_eq!(done.replaced, Some(FIRST));
    assert_eq!(redirected(&fake), [None, Some(0xbb), Some(0xbb)]);
    take(&mut fake, SECOND).unwrap();
    assert_eq!(redirected(&fake), [None, None, None]);
}

#[test]
fn threads_in_changed_functions_are_waited_for_and_named() {
    let inside = BASE + FUNCTIONS[1] + 9;
    let returns = |address: u64| {
        // No unwind data: every word on the stack counts.
        let mut fake = process();
        fake.memory.get_mut(&STACK).unwrap().1[0x1010..0x1018].copy_from_slice(&address.to_le_bytes());
        fake.threads = vec![vec![at(BASE + 0x1800)]];
        fake
    };
    for (mut fake, expect) in [
        (
            {
                let mut fake = process();
                fake.threads = vec![vec![at(inside)]];
                fake
            },
            Some("thread 7 (thread-7) is in f1 at +0x9"),
        ),
        (returns(inside), Some("a word in memory, which may be a return address is in f1 at +0x9")),
        // At the entry nobody is inside yet; an address of it is a pointer.
        (
            {
                let mut fake = process();
                fake.threads = vec![vec![at(BASE + FUNCTIONS[1])]];
                fake
            },
            None,
        ),
        (returns(BASE + FUNCTIONS[1]), None),
        (returns(BASE + FUNCTIONS[0] + 9), None),
    ] {
        let before = fake.picture();
        let done = put(&mut fake, &part(&[1], 0xaa), FIRST);
        match expect {
            None => assert_eq!(done.unwrap().outcome, Outcome::Applied),
            Some(expect) => {
                let error = done.unwrap_err();
                assert_eq!((error.kind, error.details[0].as_str()), (LiveErrorKind::Busy, expect));
                assert_eq!(fake.picture(), before, "memory of the refused patch is gone again");
            }
        }
    }
}

#[test]
fn a_thread_that_leaves_is_waited_for() {
    let mut fake = process();
    fake.threads = vec![vec![at(BASE + FUNCTIONS[0] + 1)], vec![at(BASE + FUNCTIONS[0] + 1)], vec![at(BASE + 0x1800)]];
    let limits = Limits { deadline: Duration::from_secs(60), ..limits() };
    let done = apply(&mut fake, &part(&[0], 0xaa), FIRST, 0, &limits).unwrap();
    assert_eq!((done.attempts, done.outcome), (3, Outcome::Applied));
}

#[test]
fn new_code_in_use_is_not_taken_away() {
    let mut fake = process();
    put(&mut fake, &part(&[0], 0xaa), FIRST).unwrap();
    let memory = &fake.memory[&BASE].1[0x1001..0x1005];
    let to = (BASE + 0x1005).wrapping_add_signed(i64::from(i32::from_le_bytes(memory.try_into().unwrap())));
    fake.threads = vec![vec![at(to + 4)]];
    fake.stops = 0;
    let error = take(&mut fake, FIRST).unwrap_err();
    assert_eq!(error.details, ["thread 7 (thread-7) is in f0 at +0x4"]);
    assert_eq!(redirected(&fake), [Some(0xaa), None, None]);
}

#[test]
fn code_that_is_not_what_the_build_has_is_refused() {
    let mut fake = process();
    fake.memory.get_mut(&BASE).unwrap().1[0x1050] = 0xcc;
    let error = put(&mut fake, &part(&[0, 1, 2], 0xaa), FIRST).unwrap_err();
    assert_eq!((error.kind, error.details), (LiveErrorKind::Wrong, vec![format!("f1 at {:#x}", BASE + 0x1040)]));
    let mut other = part(&[0], 0xaa);
    other.old_build = b"another!".to_vec();
    let error = put(&mut process(), &other, FIRST).unwrap_err();
    assert_eq!(error.kind, LiveErrorKind::Wrong);
}

/// Something that is done to a process: with which patches before, and how the functions behave then.
struct Work {
    name: &'static str,
    before: Option<(&'static [usize], u8)>,
    run: fn(&mut Fake) -> Result<Applied, LiveError>,
    after: [Option<u8>; 3],
}

const WORKS: [Work; 5] = [
    Work {
        name: "apply",
        before: None,
        run: |fake| put(fake, &part(&[0, 1, 2], 0xbb), SECOND),
        after: [Some(0xbb); 3],
    },
    Work {
        name: "apply to one function",
        before: None,
        run: |fake| put(fake, &part(&[1], 0xbb), SECOND),
        after: [None, Some(0xbb), None],
    },
    Work {
        name: "replace",
        before: Some((&[0, 1], 0xaa)),
        run: |fake| put(fake, &part(&[1, 2], 0xbb), SECOND),
        after: [None, Some(0xbb), Some(0xbb)],
    },
    Work {
        name: "replace by one that shares nothing",
        before: Some((&[0], 0xaa)),
        run: |fake| put(fake, &part(&[2], 0xbb), SECOND),
        after: [None, None, Some(0xbb)],
    },
    Work { name: "revert", before: Some((&[0, 1], 0xaa)), run: |fake| take(fake, FIRST), after: [None; 3] },
];

impl Work {
    fn scene(&self) -> Fake {
        let mut fake = process();
        if let Some((which, marker)) = self.before {
            put(&mut fake, &part(which, marker), FIRST).unwrap();
        }
        fake.operations = 0;
        fake.log.clear();
        fake
    }
}

/// Fails or dies at every operation; then goes on. Whoever died leaves a process that behaves as a whole, before anybody
/// comes to finish.
#[test]
fn whatever_fails_leaves_all_or_nothing_and_the_next_call_goes_on() {
    for work in &WORKS {
        let before = behaviour(&work.scene());
        let mut whole = work.scene();
        (work.run)(&mut whole).unwrap();
        assert_eq!(redirected(&whole), work.after);
        assert!(whole.operations > 3 && whole.log.contains(&Op::Stop));
        for (fail, dead) in (1..=whole.operations).flat_map(|fail| [(fail, false), (fail, true)]) {
            let what = format!("{}, operation {fail}, dead: {dead}", work.name);
            let mut fake = work.scene();
            fake.fail_from = Some(fail);
            fake.dead = dead;
            let failed = (work.run)(&mut fake);
            let state = behaviour(&fake);
            assert!(state == before || state == work.after, "{what}: {state:?}");
            if !dead && failed.is_err() {
                assert_eq!(state, before, "{what}");
            }
            // Whoever died half-way is followed by the next call, which works.
            fake.fail_from = None;
            fake.dead = false;
            let mut other = fake.clone();
            (work.run)(&mut fake).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(redirected(&fake), work.after, "{what}");
            // Or by one that takes everything back.
            for id in [SECOND, FIRST] {
                take(&mut other, id).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            assert_eq!(redirected(&other), [None; 3], "{what}");
            assert_eq!(other.memory[&BASE].1, image(), "{what}");
        }
    }
}

/// Whoever finishes what a call left may die as well, at every operation, and somebody comes after.
#[test]
fn who_finishes_may_die_too() {
    for work in &WORKS {
        let before = behaviour(&work.scene());
        let mut whole = work.scene();
        (work.run)(&mut whole).unwrap();
        for first in 1..=whole.operations {
            let mut left = work.scene();
            (left.fail_from, left.dead) = (Some(first), true);
            let _ = (work.run)(&mut left);
            for second in 1..=whole.operations {
                let mut fake = left.clone();
                (fake.operations, fake.fail_from) = (0, Some(second));
                let _ = (work.run)(&mut fake);
                let state = behaviour(&fake);
                assert!(state == before || state == work.after, "{}, {first}, {second}: {state:?}", work.name);
                (fake.fail_from, fake.dead) = (None, false);
                (work.run)(&mut fake).unwrap();
                assert_eq!(redirected(&fake), work.after, "{}, {first}, {second}", work.name);
            }
        }
    }
}

#[test]
fn a_switch_of_many_functions_leaves_no_memory_behind() {
    let mut fake = process();
    put(&mut fake, &part(&[0, 1, 2], 0xaa), FIRST).unwrap();
    let mapped: Vec<u64> = fake.memory.keys().copied().collect();
    for _ in 0..100 {
        take(&mut fake, FIRST).unwrap();
        put(&mut fake, &part(&[0, 1, 2], 0xaa), FIRST).unwrap();
    }
    assert_eq!(fake.memory.keys().copied().collect::<Vec<u64>>(), mapped);
}

proptest! {
    /// Threads anywhere, for any number of attempts: the process is the old one, or the new one, and in the new one
    /// nobody was in what changed.
    #[test]
    fn never_half_applied(
        places in prop::collection::vec(prop::collection::vec(0x1000_u64..0x10d0, 0..4), 1..4),
        words in prop::collection::vec((0_u64..0x400, 0x1000_u64..0x10d0), 0..4),
        which in prop::sample::subsequence(vec![0_usize, 1, 2], 1..=3),
        fail in prop::option::of(1_usize..40),
        dead in any::<bool>(),
    ) {
        let mut fake = process();
        for (slot, address) in &words {
            let at = usize::try_from(0x1000 + slot * 8).unwrap();
            fake.memory.get_mut(&STACK).unwrap().1[at..at + 8].copy_from_slice(&(BASE + address).to_le_bytes());
        }
        fake.threads = places.iter().map(|threads| threads.iter().map(|offset| at(BASE + offset)).collect()).collect();
        fake.fail_from = fail;
        fake.dead = dead;
        let done = put(&mut fake, &part(&which, 0xaa), FIRST);
        let now = behaviour(&fake);
        let expect: Vec<Option<u8>> = (0..3).map(|index| which.contains(&index).then_some(0xaa)).collect();
        match done {
            Ok(done) => {
                prop_assert_eq!(&now, &expect);
                let last = &places[(done.attempts - 1).min(places.len() - 1)];
                for offset in last {
                    for index in &which {
                        let start = FUNCTIONS[*index];
                        prop_assert!(!(start + 1..start + LEN).contains(offset), "a thread at {:#x}", offset);
                    }
                }
            }
            Err(_) if !dead => prop_assert_eq!(now, vec![None; 3]),
            Err(_) => prop_assert!(now == expect || now == vec![None; 3], "{:?}", now),
        }
    }
}
