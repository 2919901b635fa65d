//! Votes for how far addresses have moved, and the table that contradicts the fewest.

use std::collections::{BTreeMap, HashMap};

use crate::pa19::rift::Rift;

/// How much speaks for every pair of an old address and the distance that it has moved.
#[derive(Debug, Default)]
pub(super) struct Votes(BTreeMap<(u32, u32), u32>);

/// From `old` on everything has moved by `shift`; before that `before` holds.
struct Step {
    old: u32,
    shift: u32,
    before: usize,
}

/// The least that can be contradicted if the last votes were followed with one distance.
#[derive(Clone, Copy)]
struct Way {
    cost: i64,
    step: usize,
}

impl Votes {
    /// `old` is where `new` is in the new image.
    pub(super) fn add(&mut self, old: u32, new: u32, weight: u32) {
        *self.0.entry((old, new.wrapping_sub(old))).or_default() += weight;
    }

    /// The table that is cheapest when every entry costs `entry_cost` and every vote not followed its weight.
    ///
    /// Costs count from the votes that nobody follows: following one is a gain. So only the ways that a vote speaks for
    /// change, and the cheapest of all is known at every step.
    pub(super) fn table(&self, entry_cost: u32) -> Rift {
        let entry_cost = i64::from(entry_cost);
        let mut steps = vec![Step { old: 0, shift: 0, before: 0 }];
        let mut cheapest = Way { cost: 0, step: 0 };
        // Only ever looked up, so that its order does not matter.
        let mut ways: HashMap<u32, Way> = HashMap::from([(0, cheapest)]);
        let votes: Vec<(u32, u32, u32)> = self.0.iter().map(|((old, shift), weight)| (*old, *shift, *weight)).collect();
        for group in votes.chunk_by(|a, b| a.0 == b.0) {
            let before = cheapest;
            for (old, shift, weight) in group {
                let turned = before.cost + entry_cost;
                let mut way = match ways.get(shift) {
                    Some(way) if way.cost <= turned => *way,
                    _ => {
                        steps.push(Step { old: *old, shift: *shift, before: before.step });
                        Way { cost: turned, step: steps.len() - 1 }
                    }
                };
                way.cost -= i64::from(*weight);
                ways.insert(*shift, way);
                if way.cost < cheapest.cost {
                    cheapest = way;
                }
            }
        }
        unwind(&steps, cheapest.step)
    }
}

fn unwind(steps: &[Step], last: usize) -> Rift {
    let mut taken = vec![last];
    while let Some(step) = taken.last().copied().filter(|step| *step != 0) {
        taken.push(steps[step].before);
    }
    let mut rift = Rift::default();
    let mut shift = None;
    for step in taken.iter().rev().map(|step| &steps[*step]) {
        if shift != Some(step.shift) {
            rift.push(step.old, step.old.wrapping_add(step.shift));
            shift = Some(step.shift);
        }
    }
    rift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_must_be_worth_its_cost() {
        let mut votes = Votes::default();
        for rva in (0x1000..0x1100).step_by(4) {
            votes.add(rva, rva, 4);
            votes.add(rva + 0x1000, rva + 0x1010, 4);
        }
        votes.add(0x1050, 0x4444, 3);
        let table = votes.table(10);
        let entries: Vec<(u32, u32)> = table.entries().iter().map(|entry| (entry.old, entry.new)).collect();
        assert_eq!(entries, [(0, 0), (0x2000, 0x2010)]);
        assert_eq!(votes.table(100_000).entries().len(), 1);
        assert_eq!(Votes::default().table(1).entries().len(), 1, "a table of its own says that there are transforms");
    }
}
