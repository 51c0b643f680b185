//! Full blocks of open chunks, on a file.
//!
//! An open chunk grows for minutes or hours, and only its newest block is ever written to. The others are moved here:
//! into pieces of memory that are filled one after the other, written to a scratch file when they are full, and mapped
//! from it. So their pages are in memory only while queries read them, like those of closed chunks
//! (`head/chunk_files.rs`), and the memory of a series does not grow with the samples of its chunk.
//!
//! The file has no name, needs no recovery and is never synced: the log has the samples. Where it cannot be written
//! (a full disk, no file at all), pieces stay in memory. A piece with few blocks left is filled again, so that series
//! of one scrape interval do not keep room for the blocks of all others.
//!
//! There is one scratch of the process, because a [`Full`] block knows only its number: with a reference to its
//! scratch it would not fit the link that a block has.
#![allow(unsafe_code)]

mod memory;
mod worker;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use parking_lot::{Condvar, Mutex};
use smallvec::SmallVec;

use super::blocks::Block;
pub(crate) use worker::Worker;

/// Blocks of a piece.
const BLOCKS: usize = 4096;
/// A piece with so many blocks left, or fewer, is filled again.
const FEW: u32 = BLOCKS as u32 / 4;
/// Pieces of one table of addresses, and tables.
const TABLE: usize = 1024;
const TABLES: usize = (u32::MAX as usize + 1) / BLOCKS / TABLE;
/// Pieces that are given back under one lock.
const AT_ONCE: usize = 64;
/// Pieces on the file: each may be a mapping of its own, of which a process may have about 65,000.
const ON_FILE_MAX: usize = 32_000;

/// The memory of a piece.
type Piece = [Block; BLOCKS];

/// A block that takes no more samples. It is freed with its owner, and so are those before it.
#[derive(Debug)]
pub(super) struct Full(NonZeroU32);

static SCRATCH: Scratch = Scratch::new();

impl Full {
    /// Moves a block to the scratch.
    pub(super) fn new(block: Block) -> Self {
        Self(SCRATCH.put(block))
    }
}

impl Deref for Full {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        // SAFETY: the number came from `put`, and the block is taken away only when its one owner is dropped.
        unsafe { SCRATCH.get(self.0) }
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        // One by one, and read before the lock is taken: their pages may have to come from the disk.
        let mut all: SmallVec<[NonZeroU32; 16]> = SmallVec::new();
        let mut next = Some(self.0);
        while let Some(number) = next {
            all.push(number);
            // SAFETY: as in `deref`; the block before belongs to this one.
            let block = unsafe { SCRATCH.get(number) };
            next = block.before.as_ref().map(|full| full.0);
        }
        SCRATCH.free(&all);
    }
}

/// Pieces, and what is known of them.
struct Scratch {
    tables: [OnceLock<Box<[AtomicPtr<Piece>; TABLE]>>; TABLES],
    state: Mutex<State>,
    /// A piece waits to be written, or the worker is to end.
    work: Condvar,
}

struct State {
    pieces: Vec<Known>,
    /// The piece that is filled, and from which block on.
    filling: Option<(usize, usize)>,
    /// Full ones that are in memory.
    waiting: VecDeque<usize>,
    /// Those with few blocks left.
    sparse: VecDeque<usize>,
    on_file: usize,
    /// Number of the worker, without which nothing is written.
    worker: Option<u64>,
}

/// What is known of a piece.
struct Known {
    at: NonNull<Piece>,
    place: Place,
    left: u32,
    taken: Box<[u64; BLOCKS / 64]>,
    is_sparse: bool,
    /// Its room in the file was given back.
    is_given_back: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Filling,
    Memory,
    /// In memory and about to be on the file.
    Writing,
    File,
}

// SAFETY: the addresses are of memory that is never freed and that no thread owns; who may touch which block is said at
// `put`, `get` and `free`.
unsafe impl Send for State {}

