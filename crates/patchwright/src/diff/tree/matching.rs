//! Which old file each new file is made from.
//!
//! In this order: files with retained bytes lead to the file at their path, or wherever they seem to have moved; a
//! new file that equals an old one is that file; one that has an old file at its path is made from it; the others are
//! made from the old file that is most like them, if any is, files that are gone before files that stay.
//!
//! Files are compared by sketches, which an index finds by what they share: the work grows with the number of files,
//! not with its square.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use patchwright_formats::manifest::Hash;
use patchwright_formats::{Regions, TreePath};
use rayon::prelude::*;

use crate::error::{Error, Result};

use super::super::file::agree_outside;
use super::sketch::{Sketch, Sketches, WINDOW};
use super::{New, Old, find};

/// Least likeness, in thousandths, of a file and the one that it is made from.
const THRESHOLD: usize = 250;
/// What the same name adds to the likeness.
const NAME_BONUS: usize = 150;
/// How much less alike than the best a file may be and be taken because nobody else has it.
const MARGIN: usize = 150;
/// How many files are considered for each thing that they have in common.
const MOST_CANDIDATES: usize = 64;
/// How many files of equal content are weighed against one another.
const MOST_EQUALS: usize = 256;
/// A file is not made from one that is so many times as long or as short.
const SIZE_RATIO: u64 = 8;

/// For each new file the index of the old entry that it is made from.
pub(super) fn partners(old: &Old, new: &New, sketches: &Sketches) -> Result<Vec<Option<usize>>> {
    let mut matching = Matching::new(old, new);
    matching.keep_retained();
    matching.move_retained(sketches)?;
    matching.match_equals();
    matching.match_paths();
    matching.match_similar(sketches)?;
    Ok(matching.partners)
}

struct Matching<'a> {
    old: &'a Old,
    new: &'a New,
    new_paths: Vec<&'a TreePath>,
    /// Length and hash of each new file.
    new_keys: Vec<(u64, Hash)>,
    /// For each new file the old file at its path.
    at_path: Vec<Option<usize>>,
    partners: Vec<Option<usize>>,
    /// For each old entry whether a new file is made from it.
    used: Vec<bool>,
    /// For each old entry whether the new version has no file at its path.
    gone: Vec<bool>,
}

/// A new file and an old one that it could be made from.
#[derive(Clone, Copy)]
struct Pair {
    likeness: usize,
    names: usize,
    number: usize,
    entry: usize,
}

impl<'a> Matching<'a> {
    fn new(old: &'a Old, new: &'a New) -> Self {
        let (new_paths, new_keys): (Vec<_>, Vec<_>) =
            new.files().map(|(path, file)| (path, (file.size, file.hash))).unzip();
        let mut gone = vec![true; old.entries.len()];
        let at_path: Vec<_> = new_paths
            .iter()
            .map(|path| find(&old.entries, |entry| &entry.path, path).filter(|entry| old.file(*entry).is_some()))
            .collect();
        for entry in at_path.iter().flatten() {
            gone[*entry] = false;
        }
        let partners = vec![None; new_paths.len()];
        Self { old, new, new_paths, new_keys, at_path, partners, used: vec![false; old.entries.len()], gone }
    }

    fn pair(&mut self, number: usize, entry: usize) {
        self.partners[number] = Some(entry);
        self.used[entry] = true;
    }

