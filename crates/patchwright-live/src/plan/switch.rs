//! Writing several redirects as if they were one, even if we die between them.
//!
//! All threads stand while redirects are written, but only as long as we live: if we are killed, the kernel lets them
//! go on at once. So no prefix of what is written may be a mixture of old and new. One write into one page is whole or
//! not there; several are made so with a [journal](patchwright_formats::hot::journal):
//!
//! 1. before the stop, memory is mapped that holds the journal, a slot for each place, and for each place a *step*, a
//!    jump through its slot. A slot leads to what the place does now: to the new code of a patch that goes, or to the
//!    function's first instructions, [moved](super::moved) there;
//! 2. in the stop, every place becomes a jump to its step. That changes nothing, place by place;
//! 3. all slots are written at once: that is the switch;
//! 4. every place becomes what it is to be. That changes nothing either;
//! 5. after the stop the memory is unmapped: no thread has ever been there.
//!
//! Whoever comes after a call that died finds the journal, sees in the slots whether the switch was made, and finishes
//! it or takes it back. Until then the process runs through the steps.
//!
//! What remains: a place that crosses a page boundary (one in a thousand) is two pages' writes; more than 512 places have
//! more than one page of slots; and where the first instructions of a function cannot be moved, or no memory is to be had,
//! redirects are written without a journal, and the state of the registry says what the next call takes back.

use patchwright_formats::hot::PAGE;
use patchwright_formats::hot::journal::{HEAD_BYTES, Journal, MAGIC, MAX_BYTES, Place, StateChange};
use patchwright_formats::hot::registry::{Redirect, Registry, STATE_AT, State};

use crate::error::{LiveError, LiveErrorKind};
use crate::module::{Module, modules_in};
use crate::record::Found;
use crate::room;
use crate::stack::Zone;
use crate::target::{Mapping, Protection, Target};

use super::Limits;
use super::attempt::{Stopped, at_a_quiet_moment};
use super::moved::moved;

/// `jmp rel32`, and the two bytes behind it of a redirect before the entry.
const JUMP: u8 = 0xe9;
const BACK: [u8; 2] = [0xeb, 0xf9];
/// Length of a jump.
const JUMP_LEN: u64 = 5;
/// A step: `jmp [rip + disp32]`, and two bytes that nobody reaches.
const STEP: [u8; 2] = [0xff, 0x25];
const STEP_LEN: u64 = 8;
/// First instructions of a function: the longest one that begins within the place, and some.
const ENTRY_BYTES: u64 = 32;

/// What is written together: places, and the states of registries before, meanwhile and afterwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    places: Vec<Change>,
    states: Vec<(StateChange, State)>,
}