impl Scratch {
    const fn new() -> Self {
        Self {
            tables: [const { OnceLock::new() }; TABLES],
            state: Mutex::new(State {
                pieces: Vec::new(),
                filling: None,
                waiting: VecDeque::new(),
                sparse: VecDeque::new(),
                on_file: 0,
                worker: None,
            }),
            work: Condvar::new(),
        }
    }

    /// Takes a block; whoever gets the number owns it.
    fn put(&self, block: Block) -> NonZeroU32 {
        let mut state = self.state.lock();
        let (piece, index) = loop {
            if let Some(place) = state.next_free() {
                break place;
            }
            if state.end_filling() {
                self.work.notify_one();
            }
            self.begin_filling(&mut state);
        };
        // SAFETY: the block is nobody's, in a piece that is in memory and is not written to the file before it is
        // full; it lies within the piece.
        unsafe {
            let at = state.pieces[piece].at.as_ptr().cast::<Block>().add(index);
            at.write(block);
        }
        // Number 0 is left out in the first piece.
        NonZeroU32::new((piece * BLOCKS + index) as u32).unwrap_or(NonZeroU32::MAX)
    }

    /// A block.
    ///
    /// # Safety
    /// The number is from [`Self::put`] and was not freed, nor is it while there is the reference.
    #[inline]
    unsafe fn get(&self, number: NonZeroU32) -> &Block {
        let number = number.get() as usize;
        let piece = number / BLOCKS;
        let table = self.tables[piece / TABLE].get();
        let at = table.map_or(std::ptr::null_mut(), |table| {
            table[piece % TABLE].load(Ordering::Acquire)
        });
        // SAFETY: `put` made the number of a piece whose address it had stored before and wrote the block; contents
        // of blocks that are owned do not change, wherever their pages are.
        unsafe { &*at.cast::<Block>().add(number % BLOCKS) }
    }

    /// Frees blocks; their owner will not touch them any more.
    fn free(&self, numbers: &[NonZeroU32]) {
        let mut state = self.state.lock();
        for number in numbers {
            let number = number.get() as usize;
            state.free(number / BLOCKS, number % BLOCKS);
        }
    }

    /// Chooses the piece to fill next: one with few blocks left, or else a new one.
    fn begin_filling(&self, state: &mut State) {
        if let Some(piece) = state.take_sparse() {
            state.fill(piece);
            return;
        }
        let number = state.pieces.len();
        let at = match memory::allocate() {
            Ok(at) if number < TABLE * TABLES => at,
            // As whoever asks an allocator in vain.
            _ => std::alloc::handle_alloc_error(std::alloc::Layout::new::<Piece>()),
        };
        let table = self.tables[number / TABLE]
            .get_or_init(|| Box::new([const { AtomicPtr::new(std::ptr::null_mut()) }; TABLE]));
        table[number % TABLE].store(at.as_ptr(), Ordering::Release);
        let mut taken = Box::new([0; BLOCKS / 64]);
        // So that a number is never 0.
        taken[0] = u64::from(number == 0);
        state.pieces.push(Known {
            at,
            place: Place::Memory,
            left: taken[0] as u32,
            taken,
            is_sparse: false,
            is_given_back: false,
        });
        state.fill(number);
    }

    /// Writes the pieces that are full to a file.
    ///
    /// # Errors
    /// The file cannot be written to; the pieces stay in memory and are tried again.
    fn write_full(&self, file: &File) -> io::Result<()> {
        loop {
            let mut state = self.state.lock();
            if state.on_file >= ON_FILE_MAX {
                return Ok(());
            }
            let Some(piece) = state.waiting.pop_front() else {
                return Ok(());
            };
            // It may be filled again meanwhile.
            if state.pieces[piece].place != Place::Memory {
                continue;
            }
            state.pieces[piece].place = Place::Writing;
            let at = state.pieces[piece].at;
            drop(state);
            // SAFETY: a piece that is being written is not filled, and neither is one on the file before it is taken
            // back to memory; its place in the file is its own.
            let result = unsafe { memory::to_file(at, file, offset(piece)) };
            let mut state = self.state.lock();
            if let Err(e) = result {
                state.pieces[piece].place = Place::Memory;
                state.waiting.push_front(piece);
                return Err(e);
            }
            state.pieces[piece].place = Place::File;
            state.on_file += 1;
        }
    }

