//! Batches on threads: several at once, results in order, in bounded memory.
//!
//! A single batch runs on the calling thread, and the thread pool is started when there is a second one, so small runs
//! cost nothing. What a batch will emit shows only when it runs: a batch that has emitted enough is ended, and the rest of
//! it becomes batches of their own, right behind it. While results that wait for their turn are heavy, no more batches are
//! started than there are threads, and at last only the one whose turn it is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::engine::Kernel;
use crate::{Error, Result};

/// What was made of a batch.
pub(crate) struct Done<B, R> {
    pub(crate) result: R,
    /// Bytes that the result takes until it is taken.
    pub(crate) weight: u64,
    /// What is left of the batch, as batches, in order.
    pub(crate) rest: Vec<B>,
}

/// Runs batches, with these limits.
pub(crate) struct Workers<'a> {
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) pool: Box<dyn Fn() -> Result<&'a rayon::ThreadPool> + 'a>,
    pub(crate) threads: usize,
    /// Whether batches are to be cut early, because cutting one begins to read for it.
    pub(crate) reads_ahead: bool,
    /// Batches that are cut and whose results are not taken.
    pub(crate) batches: usize,
    /// Bytes of such batches, as far as they are known before.
    pub(crate) coming_bytes: u64,
    /// Bytes of results that wait for their turn.
    pub(crate) done_bytes: u64,
}

/// A batch in its place.
struct Slot<B, R> {
    number: u64,
    bytes: u64,
    state: State<B, R>,
}

enum State<B, R> {
    Ready(B),
    Running,
    Done(Result<R>, u64),
}

impl Workers<'_> {
    /// Applies `work` to batches, several at once, and hands results over in order. The error of the first batch that
    /// failed, in order, is the one that is reported. Batches come with the bytes that they take.
    pub(crate) fn each<B: Send, R: Send>(
        &self,
        mut next: impl FnMut() -> Result<Option<(B, u64)>>,
        work: impl Fn(B) -> Result<Done<B, R>> + Sync,
        mut take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        let mut next = || self.kernel.go_on().and_then(|()| next());
        let Some(first) = next()? else { return Ok(()) };
        let is_shared = self.threads > 1 || self.reads_ahead;
        let mut ready = VecDeque::from([first]);
        match if is_shared { next()? } else { None } {
            Some(second) => ready.push_back(second),
            None => {
                while let Some((batch, _)) = ready.pop_front().map_or_else(&mut next, |batch| Ok(Some(batch)))? {
                    let done = work(batch)?;
                    take(done.result)?;
                    done.rest.into_iter().rev().for_each(|piece| ready.push_front((piece, 0)));
                    if is_shared && ready.len() > 1 {
                        break;
                    }
                }
                if ready.is_empty() {
                    return Ok(());
                }
            }
        }
        self.share(ready, &mut next, &work, &mut take)
    }

    fn share<B: Send, R: Send>(
        &self,
        ready: VecDeque<(B, u64)>,
        next: &mut dyn FnMut() -> Result<Option<(B, u64)>>,
        work: &(impl Fn(B) -> Result<Done<B, R>> + Sync),
        take: &mut dyn FnMut(R) -> Result<()>,
    ) -> Result<()> {
        let (sender, receiver) = mpsc::channel();
        let mut numbers = 0..;
        let mut slot =
            |batch, bytes| Slot { number: numbers.next().unwrap_or(u64::MAX), bytes, state: State::Ready(batch) };
        let mut coming: u64 = ready.iter().map(|(_, bytes)| bytes).sum();
        let mut slots: VecDeque<Slot<B, R>> = ready.into_iter().map(|(batch, bytes)| slot(batch, bytes)).collect();
        let (mut running, mut held, mut ended) = (0, 0, false);
        // About how heavy results have been lately, once there were any.
        let mut usual: Option<u64> = None;
        (self.pool)()?.in_place_scope(|scope| {
            loop {
                while !ended && slots.len() < self.batches && coming < self.coming_bytes {
                    match next()? {
                        Some((batch, bytes)) => {
                            coming += bytes;
                            slots.push_back(slot(batch, bytes));
                        }
                        None => ended = true,
                    }
                }
                for (place, Slot { number, state, .. }) in slots.iter_mut().enumerate() {
                    if !matches!(state, State::Ready(_)) {
                        continue;
                    }
                    let fits = |usual: u64| held + (running as u64 + 1) * usual <= self.done_bytes;
                    let is_idle = running < self.threads && held < self.done_bytes;
                    if place > 0 && !is_idle && !usual.is_some_and(fits) {
                        break;
                    }
                    let State::Ready(batch) = std::mem::replace(state, State::Running) else { continue };
                    running += 1;
                    let (sender, number) = (sender.clone(), *number);
                    scope.spawn(move |_| {
                        // User code is guarded already; this keeps a mistake of ours from waiting for ever.
                        let done = catch_unwind(AssertUnwindSafe(|| work(batch)));
                        let failed = |_| Err(Error::Engine("a worker panicked".to_owned()));
                        // Nobody listens any more when an earlier batch failed.
                        let _ = sender.send((number, done.unwrap_or_else(failed)));
                    });
                }
                if slots.is_empty() {
                    return Ok(());
                }
                let gone = || Error::Engine("the workers are gone".to_owned());
                let (number, done) = receiver.recv().map_err(|_| gone())?;
                running -= 1;
                let place = slots.iter().position(|slot| slot.number == number).ok_or_else(gone)?;
                slots[place].state = match done {
                    Err(error) => State::Done(Err(error), 0),
                    Ok(Done { result, weight, rest }) => {
                        held += weight;
                        usual = Some(usual.map_or(weight, |usual| weight.max(usual - usual / 8)));
                        for (after, piece) in rest.into_iter().enumerate() {
                            slots.insert(place + 1 + after, slot(piece, 0));
                        }
                        State::Done(Ok(result), weight)
                    }
                };
                while let Some(Slot { bytes, state: State::Done(result, weight), .. }) =
                    slots.pop_front_if(|slot| matches!(slot.state, State::Done(..)))
                {
                    held -= weight;
                    coming -= bytes;
                    take(result?)?;
                }
            }
        })
    }
}
