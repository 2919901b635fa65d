//! Whether a function or datum is the same in both programs: the same bytes, and references to the same things.
//!
//! Functions and variables are the same by identity, whatever is in them: who calls a changed function is not changed by
//! that. Constants are the same by content, down to what they refer to, since a copy serves as well.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::piece::{Field, Piece, Place, Reference, Use};
use super::program::{Datum, Program};
use super::twins::{Twins, without_numbers};

/// How alike two things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    /// The same but for line numbers.
    Lines,
    /// Different, and where.
    Different(String),
}

impl Likeness {
    fn and(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Different(_) => self,
            Self::Same => next(),
            Self::Lines => match next() {
                Self::Same => Self::Lines,
                other => other,
            },
        }
    }
}

/// A program with its functions read.
#[derive(Debug)]
pub(super) struct Side<'data> {
    pub(super) program: Program<'data>,
    pub(super) pieces: Vec<Piece>,
    /// By function, the address of its table of exception handlers.
    pub(super) handlers: BTreeMap<u64, u64>,
}

/// Both programs and who is who.
pub(super) struct Comparison<'a, 'data> {
    pub(super) old: &'a Side<'data>,
    pub(super) new: &'a Side<'data>,
    /// Old twins of new functions, data and thread variables.
    pub(super) functions: Twins,
    pub(super) data: Twins,
    pub(super) thread_data: Twins,
    /// What is known of pairs of constants: old and new address. What is being found out counts as the same.
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    pairs: BTreeMap<(u64, u64), Likeness>,
    /// In the order in which they were found, to forget those that relied on a wrong guess.
    order: Vec<(u64, u64)>,
}

/// Constants that refer to constants deeper than this count as different.
const DEEPEST: usize = 64;

impl<'a, 'data> Comparison<'a, 'data> {
    pub(super) fn new(
        old: &'a Side<'data>,
        new: &'a Side<'data>,
        functions: Twins,
        data: Twins,
        thread_data: Twins,
    ) -> Self {
        Self { old, new, functions, data, thread_data, known: RefCell::default() }
    }

    /// Compares two functions, with their tables of exception handlers.
    pub(super) fn functions(&self, old: usize, new: usize) -> Likeness {
        let (old_piece, new_piece) = (&self.old.pieces[old], &self.new.pieces[new]);
        let handlers = || {
            let of = |side: &Side<'_>, index: usize| side.handlers.get(&side.program.functions[index].address).copied();
            match (of(self.old, old), of(self.new, new)) {
                (None, None) => Likeness::Same,
                (Some(old), Some(new)) => match self.nameless(old, new, 0, 0) {
                    Likeness::Different(_) => Likeness::Different("its exception handlers differ".to_owned()),
                    alike => alike,
                },
                _ => Likeness::Different("it has exception handlers in one build only".to_owned()),
            }
        };
        self.pieces(old_piece, new_piece, 0).and(handlers)
    }

    /// Compares two pieces; data after the last byte that is not zero do not count.
    fn pieces(&self, old: &Piece, new: &Piece, depth: usize) -> Likeness {
        if old.bytes.len() != new.bytes.len() {
            let (old, new) = (old.bytes.len(), new.bytes.len());
            return Likeness::Different(format!("it is {new} bytes long instead of {old}"));
        }
        let mut alike = Likeness::Same;
        let in_line = |at: usize| {
            let inside = |line: &u64| (*line..line + 4).contains(&(at as u64));
            old.lines.iter().any(inside) && new.lines.iter().any(inside)
        };
        for (at, _) in old.bytes.iter().zip(&new.bytes).enumerate().filter(|(_, (old, new))| old != new) {
            if !in_line(at) {
                return Likeness::Different(format!("it differs at +{at:#x}"));
            }
            alike = Likeness::Lines;
        }
        if old.references.len() != new.references.len() {
            return Likeness::Different("it refers to more or fewer things".to_owned());
        }
        for (old, new) in old.references.iter().zip(&new.references) {
            if (old.at, old.field) != (new.at, new.field) {
                return Likeness::Different(format!("it differs at +{:#x}", new.at));
            }
            alike = alike.and(|| self.references(old, new, depth));
        }
        alike
    }

    fn references(&self, old: &Reference, new: &Reference, depth: usize) -> Likeness {
        let least = match new.used {
            Use::Access(bytes) => bytes,
            _ => 0,
        };
        if new.vague || old.vague {
            let other = self.places(&old.place, &new.place, least, depth);
            return other.and(|| self.ends(old, new));
        }
        self.places(&old.place, &new.place, least, depth).and(|| match (old.field, new.field) {
            // A distance that does not come from a relocation is compared by its value.
            (Field::Unknown(_), Field::Unknown(_)) if old.target != new.target => differs(self, old, new),
            _ => Likeness::Same,
        })
    }

