//! Sorting rows by output and input in bounded memory.
//!
//! Rows are held until they fill the budget, then sorted and written to a file as one run; at the end the runs are merged.
//! When there are many runs that were merged equally often, they are merged into one before that. So open files are few
//! for any number of rows, and each row is rewritten O(log n) times.
//!
//! The sort is stable: rows of equal keys keep the order in which they came. So back-ends get the values of an input in the
//! order of emission, on which their output and the digests of edges may depend.

use std::io::{ErrorKind, Read};

use crate::sort::rows::{Row, RowStream, Rows};
use crate::sort::spill::{Spill, SpillReader, SpillWriter, damaged};
use crate::{Error, Result};

/// The number of runs of one size that are merged into one.
const MERGED_RUNS: usize = 32;

/// Takes rows in any order, and returns them sorted.
#[derive(Debug)]
pub(crate) struct Shuffle {
    budget: usize,
    held: usize,
    chunks: Vec<Rows>,
    /// In the order in which their rows came, each with the number of times that its rows were merged.
    runs: Vec<(Spill, u32)>,
}

impl Shuffle {
    /// A shuffle that holds about `budget` bytes of rows in memory.
    pub(crate) fn new(budget: usize) -> Shuffle {
        Shuffle { budget, held: 0, chunks: Vec::new(), runs: Vec::new() }
    }

    pub(crate) fn push(&mut self, mut rows: Rows) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        rows.trim();
        // Plus eight bytes for each row in the vector that is sorted.
        self.held += rows.memory() + 8 * rows.len();
        self.chunks.push(rows);
        if self.held > self.budget {
            self.spill().map_err(failed)?;
            self.merge_runs()?;
        }
        Ok(())
    }

    /// Merges the last runs into one while enough of them were merged equally often, like the carries of a counter.
    ///
    /// Only neighbours are merged, and the result takes their place: a run's place is the order in which its rows came,
    /// by which rows of equal keys are sorted.
    fn merge_runs(&mut self) -> Result<()> {
        while let Some((_, merged)) = self.runs.last() {
            let merged = *merged;
            let equal = self.runs.iter().rev().take_while(|(_, other)| *other == merged).count();
            if equal < MERGED_RUNS {
                break;
            }
            let last = self.runs.split_off(self.runs.len() - equal);
            let mut sorted =
                Sorted { runs: opened(last)?, chunks: Vec::new(), order: Vec::new(), next: 0, least: None };
            let mut run = RunWriter::new().map_err(failed)?;
            while let Some(row) = sorted.peek()? {
                run.add(row).map_err(failed)?;
                sorted.advance()?;
            }
            self.runs.push((run.finish().map_err(failed)?, merged + 1));
        }
        Ok(())
    }

    /// All rows, sorted.
    pub(crate) fn finish(self) -> Result<Sorted> {
        let runs = opened(self.runs)?;
        let order = sorted(&self.chunks);
        Ok(Sorted { runs, chunks: self.chunks, order, next: 0, least: None })
    }

    fn spill(&mut self) -> std::io::Result<()> {
        let mut run = RunWriter::new()?;
        for (chunk, row) in sorted(&self.chunks) {
            run.add(self.chunks[chunk as usize].get(row as usize))?;
        }
        self.runs.push((run.finish()?, 0));
        self.chunks.clear();
        self.held = 0;
        Ok(())
    }
}

fn opened(runs: Vec<(Spill, u32)>) -> Result<Vec<Run>> {
    runs.into_iter().map(|(spill, _)| Run::open(spill)).collect::<std::io::Result<_>>().map_err(failed)
}

/// A run being written: for each row three lengths, then its bytes.
struct RunWriter(SpillWriter);

impl RunWriter {
    fn new() -> std::io::Result<RunWriter> {
        SpillWriter::new().map(RunWriter)
    }

    fn add(&mut self, row: Row<'_>) -> std::io::Result<()> {
        let Row { out, item, value } = row;
        self.0.write(&(out.len() as u16).to_le_bytes())?;
        self.0.write(&(item.len() as u16).to_le_bytes())?;
        self.0.write(&(value.len() as u32).to_le_bytes())?;
        self.0.write(out)?;
        self.0.write(item)?;
        self.0.write(value)
    }

