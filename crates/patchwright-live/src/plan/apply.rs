//! Applying a hot part to a process.

use patchwright_formats::PatchId;
use patchwright_formats::hot::registry::{Entry, MAGIC, Redirect, Registry, State};
use patchwright_formats::hot::{HotPart, PAGE};

use crate::error::{LiveError, LiveErrorKind};
use crate::import::Symbols;
use crate::module::{Module, modules_in};
use crate::record::{Found, find};
use crate::room;
use crate::stack::Zone;
use crate::target::{Mapping, Protection, Target};

use super::body::{place, redirect};
use super::revert::repair;
use super::switch::{Work, finish_all};
use super::unwind::{CALL_AREA, frame_registration, register_frames};
use super::{Applied, Limits, Outcome};

/// Patches a process: from then on it behaves like the new build. `since` is the time now, in seconds since 1970.
///
/// A process that has the patch already is left alone. An older patch of the same build is replaced in the same
/// instant. What a call that died left half-done is taken back first.
///
/// # Errors
/// The process then runs on as it was; see [`LiveError`].
pub fn apply(
    target: &mut dyn Target,
    part: &HotPart,
    patch: PatchId,
    since: u64,
    limits: &Limits,
) -> Result<Applied, LiveError> {
    let (mappings, mut repaired) = finished(target, limits)?;
    let modules = modules_in(target, &mappings);
    let Some(module) = modules.iter().find(|module| module.build == part.old_build) else {
        if modules.iter().any(|module| module.build == part.new_build) {
            return Ok(Applied::nothing(Outcome::AlreadyNew));
        }
        return Err(LiveError::new(LiveErrorKind::Wrong, "the process does not run the build that the patch is for")
            .details(modules.iter().filter(|module| !module.build.is_empty()).map(describe)));
    };
    if modules.iter().filter(|module| module.build == part.old_build).count() > 1 {
        return Err(LiveError::new(LiveErrorKind::Unsupported, "the process has loaded this build more than once")
            .details(modules.iter().filter(|module| module.build == part.old_build).map(describe))
            .hint("restart the process"));
    }
    let ours = |found: &Found| found.registry.old_build == part.old_build && found.registry.bias == module.bias;
    let mut records: Vec<Found> = find(target, &mappings)?.into_iter().filter(ours).collect();
    for record in records.iter_mut().filter(|record| is_half_done(record)) {
        repair(target, record, limits)?;
        repaired = true;
    }
    if records.iter().any(|record| record.registry.patch == patch && record.registry.state == State::Active) {
        return Ok(Applied { repaired, ..Applied::nothing(Outcome::AlreadyApplied) });
    }
    check_code(target, part, module, &records)?;
    let active: Vec<Found> = records.iter().filter(|record| record.registry.state == State::Active).cloned().collect();
    let kept = records.into_iter().find(|record| record.registry.patch == patch);
    let (record, fresh) = match kept {
        Some(record) => {
            check_kept(target, part, module, &modules, &record)?;
            (record, false)
        }
        None => (prepare(target, part, (patch, since), module, &modules, &mappings, limits)?, true),
    };
    let zones = zones(&record.registry, &active);
    match Work::new(Some(&record), &active).run(target, Some(module), &zones, limits) {
        Ok(stopped) => Ok(Applied {
            outcome: Outcome::Applied,
            functions: record.registry.functions.iter().filter(|entry| entry.redirect.is_some()).count(),
            pause: stopped.pause,
            attempts: stopped.attempts,
            memory_bytes: if fresh { record.registry.body.0 + record.registry.body.1 } else { 0 },
            replaced: active.first().map(|found| found.registry.patch),
            repaired,
            threads: stopped.threads,
        }),
        Err(error) => {
            // What was never active is used by nobody, if the unwinder does not know it.
            if fresh && part.unwind.is_none() && record.state(target) == Some(State::Idle) {
                let _ = target.unmap(record.address, record.registry.body.0 + record.registry.body.1);
            }
            Err(error)
        }
    }
}

/// The memory of a process in which no switch is half done, and whether one was.
pub(super) fn finished(target: &mut dyn Target, limits: &Limits) -> Result<(Vec<Mapping>, bool), LiveError> {
    let list = |target: &mut dyn Target| {
        target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))
    };
    let mappings = list(target)?;
    if finish_all(target, &mappings, limits)? { Ok((list(target)?, true)) } else { Ok((mappings, false)) }
}

fn describe(module: &Module) -> String {
    let build: String = module.build.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}: build {build}", module.name)
}

pub(super) fn is_half_done(found: &Found) -> bool {
    matches!(found.registry.state, State::Applying | State::Reverting)
}

