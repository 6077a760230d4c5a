//! Cells that are read from a file while others are trained on.
//!
//! The file is cut into blocks, contiguous cells of about as many bytes. An epoch takes the blocks in random order, [`AT_ONCE`] of them
//! at once: a pool, whose cells are shuffled together. So cells that lie together in a sorted file meet cells of all its parts, and
//! the file is still read in stretches. A thread reads the next pool while the present one is trained on.
//!
//! Two pools are in memory, as sparse rows of the kept genes. The order follows from the blocks, so from the file and the bytes
//! that a pool may have, and from the random numbers: not from how fast anything is read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use burn::tensor::Device;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::batches::{Batch, Columns, even_chunks};
use super::source::{BatchSource, CountData, Dense, Pass, WithColumns};
use crate::data::CellSource;
use crate::error::Result;
use crate::sparse::Csr;

/// Blocks of a pool. The more, the better cells of different parts of the file are mixed, and the shorter the stretches that are read.
const AT_ONCE: usize = 64;

/// Pools that an epoch has at least: it begins when the first one is read, and nothing is trained meanwhile.
const FEWEST_POOLS: usize = 8;

/// Bytes of an entry of a sparse matrix in memory, and of a row of both layers.
const ENTRY: usize = size_of::<u32>() + size_of::<f32>();
const ROW: usize = 4 * size_of::<usize>();

/// Counts of some genes of all cells of a [`CellSource`], read as batches need them.
pub struct CountStream {
    file: File,
    device: Device,
    genes: Vec<String>,
    columns: Columns,
    /// The cells that were last asked for alone: those that are looked at after every validation.
    looked_at: Mutex<Option<(Vec<usize>, Arc<Pool>)>>,
}

/// What the reading thread needs to know.
#[derive(Clone)]
struct File {
    source: Arc<dyn CellSource>,
    /// Positions of the genes in the file.
    kept: Arc<[usize]>,
    blocks: Arc<[Range<usize>]>,
}

/// Cells that are in memory at once, in the order in which they are needed.
struct Pool {
    /// The wanted cells of each block.
    parts: Vec<[Csr<f32>; 2]>,
    /// Block and row of each cell among `parts`.
    places: Vec<(u32, u32)>,
}

impl CountStream {
    /// Counts of the genes at the positions `kept` in the file, for batches on `device`. What has been read and is not yet used
    /// takes at most `bytes` of memory, for which [`CountStream::smallest`] is the least.
    #[must_use]
    pub fn new(source: Arc<dyn CellSource>, kept: &[usize], bytes: usize, device: &Device) -> Self {
        let sizes = sizes(source.as_ref(), kept.len());
        let pool = (bytes / 2).min(sizes.iter().sum::<usize>().div_ceil(FEWEST_POOLS));
        let blocks = cut(&sizes, pool / AT_ONCE);
        let genes = kept.iter().map(|&gene| source.var().index[gene].clone()).collect();
        let file = File { source, kept: kept.into(), blocks: blocks.into() };
        Self { file, device: device.clone().inner(), genes, columns: Columns::default(), looked_at: Mutex::default() }
    }

    /// The least bytes with which the counts of `n_vars` genes of `source` can be streamed: every block has a cell.
    #[must_use]
    pub fn smallest(source: &dyn CellSource, n_vars: usize) -> usize {
        2 * AT_ONCE * sizes(source, n_vars).into_iter().max().unwrap_or_default()
    }

    /// Bytes that the counts of `n_vars` genes of all cells of `source` take in memory, at most.
    #[must_use]
    pub fn whole(source: &dyn CellSource, n_vars: usize) -> usize {
        sizes(source, n_vars).into_iter().sum()
    }

