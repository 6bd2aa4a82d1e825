//! Those who take part: writers, some of which go back to older versions; retention; sweepers; readers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::thread::Scope;

use deltic_core::{Digest, NameBytes, Payload, RunId, Timestamp, Version};
use deltic_store::testing::Mutant;
use deltic_store::{
    Catalog, Codec, Committed, Draft, DraftOptions, Entry, Error, ErrorKind, KeyRange, PackName, Place, RepackOptions,
    Result, Retention, Snapshot, Stores, Tree, TreePart,
};

use super::open;
use super::schedule::{Random, Turns};
use super::truth::Truth;
use crate::support::{Model, Ops, names, next};

/// Packs of a few payloads.
const OPTIONS: DraftOptions = DraftOptions { pack_bytes: 500, inline_bytes: 16, big_bytes: 1000 };

/// How many keys there are, and how many of them, the first ones, parts are made of.
const KEYS: u64 = 24;
const PART_KEYS: u64 = 12;

/// Who is started.
pub(crate) struct Actors<'a> {
    pub(crate) stores: &'a Stores,
    pub(crate) truth: &'a Truth,
    pub(crate) mutant: Mutant,
    pub(crate) turns: &'a Turns,
}

/// What an actor does again and again.
type Life<'a> = fn(&mut Actor<'a>) -> Result<()>;

/// One that takes part. What it remembers from life to life is its catalog, which it may open anew.
struct Actor<'a> {
    stores: &'a Stores,
    truth: &'a Truth,
    mutant: Mutant,
    who: &'static str,
    random: Random,
    catalog: Catalog,
    /// A version that it opened long ago.
    held: Option<Snapshot>,
}

impl<'a> Actors<'a> {
    pub(crate) fn start(&self, scope: &'a Scope<'a, '_>, random: &mut Random) {
        let lives: [(&str, Life<'a>); 8] = [
            ("a writer", Actor::write),
            ("a writer", Actor::write),
            ("a writer", Actor::write),
            ("retention", Actor::retain),
            ("a repacker", Actor::repack),
            ("a sweeper", Actor::sweep),
            ("a sweeper", Actor::sweep),
            ("a reader", Actor::read),
        ];
        for (who, life) in lives {
            let &Actors { stores, truth, mutant, turns } = self;
            let random = Random(random.next());
            let mut actor = Actor { stores, truth, mutant, who, random, catalog: open(stores, mutant), held: None };
            turns.spawn(scope, move || {
                if actor.random.once_in(3) {
                    actor.catalog = open(actor.stores, actor.mutant);
                }
                if let Err(error) = life(&mut actor) {
                    actor.judge(&error);
                }
            });
        }
    }
}

impl Actor<'_> {
    /// Losing a race is no failure, nor that a version expires while it is used. Anything else is.
    fn judge(&self, error: &Error) {
        let expected = matches!(error.kind(), ErrorKind::Conflict { .. } | ErrorKind::Expired | ErrorKind::Unavailable);
        if !expected {
            self.truth.wrong(format!("{} was told: {error}", self.who));
        }
    }

    fn run(&mut self) -> RunId {
        RunId(self.random.next())
    }

    /// A retained version of a snapshot.
    fn any_retained(&mut self, snapshot: &Snapshot) -> Version {
        let all: Vec<Version> = snapshot.record().retained_versions().collect();
        all[self.random.below(all.len() as u64) as usize]
    }