/// Compares the code that is replaced with what the patch was made for, redirects of other patches taken away.
fn check_code(target: &dyn Target, part: &HotPart, module: &Module, records: &[Found]) -> Result<(), LiveError> {
    let mut differing = Vec::new();
    let redirects: Vec<&Redirect> = records
        .iter()
        .filter(|found| found.registry.state == State::Active)
        .flat_map(|found| &found.registry.functions)
        .filter_map(|entry| entry.redirect.as_ref())
        .collect();
    for function in &part.functions {
        let Some(old) = &function.old else { continue };
        let start = module.bias.wrapping_add(old.address);
        let code = original(target, start, old.size, &redirects)?;
        let site = match &function.site {
            Some(site) => {
                let at = module.bias.wrapping_add(site.address);
                original(target, at, site.expected.len() as u64, &redirects)? == site.expected
            }
            None => true,
        };
        if *blake3::hash(&code).as_bytes() != old.hash || !site {
            differing.push(format!("{} at {start:#x}", function.name));
        }
    }
    if differing.is_empty() {
        return Ok(());
    }
    Err(LiveError::new(LiveErrorKind::Wrong, "the code in memory is not what the build has")
        .details(differing)
        .hint("a debugger's breakpoint, a probe, or another patching tool: take it away and try again"))
}

/// Code as it was before any redirect.
fn original(target: &dyn Target, start: u64, len: u64, redirects: &[&Redirect]) -> Result<Vec<u8>, LiveError> {
    let mut code = vec![0; usize::try_from(len).unwrap_or(0)];
    target.read_exact(start, &mut code).map_err(|error| LiveError::io("read the code of the process", &error))?;
    for redirect in redirects {
        for (offset, byte) in redirect.before.iter().enumerate() {
            let at = (redirect.address + offset as u64).checked_sub(start).and_then(|at| usize::try_from(at).ok());
            if let Some(place) = at.and_then(|at| code.get_mut(at)) {
                *place = *byte;
            }
        }
    }
    Ok(code)
}

/// Code and constants of a patch that was taken back must be there as they were.
fn check_kept(
    target: &dyn Target,
    part: &HotPart,
    module: &Module,
    modules: &[Module],
    record: &Found,
) -> Result<(), LiveError> {
    let at = record.address + record.registry.body.0;
    let imports = find_imports(target, part, modules)?;
    let placed = place(part, module.bias, at, &imports)?;
    for (start, bytes) in [(at, &placed.text), (at + part.body.rodata_at(), &placed.rodata)] {
        let mut there = vec![0; bytes.len()];
        target.read_exact(start, &mut there).map_err(|error| LiveError::io("read the new code", &error))?;
        if there != *bytes {
            let message = format!("the new code at {start:#x} is not what an earlier call left there");
            return Err(LiveError::new(LiveErrorKind::Wrong, message).hint("restart the process"));
        }
    }
    Ok(())
}

/// Maps new code and data, and the record of it. Nothing leads there yet.
fn prepare(
    target: &mut dyn Target,
    part: &HotPart,
    (patch, since): (PatchId, u64),
    module: &Module,
    modules: &[Module],
    mappings: &[Mapping],
    limits: &Limits,
) -> Result<Found, LiveError> {
    let register = match part.unwind {
        Some(_) => Some(frame_registration(target, modules)?),
        None => None,
    };
    let imports = find_imports(target, part, modules)?;
    let body_len = part.body.len_bytes() + if register.is_some() { CALL_AREA } else { 0 };
    let empty = registry(part, patch, since, module.bias, (0, body_len), 0)?;
    // Numbers grow by a few bytes when they are filled in.
    let head = (empty.encode().len() as u64 + 16 * (1 + empty.functions.len() as u64)).next_multiple_of(PAGE);
    let places = room::places(mappings, module.range, head + body_len);
    let mut last = None;
    for address in places {
        let registry = registry(part, patch, since, module.bias, (head, body_len), address + head)?;
        let placed = place(part, module.bias, address + head, &imports)?;
        // Without its first bytes, a record is not found.
        let mut record = registry.encode();
        record.iter_mut().take(MAGIC.len()).for_each(|byte| *byte = 0);
        let stretches = [
            (address + head, part.body.rodata_at(), Protection::TEXT, placed.text),
            (
                address + head + part.body.rodata_at(),
                part.body.data_at() - part.body.rodata_at(),
                Protection::CONSTANT,
                placed.rodata,
            ),
            (address + head + part.body.data_at(), body_len - part.body.data_at(), Protection::DATA, placed.data),
            (address, head, Protection::CONSTANT, record),
        ];
        match map_all(target, &stretches) {
            Ok(()) => {
                let found = Found { address, registry };
                if let Some(register) = &register
                    && let Err(error) = register_frames(target, part, register, address + head, limits.deadline)
                {
                    let _ = target.unmap(address, head + body_len);
                    return Err(error);
                }
                // The record comes last: who finds it finds everything, unwind data that are known too.
                let named = target.write(address, &MAGIC);
                return named.map(|()| found).map_err(|error| LiveError::io("write the registry", &error));
            }
            // Somebody was faster; there are other places.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => last = Some(error),
            Err(error) => {
                let made = LiveError::io("map memory for the new code", &error);
                return Err(match error.raw_os_error() {
                    Some(libc::EACCES | libc::EPERM) => made.hint(
                        "a policy forbids new executable memory (SELinux execmem, seccomp): allow it, or restart",
                    ),
                    _ => made,
                });
            }
        }
    }
    Err(match last {
        Some(error) => LiveError::io("map memory for the new code", &error),
        None => LiveError::new(
            LiveErrorKind::Unsupported,
            format!("there is no room for {} bytes within two gigabytes of the program", head + body_len),
        ),
    })
}

