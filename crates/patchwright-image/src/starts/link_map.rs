//! Functions that the map of the link tells of, where the image itself does not: a PE image has no symbol table, and its
//! exception directory leaves out leaf functions.

use std::collections::BTreeMap;

use super::{Function, Source, origin};
use crate::image::{Address, Image};

impl Image<'_> {
    /// Adds the functions of a map. Those outside of code are passed over.
    pub fn add_starts(&mut self, starts: impl IntoIterator<Item = (Address, String)>) {
        let known: BTreeMap<u64, usize> =
            self.functions.iter().enumerate().map(|(index, function)| (function.address.0, index)).collect();
        let mut added: BTreeMap<u64, Function> = BTreeMap::new();
        for (address, name) in starts {
            if self.section_of(address.0).is_none() {
                continue;
            }
            let function = match known.get(&address.0).and_then(|index| self.functions.get_mut(*index)) {
                Some(function) => function,
                None => added.entry(address.0).or_insert_with(|| Function::at(address.0)),
            };
            function.names.push(name);
            function.names.sort_unstable();
            function.names.dedup();
            function.origin = origin::of_function(function, None).or(function.origin);
            if !function.sources.contains(&Source::LinkMap) {
                function.sources.push(Source::LinkMap);
            }
        }
        self.functions.extend(added.into_values());
        self.functions.sort_by_key(|function| function.address);
        let number = self.functions.iter().filter(|function| function.sources.contains(&Source::LinkMap)).count();
        self.sources.retain(|(source, _)| *source != Source::LinkMap);
        if number > 0 {
            self.sources.push((Source::LinkMap, number));
        }
    }

    /// What relative addresses of a PE image count from.
    pub fn base(&self) -> u64 {
        self.base
    }
}