    fn finish(self) -> std::io::Result<Spill> {
        self.0.finish()
    }
}

fn sorted(chunks: &[Rows]) -> Vec<(u32, u32)> {
    let places = (0u32..).zip(chunks).flat_map(|(chunk, rows)| (0..rows.len() as u32).map(move |row| (chunk, row)));
    let mut order: Vec<(u32, u32)> = places.collect();
    let key = |&(chunk, row): &(u32, u32)| chunks[chunk as usize].key(row as usize);
    // A stable sort of places that are in the order in which rows came.
    order.sort_by(|a, b| key(a).cmp(key(b)));
    order
}

pub(crate) fn failed(error: std::io::Error) -> Error {
    let folder = std::env::temp_dir();
    let remedy = match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            "check that disk, or set TMPDIR to a folder on another one"
        }
        _ => "free some space, or set TMPDIR",
    };
    let what =
        format!("rows that do not fit into memory could not be written to a temporary file in {}", folder.display());
    Error::machine(what, error, remedy)
}

/// The rows of a shuffle, sorted.
#[derive(Debug)]
pub(crate) struct Sorted {
    runs: Vec<Run>,
    chunks: Vec<Rows>,
    order: Vec<(u32, u32)>,
    next: usize,
    /// The source of the least row, once it is known: the number of a run, or behind these the rows in memory. It is kept
    /// between `peek` and `advance`, because finding it compares the keys of all runs.
    least: Option<usize>,
}

/// A run that is being read. It has read the key of its next row, and reads the value when the row is asked for: a merge
/// of many runs compares keys alone, so one value is in memory and not one for each run. Memory: a key and a block, and a
/// value, which is never longer than the rest of the file.
#[derive(Debug)]
struct Run {
    file: SpillReader,
    lengths: (usize, usize),
    /// The key of the row, then its value if that was read.
    row: Vec<u8>,
    /// Bytes of the value, while they are not read.
    unread: u64,
    ended: bool,
}

/// The capacity that a run keeps for its next row: a large row is freed when it was read.
const KEPT_BYTES: usize = 1 << 16;

impl Run {
    fn open(spill: Spill) -> std::io::Result<Run> {
        let mut run = Run { file: spill.read(), lengths: (0, 0), row: Vec::new(), unread: 0, ended: false };
        run.advance()?;
        Ok(run)
    }

    fn advance(&mut self) -> std::io::Result<()> {
        if self.row.capacity() > KEPT_BYTES {
            self.row = Vec::new();
        }
        if self.unread > 0 {
            // Read and not skipped, because blocks are checked as they are read.
            std::io::copy(&mut self.file.by_ref().take(self.unread), &mut std::io::sink())?;
            self.unread = 0;
        }
        if self.file.left() == 0 {
            self.ended = true;
            return Ok(());
        }
        let mut head = [0; 8];
        self.file.read_exact(&mut head)?;
        let [a, b, c, d, value @ ..] = head;
        let (out, item) = (u16::from_le_bytes([a, b]) as usize, u16::from_le_bytes([c, d]) as usize);
        let (key, value) = (out + item, u64::from(u32::from_le_bytes(value)));
        // Before anything of this length is allocated: a length that is wrong must not take all memory.
        if key as u64 + value > self.file.left() {
            return Err(damaged());
        }
        (self.lengths, self.unread) = ((out, item), value);
        self.row.resize(key, 0);
        self.file.read_exact(&mut self.row)
    }

    /// Reads the value of the current row.
    fn read_value(&mut self) -> std::io::Result<()> {
        let key = self.lengths.0 + self.lengths.1;
        let value = usize::try_from(self.unread).map_err(|_| damaged())?;
        self.row.resize(key + value, 0);
        self.file.read_exact(&mut self.row[key..])?;
        self.unread = 0;
        Ok(())
    }

    fn key(&self) -> &[u8] {
        &self.row[..self.lengths.0 + self.lengths.1]
    }

    fn get(&self) -> Row<'_> {
        let (out, rest) = self.row.split_at(self.lengths.0);
        let (item, value) = rest.split_at(self.lengths.1);
        Row { out, item, value }
    }
}

impl Sorted {
    fn in_memory(&self) -> Option<(&Rows, usize)> {
        let (chunk, row) = *self.order.get(self.next)?;
        Some((&self.chunks[chunk as usize], row as usize))
    }

