//! Ranges of a stage's keys, over which its three parts can run one by one.
//!
//! A key is that of an input, an output or a group, encoded, or a look. Ranges that follow each other and cover
//! everything make the same as one that does: each key belongs to one of them, and everything is written in the order of keys.

use std::ops::Bound;

use deltic_store::KeyRange;

use crate::key::LayerIndex;

/// The keys from one on, up to another that is not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Range {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
}

impl Range {
    /// Every key.
    pub(crate) fn all() -> Range {
        Range::default()
    }

    /// The ranges that end with ascending keys, and the rest: together they cover everything.
    pub(crate) fn behind(last: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Range> {
        // The least key that is greater.
        let cuts: Vec<Vec<u8>> = last.into_iter().map(|key| [key.as_ref(), &[0]].concat()).collect();
        Range::between(&cuts)
    }

    /// The ranges between ascending keys, which cover everything.
    fn between(cuts: &[Vec<u8>]) -> Vec<Range> {
        let from = std::iter::once(Vec::new()).chain(cuts.iter().cloned());
        let to = cuts.iter().cloned().map(Some).chain([None]);
        from.zip(to).map(|(from, to)| Range { from, to }).collect()
    }

    /// The key that ends it and is not in it; none where everything behind its beginning is.
    pub(crate) fn end(&self) -> Option<&[u8]> {
        self.to.as_deref()
    }

    /// Which names of a layer it holds; none where it holds none.
    pub(crate) fn names(&self, layer: LayerIndex) -> Option<KeyRange> {
        let lower = match bound(&self.from, layer) {
            At::Before => Bound::Unbounded,
            At::Name(name) => Bound::Included(name),
            At::Behind => return None,
        };
        let upper = match self.to.as_deref().map(|to| bound(to, layer)) {
            None | Some(At::Behind) => Bound::Unbounded,
            Some(At::Name(name)) => Bound::Excluded(name),
            Some(At::Before) => return None,
        };
        Some(KeyRange::new(lower, upper))
    }
}

/// Where a key lies among those of a layer.
enum At<'a> {
    /// Before all of them.
    Before,
    /// At a name, and what is behind it.
    Name(&'a [u8]),
    /// Behind all of them.
    Behind,
}

fn bound(key: &[u8], layer: LayerIndex) -> At<'_> {
    let Some((number, name)) = LayerIndex::split(key) else {
        // Too short for a layer's number: it sorts before every key that begins with it.
        let first = layer.to_bytes();
        return if *key <= first[..key.len()] { At::Before } else { At::Behind };
    };
    match layer.cmp(&number) {
        std::cmp::Ordering::Less => At::Behind,
        // A name ends with a zero byte, which no name has in it.
        std::cmp::Ordering::Equal => At::Name(name.strip_suffix(&[0]).unwrap_or(name)),
        std::cmp::Ordering::Greater => At::Before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::InputKey;

    /// Each key is in one range, by its name as by its bytes.
    #[test]
    fn ranges_cover_every_key_once() {
        let new = |layer: u16, name: &str| InputKey::new(LayerIndex(layer), name.as_bytes());
        let keys: Vec<InputKey> =
            (0..4u16).flat_map(|layer| ["", "a", "ab", "b", "zz"].map(|name| new(layer, name))).collect();
        let key = |layer: u16, name: &str| new(layer, name).to_bytes().to_vec();
        for cuts in [
            vec![],
            vec![key(1, "a")],
            vec![key(0, ""), key(1, "ab"), key(1, "b"), key(3, "zz")],
            [key(0, "b"), key(2, "ab")].map(|key| [&key[..], &[0]].concat()).to_vec(),
            vec![vec![0], vec![0, 1], vec![0, 1, b'a'], vec![0, 2], vec![1], vec![0xff, 0xff, b'x', 0]],
        ] {
            let ranges = Range::between(&cuts);
            assert_eq!(ranges.len(), cuts.len() + 1);
            for key in &keys {
                let bytes = key.to_bytes().to_vec();
                let holds = |range: &&Range| {
                    let by_bytes = bytes >= range.from && range.to.as_ref().is_none_or(|to| bytes < *to);
                    let by_name = range.names(key.layer).is_some_and(|names| names.contains(&key.name));
                    assert_eq!(by_bytes, by_name, "{key:?} in {range:?}");
                    by_name
                };
                assert_eq!(ranges.iter().filter(holds).count(), 1, "{key:?}: {cuts:?}");
            }
        }
    }
}
