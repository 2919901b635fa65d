//! Where the redirect of a function goes, if it can have one.

use patchwright_formats::hot::{Form, Site};

use crate::audit::Sweep;
use crate::image::{Address, Image};

const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// `jmp rel32`.
const JUMP: u64 = 5;

/// The old program, read for what branches where.
pub(super) struct Sites<'image, 'data> {
    image: &'image Image<'data>,
    sweep: Sweep,
    /// Addresses in code that data point to, sorted.
    pointers: Vec<u64>,
}

impl<'image, 'data> Sites<'image, 'data> {
    pub(super) fn new(image: &'image Image<'data>, mut pointers: Vec<u64>) -> Self {
        pointers.sort_unstable();
        Self { image, sweep: Sweep::of(image), pointers }
    }

    /// The site of the function at `entry`, which ends at `end`; or why there is none.
    pub(super) fn find(&self, entry: u64, end: u64) -> Result<Site, String> {
        let functions = self.image.functions();
        let Ok(index) = functions.binary_search_by_key(&entry, |function| function.address.0) else {
            return Err("its entry is not known to be one".to_owned());
        };
        let code = |from: u64, to: u64| self.image.bytes(Address(from), Address(to));
        let after_pad = if code(entry, entry + 4) == ENDBR { entry + 4 } else { entry };
        // Filler behind the function is free: the next one begins after it.
        let next = functions.get(index + 1).map_or(u64::MAX, |next| next.address.0);
        let room = self.filler_end(end, next) - after_pad.min(end);
        if room >= JUMP {
            return self.site(after_pad, Form::Entry, entry);
        }
        let pad = self.sweep.pads.get(index).copied().unwrap_or(0) as u64;
        if after_pad == entry && pad >= JUMP && end - entry >= 2 {
            return self.site(entry - JUMP, Form::Pad, entry);
        }
        Err(format!(
            "it is {} bytes long, with {} before the next function and {pad} of filler before it: no room for a jump \
             (compile with -fpatchable-function-entry=5, or -falign-functions=16)",
            end - entry,
            next.saturating_sub(end).min(4096)
        ))
    }

    /// Where filler that begins at `from` ends.
    fn filler_end(&self, from: u64, next: u64) -> u64 {
        let limit = next.min(from.saturating_add(JUMP + 11));
        let mut at = from;
        while at < limit {
            let bytes = self.image.bytes(Address(at), Address(limit));
            match crate::code::decode(self.image.machine(), bytes, at) {
                Some(instr) if matches!(instr.what, crate::code::What::Filler { .. }) => at += instr.len as u64,
                _ => break,
            }
        }
        at
    }

    fn site(&self, address: u64, form: Form, entry: u64) -> Result<Site, String> {
        let len = form.len_bytes() as u64;
        let expected = self.image.bytes(Address(address), Address(address + len)).to_vec();
        if expected.len() as u64 != len {
            return Err("its section ends too soon".to_owned());
        }
        // To the entry one may branch; that is what is redirected.
        let inside = |to: u64| to > address && to < address + len && to != entry;
        let branch = |from: usize| {
            self.sweep.branches.get(from..).unwrap_or_default().iter().take_while(|b| b.to < address + len)
        };
        let first = self.sweep.branches.partition_point(|branch| branch.to < address);
        if let Some(found) = branch(first).find(|branch| inside(branch.to)) {
            return Err(format!("the code at {:#x} branches into its first bytes (to {:#x})", found.from, found.to));
        }
        let first = self.pointers.partition_point(|to| *to < address);
        let pointed = self.pointers.get(first..).unwrap_or_default().iter().take_while(|to| **to < address + len);
        if let Some(to) = pointed.copied().find(|to| inside(*to)) {
            return Err(format!("data point into its first bytes (to {to:#x})"));
        }
        Ok(Site { address, form, expected })
    }
}