    /// The source of the least row. Of equal ones it is the first: its rows came first.
    fn find_least(&self) -> Option<usize> {
        let runs = self.runs.iter().enumerate().filter(|(_, run)| !run.ended).map(|(n, run)| (run.key(), n));
        // Rows in memory came last, so their source has the greatest number.
        let memory = self.in_memory().map(|(rows, row)| (rows.key(row), self.runs.len()));
        runs.chain(memory).min().map(|(_, source)| source)
    }
}

impl RowStream for Sorted {
    fn peek(&mut self) -> Result<Option<Row<'_>>> {
        if self.least.is_none() {
            self.least = self.find_least();
        }
        Ok(match self.least {
            None => None,
            Some(run) if run < self.runs.len() => {
                let run = &mut self.runs[run];
                if run.unread > 0 {
                    run.read_value().map_err(failed)?;
                }
                Some(run.get())
            }
            Some(_) => self.in_memory().map(|(rows, row)| rows.get(row)),
        })
    }

    fn advance(&mut self) -> Result<()> {
        match self.least.take().or_else(|| self.find_least()) {
            Some(run) if run < self.runs.len() => self.runs[run].advance().map_err(failed),
            Some(_) => {
                self.next += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
impl Shuffle {
    /// A shuffle whose rows lie in files.
    pub(crate) fn of_runs(runs: Vec<Spill>) -> Shuffle {
        Shuffle { runs: runs.into_iter().map(|run| (run, 0)).collect(), ..Shuffle::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows with few different keys. Their values ascend in the order in which they came.
    fn shuffled(budget: usize) -> (Vec<[Vec<u8>; 3]>, usize) {
        let mut shuffle = Shuffle::new(budget);
        let mut number = 7u32;
        for chunk in 0u32..100 {
            let mut rows = Rows::default();
            for row in 0..10 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (out, item) = ([(number >> 24) as u8 % 5], [(number >> 16) as u8 % 3]);
                rows.push(&out, &item, &(chunk * 10 + row).to_be_bytes());
            }
            shuffle.push(rows).unwrap();
        }
        let runs = shuffle.runs.len();
        let mut sorted = shuffle.finish().unwrap();
        let mut all = Vec::new();
        while let Some(row) = sorted.peek().unwrap() {
            all.push([row.out, row.item, row.value].map(<[u8]>::to_vec));
            sorted.advance().unwrap();
        }
        (all, runs)
    }

    /// A file that was damaged on its way ends the sort, whatever the damage is, and is never the end of the rows.
    #[test]
    fn rows_that_were_damaged_are_an_error() {
        type Damage = fn(&mut Vec<u8>);
        let damages: [Damage; 4] =
            [|file| file[4] ^= 1, |file| file.truncate(9), |file| file.clear(), |file| file.truncate(file.len() - 1)];
        for damage in damages {
            let mut shuffle = Shuffle::new(0);
            for number in 0..3u8 {
                let mut rows = Rows::default();
                rows.push(&[number], b"item", b"value");
                shuffle.push(rows).unwrap();
            }
            shuffle.runs[1].0.tamper(damage);
            let ended = shuffle.finish().and_then(|mut sorted| {
                while sorted.peek()?.is_some() {
                    sorted.advance()?;
                }
                Ok(())
            });
            let error = ended.unwrap_err().to_string();
            assert!(
                error.contains("could not be written to a temporary file") && error.contains("check that disk"),
                "{error}"
            );
        }
    }

    #[test]
    fn rows_come_out_sorted_and_stable_however_little_memory_there_is() {
        let (in_memory, runs) = shuffled(usize::MAX);
        assert_eq!((in_memory.len(), runs), (1000, 0));
        assert!(in_memory.is_sorted(), "the values ascend within a key, so this is stability too");
        // With no memory every chunk is a run: three times 32 of them became one, and four are left.
        for (budget, expected) in [(20_000, 1), (4_000, 6), (0, 7)] {
            let (spilled, runs) = shuffled(budget);
            assert!(runs >= expected && runs < MERGED_RUNS, "{runs} runs with {budget} bytes");
            assert_eq!(spilled, in_memory);
        }
    }
}