    /// Makes a version of the latest, or of an older one that is retained; now and then of one that it has held for
    /// long, which its base may not retain any more.
    fn write(&mut self) -> Result<()> {
        let mut base = self.catalog.latest()?;
        let from = match self.random.below(8) {
            0 | 1 => {
                let version = self.any_retained(&base);
                self.catalog.snapshot(version)?
            }
            2 if self.held.is_some() => self.held.take().unwrap_or_else(|| base.clone()),
            _ => base.clone(),
        };
        if self.random.once_in(3) {
            self.held = Some(from.clone());
        }
        let part = match self.random.once_in(3) {
            true => match self.part(&base, &from) {
                Err(error) if is_refused(&error, &from, &base) => return Ok(()),
                part => Some(part?),
            },
            false => None,
        };
        let made_on = base.version();
        if part.is_some() && self.random.once_in(2) {
            // Whoever stitches begins later than whoever made the part.
            base = self.catalog.latest()?;
        }
        let run = self.run();
        let draft = Draft::begin(&base, run, OPTIONS);
        let ops = self.ops(if part.is_some() { PART_KEYS..KEYS } else { 0..KEYS });
        let progress = draft.checkpoints();
        let mut ops: BTreeMap<Vec<u8>, Option<Entry>> = ops.iter().map(|(k, v)| (k.clone(), put(&draft, v))).collect();
        let mut takes_over = false;
        if part.is_none() && !self.random.once_in(4) {
            // What another writer had done before it died, or is about to commit itself.
            let found = progress.find(&Digest::of(b"done"));
            takes_over = found.is_some();
            ops.extend(found.iter().flat_map(|found| kept(found)));
        }
        if part.is_none() && !takes_over && self.random.once_in(3) {
            let written: Vec<_> = ops.iter().filter_map(|(key, entry)| line(key, entry.as_ref()?, run)).collect();
            progress.flush()?;
            let stored = progress.stored();
            let packs: Vec<_> = written.iter().map(|(_, pack)| (*pack, stored[pack])).collect();
            let lines: Vec<String> = written.into_iter().map(|(line, _)| line).collect();
            progress.write(&[(Digest::of(b"done"), lines.concat().into())], &packs)?;
            if !self.random.once_in(4) {
                // It ends here, and is begun again at once.
                return self.write();
            }
        }
        let tree = draft.adopt(&names(&from));
        let tree = match edited(&draft, &tree, part.as_ref(), ops) {
            Err(error) if is_refused(&error, &from, &base) => return Ok(()),
            // Nor can a part that was made on another base.
            Err(error) if *error.kind() == ErrorKind::InvalidInput && made_on < base.version() => return Ok(()),
            done => done?,
        };
        let model = read(&tree)?;
        self.truth.means(run, model);
        if let Committed::New(made) = draft.commit(next(&tree))? {
            self.truth.acknowledged(made.version(), run);
            if takes_over {
                self.truth.took_over();
            }
            if part.is_some() {
                self.truth.stitched();
            }
        }
        if self.random.once_in(2) {
            progress.remove();
        }
        Ok(())
    }

    /// Edits the first keys by a draft of its own, which hands over what came of it and ends.
    fn part(&mut self, base: &Snapshot, from: &Snapshot) -> Result<TreePart> {
        let worker = Draft::begin(base, self.run(), OPTIONS);
        let mut editor = worker.part_editor(&worker.adopt(&names(from)))?;
        for (key, value) in self.ops(0..PART_KEYS) {
            editor.apply(&key, put(&worker, &value).as_ref())?;
        }
        let mut parts = [editor.finish()?];
        worker.hand_over(&mut parts)?;
        TreePart::from_bytes(&parts[0].to_bytes())
    }

    /// Some operations on keys of a range.
    fn ops(&mut self, keys: Range<u64>) -> Ops {
        let mut ops = Ops::new();
        for _ in 0..1 + self.random.below(6) {
            let key = format!("{:02}", keys.start + self.random.below(keys.end - keys.start)).into_bytes();
            // Few values, so that equal contents come back in other packs.
            let value = vec![b'a' + self.random.below(2) as u8; if self.random.once_in(4) { 10 } else { 90 }];
            ops.insert(key, (!self.random.once_in(4)).then_some(value));
        }
        ops
    }

    fn retain(&mut self) -> Result<()> {
        let latest = self.catalog.latest()?;
        let mut rules = Retention::default();
        if self.random.once_in(2) {
            rules.last = Some(1 + self.random.below(3));
        } else {
            let keep: BTreeSet<Version> = (0..1 + self.random.below(3)).map(|_| self.any_retained(&latest)).collect();
            rules.keep = keep;
        }
        let run = self.run();
        if let Some(version) = self.catalog.retain(&rules, run, Timestamp(0), false)?.version {
            self.truth.acknowledged(version, run);
        }
        Ok(())
    }

