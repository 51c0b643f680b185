use std::sync::Barrier;

use super::*;

/// A scratch of a test's own.
fn scratch() -> &'static Scratch {
    Box::leak(Box::new(Scratch::new()))
}

fn block(seed: u64) -> Block {
    Block::filled_with(seed)
}

fn put_all(scratch: &Scratch, seeds: std::ops::Range<u64>) -> Vec<(u64, NonZeroU32)> {
    seeds.map(|seed| (seed, scratch.put(block(seed)))).collect()
}

/// All blocks are what they were.
fn check(scratch: &Scratch, owned: &[(u64, NonZeroU32)]) {
    for (seed, number) in owned {
        // SAFETY: the test owns the block.
        let found = unsafe { scratch.get(*number) };
        assert_eq!(found.bytes(), block(*seed).bytes(), "block {number}");
    }
}

fn free(scratch: &Scratch, owned: &[(u64, NonZeroU32)]) {
    let numbers: Vec<_> = owned.iter().map(|(_, number)| *number).collect();
    scratch.free(&numbers);
}

fn places(scratch: &Scratch) -> Vec<Place> {
    let state = scratch.state.lock();
    state.pieces.iter().map(|piece| piece.place).collect()
}

const PIECE: u64 = BLOCKS as u64;

#[test]
fn without_a_file_pieces_stay_in_memory_and_are_filled_again() {
    let scratch = scratch();
    // The first piece has one block less.
    let owned = put_all(scratch, 0..2 * PIECE);
    assert_eq!(
        places(scratch),
        [Place::Memory, Place::Memory, Place::Filling]
    );
    let mut numbers: Vec<_> = owned.iter().map(|(_, number)| *number).collect();
    numbers.dedup();
    assert_eq!(numbers.len() as u64, 2 * PIECE);
    check(scratch, &owned);
    let (few, rest) = owned.split_at(owned.len() / 2 + 10);
    free(scratch, few);
    let more = put_all(scratch, 10_000..10_000 + 2 * PIECE - 20);
    check(scratch, rest);
    check(scratch, &more);
    assert_eq!(places(scratch).len(), 3);
}

#[cfg(all(target_os = "linux", not(miri)))]
mod on_a_file {
    use super::*;