    /// Blocks into which the file is cut.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        self.file.blocks.len()
    }

    /// Blocks of a pool.
    #[must_use]
    pub fn at_once(&self) -> usize {
        AT_ONCE.min(self.n_blocks())
    }

    /// All cells in memory.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn into_memory(self) -> Result<CountData> {
        let n_vars = self.n_vars();
        let room = Self::whole(self.file.source.as_ref(), n_vars) / ENTRY;
        let mut counts = [(); 2].map(|()| {
            let mut layer = Csr::empty(0, n_vars);
            // Pages of which nothing is used are not taken.
            layer.indices.reserve_exact(room);
            layer.data.reserve_exact(room);
            layer
        });
        for block in self.file.blocks.iter() {
            let cells: Vec<usize> = block.clone().collect();
            counts.iter_mut().zip(self.file.read_block(block, &cells)?).for_each(|(all, part)| all.append(part));
        }
        Ok(CountData::new(counts, self.genes, &self.device)?.with_columns(self.columns))
    }
}

impl WithColumns for CountStream {
    fn columns(&mut self) -> (&mut Columns, &Device) {
        (&mut self.columns, &self.device)
    }
}

impl BatchSource for CountStream {
    fn device(&self) -> &Device {
        &self.device
    }

    fn genes(&self) -> &[String] {
        &self.genes
    }

    fn n_obs(&self) -> usize {
        self.file.source.n_obs()
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let known = looked_at.as_ref().filter(|(known, _)| known == rows).map(|(_, pool)| Arc::clone(pool));
        let pool = match known {
            Some(pool) => pool,
            None => Arc::new(self.file.read(rows)?),
        };
        *looked_at = Some((rows.to_vec(), Arc::clone(&pool)));
        let mut dense = Dense::new(rows.len(), self.n_vars());
        (0..rows.len()).for_each(|at| pool.push(&mut dense, at));
        Ok(dense.batch(rows, &self.columns, &self.device))
    }

    fn pass<'a>(&'a self, batches: &'a [Vec<usize>]) -> Pass<'a> {
        let ahead = Ahead::start(self.file.clone(), self.file.pools(batches));
        Box::new(Reading { stream: self, batches: batches.iter(), ahead, pool: None })
    }

    fn deal(&self, rows: &[usize], size: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        debug_assert!(rows.is_sorted());
        let of_block = |block: &Range<usize>| {
            &rows[rows.partition_point(|&row| row < block.start)..rows.partition_point(|&row| row < block.end)]
        };
        let mut blocks: Vec<&[usize]> =
            self.file.blocks.iter().map(of_block).filter(|cells| !cells.is_empty()).collect();
        blocks.shuffle(rng);
        let mut order = Vec::with_capacity(rows.len());
        for pool in blocks.chunks(AT_ONCE) {
            let start = order.len();
            for cells in pool {
                order.extend_from_slice(cells);
            }
            order[start..].shuffle(rng);
        }
        even_chunks(&order, size)
    }
}

/// Bytes of each cell of `source` in memory, of `n_vars` of its genes, at most.
fn sizes(source: &dyn CellSource, n_vars: usize) -> Vec<usize> {
    let size = |row| source.entries(row).min(2 * n_vars) * ENTRY + ROW;
    (0..source.n_obs()).map(size).collect()
}

/// Cells of the given sizes in contiguous blocks of at most `bytes`, or of one cell.
fn cut(sizes: &[usize], bytes: usize) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let mut filled = 0;
    for (row, size) in sizes.iter().enumerate() {
        match blocks.last_mut() {
            Some(block) if filled + size <= bytes => block.end = row + 1,
            _ => {
                filled = 0;
                blocks.push(row..row + 1);
            }
        }
        filled += size;
    }
    blocks
}

impl File {
    fn block_of(&self, row: usize) -> usize {
        self.blocks.partition_point(|block| block.end <= row)
    }

    /// The cells of all `batches` in their order, cut where the next one lies in a block too many.
    fn pools(&self, batches: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let mut pools: Vec<Vec<usize>> = Vec::new();
        let mut held = vec![false; self.blocks.len()];
        let mut n_held = AT_ONCE;
        for &row in batches.iter().flatten() {
            let block = self.block_of(row);
            if !held[block] {
                if n_held == AT_ONCE {
                    pools.push(Vec::new());
                    held.fill(false);
                    n_held = 0;
                }
                held[block] = true;
                n_held += 1;
            }
            pools.last_mut().expect("the first cell begins the first pool").push(row);
        }
        pools
    }

