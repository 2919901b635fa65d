//! Memory of programs that switch stacks, made by hand.

use std::time::{Duration, Instant};

use super::{Resumption, Suspended, Unknown, scan, without};
use crate::fake::Fake;
use crate::stack::Zone;
use crate::target::{Protection, Target as _};

const CODE: u64 = 0x40_0000;
const HEAP: u64 = 0x100_0000;
const OWN: u64 = 0x200_0000;
const FIRST: u64 = 0x7ff0_0000;
const GUARD: u64 = 0x1234_5678_9abc_def0;
/// The function is here, and this long.
const START: u64 = CODE + 0x100;
const IN: u64 = START + 9;

fn zones() -> Vec<Zone> {
    vec![Zone { range: START..START + 0x40, name: "f".to_owned() }]
}

fn mangled(value: u64) -> u64 {
    (value ^ GUARD).rotate_left(17)
}

/// A heap, the stack of a thread with the library's record at its end, and the stack of the first thread.
fn process(words: &[(u64, u64)]) -> Fake {
    let mut fake = Fake::new();
    fake.add(HEAP, vec![0; 0x4000], Protection::DATA, "[heap]", (0, 0));
    fake.add(OWN, vec![0; 0x8000], Protection::DATA, "", (0, 0));
    fake.add(FIRST, vec![0; 0x4000], Protection::DATA, "[stack]", (0, 0));
    let record = OWN + 0x7000;
    let mut all = vec![(record, record), (record + 16, record), (record + 0x30, GUARD), (record + 0x2d0, 71)];
    all.extend([(record + 0x690, OWN), (record + 0x698, 0x8000)]);
    all.extend(words);
    for (address, value) in all {
        put(&mut fake, address, value);
    }
    fake
}