/// A place and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    address: u64,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Work {
    /// What makes `coming` active and takes `going` back, at once.
    pub(super) fn new(coming: Option<&Found>, going: &[Found]) -> Self {
        let mut work = Self::default();
        for found in going {
            for Redirect { address, before, after } in redirects(&found.registry) {
                work.places.push(Change { address: *address, from: after.clone(), to: before.clone() });
            }
            work.state(found, State::Reverting, State::Idle);
        }
        if let Some(found) = coming {
            for Redirect { address, before, after } in redirects(&found.registry) {
                match work.places.iter_mut().find(|place| place.address == *address) {
                    Some(place) => place.to.clone_from(after),
                    None => work.places.push(Change { address: *address, from: before.clone(), to: after.clone() }),
                }
            }
            work.state(found, State::Applying, State::Active);
        }
        work.places.sort_by_key(|place| place.address);
        work
    }

    fn state(&mut self, found: &Found, meanwhile: State, to: State) {
        let change = StateChange { address: found.address + STATE_AT, from: found.registry.state, to };
        self.states.push((change, meanwhile));
    }

    /// Leaves out places that hold neither what they should nor what they become: they are not ours any more.
    pub(super) fn without_lost_places(mut self, target: &dyn Target) -> Self {
        self.places.retain(|place| {
            let mut there = vec![0; place.from.len()];
            target.read_exact(place.address, &mut there).is_ok() && (there == place.from || there == place.to)
        });
        self
    }

    /// Does it at a moment when no thread is in one of `zones`. All of it, or nothing.
    pub(super) fn run(
        &self,
        target: &mut dyn Target,
        module: Option<&Module>,
        zones: &[Zone],
        limits: &Limits,
    ) -> Result<Stopped, LiveError> {
        let journal = match module {
            Some(module) if self.places.len() > 1 => self.lay_out(target, module)?,
            _ => None,
        };
        let done = at_a_quiet_moment(target, limits, zones, |target| self.write(target, journal.as_ref()));
        if let Some(laid) = journal
            && laid.is_unused(target)
        {
            // Nobody has been there. Who cannot unmap it now leaves that to the next call.
            let _ = target.unmap(laid.address, laid.journal.len);
        }
        done
    }

    /// Writes everything; if something fails, what was there.
    fn write(&self, target: &mut dyn Target, journal: Option<&Laid>) -> Result<(), LiveError> {
        let mut before = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let there = read(target, place.address, place.from.len())?;
            if there != place.from && there != place.to {
                let message = format!("the code at {:#x} changed while it was being patched", place.address);
                return Err(LiveError::new(LiveErrorKind::Wrong, message));
            }
            before.push(there);
        }
        let done = self.exchange(target, journal);
        if done.is_err() {
            if let Some(laid) = journal {
                laid.put_through(target)?;
                laid.set(target, false)?;
            }
            for (place, before) in self.places.iter().zip(&before) {
                write_and_look(target, place.address, before)?;
            }
            for (change, _) in &self.states {
                set_state(target, change.address, change.from)?;
            }
        }
        done
    }

    fn exchange(&self, target: &mut dyn Target, journal: Option<&Laid>) -> Result<(), LiveError> {
        for (change, meanwhile) in &self.states {
            set_state(target, change.address, *meanwhile)?;
        }
        if let Some(laid) = journal {
            laid.put_through(target)?;
            laid.set(target, true)?;
        }
        for place in &self.places {
            write_and_look(target, place.address, &place.to)?;
        }
        self.states.iter().try_for_each(|(change, _)| set_state(target, change.address, change.to))
    }

    /// Maps the journal, the slots and the steps. `None` if there is a place whose instructions cannot be moved, or no memory.
    fn lay_out(&self, target: &mut dyn Target, module: &Module) -> Result<Option<Laid>, LiveError> {
        let mappings = target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))?;
        // How long it is does not depend on where it is.
        let Some(first) = self.build(target, module.range.0)? else { return Ok(None) };
        for address in room::places(&mappings, module.range, first.journal.len) {
            let Some(laid) = self.build(target, address)? else { return Ok(None) };
            match laid.map(target) {
                Ok(()) => return Ok(Some(laid)),
                // Somebody was faster; there are other places.
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
                // What needs no memory is not refused for want of it.
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn build(&self, target: &dyn Target, address: u64) -> Result<Option<Laid>, LiveError> {
        let empty = |change: &Change| Place {
            address: change.address,
            from: change.from.clone(),
            through: change.from.clone(),
            to: change.to.clone(),
            stay: 0,
            go: 0,
        };
        let mut journal = Journal {
            len: 0,
            slots: 0,
            places: self.places.iter().map(empty).collect(),
            states: self.states.iter().map(|(change, _)| *change).collect(),
        };
        let count = journal.places.len() as u64;
        let head = (journal.encode().len() as u64).next_multiple_of(8);
        // Slots of one page are written at once.
        let crosses = head / PAGE != (head + 8 * count - 1) / PAGE;
        journal.slots = if crosses { head.next_multiple_of(PAGE) } else { head };
        let steps_at = journal.slots + 8 * count;
        let mut steps = Vec::new();
        let mut code = Vec::new();
        let code_at = steps_at + STEP_LEN * count;
        for (index, place) in (0..).zip(&mut journal.places) {
            let step = address + steps_at + STEP_LEN * index;
            let slot = address + journal.slots + 8 * index;
            steps.extend(STEP);
            let behind = step + STEP.len() as u64 + 4;
            let distance = i32::try_from(slot.wrapping_sub(behind).cast_signed()).unwrap_or(0);
            steps.extend(distance.to_le_bytes());
            steps.extend([0xcc; 2]);
            let Some(through) = jump(place.address, place.from.len(), step) else { return Ok(None) };
            place.through = through;
            for (bytes, way) in [(&place.from, &mut place.stay), (&place.to, &mut place.go)] {
                *way = match goal(place.address, bytes) {
                    Some(goal) => goal,
                    None => {
                        let at = address + code_at + code.len() as u64;
                        let Some(made) = first_instructions(target, place.address, bytes, at)? else { return Ok(None) };
                        code.extend(made);
                        at
                    }
                };
            }
        }
        journal.len = (code_at + code.len() as u64).next_multiple_of(PAGE);
        let mut bytes = journal.encode();
        bytes.resize(usize::try_from(journal.slots).unwrap_or(0), 0);
        bytes.extend(journal.places.iter().flat_map(|place| place.stay.to_le_bytes()));
        bytes.extend(steps);
        bytes.extend(code);
        Ok(Some(Laid { address, journal, bytes }))
    }
}

/// A journal in the process.
#[derive(Clone, Debug)]
struct Laid {
    address: u64,
    journal: Journal,
    /// The whole mapping; empty if it was found.
    bytes: Vec<u8>,
}

impl Laid {
    /// Maps and fills it; the bytes that it is found by come last.
    fn map(&self, target: &mut dyn Target) -> std::io::Result<()> {
        target.map(self.address, self.journal.len, Protection::TEXT)?;
        let mut fill = || -> std::io::Result<()> {
            let (first, rest) = self.bytes.split_at(MAGIC.len());
            target.write(self.address + MAGIC.len() as u64, rest)?;
            target.write(self.address, first)?;
            let mut back = vec![0; self.bytes.len()];
            target.read_exact(self.address, &mut back)?;
            match back == self.bytes {
                true => Ok(()),
                false => Err(std::io::Error::other("what was written there does not stand there")),
            }
        };
        let filled = fill();
        if filled.is_err() {
            let _ = target.unmap(self.address, self.journal.len);
        }
        filled
    }

    /// Whether no place leads to a step.
    fn is_unused(&self, target: &dyn Target) -> bool {
        let other =
            |place: &Place| read(target, place.address, place.through.len()).ok() != Some(place.through.clone());
        self.journal.places.iter().all(other)
    }

    fn put_through(&self, target: &mut dyn Target) -> Result<(), LiveError> {
        let mut places = self.journal.places.iter();
        places.try_for_each(|place| write_and_look(target, place.address, &place.through))
    }

    /// Makes the switch, or takes it back. With more than a page of slots, the last page says which it is.
    fn set(&self, target: &mut dyn Target, go: bool) -> Result<(), LiveError> {
        let ways = self.journal.places.iter().map(|place| if go { place.go } else { place.stay });
        let slots: Vec<u8> = ways.flat_map(u64::to_le_bytes).collect();
        let start = self.address + self.journal.slots;
        for (index, page) in slots.chunks(usize::try_from(PAGE).unwrap_or(usize::MAX)).enumerate() {
            write_and_look(target, start + PAGE * index as u64, page)?;
        }
        Ok(())
    }

    fn is_switched(&self, target: &dyn Target) -> Result<bool, LiveError> {
        let Some(last) = self.journal.places.last() else { return Ok(false) };
        let at = self.address + self.journal.slots + 8 * (self.journal.places.len() as u64 - 1);
        let slot = read(target, at, 8)?;
        Ok(slot == last.go.to_le_bytes())
    }

    /// Finishes what the slots say.
    fn finish(&self, target: &mut dyn Target) -> Result<(), LiveError> {
        let switched = self.is_switched(target)?;
        self.set(target, switched)?;
        for place in &self.journal.places {
            let (want, other) = if switched { (&place.to, &place.from) } else { (&place.from, &place.to) };
            let there = read(target, place.address, want.len())?;
            // What holds none of the three is not ours any more.
            if there == place.through || there == *other {
                write_and_look(target, place.address, want)?;
            }
        }
        for change in &self.journal.states {
            set_state(target, change.address, if switched { change.to } else { change.from })?;
        }
        Ok(())
    }
}

/// Finishes the switches of calls that died. Says whether there were any.
pub(super) fn finish_all(target: &mut dyn Target, mappings: &[Mapping], limits: &Limits) -> Result<bool, LiveError> {
    let found = find(target, mappings)?;
    for laid in &found {
        let range = laid.address..laid.address + laid.journal.len;
        let zones = [Zone { range, name: "the steps of a call that died".to_owned() }];
        at_a_quiet_moment(target, limits, &zones, |target| laid.finish(target))?;
        target
            .unmap(laid.address, laid.journal.len)
            .map_err(|error| LiveError::io("unmap what a call that died left", &error))?;
    }
    Ok(!found.is_empty())
}

/// The journals of a process, by address.
fn find(target: &dyn Target, mappings: &[Mapping]) -> Result<Vec<Laid>, LiveError> {
    let mut found = Vec::new();
    let ours = |mapping: &&Mapping| {
        let Mapping { protection, private, file, name, .. } = mapping;
        *private && *file == (0, 0) && name.is_empty() && *protection == Protection::TEXT
    };
    for mapping in mappings.iter().filter(ours).filter(|mapping| mapping.end - mapping.start <= MAX_BYTES) {
        let mut head = [0; HEAD_BYTES];
        let damaged = |error: &dyn std::fmt::Display| {
            let message = format!("what a call that died left at {:#x} of the process: {error}", mapping.start);
            LiveError::new(LiveErrorKind::Unsupported, message)
                .hint("another version of patchwright made it, or the program wrote over it; restart the process")
        };
        if target.read_exact(mapping.start, &mut head).is_err() {
            continue;
        }
        let Some(len) = Journal::len_bytes(&head).map_err(|error| damaged(&error))? else { continue };
        let bytes = read(target, mapping.start, usize::try_from(len.min(mapping.end - mapping.start)).unwrap_or(0))?;
        let journal = Journal::decode(&bytes).map_err(|error| damaged(&error))?;
        found.push(Laid { address: mapping.start, journal, bytes: Vec::new() });
    }
    Ok(found)
}

/// The module that a registry is of, if the process still has it.
pub(super) fn module_of(target: &mut dyn Target, registry: &Registry) -> Result<Option<Module>, LiveError> {
    let mappings = target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))?;
    let mut modules = modules_in(target, &mappings).into_iter();
    Ok(modules.find(|module| module.build == registry.old_build && module.bias == registry.bias))
}

