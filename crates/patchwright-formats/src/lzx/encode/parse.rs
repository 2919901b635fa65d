//! The cheapest way through what matches: for each position of a chunk, the cheapest way to get there.
//!
//! A way knows its last three distances, which depend on all of it. Of the ways to a position only one is kept, so the
//! result is not always the best; it is near.

use super::super::slots::{FORMATTED_BIAS, REPEATS, SLOT_BASE, slot_of};
use super::super::{LITERALS, MIN_MATCH};
use super::cost::Costs;
use super::{Data, Match, Piece, index, narrow};

/// A literal or a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// 1 for a literal.
    pub(super) len: u16,
    /// The slot of a match; the byte of a literal.
    pub(super) slot: u16,
    /// What follows the slot.
    pub(super) footer: u32,
}

impl Token {
    fn literal(byte: u8) -> Self {
        Self { len: 1, slot: u16::from(byte), footer: 0 }
    }

    /// A match, its distance formatted or the number of a repeat.
    fn copy(len: u16, formatted: u32) -> Self {
        let slot = slot_of(formatted);
        let footer = formatted - SLOT_BASE[index(slot)];
        Self { len, slot: u16::try_from(slot).expect("a few hundred slots"), footer }
    }

    pub(super) fn is_literal(self) -> bool {
        self.len == 1
    }

    pub(super) fn main_symbol(self) -> usize {
        if self.is_literal() {
            usize::from(self.slot)
        } else {
            LITERALS + 8 * usize::from(self.slot) + (usize::from(self.len) - MIN_MATCH).min(7)
        }
    }

    /// What the last distances are after this token.
    pub(super) fn repeats(self, before: [u32; REPEATS]) -> [u32; REPEATS] {
        if self.is_literal() {
            return before;
        }
        repeats_after(before, SLOT_BASE[usize::from(self.slot)] + self.footer)
    }
}

fn repeats_after(before: [u32; REPEATS], formatted: u32) -> [u32; REPEATS] {
    let [first, second, third] = before;
    match formatted {
        0 => before,
        1 => [second, first, third],
        2 => [third, second, first],
        _ => [formatted - FORMATTED_BIAS, first, second],
    }
}

/// The cheapest way found to a position.
#[derive(Clone, Copy)]
struct Arrival {
    cost: u32,
    /// The distance of the last match, formatted, or the number of a repeat.
    formatted: u32,
    /// The length of the last token: 1 for a literal.
    len: u16,
    repeats: [u32; REPEATS],
}

const NOWHERE: Arrival = Arrival { cost: u32::MAX, formatted: 0, len: 0, repeats: [1; REPEATS] };

pub(super) struct Parser {
    arrivals: Vec<Arrival>,
    /// From this length on, a match is taken as it is.
    nice: usize,
    /// The match that reaches farthest so far, and to where: nothing is looked for inside a long one.
    covering: Match,
    covered: usize,
}

impl Parser {
    pub(super) fn new(nice: usize) -> Self {
        Self { arrivals: Vec::new(), nice, covering: Match::default(), covered: 0 }
    }

    /// Parses a piece, given what symbols cost up to which positions, and the last distances before it.
    pub(super) fn parse(
        &mut self,
        data: &Data,
        piece: &Piece,
        costs: &[(usize, Costs)],
        mut repeats: [u32; REPEATS],
    ) -> Vec<Token> {
        let mut tokens = Vec::new();
        let end = piece.start + piece.len();
        let mut at = piece.start;
        while at < end {
            let chunk_end = data.chunk_end(at);
            repeats = self.chunk(data, piece, costs, at..chunk_end, repeats);
            self.collect(data, at, chunk_end, &mut tokens);
            at = chunk_end;
        }
        tokens
    }