    fn repack(&mut self) -> Result<()> {
        let (run, below) = (self.run(), 50 + self.random.below(51) as u32);
        let options = RepackOptions { below_percent: below, draft: OPTIONS, ..RepackOptions::default() };
        if let Some(version) = self.catalog.repack(&options, run, Timestamp(0), false)?.version {
            self.truth.acknowledged(version, run);
        }
        Ok(())
    }

    fn sweep(&mut self) -> Result<()> {
        self.catalog.gc(self.random.once_in(10)).map(|_| ())
    }

    /// Reads a version whole, one that was retained or one of any number.
    fn read(&mut self) -> Result<()> {
        let latest = self.catalog.latest()?;
        let version = match self.random.once_in(4) {
            true => Version(self.random.below(latest.version().0 + 1)),
            false => self.any_retained(&latest),
        };
        match self.catalog.snapshot(version).and_then(|snapshot| read(&names(&snapshot))) {
            Ok(model) => self.truth.was_read(version, &model),
            Err(error) if *error.kind() == ErrorKind::Expired => self.truth.was_told_expired(version),
            Err(error) => self.truth.wrong(format!("a reader of version {version} was told: {error}")),
        }
        Ok(())
    }
}

/// What the base does not retain can not be taken: that is the rule that is being tested.
fn is_refused(error: &Error, from: &Snapshot, base: &Snapshot) -> bool {
    *error.kind() == ErrorKind::InvalidInput && from.version() < base.version()
}

/// What operations make of a tree, after a part of other keys.
fn edited(draft: &Draft, tree: &Tree, part: Option<&TreePart>, ops: BTreeMap<Vec<u8>, Option<Entry>>) -> Result<Tree> {
    let Some(part) = part else {
        return draft.edit(tree, ops.into_iter().map(|(key, entry)| Ok((NameBytes::from(&key[..]), entry))));
    };
    let mut editor = draft.editor(tree)?;
    editor.stitch(part)?;
    ops.iter().try_for_each(|(key, entry)| editor.apply(key, entry.as_ref()))?;
    editor.finish()
}

fn put(draft: &Draft, value: &Option<Vec<u8>>) -> Option<Entry> {
    value.as_ref().map(|value| draft.put(&value.clone().into()).unwrap())
}

/// What is kept of an entry that a run has put into a pack of its own: key, first byte of the payload, pack and offset.
fn line(key: &[u8], entry: &Entry, run: RunId) -> Option<(String, PackName)> {
    let Place::Pack { pack, offset, .. } = entry.place else { return None };
    let letter = ['a', 'b'].into_iter().find(|letter| entry.meta == long(*letter).meta())?;
    (pack.run == run).then(|| (format!("{} {letter} {pack} {offset}\n", String::from_utf8_lossy(key)), pack))
}

/// The entries that were kept.
fn kept(lines: &[u8]) -> Vec<(Vec<u8>, Option<Entry>)> {
    let entry = |line: &str| {
        let [key, letter, pack, offset] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let meta = long(letter.chars().next().unwrap()).meta();
        let (pack, offset) = (pack.parse().unwrap(), offset.parse().unwrap());
        let place = Place::Pack { pack, offset, stored: meta.len, codec: Codec::Raw };
        (key.as_bytes().to_vec(), Some(Entry { meta, place }))
    };
    std::str::from_utf8(lines).unwrap().lines().map(entry).collect()
}

/// A payload that is too long for a leaf.
fn long(letter: char) -> Payload {
    vec![letter as u8; 90].into()
}

/// Everything a tree holds.
fn read(tree: &Tree) -> Result<Model> {
    let one = |item: Result<(NameBytes, Entry)>| {
        let (key, entry) = item?;
        Ok((key.to_vec(), tree.read(&entry)?.bytes().to_vec()))
    };
    tree.scan(KeyRange::all()).map(one).collect()
}