/// Maps stretches and fills them; all of them or none.
fn map_all(target: &mut dyn Target, stretches: &[(u64, u64, Protection, Vec<u8>)]) -> std::io::Result<()> {
    let mut mapped = Vec::new();
    let mut work = || {
        for (address, len, protection, bytes) in stretches.iter().filter(|(_, len, ..)| *len > 0) {
            target.map(*address, *len, *protection)?;
            mapped.push((*address, *len));
            if !bytes.is_empty() {
                target.write(*address, bytes)?;
            }
        }
        for (address, _, _, bytes) in stretches.iter().filter(|(.., bytes)| !bytes.is_empty()) {
            let mut back = vec![0; bytes.len()];
            target.read_exact(*address, &mut back)?;
            if back != *bytes {
                return Err(std::io::Error::other(format!("what was written at {address:#x} does not stand there")));
            }
        }
        Ok(())
    };
    let done = work();
    if done.is_err() {
        for (address, len) in mapped {
            let _ = target.unmap(address, len);
        }
    }
    done
}

fn find_imports(target: &dyn Target, part: &HotPart, modules: &[Module]) -> Result<Vec<u64>, LiveError> {
    if part.imports.is_empty() {
        return Ok(Vec::new());
    }
    let symbols = Symbols::new(target, modules);
    let found: Vec<Option<u64>> =
        part.imports.iter().map(|import| symbols.find(&import.name, &import.version)).collect();
    let missing: Vec<String> = part
        .imports
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none())
        .map(|(import, _)| format!("{} {}", import.name, import.version))
        .collect();
    if missing.is_empty() {
        return Ok(found.into_iter().flatten().collect());
    }
    Err(LiveError::new(LiveErrorKind::Unsupported, "the new code needs symbols that no module of the process has")
        .details(missing)
        .hint("a library that only the new build loads, or one that is older than it needs"))
}

fn registry(
    part: &HotPart,
    patch: PatchId,
    since: u64,
    bias: u64,
    body: (u64, u64),
    body_at: u64,
) -> Result<Registry, LiveError> {
    let functions = part.functions.iter().map(|function| {
        let new = function.new.map_or((0, 0), |(offset, size)| (body_at + offset, size));
        let redirect = match &function.site {
            Some(site) => {
                let address = bias.wrapping_add(site.address);
                // Before the place is known, any bytes of the right length will do.
                let after = if body_at == 0 { site.expected.clone() } else { redirect(site, address, new.0)? };
                Some(Redirect { address, before: site.expected.clone(), after })
            }
            None => None,
        };
        let old = function.old.as_ref().map_or((0, 0), |old| (bias.wrapping_add(old.address), old.size));
        Ok(Entry { name: function.name.clone(), old, new, redirect })
    });
    Ok(Registry {
        state: State::Idle,
        patch,
        old_build: part.old_build.clone(),
        new_build: part.new_build.clone(),
        since,
        bias,
        body,
        functions: functions.collect::<Result<_, LiveError>>()?,
    })
}

/// What no thread may be in: the old code that is replaced, and the new code of patches that go.
fn zones(coming: &Registry, going: &[Found]) -> Vec<Zone> {
    let old = coming.functions.iter().map(|entry| (entry.old, &entry.name));
    let new = going.iter().flat_map(|found| &found.registry.functions).map(|entry| (entry.new, &entry.name));
    zones_of(old.chain(new))
}

pub(crate) fn zones_of<'a>(ranges: impl Iterator<Item = ((u64, u64), &'a String)>) -> Vec<Zone> {
    let zone = |((start, len), name): ((u64, u64), &String)| Zone { range: start..start + len, name: name.clone() };
    ranges.filter(|((_, len), _)| *len > 0).map(zone).collect()
}