    /// Finds the ways to all positions of a chunk; returns the last distances at its end.
    fn chunk(
        &mut self,
        data: &Data,
        piece: &Piece,
        mut costs: &[(usize, Costs)],
        range: std::ops::Range<usize>,
        repeats: [u32; REPEATS],
    ) -> [u32; REPEATS] {
        self.arrivals.clear();
        self.arrivals.resize(range.len() + 1, NOWHERE);
        self.arrivals[0] = Arrival { cost: 0, repeats, ..NOWHERE };
        let mut next = range.start;
        self.covering = Match::default();
        self.covered = range.start;
        for at in range.clone() {
            if let Some(longest) = piece.matches(at).last()
                && at + index(longest.len) > self.covered
            {
                (self.covering, self.covered) = (*longest, at + index(longest.len));
            }
            if at < next {
                continue;
            }
            while costs[0].0 <= at {
                costs = &costs[1..];
            }
            let skip = self.leave(data, piece, &costs[0].1, at, &range);
            next = at + skip;
        }
        self.arrive(range.len())
    }

    /// Completes the way to a place: returns its last distances.
    fn arrive(&mut self, place: usize) -> [u32; REPEATS] {
        let Arrival { len, formatted, repeats, .. } = self.arrivals[place];
        let repeats = match len {
            0 => repeats,
            1 => self.arrivals[place - 1].repeats,
            len => repeats_after(self.arrivals[place - usize::from(len)].repeats, formatted),
        };
        self.arrivals[place].repeats = repeats;
        repeats
    }

    /// Tries all ways on from a position; returns how far the next one is away that is worth leaving from.
    fn leave(&mut self, data: &Data, piece: &Piece, costs: &Costs, at: usize, range: &std::ops::Range<usize>) -> usize {
        let place = at - range.start;
        let room = range.end - at;
        let repeats = self.arrive(place);
        let cost = self.arrivals[place].cost;
        self.consider(place + 1, 1, 0, cost + costs.literal(data.bytes[at]));

        let mut skip = usize::MAX;
        for (number, distance) in (0u32..).zip(repeats) {
            let distance = index(distance);
            if distance > at || repeats[..index(number)].contains(&narrow(distance)) {
                continue;
            }
            let len = data.common(at, distance, 0, room);
            if len >= self.nice {
                skip = skip.min(len);
            }
            self.consider_lens(costs, place, cost, number, MIN_MATCH, len);
        }
        let mut least = MIN_MATCH;
        let mut matches = piece.matches(at);
        let implied = [Match { len: narrow(self.covered.saturating_sub(at)), ..self.covering }];
        if matches.is_empty() && index(implied[0].len) >= MIN_MATCH {
            matches = &implied;
        }
        for found in matches {
            let len = index(found.len);
            if len >= self.nice {
                skip = skip.min(len);
            }
            self.consider_lens(costs, place, cost, found.distance + FORMATTED_BIAS, least, len);
            least = len + 1;
        }
        if skip == usize::MAX { 1 } else { skip }
    }

    /// Tries a match with all lengths from `least` to `len`.
    #[inline]
    fn consider_lens(&mut self, costs: &Costs, place: usize, cost: u32, formatted: u32, least: usize, len: usize) {
        let (slot, footer) = costs.footer(formatted);
        let least = if len >= self.nice { len } else { least };
        for len in least..=len {
            self.consider(place + len, len, formatted, cost + footer + costs.len(slot, len));
        }
    }

    #[inline]
    fn consider(&mut self, place: usize, len: usize, formatted: u32, cost: u32) {
        let arrival = &mut self.arrivals[place];
        if cost < arrival.cost {
            (arrival.cost, arrival.formatted) = (cost, formatted);
            arrival.len = u16::try_from(len).expect("no longer than a chunk");
        }
    }

    /// Appends the tokens of the way to the end of a chunk.
    fn collect(&self, data: &Data, start: usize, end: usize, tokens: &mut Vec<Token>) {
        let first = tokens.len();
        let mut at = end;
        while at > start {
            let Arrival { len, formatted, .. } = self.arrivals[at - start];
            at -= usize::from(len);
            tokens.push(if len == 1 { Token::literal(data.bytes[at]) } else { Token::copy(len, formatted) });
        }
        tokens[first..].reverse();
    }
}
