//! Writes the table of contributors, and the memo of a task that has one.
//!
//! For most tasks it follows the rows that back-ends get, which are sorted by output, then input: the inputs of an output's
//! rows are its contributors. A direct task with one producer per output needs few rows of the table, and writes them by
//! the outcomes of its outputs instead. A front-end over the whole input contributes to everything and is not recorded.
//!
//! The base is read as a stream beside the rows, and only differences are written. Neither side is collected: one output
//! may have every input as a contributor.

use deltic_compiler::Pattern;
use deltic_core::Digest;
use deltic_store::{Entry, Tree};

use crate::Result;
use crate::engine::kernel::TaskKernel;
use crate::key::{EncodedKey, InputKey, OutputKey};
use crate::sort::key_set::{KeySet, Walk};
use crate::sort::merge_join::{Side, merge_join};
use crate::sort::read_ahead::Ahead;
use crate::sort::rows::Row;
use crate::stage::context::Stage;
use crate::state::listed::Listed;
use crate::state::tables::TableWriter;

/// What the table follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    Rows,
    Outcomes,
    Nothing,
}

pub(crate) struct Contributors<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    follows: Follows,
    table: TableWriter<'a>,
    memo: Option<Memo<'a>>,
    /// In an incremental stage: the dirty inputs without those that failed.
    ran: Option<&'a KeySet>,
    /// In an incremental stage: the affected outputs that have no row yet.
    waiting: Option<Walk<'a>>,
    ahead: Option<Ahead<'a>>,
    /// The output of the current rows, their input, and the contributors of the output in the base that come after that
    /// input.
    out: EncodedKey,
    item: Option<EncodedKey>,
    before: Before<'a>,
}

impl<'a> Contributors<'a> {
    /// For an incremental stage, `wanted` are the affected outputs, and `ran` the dirty inputs without those
    /// that failed.
    pub(crate) fn new(
        stage: &'a Stage<'a>,
        kernel: &'a TaskKernel<'a>,
        wanted: Option<&'a KeySet>,
        ran: Option<&'a KeySet>,
    ) -> Contributors<'a> {
        Contributors {
            stage,
            kernel,
            ran,
            follows: match stage.task.pattern() {
                Pattern::Direct { one_producer: true, .. } => Follows::Outcomes,
                Pattern::Direct { .. } | Pattern::Group(_) | Pattern::IncrementalDep(_) => Follows::Rows,
                Pattern::Dep(_) | Pattern::Global(_) => Follows::Nothing,
            },
            table: TableWriter::new(stage.writers(), &stage.state.contributors),
            memo: stage.memo_limit().map(|limit| Memo::new(stage, limit)),
            waiting: wanted.map(KeySet::walk),
            ahead: wanted.map(|wanted| Ahead::new(&stage.state.contributors, wanted)),
            out: EncodedKey::default(),
            item: None,
            before: Before::nothing(),
        }
    }

    /// Takes a row that a back-end gets, in order.
    pub(crate) fn row(&mut self, row: Row<'_>) -> Result<()> {
        if self.follows != Follows::Rows {
            return Ok(());
        }
        if *self.out != *row.out {
            self.end_output()?;
            self.pass_over(Some(row.out))?;
            self.out.assign(row.out);
            self.begin_output()?;
        }
        // An input that emits several values to an output has several rows, and is one contributor.
        if self.item.as_deref() != Some(row.item) {
            self.end_item()?;
            // Both are sorted by input, so a contributor of the base that is passed here has no row: it contributes no more.
            while let Some((gone, _)) = self.before.next_if(|before| before < row.item)? {
                self.table.set_row(&self.out, &gone, None)?;
            }
            if self.before.next_if(|before| before == row.item)?.is_none() {
                self.table.set_row(&self.out, row.item, Some(&[]))?;
            }
            self.item = Some(row.item.into());
        }
        if let Some(memo) = &mut self.memo {
            memo.emitted(row.value);
        }
        Ok(())
    }

    /// Sets the one contributor that the table has for an output of a task with one producer per output, or none.
    pub(crate) fn sole(&mut self, out: &OutputKey, item: Option<&InputKey>) -> Result<()> {
        if self.follows != Follows::Outcomes {
            return Ok(());
        }
        let out = out.to_bytes();
        let now = item.map(InputKey::to_bytes);
        for side in merge_join(self.in_base(&out)?, now, |(was, _), is| was.cmp(is)) {
            match side? {
                Side::Both(..) => {}
                Side::Left((gone, _)) => self.table.set_row(&out, &gone, None)?,
                Side::Right(new) => self.table.set_row(&out, &new, Some(&[]))?,
            }
        }
        Ok(())
    }

    /// Ends a range of outputs: all later ones lie behind `end`.
    pub(crate) fn end_range(&mut self, end: Option<&[u8]>) -> Result<()> {
        self.end_output()?;
        self.pass_over(end)?;
        if let Some(memo) = &mut self.memo {
            memo.table.end_range()?;
        }
        self.table.end_range()
    }

    /// The tables of contributors and of the memo.
    pub(crate) fn finish(mut self) -> Result<(Tree, Tree)> {
        self.end_range(None)?;
        let values = match self.memo {
            Some(memo) => memo.table.finish()?,
            None => self.stage.state.values.clone(),
        };
        Ok((self.table.finish()?, values))
    }

    fn begin_output(&mut self) -> Result<()> {
        // Taken out while `self` is borrowed to look it up.
        let out = std::mem::take(&mut self.out);
        // For an output that is held back the front-ends of its other contributors did not run. That they have no rows does not
        // mean that they contribute no more, so only those of inputs that ran are compared; the others stay.
        let ran = self.ran.filter(|_| self.kernel.is_held(&out));
        self.before = Before { listed: self.in_base(&out)?, ran: ran.map(KeySet::walk) };
        if let Some(memo) = &mut self.memo {
            memo.before = Before { listed: self.stage.state.values_of(&out), ran: ran.map(KeySet::walk) };
        }
        self.out = out;
        Ok(())
    }

    fn end_item(&mut self) -> Result<()> {
        let Some(item) = self.item.take() else { return Ok(()) };
        self.memo.as_mut().map_or(Ok(()), |memo| memo.end_item(&self.out, &item))
    }

    fn end_output(&mut self) -> Result<()> {
        self.end_item()?;
        while let Some((gone, _)) = self.before.next_if(|_| true)? {
            self.table.set_row(&self.out, &gone, None)?;
        }
        if let Some(memo) = &mut self.memo {
            memo.end_output(&self.out)?;
        }
        self.out.clear();
        Ok(())
    }

    /// Affected outputs without rows lose all contributors. Nothing else names them, so they are found by passing them over.
    fn pass_over(&mut self, out: Option<&[u8]>) -> Result<()> {
        while self.follows == Follows::Rows
            && let Some(waiting) = &mut self.waiting
            && let Some((next, _)) = waiting.peek()?.filter(|(next, _)| out.is_none_or(|out| *next <= out))
        {
            let next = EncodedKey::from(next);
            waiting.advance()?;
            if out != Some(&next) {
                self.out.assign(&next);
                self.begin_output()?;
                self.end_output()?;
            }
        }
        Ok(())
    }

    /// The contributors of an output in the base.
    fn in_base(&mut self, out: &[u8]) -> Result<Listed> {
        if let Some(ahead) = &mut self.ahead {
            ahead.reach(out)?;
        }
        Ok(self.stage.state.contributors_of(out))
    }
}