fn put(fake: &mut Fake, address: u64, value: u64) {
    let (start, (_, bytes)) = fake.memory.range_mut(..=address).next_back().unwrap();
    let at = usize::try_from(address - start).unwrap();
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// What is found while the process runs, and what is found in a program that switches stacks while it stands still and
/// the stacks of its threads end in `ends`.
fn found(words: &[(u64, u64)], ends: &[u64]) -> [Option<(u64, u64)>; 2] {
    let mut fake = process(words);
    let mappings = fake.mappings().unwrap();
    let mut suspended = Suspended { switches: true, ..Suspended::default() };
    let running = suspended.before_the_stop(&fake, &mappings, &zones()).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let stopped = suspended.at_the_stop(&fake, &mappings, &zones(), ends, until).unwrap();
    [running, stopped].map(|found| found.map(|Resumption { at, to, .. }| (at, to)))
}

#[test]
fn words_that_lead_into_a_function_are_found_where_no_thread_is() {
    const ENDS: [u64; 2] = [OWN + 0x6000, FIRST + 0x3000];
    let both = |at: u64| [Some((at, IN)); 2];
    let context = |stack: u64| {
        let at = HEAP + 0x800;
        [(at + 160, stack), (at + 168, IN), (at + 224, at + 424)]
    };
    let jump = |stack: u64| [(HEAP + 0x40, mangled(stack)), (HEAP + 0x48, mangled(IN))];
    for (words, expect) in [
        (&[(HEAP + 8, IN)][..], both(HEAP + 8)),
        // The entry is a pointer to the function, its end another function.
        (&[(HEAP + 8, START), (HEAP + 16, START + 0x40)], [None; 2]),
        // On stacks of threads: they were unwound.
        (&[(OWN + 0x100, IN), (FIRST + 0x100, IN)], [None; 2]),
        // Saved contexts count if their stack is no thread's.
        (&context(HEAP + 0x3000), both(HEAP + 0x800 + 168)),
        (&context(OWN + 0x3000), [None; 2]),
        (&jump(HEAP + 0x3000), both(HEAP + 0x48)),
        (&jump(FIRST + 0x200), [None; 2]),
        // Not of a context: a local variable that leads to a thread's stack, and a return address behind it.
        (&[(HEAP + 0x60, OWN + 0x3000), (HEAP + 0x68, IN)], both(HEAP + 0x68)),
    ] {
        assert_eq!(found(words, &ENDS), expect, "{words:x?}");
    }
}

#[test]
fn the_stack_that_a_thread_has_left_for_another_is_looked_at() {
    // The first thread is on a stack in the heap.
    let ends = [OWN + 0x6000, HEAP + 0x3000];
    assert_eq!(found(&[(FIRST + 0x100, IN)], &ends), [None, Some((FIRST + 0x100, IN))]);
    assert_eq!(found(&[(OWN + 0x100, IN)], &ends), [None, None]);
}

#[test]
fn a_program_that_is_seen_to_switch_stacks_is_searched_at_the_stop() {
    let mut fake = process(&[]);
    let mappings = fake.mappings().unwrap();
    let mut suspended = Suspended::default();
    assert_eq!(suspended.before_the_stop(&fake, &mappings, &zones()), Ok(None));
    put(&mut fake, HEAP + 8, IN);
    let until = Instant::now() + Duration::from_secs(60);
    let quiet = suspended.at_the_stop(&fake, &mappings, &zones(), &[FIRST + 8], until);
    assert_eq!(quiet, Ok(None), "nothing is read of a program that does not switch");
    let seen = suspended.at_the_stop(&fake, &mappings, &zones(), &[HEAP + 0x3000], until);
    assert_eq!(seen.unwrap().map(|found| found.at), Some(HEAP + 8));
    // From then on.
    let seen = suspended.at_the_stop(&fake, &mappings, &zones(), &[FIRST + 8], until);
    assert_eq!(seen.unwrap().map(|found| found.at), Some(HEAP + 8));
    let late = suspended.at_the_stop(&fake, &mappings, &zones(), &[FIRST + 8], Instant::now() - Duration::from_secs(1));
    assert_eq!(late, Err(Unknown::Late(0)));
}

#[test]
fn stacks_of_threads_that_have_ended_hold_nothing() {
    let words = [(OWN + 0x72d0, 0), (OWN + 0x100, IN)];
    // Nobody's stack ends there any more.
    assert_eq!(found(&words, &[FIRST + 8]), [None, None]);
}

#[test]
fn the_guard_is_that_of_any_thread_and_not_of_a_list_of_one_element() {
    let fake = process(&[(HEAP + 8, HEAP + 8), (HEAP + 24, HEAP + 8), (HEAP + 0x38, 5)]);
    let mappings: Vec<_> = fake.memory.values().map(|(mapping, _)| mapping.clone()).collect();
    assert_eq!(scan::guard(&fake, &mappings), Some(GUARD));
    assert_eq!(scan::demangled(mangled(IN), GUARD), IN);
}

#[test]
fn stretches_are_cut_out_of_memory() {
    let fake = process(&[]);
    let mappings: Vec<_> = fake.memory.values().map(|(mapping, _)| mapping.clone()).collect();
    let rest = [(OWN, OWN + 0x8000), (FIRST, FIRST + 0x4000)];
    for (but, expect) in [
        (vec![], vec![(HEAP, HEAP + 0x4000)]),
        (vec![(HEAP, HEAP + 0x4000)], vec![]),
        (vec![(HEAP + 0x3000, HEAP + 0x9000), (HEAP - 8, HEAP + 0x1000)], vec![(HEAP + 0x1000, HEAP + 0x3000)]),
        (vec![(HEAP + 0x1000, HEAP + 0x2000)], vec![(HEAP, HEAP + 0x1000), (HEAP + 0x2000, HEAP + 0x4000)]),
    ] {
        assert_eq!(without(&mappings, &but), [expect, rest.to_vec()].concat(), "{but:x?}");
    }
}