fn redirects(registry: &Registry) -> impl Iterator<Item = &Redirect> {
    registry.functions.iter().filter_map(|entry| entry.redirect.as_ref())
}

/// A jump of the form that a place of this length has.
fn jump(address: u64, len: usize, to: u64) -> Option<Vec<u8>> {
    let distance = i32::try_from(to.wrapping_sub(address.wrapping_add(JUMP_LEN)).cast_signed()).ok()?;
    let mut bytes = vec![JUMP];
    bytes.extend(distance.to_le_bytes());
    match len {
        5 => Some(bytes),
        7 => {
            bytes.extend(BACK);
            Some(bytes)
        }
        _ => None,
    }
}

/// Where the bytes of a place lead, if they are a jump of one of the two forms.
fn goal(address: u64, bytes: &[u8]) -> Option<u64> {
    let [JUMP, a, b, c, d, rest @ ..] = bytes else { return None };
    let distance = i64::from(i32::from_le_bytes([*a, *b, *c, *d]));
    let goal = address.wrapping_add(JUMP_LEN).wrapping_add_signed(distance);
    (rest.is_empty() || rest == BACK).then_some(goal)
}

/// The first instructions of a function, of which `bytes` stand at its place, moved to `at`.
fn first_instructions(target: &dyn Target, address: u64, bytes: &[u8], at: u64) -> Result<Option<Vec<u8>>, LiveError> {
    // Of a place that begins before the entry, only what is behind the filler is the function's.
    let skip = if bytes.len() > 5 { 5 } else { 0 };
    let own = bytes.get(skip..).unwrap_or_default();
    let mut rest = vec![0; usize::try_from(ENTRY_BYTES).unwrap_or(0)];
    let got =
        target.read(address + bytes.len() as u64, &mut rest).map_err(|error| LiveError::io("read the code", &error))?;
    rest.truncate(got);
    let code = [own, &rest].concat();
    Ok(moved(&code, address + skip as u64, own.len(), at))
}

fn read(target: &dyn Target, address: u64, len: usize) -> Result<Vec<u8>, LiveError> {
    let mut there = vec![0; len];
    target.read_exact(address, &mut there).map_err(|error| LiveError::io("read the code", &error))?;
    Ok(there)
}

fn write_and_look(target: &mut dyn Target, address: u64, bytes: &[u8]) -> Result<(), LiveError> {
    target.write(address, bytes).map_err(|error| LiveError::io("write the code", &error))?;
    if read(target, address, bytes.len())? == bytes {
        return Ok(());
    }
    Err(LiveError::new(LiveErrorKind::Denied, format!("what was written at {address:#x} does not stand there")))
}

fn set_state(target: &mut dyn Target, address: u64, state: State) -> Result<(), LiveError> {
    let word = state.word().to_le_bytes();
    target.write(address, &word).map_err(|error| LiveError::io("write the registry", &error))
}
