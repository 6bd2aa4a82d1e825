//! The table of contributors in the making, and what they said where the task has a memo.
//!
//! For most tasks it follows the rows, which come sorted by output and input. A direct task with one producer an output
//! writes it by what became of each output instead; a front-end over the whole input is nobody's contributor.

use deltic_compiler::Pattern;
use deltic_core::Digest;
use deltic_store::{Entry, Tree};

use crate::Result;
use crate::engine::kernel::TaskKernel;
use crate::key::{EncodedKey, InputKey, OutputKey};
use crate::sort::key_set::{Ahead, KeySet, Walk};
use crate::sort::merge_join::{Side, merge_join};
use crate::sort::rows::Row;
use crate::stage::context::Stage;
use crate::state::listed::Listed;
use crate::state::tables::TableWriter;

/// What decides what is written.
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
    /// In an incremental stage: the affected inputs that were asked.
    asked: Option<&'a KeySet>,
    /// In an incremental stage: the affected outputs that no row has come for yet.
    waiting: Option<Walk<'a>>,
    ahead: Option<Ahead<'a>>,
    /// The output whose rows are coming, the input that they come from, and the output's contributors in the base that
    /// are still to be met.
    out: EncodedKey,
    item: Option<EncodedKey>,
    before: Before<'a>,
}

impl<'a> Contributors<'a> {
    /// `wanted` are the affected outputs of an incremental stage, `asked` the affected inputs that had something to say.
    pub(crate) fn new(
        stage: &'a Stage<'a>,
        kernel: &'a TaskKernel<'a>,
        wanted: Option<&'a KeySet>,
        asked: Option<&'a KeySet>,
    ) -> Contributors<'a> {
        Contributors {
            stage,
            kernel,
            asked,
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

    /// A row that is given to a back-end, in order.
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
        if self.item.as_deref() != Some(row.item) {
            self.end_item()?;
            while let Some((gone, _)) = self.before.next_if(|before| before < row.item)? {
                self.table.set_row(&self.out, &gone, None)?;
            }
            if self.before.next_if(|before| before == row.item)?.is_none() {
                self.table.set_row(&self.out, row.item, Some(&[]))?;
            }
            self.item = Some(row.item.into());
        }
        if let Some(memo) = &mut self.memo {
            memo.said(row.value);
        }
        Ok(())
    }

    /// What is kept for an output of a task with one producer an output.
    pub(crate) fn sole(&mut self, out: &OutputKey, item: Option<&InputKey>) -> Result<()> {
        if self.follows != Follows::Outcomes {
            return Ok(());
        }
        let out = out.to_bytes();
        let now = item.map(InputKey::to_bytes);
        for side in merge_join(self.known(&out)?, now, |(was, _), is| was.cmp(is)) {
            match side? {
                Side::Both(..) => {}
                Side::Left((gone, _)) => self.table.set_row(&out, &gone, None)?,
                Side::Right(new) => self.table.set_row(&out, &new, Some(&[]))?,
            }
        }
        Ok(())
    }

    /// Ends a range of outputs: nothing that comes from here on lies before `end`.
    pub(crate) fn end_range(&mut self, end: Option<&[u8]>) -> Result<()> {
        self.end_output()?;
        self.pass_over(end)?;
        if let Some(memo) = &mut self.memo {
            memo.table.end_range()?;
        }
        self.table.end_range()
    }

    /// The tables of contributors and of what they said.
    pub(crate) fn finish(mut self) -> Result<(Tree, Tree)> {
        self.end_range(None)?;
        let values = match self.memo {
            Some(memo) => memo.table.finish()?,
            None => self.stage.state.values.clone(),
        };
        Ok((self.table.finish()?, values))
    }

    fn begin_output(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.out);
        // Nobody but affected inputs is asked for an output that is held back: the others stay.
        let asked = self.asked.filter(|_| self.kernel.is_held(&out));
        self.before = Before { listed: self.known(&out)?, asked: asked.map(KeySet::walk) };
        if let Some(memo) = &mut self.memo {
            memo.before = Before { listed: self.stage.state.values_of(&out), asked: asked.map(KeySet::walk) };
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

    /// Affected outputs without rows lose all contributors.
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
    fn known(&mut self, out: &[u8]) -> Result<Listed> {
        if let Some(ahead) = &mut self.ahead {
            ahead.reach(out)?;
        }
        Ok(self.stage.state.contributors_of(out))
    }
}

/// What the base has of an output that is still to be met, as a stream. One output may be made from everything.
struct Before<'a> {
    listed: Listed,
    /// Others than these are passed over, where there are any.
    asked: Option<Walk<'a>>,
}

impl Before<'_> {
    fn nothing() -> Before<'static> {
        Before { listed: Listed::nothing(), asked: None }
    }

    /// The next one, if it is one that is wanted; otherwise it stays.
    fn next_if(&mut self, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Option<(EncodedKey, Entry)>> {
        while let Some((input, entry)) = self.listed.next_if(&is_wanted)? {
            let counts = match &mut self.asked {
                Some(asked) => asked.take(&input)?,
                None => true,
            };
            if counts {
                return Ok(Some((input, entry)));
            }
        }
        Ok(None)
    }
}

/// The table of what contributors said, in the making.
struct Memo<'a> {
    limit: usize,
    table: TableWriter<'a>,
    /// What is kept of the output at hand, by input, and is still to be met.
    before: Before<'a>,
    /// What the input at hand says, framed; no more of it than shows that it is too much.
    said: Vec<u8>,
}

impl<'a> Memo<'a> {
    fn new(stage: &'a Stage<'a>, limit: u32) -> Memo<'a> {
        Memo {
            limit: limit as usize,
            table: TableWriter::new(stage.writers(), &stage.state.values),
            before: Before::nothing(),
            said: Vec::new(),
        }
    }

    fn said(&mut self, value: &[u8]) {
        if self.said.len() <= self.limit {
            write_value(value, &mut self.said);
        }
    }

    fn end_item(&mut self, out: &[u8], item: &[u8]) -> Result<()> {
        while let Some((gone, _)) = self.before.next_if(|before| before < item)? {
            self.table.set_row(out, &gone, None)?;
        }
        let before = self.before.next_if(|before| before == item)?.map(|(_, entry)| entry.meta.digest);
        let said = std::mem::take(&mut self.said);
        let now = (said.len() <= self.limit).then_some(&said[..]);
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

/// The values that were written; `None` for bytes that are cut short. Memory: at most 16 times the bytes.
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
