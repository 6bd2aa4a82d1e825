//! Decoders on wrong bytes: valid encodings that were changed, and random ones.
//!
//! A crate lists its decoders in a table of [`Decoder`]s and gives it to [`check`]; the file is part of each crate that
//! has such a table. With any input, a decoder must return, not panic, and hold no more memory at a time than it
//! promises for that length. Memory is what this thread requests from Rust's allocator, counted by the crate
//! `allocation-counter`; memory of libraries in C is not counted.
//!
//! A seed and the decoder's name determine the inputs, so `DELTIC_SEEDS=SEED..SEED+1` repeats a failure.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[path = "seeds.rs"]
mod seeds;

pub(crate) use seeds::seeds;

/// A decoder, and its inputs.
pub(crate) struct Decoder<'a> {
    pub(crate) name: &'static str,
    /// Encodings that it accepts.
    pub(crate) valid: Vec<Vec<u8>>,
    /// For text encodings, words that break lengths and nesting: inserted anywhere, up to a thousand times.
    pub(crate) words: &'static [&'static str],
    /// Corrects the checks of an input after it was changed; otherwise most inputs would fail at the check.
    pub(crate) seal: fn(Vec<u8>) -> Vec<u8>,
    /// It holds at most this many times the length of its input, and this many bytes more.
    pub(crate) times: u64,
    pub(crate) plus: u64,
    pub(crate) decode: Box<Decode<'a>>,
}

/// Decodes; returns whether the input was accepted.
pub(crate) type Decode<'a> = dyn Fn(&[u8]) -> bool + 'a;

impl<'a> Decoder<'a> {
    /// A decoder that accepts the encodings in `valid`, and holds at most `times` an input's length and `plus` bytes more.
    pub(crate) fn new(
        name: &'static str,
        valid: Vec<Vec<u8>>,
        (times, plus): (u64, u64),
        decode: impl Fn(&[u8]) -> bool + 'a,
    ) -> Decoder<'a> {
        let seal = |bytes| bytes;
        Decoder { name, valid, words: &[], seal, times, plus, decode: Box::new(decode) }
    }

    pub(crate) fn sealed(self, seal: fn(Vec<u8>) -> Vec<u8>) -> Decoder<'a> {
        Decoder { seal, ..self }
    }

    pub(crate) fn with_words(self, words: &'static [&'static str]) -> Decoder<'a> {
        Decoder { words, ..self }
    }

    /// Decodes an input; returns whether it was accepted, and the peak of memory.
    fn measure(&self, input: &[u8], what: &dyn std::fmt::Display) -> (bool, u64) {
        let mut taken = false;
        let measured = AssertUnwindSafe(|| allocation_counter::measure(|| taken = (self.decode)(input)));
        let Ok(held) = catch_unwind(measured) else {
            panic!("{}: {what} of {} bytes panics: {}", self.name, input.len(), shown(input))
        };
        let most = self.times * input.len() as u64 + self.plus;
        let held = held.bytes_max;
        assert!(
            held <= most,
            "{}: {what} of {} bytes takes {held} bytes of memory, more than {most}: {}",
            self.name,
            input.len(),
            shown(input)
        );
        (taken, held)
    }
}

/// The counts of a decoder's inputs.
#[derive(Default)]
struct Counts {
    inputs: u64,
    taken: u64,
    /// The greatest share of its bound of memory, in thousandths.
    used: u64,
}

