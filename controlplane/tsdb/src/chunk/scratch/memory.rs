//! Memory of pieces, and what of them is exchanged for pages of a file. Contents stay the same throughout, except
//! where a function says otherwise, so that references into a piece stay valid.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;

use super::Piece;

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;
    use std::ptr;

    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::mm::{
        Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous, mremap_fixed,
    };

    use super::*;

    const LEN: usize = size_of::<Piece>();
    const WRITABLE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

    fn anonymous() -> io::Result<NonNull<Piece>> {
        // SAFETY: without an address the kernel chooses one where nothing is mapped.
        let at = unsafe { mmap_anonymous(ptr::null_mut(), LEN, WRITABLE, MapFlags::PRIVATE)? };
        NonNull::new(at.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    pub(crate) fn allocate() -> io::Result<NonNull<Piece>> {
        anonymous()
    }

    pub(crate) unsafe fn to_file(piece: NonNull<Piece>, file: &File, at: u64) -> io::Result<()> {
        // SAFETY: the caller vouches for the piece, and that nobody writes to it. All its bytes are initialized: the
        // kernel made them zero, and blocks have no padding.
        let bytes = unsafe { std::slice::from_raw_parts(piece.as_ptr().cast::<u8>(), LEN) };
        file.write_all_at(bytes, at)?;
        // SAFETY: the pages of the piece, which is a mapping of our own and a whole number of pages, are exchanged at
        // once for others with the same bytes. Nobody else has the file, and what was written is not cut off.
        unsafe {
            mmap(
                piece.as_ptr().cast(),
                LEN,
                ProtFlags::READ,
                MapFlags::SHARED | MapFlags::FIXED,
                file,
                at,
            )?;
        }
        Ok(())
    }

    pub(crate) unsafe fn to_memory(piece: NonNull<Piece>, keep: bool) -> io::Result<()> {
        let copy = anonymous()?;
        // SAFETY: both are whole pieces that nobody writes to; one is new, so they do not overlap. Moving the copy
        // over the piece exchanges its pages at once for others with the same bytes; the place of the copy is free
        // then, and nothing refers to it.
        unsafe {
            if keep {
                ptr::copy_nonoverlapping(piece.as_ptr(), copy.as_ptr(), 1);
            }
            mremap_fixed(
                copy.as_ptr().cast(),
                LEN,
                LEN,
                MremapFlags::MAYMOVE,
                piece.as_ptr().cast(),
            )?;
        }
        Ok(())
    }

    pub(crate) unsafe fn unmap_pages(piece: NonNull<Piece>) {
        // SAFETY: the piece is a mapping of our own. Of a shared file mapping the pages are mapped again when they are
        // touched; in memory of its own the bytes become zero, which the caller allows.
        let _ = unsafe { madvise(piece.as_ptr().cast(), LEN, Advice::LinuxDontNeed) };
    }

    pub(crate) fn punch(file: &File, at: u64) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Not every file system can: then the room is free when the piece is used again.
        let _ = fallocate(file, flags, at, LEN as u64);
    }
}

/// Elsewhere, and where undefined behaviour is looked for, pieces stay in memory.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    use std::fs::File;

    use super::*;

    pub(crate) fn allocate() -> io::Result<NonNull<Piece>> {
        let layout = std::alloc::Layout::new::<Piece>();
        // SAFETY: the size is not zero.
        let at = unsafe { std::alloc::alloc_zeroed(layout) };
        NonNull::new(at.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    pub(crate) unsafe fn to_file(_: NonNull<Piece>, _: &File, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) unsafe fn to_memory(_: NonNull<Piece>, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) unsafe fn unmap_pages(_: NonNull<Piece>) {}

    pub(crate) fn punch(_: &File, _: u64) {}
}

/// A piece of zeros, which is never freed.
pub(super) fn allocate() -> io::Result<NonNull<Piece>> {
    system::allocate()
}

/// Writes a piece to a file and maps that in its place, read-only. After an error it is as before.
///
/// # Safety
/// The piece is from [`allocate`]; nobody writes to it meanwhile, nor before [`to_memory`]; `at` is a multiple of its
/// size that no other piece has in the file, which is never cut.
pub(super) unsafe fn to_file(
    piece: NonNull<Piece>,
    file: &std::fs::File,
    at: u64,
) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { system::to_file(piece, file, at) }
}

/// Makes a piece that is a file's memory of its own again, which may be written to; its content is zeros if it need not
/// be kept. After an error it is as before.
///
/// # Safety
/// The piece is from [`allocate`] and nobody writes to it meanwhile, nor reads it unless its content is kept.
pub(super) unsafe fn to_memory(piece: NonNull<Piece>, keep: bool) -> io::Result<()> {
    // SAFETY: the caller's.
    unsafe { system::to_memory(piece, keep) }
}

/// Takes the pages of a piece out of memory until somebody reads them.
///
/// # Safety
/// The piece is from [`allocate`]. It is a file's, or nobody needs its content any more, which is lost.
pub(super) unsafe fn unmap_pages(piece: NonNull<Piece>) {
    // SAFETY: the caller's.
    unsafe { system::unmap_pages(piece) }
}

/// Gives the file's room of a piece back whose content nobody needs any more.
pub(super) fn punch(file: &std::fs::File, at: u64) {
    system::punch(file, at);
}