    /// Takes pages out of memory that queries brought there, and gives back the room of pieces without blocks.
    fn give_back(&self, file: &File) {
        let mut numbers = 0..self.state.lock().pieces.len();
        // Appends wait for the lock.
        while !numbers.is_empty() {
            let mut state = self.state.lock();
            for number in numbers.by_ref().take(AT_ONCE) {
                state.pieces[number].give_back(file, offset(number));
            }
        }
    }
}

/// The place of a piece in the file.
fn offset(piece: usize) -> u64 {
    (piece * size_of::<Piece>()) as u64
}

impl State {
    /// Takes a block of the piece that is filled, `None` without one that is free.
    fn next_free(&mut self) -> Option<(usize, usize)> {
        let (number, from) = self.filling?;
        let piece = &mut self.pieces[number];
        let index = piece.free_from(from)?;
        piece.taken[index / 64] |= 1 << (index % 64);
        piece.left += 1;
        self.filling = Some((number, index + 1));
        Some((number, index))
    }

    /// Whether there is a piece more to be written.
    fn end_filling(&mut self) -> bool {
        let Some((number, _)) = self.filling.take() else {
            return false;
        };
        self.pieces[number].place = Place::Memory;
        self.waiting.push_back(number);
        self.note_sparse(number);
        self.worker.is_some()
    }

    fn fill(&mut self, number: usize) {
        let piece = &mut self.pieces[number];
        piece.place = Place::Filling;
        piece.is_given_back = false;
        self.filling = Some((number, 0));
    }

    fn free(&mut self, number: usize, index: usize) {
        let piece = &mut self.pieces[number];
        piece.taken[index / 64] &= !(1 << (index % 64));
        piece.left -= 1;
        if piece.left == 0 && piece.place == Place::File {
            // Its blocks were read just now, for the chunk that they are in.
            piece.unmap_pages();
        }
        self.note_sparse(number);
    }

    /// Notes a piece that may be filled again.
    fn note_sparse(&mut self, number: usize) {
        let piece = &mut self.pieces[number];
        if piece.left <= FEW && !piece.is_sparse && piece.place != Place::Filling {
            piece.is_sparse = true;
            self.sparse.push_back(number);
        }
    }

    /// A piece with few blocks left that is in memory now.
    fn take_sparse(&mut self) -> Option<usize> {
        for _ in 0..self.sparse.len() {
            let number = self.sparse.pop_front()?;
            let piece = &mut self.pieces[number];
            // SAFETY: a piece that is on the file is not written to, and this one changes under the lock only.
            let taken = piece.place == Place::File
                && unsafe { memory::to_memory(piece.at, piece.left > 0) }.is_ok();
            if taken {
                self.on_file -= 1;
            } else if piece.place != Place::Memory {
                self.sparse.push_back(number);
                continue;
            }
            piece.is_sparse = false;
            return Some(number);
        }
        None
    }
}

impl Known {
    fn give_back(&mut self, file: &File, at: u64) {
        let is_unused = self.left == 0;
        let of_file = match self.place {
            Place::File => true,
            Place::Memory if is_unused => false,
            Place::Memory | Place::Writing | Place::Filling => return,
        };
        self.unmap_pages();
        if is_unused && of_file && !self.is_given_back {
            memory::punch(file, at);
            self.is_given_back = true;
        }
    }

    /// Takes its pages out of memory. It is on the file or has no blocks.
    fn unmap_pages(&self) {
        // SAFETY: as said, and it does not change while the caller has the state.
        unsafe { memory::unmap_pages(self.at) };
    }

    /// The first block from one on that is free.
    fn free_from(&self, from: usize) -> Option<usize> {
        let first = from / 64;
        let words = self.taken.get(first..)?.iter().zip(first..);
        for (word, place) in words {
            let before = if place == first {
                (1 << (from % 64)) - 1
            } else {
                0
            };
            let free = !(word | before);
            if free != 0 {
                return Some(place * 64 + free.trailing_zeros() as usize);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
