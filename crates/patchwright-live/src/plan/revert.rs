//! Taking a patch back, and what a call that died left.

use std::slice;

use patchwright_formats::PatchId;
use patchwright_formats::hot::registry::State;

use crate::error::LiveError;
use crate::record::{Found, find};
use crate::target::Target;

use super::apply::{finished, is_half_done, zones_of};
use super::switch::{Work, module_of};
use super::{Applied, Limits, Outcome};

/// Takes a patch back: the process runs its old code again.
///
/// The memory of the patch stays, since the program may have kept an address in it; it is used again when the
/// patch is applied again.
///
/// # Errors
/// The process then runs on as it was; see [`LiveError`].
pub fn revert(target: &mut dyn Target, patch: PatchId, limits: &Limits) -> Result<Applied, LiveError> {
    let (mappings, repaired) = finished(target, limits)?;
    let records = find(target, &mappings)?;
    let mut result = Applied { repaired, ..Applied::nothing(Outcome::NotApplied) };
    for mut record in records {
        if is_half_done(&record) {
            repair(target, &mut record, limits)?;
            result.repaired = true;
        }
        if record.registry.patch != patch || record.registry.state != State::Active {
            continue;
        }
        let zones = zones_of(record.registry.functions.iter().map(|entry| (entry.new, &entry.name)));
        let module = module_of(target, &record.registry)?;
        let work = Work::new(None, slice::from_ref(&record)).without_lost_places(target);
        let stopped = work.run(target, module.as_ref(), &zones, limits)?;
        result.outcome = Outcome::Reverted;
        result.functions += record.registry.functions.iter().filter(|entry| entry.redirect.is_some()).count();
        result.pause = result.pause.max(stopped.pause);
        result.attempts += stopped.attempts;
        result.threads = stopped.threads;
    }
    Ok(result)
}

/// Takes back what a call that died had begun without a journal. Some redirects may stand and others not, so that
/// threads may be in both the old and the new code.
pub(super) fn repair(target: &mut dyn Target, record: &mut Found, limits: &Limits) -> Result<(), LiveError> {
    let zones = zones_of(record.registry.functions.iter().map(|entry| (entry.new, &entry.name)));
    Work::new(None, slice::from_ref(record)).without_lost_places(target).run(target, None, &zones, limits)?;
    record.registry.state = State::Idle;
    Ok(())
}