    fn regions(&self, entry: usize) -> Option<&'a Regions> {
        self.old.file(entry).map(|(_, file)| &file.regions)
    }

    fn retains(&self, entry: usize) -> bool {
        self.regions(entry).is_some_and(|regions| !regions.retain.is_empty())
    }

    fn old_path(&self, entry: usize) -> &'a TreePath {
        &self.old.entries[entry].path
    }

    /// New files that nothing is known about: without partner and without an old file at their path.
    fn open_numbers(&self) -> Vec<usize> {
        let open = |number: &usize| self.partners[*number].is_none() && self.at_path[*number].is_none();
        (0..self.partners.len()).filter(open).collect()
    }

    fn keep_retained(&mut self) {
        for number in 0..self.partners.len() {
            if let Some(entry) = self.at_path[number].filter(|entry| self.retains(*entry)) {
                self.pair(number, entry);
            }
        }
    }

    /// Finds where files with retained bytes have moved. Nothing else may be made from them.
    fn move_retained(&mut self, sketches: &Sketches) -> Result<()> {
        let pool: Vec<usize> = self.old.files().map(|(entry, ..)| entry).filter(|entry| self.retains(*entry)).collect();
        let pool: Vec<usize> = pool.into_iter().filter(|entry| !self.used[*entry]).collect();
        if pool.is_empty() {
            return Ok(());
        }
        for entry in &pool {
            let mut numbers: Vec<usize> = self.open_numbers();
            numbers.sort_by_key(|number| Reverse(same_names(self.new_paths[*number], self.old_path(*entry))));
            for number in numbers {
                if self.agree(*entry, number)? {
                    self.pair(number, *entry);
                    break;
                }
            }
        }
        let pool: Vec<usize> = pool.into_iter().filter(|entry| !self.used[*entry]).collect();
        let pairs = self.similar(&self.open_numbers(), &pool, sketches)?;
        self.choose_once(&pairs);
        Ok(())
    }

    /// Whether an old file with ranges and a new one are the same outside them.
    fn agree(&self, entry: usize, number: usize) -> Result<bool> {
        let Some((path, file)) = self.old.file(entry) else { return Ok(false) };
        if file.size != self.new_keys[number].0 {
            return Ok(false);
        }
        let (old_blanks, new_blanks) = (file.regions.old_blanks(), file.regions.new_blanks());
        let blank: u64 = patchwright_formats::region::union(old_blanks.iter().chain(&new_blanks).copied())
            .iter()
            .map(|range| range.len)
            .sum();
        // Where hardly anything is left to compare, the name must say the rest.
        if blank * 2 > file.size && path.name() != self.new_paths[number].name() {
            return Ok(false);
        }
        let (old, new) = (self.old.view(entry)?, self.new.view(number)?);
        agree_outside(&old.bytes, &new_blanks, &new.bytes, &old_blanks)
            .map_err(|error| Error::io("read", &old.place, &error))
    }

    /// Files whose content some old file has already: the one at the same path, else one that is gone, else any.
    fn match_equals(&mut self) {
        let mut equals: HashMap<(u64, Hash), Vec<usize>> = HashMap::new();
        for (entry, _, file) in self.old.files().filter(|(.., file)| file.regions == Regions::default()) {
            equals.entry((file.size, file.hash)).or_default().push(entry);
        }
        for entries in equals.values_mut() {
            entries.sort_by_key(|entry| !self.gone[*entry]);
        }
        for number in 0..self.partners.len() {
            if self.partners[number].is_some() {
                continue;
            }
            let Some(entries) = equals.get(&self.new_keys[number]) else { continue };
            let at_path = self.at_path[number].filter(|entry| self.is_equal(*entry, number));
            let found = at_path.or_else(|| self.best_equal(entries, number));
            if let Some(entry) = found {
                self.pair(number, entry);
            }
        }
    }

    fn is_equal(&self, entry: usize, number: usize) -> bool {
        self.old.file(entry).is_some_and(|(_, file)| {
            (file.size, file.hash) == self.new_keys[number] && file.regions == Regions::default()
        })
    }

    fn best_equal(&self, entries: &[usize], number: usize) -> Option<usize> {
        let path = self.new_paths[number];
        let names = |entry: usize| same_names(path, self.old_path(entry));
        // All empty files are equal, which says nothing about where they come from.
        let is_empty = self.new_keys[number].0 == 0;
        let tells = |entry: &usize| !is_empty || (self.gone[*entry] && names(*entry) > 0);
        let candidates = entries.iter().copied().take(MOST_EQUALS).filter(tells);
        candidates.min_by_key(|entry| (!self.gone[*entry], Reverse(names(*entry)), self.used[*entry], *entry))
    }

    fn match_paths(&mut self) {
        for number in 0..self.partners.len() {
            if let (None, Some(entry)) = (self.partners[number], self.at_path[number]) {
                self.pair(number, entry);
            }
        }
    }

    /// A file that is gone was probably renamed, once; one that is still there was copied.
    fn match_similar(&mut self, sketches: &Sketches) -> Result<()> {
        let renamed = self.similar_by_size(true, sketches)?;
        self.choose_once(&renamed);
        self.choose_best(&renamed);
        let copied = self.similar_by_size(false, sketches)?;
        self.choose_best(&copied);
        Ok(())
    }

    /// Pairs every open new file with old ones of about its length that are gone, or are not.
    fn similar_by_size(&self, gone: bool, sketches: &Sketches) -> Result<Vec<Pair>> {
        let mut numbers = self.open_numbers();
        numbers.retain(|number| self.new_keys[*number].0 >= WINDOW as u64);
        let mut sizes: Vec<u64> = numbers.iter().map(|number| self.new_keys[*number].0).collect();
        sizes.sort_unstable();
        let files = self.old.files().filter(|(entry, _, file)| {
            self.gone[*entry] == gone && file.regions.retain.is_empty() && is_near(file.size, &sizes)
        });
        let pool: Vec<usize> = files.map(|(entry, ..)| entry).collect();
        self.similar(&numbers, &pool, sketches)
    }

    /// Pairs new files with the old files of the pool that are like them, the best first.
    fn similar(&self, numbers: &[usize], pool: &[usize], sketches: &Sketches) -> Result<Vec<Pair>> {
        if numbers.is_empty() || pool.is_empty() {
            return Ok(Vec::new());
        }
        let index = self.index(pool, sketches)?;
        let pairs = numbers.par_iter().map(|number| {
            let sketch = sketches.get(self.new_keys[*number], || self.new.view(*number))?;
            let path = self.new_paths[*number];
            let candidates = index.candidates(&sketch, path.name()).into_iter();
            let weighed = candidates.filter_map(|(entry, other)| self.weigh(*number, entry, sketch.similarity(other)));
            Ok(weighed.collect())
        });
        let mut pairs: Vec<Pair> = pairs.collect::<Result<Vec<Vec<Pair>>>>()?.into_iter().flatten().collect();
        pairs.sort_unstable_by_key(|pair| (Reverse(pair.likeness), Reverse(pair.names), pair.number, pair.entry));
        Ok(pairs)
    }

    fn index(&self, pool: &[usize], sketches: &Sketches) -> Result<Index<'a>> {
        let files = pool.par_iter().filter_map(|entry| self.old.file(*entry).map(|found| (*entry, found)));
        let sketched = files
            .map(|(entry, (_, file))| Ok((entry, sketches.get((file.size, file.hash), || self.old.view(entry))?)))
            .collect::<Result<Vec<_>>>()?;
        let mut index = Index { sketched, by_hash: HashMap::new(), by_name: HashMap::new() };
        for (place, (entry, sketch)) in index.sketched.iter().enumerate() {
            index.by_name.entry(self.old_path(*entry).name()).or_default().push(place);
            for hash in sketch.hashes() {
                index.by_hash.entry(*hash).or_default().push(place);
            }
        }
        Ok(index)
    }

    fn weigh(&self, number: usize, entry: usize, similarity: usize) -> Option<Pair> {
        let names = same_names(self.new_paths[number], self.old_path(entry));
        let likeness = similarity + if names > 0 { NAME_BONUS } else { 0 };
        (similarity > 0 && likeness >= THRESHOLD).then_some(Pair { likeness, names, number, entry })
    }

    /// Takes the best pairs first, and each old file once.
    fn choose_once(&mut self, pairs: &[Pair]) {
        for pair in pairs {
            if self.partners[pair.number].is_none() && !self.used[pair.entry] {
                self.pair(pair.number, pair.entry);
            }
        }
    }

    /// Gives every new file its best pair, unless it has one that is nearly as good.
    fn choose_best(&mut self, pairs: &[Pair]) {
        let mut best: BTreeMap<usize, Pair> = BTreeMap::new();
        let mut chosen: HashMap<usize, usize> = HashMap::new();
        for pair in pairs {
            best.entry(pair.number).or_insert(*pair);
            if self.partners[pair.number] == Some(pair.entry) {
                chosen.insert(pair.number, pair.likeness);
            }
        }
        for (number, pair) in best {
            if chosen.get(&number).is_none_or(|likeness| likeness + MARGIN < pair.likeness) {
                self.pair(number, pair.entry);
            }
        }
    }
}

