//! The functions of the closed set as the hot part names them, each with its redirect.

use patchwright_formats::hot::{HotFunction, HotPart, OldCode};

use super::Builder;
use crate::hot::site::Sites;
use crate::hot::{Case, HotObjection};

impl Builder<'_, '_, '_> {
    pub(super) fn list_functions(&mut self, part: &mut HotPart, sites: &Sites<'_, '_>, parts: &[(usize, String)]) {
        let (old, new) = (&self.comparison.old.program, &self.comparison.new.program);
        let mut listed = Vec::new();
        let mut objections = Vec::new();
        let old_code = |index: usize| {
            let func = &old.functions[index];
            let hash = *blake3::hash(old.bytes(func.address, func.size)).as_bytes();
            OldCode { address: func.address, size: func.size, hash }
        };
        for (index, included) in &self.included {
            let func = &new.functions[*index];
            let name = func.names.first().cloned().unwrap_or_default();
            let at = self.functions_at.get(index).copied().unwrap_or_default();
            let placed = Some((at, func.size));
            if included.olds.is_empty() {
                let why = included.why.clone();
                listed.push(HotFunction { name, why, old: None, new: placed, site: None });
                continue;
            }
            for old_index in &included.olds {
                let func = &old.functions[*old_index];
                let name = func.names.first().cloned().unwrap_or_default();
                // Where it jumps is not known, so neither whether that is into the first bytes.
                if let Some(why) = old.unresolved.get(old_index) {
                    let reason = format!("in the old build {why}: link with -Wl,--emit-relocs");
                    objections.push(HotObjection { subject: name.clone(), case: Case::Unreadable, reason });
                }
                // A cold part is entered by its owner alone, which is redirected.
                let site = if crate::hot::closed::owner_of(&name).is_some() {
                    None
                } else {
                    match sites.find(func.address, func.address + func.size) {
                        Ok(site) => Some(site),
                        Err(reason) => {
                            objections.push(HotObjection { subject: name.clone(), case: Case::Entry, reason });
                            None
                        }
                    }
                };
                let (why, old) = (included.why.clone(), Some(old_code(*old_index)));
                listed.push(HotFunction { name, why, old, new: placed, site });
            }
        }
        for (index, why) in parts {
            let name = old.functions[*index].names.first().cloned().unwrap_or_default();
            listed.push(HotFunction { name, why: why.clone(), old: Some(old_code(*index)), new: None, site: None });
        }
        listed.sort_by_key(|function| (function.old.as_ref().map_or(u64::MAX, |old| old.address), function.new));
        self.objections.extend(objections);
        part.functions = listed;
    }
}
