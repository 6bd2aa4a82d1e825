//! The group that each published partition belongs to, for tasks whose groups become any number of partitions.
//!
//! Back-ends run by group, but a layer is written by partition, and a partition that leaves one group may come to another
//! in the same run. So nothing is published when a group has run. Each group makes claims: it makes a partition now, or
//! makes it no more. Sorted by partition, the claims show the owner of each, and whether there are two.
//!
//! An unchanged group makes no claim. The table `owners` of the base has it, so two owners are found in an incremental
//! stage just as in a full one.

use deltic_store::{Entry, Tree, read_entry, write_entry};

use crate::engine::Outcome;
use crate::engine::kernel::TaskKernel;
use crate::error::contract;
use crate::key::{EncodedKey, OutputKey};
use crate::sort::external::{Shuffle, Sorted};
use crate::sort::merge_join::{Side, merge_join};
use crate::sort::rows::{RowStream, Rows};
use crate::stage::context::Stage;
use crate::state::listed::Listed;
use crate::state::tables::TableWriter;
use crate::{Error, Result};

/// The group no longer makes the partition.
const GONE: u8 = 0;
/// The group makes the partition, which it did not in the base.
const NEW: u8 = 1;
/// The group makes the partition, as in the base.
const KEPT: u8 = 2;

/// Takes the claims of groups, and writes the table `published`.
pub(crate) struct Claims<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    published: TableWriter<'a>,
    by_partition: Shuffle,
    batch: Rows,
}

impl<'a> Claims<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, kernel: &'a TaskKernel<'a>) -> Claims<'a> {
        Claims {
            stage,
            kernel,
            published: TableWriter::new(stage.writers(), &stage.state.published),
            by_partition: Shuffle::new(stage.set_memory()),
            batch: Rows::default(),
        }
    }

    /// Records what a group makes: partitions in order, each with its entry if it is new. Groups come in order.
    pub(crate) fn group_ran(&mut self, group: &[u8], made: &[(OutputKey, Option<Entry>)]) -> Result<()> {
        let mut before = Listed::new(&self.stage.state.published, group);
        for (out, entry) in made {
            let out = out.to_bytes();
            while let Some((gone, _)) = before.next_if(|before| *before < *out)? {
                self.release(group, &gone)?;
            }
            let kept = before.next_if(|before| *before == *out)?.is_some();
            // No claim if nothing changes. It is not needed to find a second owner: the base names this one.
            if kept && entry.is_none() {
                continue;
            }
            let mut value = vec![if kept { KEPT } else { NEW }];
            if let Some(entry) = entry {
                write_entry(entry, &mut value);
            }
            self.claim(&out, group, &value)?;
            if !kept {
                self.published.set_row(group, &out, Some(&[]))?;
            }
        }
        before.try_for_each(|gone| self.release(group, &gone?.0))
    }

    /// Records that a group keeps its partitions of the base: its back-end failed or was not run. Groups come in order.
    ///
    /// An incremental stage needs no claim for that. A full stage begins with an empty table and would delete them.
    pub(crate) fn group_kept(&mut self, group: &OutputKey) -> Result<()> {
        let Some(before) = self.stage.before.as_ref().filter(|_| self.stage.full) else { return Ok(()) };
        let bytes = group.to_bytes();
        for out in before.published_of(group)? {
            let out = out.to_bytes();
            self.published.set_row(&bytes, &out, Some(&[]))?;
            self.claim(&out, &bytes, &[NEW])?;
        }
        Ok(())
    }

    fn release(&mut self, group: &[u8], out: &[u8]) -> Result<()> {
        self.published.set_row(group, out, None)?;
        self.claim(out, group, &[GONE])
    }

    fn claim(&mut self, out: &[u8], group: &[u8], value: &[u8]) -> Result<()> {
        self.batch.push(out, group, value);
        if self.batch.len() < 4096 { Ok(()) } else { self.by_partition.push(std::mem::take(&mut self.batch)) }
    }

    /// Ends a range of groups.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        self.published.end_range()
    }

    /// The table `published`, and the writer of `owners`.
    pub(crate) fn finish(mut self) -> Result<(Tree, Owners<'a>)> {
        self.by_partition.push(std::mem::take(&mut self.batch))?;
        let (stage, kernel) = (self.stage, self.kernel);
        let table = TableWriter::new(stage.writers(), &stage.state.owners);
        Ok((self.published.finish()?, Owners { stage, kernel, claims: self.by_partition.finish()?, table }))
    }
}

/// Writes the table `owners` from the claims of all groups, by partition.
pub(crate) struct Owners<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    claims: Sorted,
    table: TableWriter<'a>,
}

impl Owners<'_> {
    /// Writes the rows of the partitions before `end` that have claims and are not written yet; `offer` gets the outcome of
    /// each, in order.
    pub(crate) fn write_range(
        &mut self,
        end: Option<&[u8]>,
        mut offer: impl FnMut(&[u8], &Outcome) -> Result<()>,
    ) -> Result<()> {
        while let Some(first) = self.claims.peek()?.filter(|row| end.is_none_or(|end| row.out < end)) {
            let out = EncodedKey::from(first.out);
            let before = Listed::new(&self.stage.state.owners, &out).map(|owner| Ok(owner?.0));
            // Collected, unlike contributors: a partition has one owner, or none.
            let before = before.collect::<Result<Vec<_>>>()?;
            // All claims are applied before owners are counted: the claim of a new owner may sort before the release by
            // the old one.
            let mut now = before.clone();
            let mut outcome = Outcome::Same;
            while let Some(row) = self.claims.peek()?.filter(|row| *row.out == *out) {
                match row.value.split_first() {
                    Some((&GONE, _)) => now.retain(|owner| **owner != *row.item),
                    Some((&kind, entry)) => {
                        if kind == NEW {
                            now.push(row.item.into());
                        }
                        if !entry.is_empty() {
                            let entry = read_entry(entry);
                            let cut = || self.stage.broken("an entry that is cut short".to_owned());
                            // A second entry would replace this one, but then there are two owners, which is an error.
                            outcome = Outcome::New(entry.ok_or_else(cut)?);
                        }
                    }
                    None => return Err(self.stage.broken("an empty claim of a group".to_owned())),
                }
                self.claims.advance()?;
            }
            now.sort_unstable();
            match &now[..] {
                [] => outcome = Outcome::Nothing,
                [_] => {}
                [first, second, ..] => return Err(self.two_groups(&out, first, second)?),
            }
            for side in merge_join(before.into_iter().map(Ok), &now, |was: &EncodedKey, is| was.cmp(is)) {
                match side? {
                    Side::Both(..) => {}
                    Side::Left(gone) => self.table.set_row(&out, &gone, None)?,
                    Side::Right(new) => self.table.set_row(&out, new, Some(&[]))?,
                }
            }
            offer(&out, &outcome)?;
        }
        self.table.end_range()
    }

    pub(crate) fn finish(self) -> Result<Tree> {
        self.table.finish()
    }

    fn two_groups(&self, out: &[u8], first: &[u8], second: &[u8]) -> Result<Error> {
        let show = |encoded: &[u8]| Ok::<_, Error>(self.kernel.out_key(&self.stage.decode(encoded)?)?.to_string());
        Ok(contract::two_groups(self.stage.task.id(), show(out)?, &show(first)?, &show(second)?))
    }
}