    /// The cells at `rows`.
    fn read(&self, rows: &[usize]) -> Result<Pool> {
        let mut wanted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &row in rows {
            wanted.entry(self.block_of(row)).or_default().push(row);
        }
        let mut parts = Vec::with_capacity(wanted.len());
        for (&block, cells) in &mut wanted {
            cells.sort_unstable();
            cells.dedup();
            parts.push(self.read_block(&self.blocks[block], cells)?);
        }
        let place = |&row: &usize| {
            let block = self.block_of(row);
            let part = wanted.keys().position(|&known| known == block);
            let at = wanted[&block].binary_search(&row).ok();
            part.zip(at).map(|(part, at)| (part as u32, at as u32)).expect("every cell was asked for")
        };
        Ok(Pool { parts, places: rows.iter().map(place).collect() })
    }

    /// The kept genes of `cells`, rising, of which the first and the last are the bounds of what is read of `block`.
    fn read_block(&self, block: &Range<usize>, cells: &[usize]) -> Result<[Csr<f32>; 2]> {
        let (first, last) =
            (cells.first().copied().unwrap_or(block.start), cells.last().copied().unwrap_or(block.start));
        let positions: Vec<usize> = cells.iter().map(|row| row - first).collect();
        let all_cells = positions.len() == last + 1 - first;
        let all_genes = self.kept.len() == self.source.n_vars();
        Ok(self.source.cells(first..last + 1)?.map(|mut layer| {
            if !all_cells {
                layer = layer.select_rows(&positions);
            }
            if !all_genes {
                layer = layer.select_columns(&self.kept);
            }
            // Room for twice the entries would be counted by nobody.
            layer.indices.shrink_to_fit();
            layer.data.shrink_to_fit();
            layer
        }))
    }
}

impl Pool {
    /// Adds the cell that is needed as number `at` of this pool.
    fn push(&self, dense: &mut Dense, at: usize) {
        let (part, row) = self.places[at];
        dense.push(&self.parts[part as usize], row as usize);
    }
}

/// Pools of a pass, read in a thread of their own. One waits there while another is used.
struct Ahead {
    pools: Option<Receiver<Result<Pool>>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    fn start(file: File, pools: Vec<Vec<usize>>) -> Self {
        let (sender, receiver) = sync_channel(0);
        let read = move || {
            for rows in pools {
                let pool = file.read(&rows);
                let failed = pool.is_err();
                // Nobody listens any more if training ended.
                if sender.send(pool).is_err() || failed {
                    return;
                }
            }
        };
        Self { pools: Some(receiver), thread: Some(std::thread::spawn(read)) }
    }

    /// The next pool.
    fn next(&mut self) -> Result<Pool> {
        let next = self.pools.as_ref().and_then(|pools| pools.recv().ok());
        next.unwrap_or_else(|| {
            let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            unreachable!("every cell of a pass is in one of its pools")
        })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.pools = None;
        // A panic of the thread was met by whoever waited for its pool.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The batches of a pass.
struct Reading<'a> {
    stream: &'a CountStream,
    batches: std::slice::Iter<'a, Vec<usize>>,
    ahead: Ahead,
    /// The pool in use, and how many of its cells are used up.
    pool: Option<(Pool, usize)>,
}

impl Reading<'_> {
    fn fill(&mut self, rows: &[usize]) -> Result<Batch> {
        let mut dense = Dense::new(rows.len(), self.stream.n_vars());
        for _ in rows {
            if self.pool.as_ref().is_none_or(|(pool, used)| *used == pool.places.len()) {
                // Gone before the next one is asked for, after which the thread begins with the one behind it.
                self.pool = None;
                self.pool = Some((self.ahead.next()?, 0));
            }
            if let Some((pool, used)) = &mut self.pool {
                pool.push(&mut dense, *used);
                *used += 1;
            }
        }
        Ok(dense.batch(rows, &self.stream.columns, &self.stream.device))
    }
}

impl Iterator for Reading<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.batches.next()?;
        Some(self.fill(rows))
    }
}
