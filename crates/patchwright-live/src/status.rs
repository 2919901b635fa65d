//! What patches a process has, without stopping it.

use patchwright_formats::PatchId;
use patchwright_formats::hot::registry::{Entry, State};

use crate::error::LiveError;
use crate::module::modules_in;
use crate::plan::{Pinned, pinned, zones_of};
use crate::record::find;
use crate::source;
use crate::stack::{Stacks, word_in};
use crate::target::Target;

/// A patch of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePatch {
    /// Its identity.
    pub patch: PatchId,
    /// How far it is.
    pub state: State,
    /// It is said to be active, but what was patched is not there any more: a library that was closed.
    pub gone: bool,
    /// The build that it starts from.
    pub old_build: Vec<u8>,
    /// The build that it leads to.
    pub new_build: Vec<u8>,
    /// When it was applied, in seconds since 1970.
    pub since: u64,
    /// Memory that it takes.
    pub memory_bytes: u64,
    /// Names of the functions that it replaces.
    pub functions: Vec<String>,
    /// Threads that wait in its code, if it is active, or in what it replaces, if it is not: who would have to leave.
    pub pinned: Vec<Pinned>,
    /// New code: name, address, and length in bytes.
    pub code: Vec<(String, u64, u64)>,
}

/// Lists the patches of a process, without stopping it. Threads that run are not looked at.
///
/// # Errors
/// Its memory cannot be read, or a registry is damaged.
pub fn status(target: &mut dyn Target) -> Result<Vec<LivePatch>, LiveError> {
    let mappings = target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))?;
    let found = find(target, &mappings)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let modules = modules_in(target, &mappings);
    let mut stacks = Stacks::new(target, &modules);
    let threads = target.waiting().unwrap_or_default();
    let mut patches = Vec::with_capacity(found.len());
    for found in found {
        let gone = found.is_gone(target);
        let registry = found.registry;
        let in_use = |entry: &Entry| if registry.state == State::Active { entry.new } else { entry.old };
        let zones = zones_of(registry.functions.iter().map(|entry| (in_use(entry), &entry.name)));
        let (mut hits, unreliable, _) = stacks.hits(target, &threads, &mappings, &zones);
        let words = |index: &usize| Some((*index, word_in(target, &threads[*index], &mappings, &zones)?));
        hits.extend(unreliable.iter().filter_map(words));
        let pinned = hits.iter().map(|(index, hit)| {
            let mut pinned = pinned(target, &threads[*index], hit, &zones);
            pinned.source = source::place(target, &modules, pinned.address);
            pinned
        });
        let pinned = pinned.collect();
        let new = registry.functions.iter().filter(|entry| entry.new.1 > 0);
        let code = new.map(|entry| (entry.name.clone(), entry.new.0, entry.new.1)).collect();
        let replaced = registry.functions.into_iter().filter(|entry| entry.redirect.is_some());
        patches.push(LivePatch {
            gone,
            code,
            patch: registry.patch,
            state: registry.state,
            old_build: registry.old_build,
            new_build: registry.new_build,
            since: registry.since,
            memory_bytes: registry.body.0 + registry.body.1,
            functions: replaced.map(|entry| entry.name).collect(),
            pinned,
        });
    }
    Ok(patches)
}