/// Finds sketches by what they hold and files by name.
struct Index<'a> {
    sketched: Vec<(usize, Arc<Sketch>)>,
    by_hash: HashMap<u64, Vec<usize>>,
    by_name: HashMap<&'a str, Vec<usize>>,
}

impl Index<'_> {
    /// The files that share a hash or the name.
    fn candidates(&self, sketch: &Sketch, name: &str) -> Vec<(usize, &Sketch)> {
        let lists = sketch.hashes().iter().filter_map(|hash| self.by_hash.get(hash)).chain(self.by_name.get(name));
        let mut places: Vec<usize> = lists.flat_map(|list| list.iter().take(MOST_CANDIDATES)).copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| (self.sketched[place].0, &*self.sketched[place].1)).collect()
    }
}

/// How many names two paths share, counted from the end.
fn same_names(first: &TreePath, second: &TreePath) -> usize {
    let names = first.as_str().rsplit('/').zip(second.as_str().rsplit('/'));
    names.take_while(|(first, second)| first == second).count()
}

/// Whether some size of the list (sorted) is within [`SIZE_RATIO`] of `size`.
fn is_near(size: u64, sizes: &[u64]) -> bool {
    let at_least = sizes.partition_point(|other| *other < size / SIZE_RATIO);
    sizes.get(at_least).is_some_and(|other| *other <= size.saturating_mul(SIZE_RATIO))
}
