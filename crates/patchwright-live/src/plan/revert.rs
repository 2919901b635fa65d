//! Taking a patch back, and what a call that died left.

use patchwright_formats::PatchId;
use patchwright_formats::hot::registry::{Registry, State};

use crate::error::LiveError;
use crate::record::{Found, find};
use crate::target::Target;

use super::apply::{bytes_at, is_half_done, put, write_and_look, zones_of};
use super::attempt::at_a_quiet_moment;
use super::{Applied, Limits, Outcome};

/// Takes a patch back: the process runs its old code again.
///
/// The memory of the patch stays, since the program may have kept an address in it; it is used again when the
/// patch is applied again.
///
/// # Errors
/// The process then runs on as it was; see [`LiveError`].
pub fn revert(target: &mut dyn Target, patch: PatchId, limits: &Limits) -> Result<Applied, LiveError> {
    let mappings = target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))?;
    let records = find(target, &mappings)?;
    let mut result = Applied::nothing(Outcome::NotApplied);
    for mut record in records {
        if record.is_gone(target) {
            continue;
        }
        if is_half_done(&record) {
            repair(target, &mut record, limits)?;
            result.repaired = true;
        }
        if record.registry.patch != patch || record.registry.state != State::Active {
            continue;
        }
        let zones = zones_of(record.registry.functions.iter().map(|entry| (entry.new, &entry.name)));
        let stopped = at_a_quiet_moment(target, limits, &zones, |target| take_back(target, &mut record))?;
        result.outcome = Outcome::Reverted;
        result.functions += record.registry.functions.iter().filter(|entry| entry.redirect.is_some()).count();
        result.pause = result.pause.max(stopped.pause);
        result.attempts += stopped.attempts;
        result.threads = stopped.threads;
    }
    Ok(result)
}

fn take_back(target: &mut dyn Target, record: &mut Found) -> Result<(), LiveError> {
    let done = record
        .set(target, State::Reverting)
        .and_then(|()| give_back(target, &record.registry))
        .and_then(|()| record.set(target, State::Idle));
    if done.is_err() {
        // As it was: every redirect stands.
        put(target, &record.registry)?;
        record.set(target, State::Active)?;
    }
    done
}

/// Takes back what a call that died had begun. Some redirects may stand and others not, so that threads may be in both
/// the old and the new code.
pub(super) fn repair(target: &mut dyn Target, record: &mut Found, limits: &Limits) -> Result<(), LiveError> {
    let new = record.registry.functions.iter().map(|entry| (entry.new, &entry.name));
    let zones = zones_of(new);
    at_a_quiet_moment(target, limits, &zones, |target| take_back(target, record)).map(|_| ())
}

/// Puts back what redirects replaced, where they stand; a place that holds neither is not ours any more.
pub(super) fn give_back(target: &mut dyn Target, registry: &Registry) -> Result<(), LiveError> {
    for redirect in registry.functions.iter().filter_map(|entry| entry.redirect.as_ref()) {
        if bytes_at(target, redirect)? == redirect.after {
            write_and_look(target, redirect.address, &redirect.before)?;
        }
    }
    Ok(())
}