    /// An address that may belong to what ends there must have the same neighbour on both sides.
    fn ends(&self, old: &Reference, new: &Reference) -> Likeness {
        let before = |program: &Program<'_>, address: u64| {
            let index = program.datum_before(address.checked_sub(1)?)?;
            let datum = &program.data[index];
            (datum.size > 0 && datum.address + datum.size == address).then_some(index)
        };
        let (Place::Datum(_, 0), Place::Datum(_, 0)) = (&old.place, &new.place) else { return Likeness::Same };
        match (before(&self.old.program, old.target), before(&self.new.program, new.target)) {
            (None, None) => Likeness::Same,
            (Some(old), Some(new)) if self.data[new] == Some(old) => Likeness::Same,
            // One side cannot mean an end: there is none. So both mean the start.
            (None, Some(_)) | (Some(_), None) => Likeness::Same,
            _ => Likeness::Different("what it points to cannot be told apart from what ends there".to_owned()),
        }
    }

    /// Whether two places are the same thing.
    pub(super) fn places(&self, old: &Place, new: &Place, least: u64, depth: usize) -> Likeness {
        let same = |is: bool| {
            if is {
                return Likeness::Same;
            }
            let (old, new) = (self.old.program.describe(old), self.new.program.describe(new));
            Likeness::Different(if old == new {
                format!("it refers to {new}, which differs")
            } else {
                format!("it refers to {new} instead of {old}")
            })
        };
        match (old, new) {
            (Place::Function(old, at), Place::Function(new, same_at)) => {
                same(self.functions[*new] == Some(*old) && at == same_at)
            }
            (Place::Datum(o, at), Place::Datum(n, same_at)) => {
                let twins = self.data[*n] == Some(*o);
                same((twins || self.are_numbered_constants(*o, *n)) && at == same_at).and(|| {
                    match self.data_content(*o, *n, depth) {
                        Likeness::Different(_) => same(false),
                        alike => alike,
                    }
                })
            }
            (Place::Nameless(o), Place::Nameless(n)) => match self.nameless(*o, *n, least, depth) {
                Likeness::Different(_) => same(false),
                alike => alike,
            },
            (Place::Stub(old), Place::Stub(new)) | (Place::Slot(old), Place::Slot(new)) => same(old == new),
            (Place::Symbol(old, at), Place::Symbol(new, same_at)) => same(old == new && at == same_at),
            (Place::SlotOf(old), Place::SlotOf(new)) => self.places(old, new, 0, depth),
            (Place::ThreadSlot(kind, import, datum), Place::ThreadSlot(new_kind, new_import, new_datum)) => {
                let twins = match (datum, new_datum) {
                    (None, None) => true,
                    (Some((old, at)), Some((new, same_at))) => self.thread_data[*new] == Some(*old) && at == same_at,
                    _ => false,
                };
                same(kind == new_kind && import == new_import && twins)
            }
            (Place::Thread { datum, offset, .. }, Place::Thread { datum: new, offset: new_offset, .. }) => {
                same(self.thread_data[*new] == Some(*datum) && offset == new_offset)
            }
            (Place::Code(_), Place::Code(_)) => same(false),
            (Place::Nowhere(old), Place::Nowhere(new)) => same(old == new),
            _ => same(false),
        }
    }

    /// Whether these are constants of a function, such as `__func__.3`, which are as good as their content.
    fn are_numbered_constants(&self, old: usize, new: usize) -> bool {
        let (o, n) = (&self.old.program.data[old], &self.new.program.data[new]);
        let base = |datum: &Datum| datum.names.first().and_then(|name| without_numbers(name));
        let constants = self.old.program.is_constant(o.address) && self.new.program.is_constant(n.address);
        constants && n.typed && base(o).is_some() && base(o) == base(n)
    }

    /// Whether stretches of data, from where to where, hold the same.
    pub(super) fn stretches(&self, old: (u64, u64), new: (u64, u64)) -> bool {
        let (old, new) = (self.old.program.data_piece(old.0, old.1), self.new.program.data_piece(new.0, new.1));
        self.pieces(&old, &new, 1) == Likeness::Same
    }

    /// Whether twins hold the same, if that matters: a variable is the same whatever it began with.
    pub(super) fn data_content(&self, old: usize, new: usize, depth: usize) -> Likeness {
        let (o, n) = (&self.old.program.data[old], &self.new.program.data[new]);
        let constant = self.old.program.is_constant(o.address) && self.new.program.is_constant(n.address);
        if !constant || !n.typed {
            return Likeness::Same;
        }
        self.initial_content(old, new, depth)
    }

    /// Whether twins begin with the same.
    pub(super) fn initial_content(&self, old: usize, new: usize, depth: usize) -> Likeness {
        let (old, new) = (&self.old.program.data[old], &self.new.program.data[new]);
        self.remember((old.address, new.address), depth, || {
            let old = self.old.program.data_piece(old.address, old.address + old.size);
            let new = self.new.program.data_piece(new.address, new.address + new.size);
            self.pieces(&old, &new, depth + 1)
        })
    }

    /// Whether constants without names hold the same.
    pub(super) fn constants(&self, old: u64, new: u64) -> Likeness {
        self.nameless(old, new, 0, 0)
    }

    /// Whether data without names hold the same, if they are constants.
    fn nameless(&self, old: u64, new: u64, least: u64, depth: usize) -> Likeness {
        let (o, n) = (&self.old.program, &self.new.program);
        if !o.is_constant(old) || !n.is_constant(new) {
            return self.beside_twins(old, new);
        }
        self.remember((old, new), depth, || {
            let mut a = o.data_piece(old, o.nameless_end(old, least));
            let mut b = n.data_piece(new, n.nameless_end(new, least));
            let len = trimmed(&a).max(trimmed(&b));
            // What lies between two constants is zero.
            a.bytes.resize(len, 0);
            b.bytes.resize(len, 0);
            mark_location(o, old, &mut a);
            mark_location(n, new, &mut b);
            self.pieces(&a, &b, depth + 1)
        })
    }

    /// Variables without names are the same if they lie as far behind twins.
    fn beside_twins(&self, old: u64, new: u64) -> Likeness {
        let before = |program: &Program<'_>, address: u64| {
            program.datum_before(address).map(|index| (index, address - program.data[index].address))
        };
        let same = match (before(&self.old.program, old), before(&self.new.program, new)) {
            (Some((old, at)), Some((new, same_at))) => self.data[new] == Some(old) && at == same_at,
            _ => false,
        };
        if same { Likeness::Same } else { Likeness::Different("it refers to a variable without a name".to_owned()) }
    }

    fn remember(&self, pair: (u64, u64), depth: usize, find: impl FnOnce() -> Likeness) -> Likeness {
        if depth > DEEPEST {
            return Likeness::Different("it refers to constants too deep to follow".to_owned());
        }
        if let Some(known) = self.known.borrow().pairs.get(&pair) {
            return known.clone();
        }
        let mark = {
            let mut known = self.known.borrow_mut();
            known.pairs.insert(pair, Likeness::Same);
            known.order.push(pair);
            known.order.len()
        };
        let found = find();
        let mut known = self.known.borrow_mut();
        if found != Likeness::Same {
            // Whoever took this pair for the same meanwhile has to look again.
            for relied in known.order.split_off(mark) {
                known.pairs.remove(&relied);
            }
        }
        known.pairs.insert(pair, found.clone());
        found
    }
}

