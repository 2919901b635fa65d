//! The tree of resources: its times, and its offsets, which count from the start of the directory.

use super::Work;
use crate::pa19::pe32::{directory, u16_at};

/// The two sets of bounds that creators have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    First,
    Second,
}

/// Set in an entry that leads to a directory, and in a name that is text.
const HIGH_BIT: u32 = 0x8000_0000;

/// Deeper trees are loops; a sound one has three levels.
const MAX_DEPTH: usize = 64;

struct Tree {
    version: Version,
    time: u32,
    old_rva: u32,
    new_rva: u32,
    start: usize,
    end: usize,
    /// Grows with everything visited; a sound tree is done before it exceeds the size of the directory.
    seen: usize,
}

/// The tree does not keep within its bounds, and the walk ends.
struct Damaged;

pub(super) fn transform(work: &mut Work<'_>, time: u32, version: Version) {
    let Some(mapped) = work.directory(directory::RESOURCE) else { return };
    if mapped.end - mapped.start < 16 {
        return;
    }
    let mut tree = Tree {
        version,
        time,
        old_rva: mapped.rva,
        new_rva: work.rift.map(mapped.rva),
        start: mapped.start,
        end: mapped.end,
        seen: 0,
    };
    // What was changed up to the damage stays.
    let _ = tree.directory(work, mapped.start, 0);
}

impl Tree {
    fn size(&self) -> usize {
        self.end - self.start
    }

    fn count(&mut self, len: usize) -> Result<(), Damaged> {
        self.seen = self.seen.saturating_add(len);
        if self.seen > self.size() { Err(Damaged) } else { Ok(()) }
    }

    fn directory(&mut self, work: &mut Work<'_>, at: usize, depth: usize) -> Result<(), Damaged> {
        let fits = match self.version {
            Version::First => at + 16 < self.end,
            Version::Second => at >= self.start && at + 16 <= self.end,
        };
        if !fits || depth > MAX_DEPTH {
            return Err(Damaged);
        }
        self.count(16)?;
        work.put_u32(at + 4, self.time);
        let count = |at| usize::from(u16_at(work.image, at).unwrap_or(0));
        for i in 0..count(at + 12) + count(at + 14) {
            let entry = at + 16 + 8 * i;
            let ends = match self.version {
                Version::First => entry + 8 >= self.end,
                Version::Second => entry + 8 > self.end,
            };
            if ends {
                break;
            }
            self.entry(work, entry, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, work: &mut Work<'_>, entry: usize, depth: usize) -> Result<(), Damaged> {
        if self.version == Version::Second {
            self.count(8)?;
        }
        let field = |work: &Work<'_>, at: usize| work.u32_at(at).ok_or(Damaged);
        let target = field(work, entry + 4)?;
        let offset = (target & !HIGH_BIT) as usize;
        if target & HIGH_BIT != 0 {
            if self.version == Version::Second && offset + 16 > self.size() {
                return Err(Damaged);
            }
            self.directory(work, self.start + offset, depth + 1)?;
        } else {
            self.data(work, self.start + offset)?;
        }
        work.put_u32(entry + 4, self.moved(work, target));
        let name = field(work, entry)?;
        if name & HIGH_BIT != 0 {
            work.put_u32(entry, self.moved(work, name));
        }
        if self.version == Version::First {
            self.count(8)?;
        }
        Ok(())
    }

    fn data(&mut self, work: &mut Work<'_>, at: usize) -> Result<(), Damaged> {
        match self.version {
            Version::First => {
                if at <= self.start || at + 16 >= self.end {
                    return Err(Damaged);
                }
                let size = work.u32_at(at + 4).ok_or(Damaged)?;
                self.count(size as usize)?;
            }
            Version::Second => {
                if at + 16 > self.end {
                    return Err(Damaged);
                }
            }
        }
        work.map_at(at);
        Ok(())
    }

    /// An offset in the tree, with its high bit, after the move.
    fn moved(&self, work: &Work<'_>, offset: u32) -> u32 {
        let rva = (offset & !HIGH_BIT).wrapping_add(self.old_rva);
        let moved = work.rift.map(rva).wrapping_sub(self.new_rva);
        (moved & !HIGH_BIT) | (offset & HIGH_BIT)
    }
}
