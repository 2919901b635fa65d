//! The registry that an earlier call left in a process: found by its first bytes, read, its state changed.

use patchwright_formats::hot::PAGE;
use patchwright_formats::hot::registry::{HEAD_BYTES, MAX_BYTES, Registry, STATE_AT, State};

use crate::error::{LiveError, LiveErrorKind};
use crate::target::{Mapping, Target};

/// A registry and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) address: u64,
    pub(crate) registry: Registry,
}

/// Finds the registries of a process, by address.
pub(crate) fn find(target: &dyn Target, mappings: &[Mapping]) -> Result<Vec<Found>, LiveError> {
    let mut found = Vec::new();
    // The kernel joins neighbours of the same protection, so that a registry may stand inside a mapping.
    let ours = |mapping: &&Mapping| {
        let Mapping { protection, private, file, name, .. } = mapping;
        *private && *file == (0, 0) && name.is_empty() && protection.read && !protection.write && !protection.execute
    };
    for mapping in mappings.iter().filter(ours).filter(|mapping| mapping.end - mapping.start <= 4 * MAX_BYTES) {
        let mut address = mapping.start;
        while address < mapping.end {
            let mut head = [0; HEAD_BYTES];
            if target.read_exact(address, &mut head).is_ok()
                && let Some(len) = Registry::len_bytes(&head).map_err(|error| damaged(address, &error))?
            {
                let mut bytes = vec![0; usize::try_from(len.min(mapping.end - address)).unwrap_or(0)];
                target.read_exact(address, &mut bytes).map_err(|error| LiveError::io("read a registry", &error))?;
                let registry = Registry::decode(&bytes).map_err(|error| damaged(address, &error))?;
                address += len;
                found.push(Found { address: address - len, registry });
            }
            address = (address + 1).next_multiple_of(PAGE);
        }
    }
    Ok(found)
}

fn damaged(address: u64, error: &dyn std::fmt::Display) -> LiveError {
    LiveError::new(LiveErrorKind::Unsupported, format!("the registry at {address:#x} of the process: {error}"))
        .hint("another version of patchwright made it, or the program wrote over it; restart the process")
}

impl Found {
    /// How far the patch is now.
    pub(crate) fn state(&self, target: &dyn Target) -> Option<State> {
        let mut word = [0; 8];
        target.read_exact(self.address + STATE_AT, &mut word).ok()?;
        State::ALL.into_iter().find(|state| state.word() == u64::from_le_bytes(word))
    }
}
