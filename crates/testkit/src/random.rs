//! Random histories, the same on every machine for the same seed.

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

/// What a random history is made of. Few names and few contents, so that partitions meet, go and come back, and equal
/// bytes are written again.
#[derive(Debug, Clone)]
pub struct RandomHistory {
    /// The layers that are edited, and the names that each may have.
    pub layers: Vec<(String, Vec<Name>)>,
    /// How many versions.
    pub steps: usize,
    /// How many different contents a partition may have.
    pub contents: u64,
}

impl RandomHistory {
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
        let mut random = Random::new(seed);
        let step = |_| {
            let edits = *random.pick(&[0, 1, 1, 2, 6]);
            (0..edits).map(|_| self.edit(&mut random)).collect()
        };
        (0..self.steps).map(step).collect()
    }

    fn edit(&self, random: &mut Random) -> Edit {
        let (layer, names) = random.pick(&self.layers);
        let name = random.pick(names).clone();
        let gone = random.below(10) < 3;
        let payload = (!gone).then(|| Payload::from(random.below(self.contents).to_string()));
        Edit { layer: layer.clone(), name, payload }
    }
}