/// The rows that the base has of an output, as a stream, from the current input on.
struct Before<'a> {
    listed: Listed,
    /// If set, only rows of these inputs count, and the others are passed over.
    ran: Option<Walk<'a>>,
}

impl Before<'_> {
    fn nothing() -> Before<'static> {
        Before { listed: Listed::nothing(), ran: None }
    }

    /// The next row, if its input is wanted; otherwise the row stays the next.
    fn next_if(&mut self, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Option<(EncodedKey, Entry)>> {
        while let Some((input, entry)) = self.listed.next_if(&is_wanted)? {
            let counts = match &mut self.ran {
                Some(ran) => ran.take(&input)?,
                None => true,
            };
            if counts {
                return Ok(Some((input, entry)));
            }
        }
        Ok(None)
    }
}

/// Writes the memo: the table of the values that contributors emitted.
struct Memo<'a> {
    limit: usize,
    table: TableWriter<'a>,
    /// The rows that the base has of the current output.
    before: Before<'a>,
    /// The values of the current input, each with its length; cut behind the value that exceeds the limit.
    values: Vec<u8>,
}

impl<'a> Memo<'a> {
    fn new(stage: &'a Stage<'a>, limit: u32) -> Memo<'a> {
        Memo {
            limit: limit as usize,
            table: TableWriter::new(stage.writers(), &stage.state.values),
            before: Before::nothing(),
            values: Vec::new(),
        }
    }

    fn emitted(&mut self, value: &[u8]) {
        if self.values.len() <= self.limit {
            write_value(value, &mut self.values);
        }
    }

    fn end_item(&mut self, out: &[u8], item: &[u8]) -> Result<()> {
        while let Some((gone, _)) = self.before.next_if(|before| before < item)? {
            self.table.set_row(out, &gone, None)?;
        }
        let before = self.before.next_if(|before| before == item)?.map(|(_, entry)| entry.meta.digest);
        let values = std::mem::take(&mut self.values);
        // A row with a part of the values would be taken for all of them: what exceeds the limit has no row.
        let now = (values.len() <= self.limit).then_some(&values[..]);
        // By digest, which the entry has: the old values need not be read.
        if before != now.map(Digest::of) {
            self.table.set_row(out, item, now)?;
        }
        Ok(())
    }

    fn end_output(&mut self, out: &[u8]) -> Result<()> {
        while let Some((gone, _)) = self.before.next_if(|_| true)? {
            self.table.set_row(out, &gone, None)?;
        }
        Ok(())
    }
}

/// Appends a value with its length.
fn write_value(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}

/// The values of a row of the memo; `None` for bytes that are cut short. Memory: at most 16 times the bytes.
pub(crate) fn read_values(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        values.push(value);
        bytes = rest;
    }
    Some(values)
}
