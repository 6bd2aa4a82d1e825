//! Look-ups of many keys of a tree together: on a remote store these take a few round trips, and not one each.

use deltic_store::Tree;

use crate::Result;
use crate::key::EncodedKey;
use crate::sort::key_set::{KeySet, Walk};

/// The number of keys that are looked up together, and of results that are recorded together: on a remote store these
/// take a few round trips and not one each.
pub(crate) const TOGETHER: usize = 256;

/// About the most bytes of them.
pub(crate) const TOGETHER_BYTES: usize = 1 << 20;

/// Look-ups in a table, for the keys of a set in order. Reads the leaves of many of them together, ahead of the first.
pub(crate) struct Ahead<'a> {
    table: Tree,
    walk: Walk<'a>,
    reached: EncodedKey,
    /// Whether there is nothing to read together.
    is_single: bool,
}

impl<'a> Ahead<'a> {
    /// Look-ups of rows that begin with a key of a set.
    pub(crate) fn new(table: &Tree, wanted: &'a KeySet) -> Ahead<'a> {
        Ahead { table: table.clone(), walk: wanted.walk(), reached: EncodedKey::default(), is_single: wanted.len() < 2 }
    }

    /// Prepares the look-up of a key. To be called before it.
    pub(crate) fn reach(&mut self, key: &[u8]) -> Result<()> {
        if key <= &self.reached[..] || self.table.is_empty() || self.is_single {
            return Ok(());
        }
        let mut keys: Vec<EncodedKey> = Vec::new();
        while keys.len() < TOGETHER
            && let Some((next, _)) = self.walk.peek()?
        {
            if next >= key {
                keys.push(next.into());
            }
            self.walk.advance()?;
        }
        self.reached = keys.last().cloned().unwrap_or_else(|| key.into());
        read_ahead_within(&self.table, &keys)
    }
}

/// Reads the leaves of ascending keys together. For one key on a local store this gains nothing, so it does nothing.
pub(crate) fn read_ahead<K: AsRef<[u8]>>(table: &Tree, keys: &[K]) -> Result<()> {
    if !table.is_empty() && (keys.len() > 1 || table.is_remote() && !keys.is_empty()) {
        table.read_ahead(&keys.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// The same for all keys that begin with one of some ascending prefixes, none of which begins with another. Reads the
/// leaves in which each prefix begins and ends.
pub(crate) fn read_ahead_within<K: AsRef<[u8]>>(table: &Tree, prefixes: &[K]) -> Result<()> {
    if table.is_empty() || prefixes.len() < 2 && !table.is_remote() {
        return Ok(());
    }
    let both = |prefix: &K| [prefix.as_ref().to_vec(), [prefix.as_ref(), &[0xff]].concat()];
    read_ahead(table, &prefixes.iter().flat_map(both).collect::<Vec<_>>())
}
