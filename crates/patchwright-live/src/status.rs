//! What patches a process has, without stopping it.

use patchwright_formats::PatchId;
use patchwright_formats::hot::registry::State;

use crate::error::LiveError;
use crate::record::find;
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
    /// New code: name, address, and length in bytes.
    pub code: Vec<(String, u64, u64)>,
}

/// Lists the patches of a process.
///
/// # Errors
/// Its memory cannot be read, or a registry is damaged.
pub fn status(target: &mut dyn Target) -> Result<Vec<LivePatch>, LiveError> {
    let mappings = target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))?;
    let target: &dyn Target = target;
    let found = find(target, &mappings)?;
    let patch = |found: crate::record::Found| LivePatch {
        gone: found.is_gone(target),
        patch: found.registry.patch,
        state: found.registry.state,
        old_build: found.registry.old_build,
        new_build: found.registry.new_build,
        since: found.registry.since,
        memory_bytes: found.registry.body.0 + found.registry.body.1,
        code: {
            let new = found.registry.functions.iter().filter(|entry| entry.new.1 > 0);
            new.map(|entry| (entry.name.clone(), entry.new.0, entry.new.1)).collect()
        },
        functions: {
            let replaced = found.registry.functions.into_iter().filter(|entry| entry.redirect.is_some());
            replaced.map(|entry| entry.name).collect()
        },
    };
    Ok(found.into_iter().map(patch).collect())
}
