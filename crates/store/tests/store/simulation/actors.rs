//! Those who take part: writers, some of which go back to older versions; retention; sweepers; readers.

use std::collections::BTreeSet;
use std::thread::Scope;

use deltic_core::{NameBytes, RunId, Timestamp, Version};
use deltic_store::testing::Mutant;
use deltic_store::{
    Catalog, Committed, Draft, DraftOptions, Entry, Error, ErrorKind, KeyRange, RepackOptions, Result, Retention,
    Snapshot, Stores, Tree,
};

use super::open;
use super::schedule::{Random, Turns};
use super::truth::Truth;
use crate::support::{Model, Ops, edit, names, next};

/// Packs of a few payloads.
const OPTIONS: DraftOptions = DraftOptions { pack_bytes: 500, inline_bytes: 16, big_bytes: 1000 };

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
        let base = self.catalog.latest()?;
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
        let run = self.run();
        let draft = Draft::begin(&base, run, OPTIONS);
        let mut ops = Ops::new();
        for _ in 0..1 + self.random.below(6) {
            let key = format!("{:02}", self.random.below(24)).into_bytes();
            // Few values, so that equal contents come back in other packs.
            let value = vec![b'a' + self.random.below(2) as u8; if self.random.once_in(4) { 10 } else { 90 }];
            ops.insert(key, (!self.random.once_in(4)).then_some(value));
        }
        let tree = draft.adopt(&names(&from));
        let tree = match edit(&draft, &tree, &ops) {
            // What the base does not retain can not be taken: that is the rule that is being tested.
            Err(error) if *error.kind() == ErrorKind::InvalidInput && from.version() < base.version() => return Ok(()),
            done => done?,
        };
        let model = read(&tree)?;
        self.truth.means(run, model);
        if let Committed::New(made) = draft.commit(next(&tree))? {
            self.truth.acknowledged(made.version(), run);
        }
        Ok(())
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

/// Everything a tree holds.
fn read(tree: &Tree) -> Result<Model> {
    let one = |item: Result<(NameBytes, Entry)>| {
        let (key, entry) = item?;
        Ok((key.to_vec(), tree.read(&entry)?.bytes().to_vec()))
    };
    tree.scan(KeyRange::all()).map(one).collect()
}
