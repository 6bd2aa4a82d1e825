//! Random histories, the same on every machine for the same seed.

use std::collections::BTreeMap;

use deltic_core::{Name, Payload, Tile};

use crate::check::{Edit, Step};

/// A small generator of numbers (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence for a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_number() % limit
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// The parameters of a random history. Few names and few contents let partitions share outputs, disappear and come back, and
/// write equal bytes again. Some partitions have the user field [`FIELD`](RandomHistory::FIELD): it differs between equal
/// bytes, and changes alone.
#[derive(Debug, Clone)]
pub struct RandomHistory {
    /// The layers that are edited, and the names that each may have.
    pub layers: Vec<(String, Vec<Name>)>,
    /// How many versions.
    pub steps: usize,
    /// How many different contents a partition may have, user fields apart.
    pub contents: u64,
}

/// The current partitions.
type Present = BTreeMap<(String, Name), Payload>;

impl RandomHistory {
    /// The user field that some partitions have, with one of two values.
    pub const FIELD: &str = "field";

    /// Names `00` to `<digits-1><digits-1>`: short, with shared prefixes.
    pub fn generic_names(digits: u64) -> Vec<Name> {
        let pairs = (0..digits).flat_map(|a| (0..digits).map(move |b| format!("{a}{b}")));
        pairs.filter_map(|text| Name::generic(&text).ok()).collect()
    }

    /// All tiles below the first of level 1, down to `level`.
    pub fn tile_names(level: u8) -> Vec<Name> {
        let under = |level| "0".parse::<Tile>().ok().map(|tile| (tile, level));
        let tiles = (1..=level).filter_map(under);
        tiles.flat_map(|(tile, level)| tile.descendants(level)).map(Name::Tile).collect()
    }

    /// The history for a seed: some steps change nothing, some a little, some much.
    pub fn make(&self, seed: u64) -> Vec<Step> {
        let (mut random, mut present) = (Random::new(seed), Present::new());
        let step = |_| {
            let edits = *random.pick(&[0, 1, 1, 2, 6]);
            (0..edits).map(|_| self.edit(&mut random, &mut present)).collect()
        };
        (0..self.steps).map(step).collect()
    }

    fn edit(&self, random: &mut Random, present: &mut Present) -> Edit {
        let (layer, names) = random.pick(&self.layers);
        let name = random.pick(names).clone();
        let before = present.remove(&(layer.clone(), name.clone()));
        let payload = match random.below(10) {
            0..3 => None,
            kind => {
                // Sometimes the fields change alone, where there is something.
                let same = before.filter(|_| kind < 5).map(|before| before.bytes().clone());
                let bytes = same.unwrap_or_else(|| random.below(self.contents).to_string().into());
                Some(fielded(Payload::new(bytes), random.below(4)))
            }
        };
        if let Some(payload) = &payload {
            present.insert((layer.clone(), name.clone()), payload.clone());
        }
        Edit { layer: layer.clone(), name, payload }
    }
}

/// The payload with a value of the field, or without it.
fn fielded(payload: Payload, number: u64) -> Payload {
    let fielded = |value: &str| payload.clone().with_field(RandomHistory::FIELD, value);
    match number {
        0 => fielded("a"),
        1 => fielded("b"),
        _ => Ok(payload.clone()),
    }
    .unwrap_or(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_change_alone_and_differ_under_equal_bytes() {
        let history = RandomHistory {
            layers: vec![("in/a".to_owned(), RandomHistory::generic_names(3))],
            steps: 40,
            contents: 3,
        };
        let mut present = Present::new();
        let (mut alone, mut beside) = (0, 0);
        for Edit { layer, name, payload } in history.make(7).into_iter().flatten() {
            let Some(payload) = payload else { continue };
            let unlike = |other: &Payload| other.bytes() == payload.bytes() && other.fields() != payload.fields();
            let before = present.remove(&(layer.clone(), name.clone()));
            alone += u64::from(before.is_some_and(|before| unlike(&before)));
            beside += u64::from(present.values().any(unlike));
            present.insert((layer, name), payload);
        }
        assert!(alone > 5 && beside > 10, "{alone}, {beside}");
    }
}