    /// Resident kB of the mappings that the first pieces are in.
    fn resident(scratch: &Scratch, pieces: usize) -> usize {
        let state = scratch.state.lock();
        let addresses = state.pieces[..pieces].iter().map(|p| p.at.addr().get());
        let addresses: Vec<usize> = addresses.collect();
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut sum, mut counts) = (0, false);
        for line in smaps.lines() {
            let first = line.split_whitespace().next().unwrap();
            if let Some((from, to)) = first.split_once('-') {
                let [from, to] = [from, to].map(|a| usize::from_str_radix(a, 16).unwrap());
                counts = addresses.iter().any(|a| (from..to).contains(a));
            } else if let (true, Some(size)) = (counts, line.strip_prefix("Rss:")) {
                sum += size
                    .trim()
                    .trim_end_matches(" kB")
                    .parse::<usize>()
                    .unwrap();
            }
        }
        sum
    }

    #[test]
    fn full_pieces_move_and_read_the_same() {
        let (scratch, file) = (scratch(), tempfile::tempfile().unwrap());
        let owned = put_all(scratch, 0..16 * PIECE);
        assert!(resident(scratch, 16) >= 4096);
        scratch.write_full(&file).unwrap();
        assert_eq!(places(scratch)[..16], [Place::File; 16]);
        assert_eq!(resident(scratch, 16), 0);
        check(scratch, &owned);
        assert!(resident(scratch, 16) > 0);
        scratch.give_back(&file);
        assert_eq!(resident(scratch, 16), 0);
        check(scratch, &owned);
        assert_eq!(file.metadata().unwrap().len(), 16 * 64 * PIECE);
    }

    #[test]
    fn pieces_come_back_to_memory_with_the_few_blocks_that_are_left() {
        let (scratch, file) = (scratch(), tempfile::tempfile().unwrap());
        let owned = put_all(scratch, 0..3 * PIECE - 1);
        scratch.write_full(&file).unwrap();
        // Of the first piece a fifth is left, of the second nothing.
        let left: Vec<_> = owned[..PIECE as usize].iter().step_by(5).copied().collect();
        let gone: Vec<_> = owned[..2 * PIECE as usize]
            .iter()
            .filter(|o| !left.contains(o))
            .copied()
            .collect();
        free(scratch, &gone);
        scratch.give_back(&file);
        let more = put_all(scratch, 100_000..100_000 + PIECE);
        assert_eq!(places(scratch).len(), 3);
        assert_ne!(places(scratch)[0], Place::File);
        check(scratch, &left);
        check(scratch, &more);
        check(scratch, &owned[2 * PIECE as usize..]);
        scratch.write_full(&file).unwrap();
        check(scratch, &left);
        check(scratch, &more);
    }

    #[test]
    fn a_file_that_cannot_be_written_to_costs_memory_only() {
        let scratch = scratch();
        let owned = put_all(scratch, 0..2 * PIECE);
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert!(scratch.write_full(&full).is_err());
        assert_eq!(places(scratch)[..2], [Place::Memory; 2]);
        check(scratch, &owned);
        let file = tempfile::tempfile().unwrap();
        scratch.write_full(&file).unwrap();
        assert_eq!(places(scratch)[..2], [Place::File; 2]);
        check(scratch, &owned);
    }

    #[test]
    fn a_worker_writes_while_others_put_read_and_free() {
        let scratch = scratch();
        let worker = Worker::start_of(scratch, tempfile::tempfile().unwrap()).unwrap();
        assert!(worker.is_some());
        let second = Worker::start_of(scratch, tempfile::tempfile().unwrap()).unwrap();
        assert!(second.is_none());
        let barrier = Barrier::new(3);
        std::thread::scope(|threads| {
            for thread in 0..3 {
                let barrier = &barrier;
                threads.spawn(move || {
                    barrier.wait();
                    let mut owned = Vec::new();
                    for round in 0..40 {
                        let first = (thread * 100 + round) * 10_000;
                        owned.extend(put_all(scratch, first..first + PIECE / 2));
                        let (gone, rest): (Vec<_>, Vec<_>) = owned
                            .into_iter()
                            .partition(|(seed, _)| seed % 9 == round % 9 || round % 10 == 9);
                        free(scratch, &gone);
                        owned = rest;
                        check(scratch, &owned);
                    }
                });
            }
        });
        drop(worker);
        let next = Worker::start_of(scratch, tempfile::tempfile().unwrap()).unwrap();
        assert!(next.is_some());
    }
}

#[test]
fn owners_free_the_blocks_before_theirs() {
    let mut last: Option<Full> = None;
    for seed in 0..20 {
        let mut block = block(seed);
        block.before = last.take();
        last = Some(Full::new(block));
    }
    let mut seeds = (0..20).rev();
    let mut next = last.as_ref();
    while let Some(full) = next {
        assert_eq!(full.bytes(), block(seeds.next().unwrap()).bytes());
        next = full.before.as_ref();
    }
    assert_eq!(seeds.next(), None);
    let numbers: Vec<_> = {
        let mut numbers = Vec::new();
        let mut next = last.as_ref();
        while let Some(full) = next {
            numbers.push(full.0.get() as usize);
            next = full.before.as_ref();
        }
        numbers
    };
    drop(last);
    // Another test may have got one of them meanwhile, but hardly all.
    let state = SCRATCH.state.lock();
    let is_taken = |n: &usize| state.pieces[n / BLOCKS].taken[n % BLOCKS / 64] & 1 << (n % 64) != 0;
    assert!(!numbers.iter().all(is_taken));
}