/// Gives each decoder its valid encodings and for each seed an input that is made from them, and prints counts.
pub(crate) fn check(decoders: &[Decoder<'_>], seeds: Range<u64>) {
    for decoder in decoders {
        let mut counts = Counts::default();
        for valid in &decoder.valid {
            let (taken, _) = decoder.measure(&(decoder.seal)(valid.clone()), &"a valid encoding");
            assert!(taken, "{}: a valid encoding is refused: {}", decoder.name, shown(valid));
        }
        for seed in seeds.clone() {
            let mut random = Random::of(decoder.name, seed);
            let input = (decoder.seal)(input(decoder, &mut random));
            let (taken, held) = decoder.measure(&input, &format_args!("seed {seed}"));
            counts.inputs += 1;
            counts.taken += u64::from(taken);
            let most = decoder.times * input.len() as u64 + decoder.plus;
            counts.used = counts.used.max((held * 1000).checked_div(most).unwrap_or_default());
        }
        let Counts { inputs, taken, used } = counts;
        println!("{:<34} {inputs:>9} inputs {taken:>9} taken, memory up to {used:>4} ‰ of its bound", decoder.name);
        assert!(inputs < 100 || taken < inputs, "{}: it takes whatever it is given", decoder.name);
    }
}

/// A valid encoding that was changed, or random bytes, alone or after the beginning of a valid encoding.
fn input(decoder: &Decoder<'_>, random: &mut Random) -> Vec<u8> {
    let whole = &decoder.valid[random.below(decoder.valid.len())];
    match random.below(8) {
        0 => random.bytes(400),
        1 => [&whole[..random.below(whole.len().min(64) + 1)], &random.bytes(400)].concat(),
        _ => {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(4) {
                change(&mut bytes, decoder, random);
            }
            bytes
        }
    }
}

/// Changes bytes in one of the ways in which stored bytes are damaged, or which an attacker would try.
fn change(bytes: &mut Vec<u8>, decoder: &Decoder<'_>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(40)).min(bytes.len());
    let other = random.below(bytes.len() + 1);
    match random.below(14) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.next() as u8,
        3 => bytes.truncate(at),
        4 => bytes.extend(random.bytes(40)),
        5 => bytes[at..end].fill([0, 0x7f, 0x80, 0xff][random.below(4)]),
        // A length, as a varint and of fixed width.
        6 => {
            let mut number = (random.next() >> random.below(64)).max(1);
            let mut varint = Vec::new();
            while number >= 0x80 {
                varint.push(number as u8 | 0x80);
                number >>= 7;
            }
            varint.push(number as u8);
            bytes.splice(at..(at + 1).min(bytes.len()), varint);
        }
        7 => {
            let number = random.next() >> random.below(64);
            let width = [2, 4, 8][random.below(3)];
            let number = if random.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
            let number = if random.below(2) == 0 { &number[..width] } else { &number[8 - width..] };
            bytes.splice(at..(at + width).min(bytes.len()), number.iter().copied());
        }
        // Sections swapped, doubled, left out, put over others.
        8 => bytes.rotate_left(at),
        9 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(other..other, part);
        }
        10 => drop(bytes.drain(at..end)),
        11 => {
            let (at, end) = (at.min(other), at.max(other));
            let middle = at + (end - at) / 2;
            bytes[at..end].rotate_left(middle - at);
        }
        // The beginning of one encoding with the end of another.
        12 => {
            let tail = &decoder.valid[random.below(decoder.valid.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&tail[at.min(tail.len())..]);
        }
        _ if !decoder.words.is_empty() => {
            let word = decoder.words[random.below(decoder.words.len())];
            let most = [1, 2, 40, 1000][random.below(4)];
            let times = 1 + random.below(most);
            bytes.splice(at..at, word.repeat(times).into_bytes());
        }
        _ => bytes.splice(at..end, random.bytes(40)).for_each(drop),
    }
}

/// The first bytes of an input, as they can be put into a test.
fn shown(bytes: &[u8]) -> String {
    let more = if bytes.len() > 600 { "…" } else { "" };
    format!("b\"{}\"{more}", bytes[..bytes.len().min(600)].escape_ascii())
}

/// Numbers that a seed decides (SplitMix64).
struct Random(u64);

impl Random {
    fn of(name: &str, seed: u64) -> Random {
        let start = name.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Random(start ^ seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `end`; 0 when there is none.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.below(most);
        (0..len).map(|_| self.next() as u8).collect()
    }
}
