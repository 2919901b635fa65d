//! The rift table: where the parts of the old image are in the new one.

/// From `old` on, up to the next entry, everything has moved by `new - old`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiftEntry {
    /// Relative virtual address in the old image.
    pub old: u32,
    /// The same place in the new image.
    pub new: u32,
}

/// A map from addresses of the old image to addresses of the new one; identity before its first entry.
///
/// A table with entries also says that the old image is to be transformed at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rift {
    entries: Vec<RiftEntry>,
}

impl Rift {
    /// Appends an entry. Entries come in the order of their old addresses.
    ///
    /// # Panics
    /// If the last entry is behind `old`.
    pub fn push(&mut self, old: u32, new: u32) {
        assert!(self.entries.last().is_none_or(|last| last.old <= old), "entries come in order");
        self.entries.push(RiftEntry { old, new });
    }

    /// The entries, by old address.
    pub fn entries(&self) -> &[RiftEntry] {
        &self.entries
    }

    /// Whether there are no entries, and so no transforms.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where `rva` of the old image is in the new image. Of entries with the same old address the last one counts.
    pub fn map(&self, rva: u32) -> u32 {
        match self.entries.partition_point(|entry| entry.old <= rva) {
            0 => rva,
            after => {
                let entry = self.entries[after - 1];
                rva.wrapping_add(entry.new.wrapping_sub(entry.old))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_moves_with_the_entry_before_it() {
        let mut rift = Rift::default();
        assert_eq!(rift.map(7), 7);
        for (old, new) in [(0x1000, 0x1000), (0x1100, 0x1180), (0x2000, 0x1F00)] {
            rift.push(old, new);
        }
        for (rva, expect) in
            [(0, 0), (0xFFF, 0xFFF), (0x10FF, 0x10FF), (0x1100, 0x1180), (0x1FFF, 0x207F), (0x2001, 0x1F01)]
        {
            assert_eq!(rift.map(rva), expect, "{rva:#x}");
        }
        assert_eq!(rift.map(u32::MAX), 0xFFFF_FEFF);
    }
}