fn differs(comparison: &Comparison<'_, '_>, old: &Reference, new: &Reference) -> Likeness {
    let (old, new) = (comparison.old.program.describe(&old.place), comparison.new.program.describe(&new.place));
    Likeness::Different(format!("it refers to {new} instead of {old}"))
}

/// Length up to the last byte that is not zero, or the last reference.
fn trimmed(piece: &Piece) -> usize {
    let bytes = piece.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let references = piece.references.last().map_or(0, |reference| usize::try_from(reference.at + 8).unwrap_or(0));
    bytes.max(references).max(1)
}

/// `core::panic::Location` is a text that names a source file, its length, a line and a column.
fn mark_location(program: &Program<'_>, address: u64, piece: &mut Piece) {
    let [reference] = piece.references.as_slice() else { return };
    // Zeros at the end are cut off already.
    if reference.at != 0 || !(21..=24).contains(&piece.bytes.len()) {
        return;
    }
    let len = program.word(address + 8);
    if len < 4096 && program.bytes(reference.target, len).ends_with(b".rs") && len > 3 {
        piece.lines = vec![16, 20];
    }
}

impl Program<'_> {
    /// A place in words.
    pub(super) fn describe(&self, place: &Place) -> String {
        let name = |names: &[String]| names.first().cloned().unwrap_or_default();
        match place {
            Place::Function(index, 0) => name(&self.functions[*index].names),
            Place::Function(index, at) => format!("{}+{at:#x}", name(&self.functions[*index].names)),
            Place::Datum(index, 0) => name(&self.data[*index].names),
            Place::Datum(index, at) => format!("{}{at:+}", name(&self.data[*index].names)),
            Place::Nameless(address) => {
                let text: Vec<u8> = self.bytes(*address, 24).iter().copied().take_while(|byte| *byte != 0).collect();
                match String::from_utf8(text) {
                    Ok(text) if text.len() > 1 && text.chars().all(|c| !c.is_control() || c == '\n') => {
                        format!("the text {:?}", text)
                    }
                    _ => format!("a constant at {address:#x}"),
                }
            }
            Place::Code(address) => format!("code at {address:#x}"),
            Place::Stub(import) | Place::Slot(import) | Place::Symbol(import, _) => import.name.clone(),
            Place::SlotOf(place) => self.describe(place),
            Place::ThreadSlot(_, Some(import), _) => import.name.clone(),
            Place::ThreadSlot(_, None, Some((datum, _))) | Place::Thread { datum, .. } => {
                name(&self.thread_data[*datum].names)
            }
            Place::ThreadSlot(_, None, None) => "the thread variables of the module".to_owned(),
            Place::Nowhere(address) => format!("address {address:#x}"),
        }
    }
}
