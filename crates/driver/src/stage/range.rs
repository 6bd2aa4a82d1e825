//! Ranges of a stage's keys, over which its three parts can run one by one.
//!
//! A key is an encoded one of an input, an output or a group, or a read key. Ranges that are adjacent and cover everything
//! give the same result as one that covers everything: each key is in one of them, and all trees are written in the order
//! of keys.
//!
//! The bounds of a range need not be keys: they are cut from trees, and a cut may be any bytes. So the encoded keys of a
//! range and the names that it selects from a layer's tree are computed in different ways, and must agree.

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

    /// The ranges that end with each of some ascending keys, and the rest. Together they cover everything.
    pub(crate) fn behind(last: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Range> {
        // Such a key belongs to the range that it ends, and the bound is excluded: this is the least greater one.
        let cuts: Vec<Vec<u8>> = last.into_iter().map(|key| [key.as_ref(), &[0]].concat()).collect();
        Range::between(&cuts)
    }

    /// The ranges between ascending keys, which cover everything.
    fn between(cuts: &[Vec<u8>]) -> Vec<Range> {
        let from = std::iter::once(Vec::new()).chain(cuts.iter().cloned());
        let to = cuts.iter().cloned().map(Some).chain([None]);
        from.zip(to).map(|(from, to)| Range { from, to }).collect()
    }

    /// The excluded bound at its end; none if it has no end.
    pub(crate) fn end(&self) -> Option<&[u8]> {
        self.to.as_deref()
    }

    /// The names of a layer that are in the range; none if there are none.
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

/// Where a bound lies among the keys of a layer.
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
        // A key ends with a zero byte. The tree has names without it, and as no name contains the byte, they sort alike.
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
