//! A global allocator that keeps freed blocks for the thread that freed them.
//!
//! Owns a short list of free blocks for each size, of each thread that asks for that ([`keep`]), and every
//! `unsafe` block about memory. Must not know who allocates. Decision: musl's allocator has one lock, and
//! a token costs some hundred calls of it, so that two cores wait for each other (the rate with 16
//! connections was a third of glibc's). What one request frees is what the next one needs, so a few
//! kilobytes kept by each thread leave the lock alone; there is no page, arena or free list to own, as the
//! allocator beneath still does all that. Only threads that ask keep anything, since only they can be
//! relied on to give it back: a destructor of a thread-local would itself allocate.

#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", target_os = "linux", any(test, target_env = "musl")))]
mod moving;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

/// Blocks are so aligned, which is what allocators give anyway.
const ALIGN: usize = 16;

/// The sizes of blocks: 24 bytes, 40 and so on to [`FINE`], as allocators that put a word before each block
/// and align it to 16 have no others; from there in steps of 512, up to [`LARGEST`], beyond which none is
/// kept.
const SMALLEST: usize = 24;
const FINE_STEP: usize = 16;
const FINE_LISTS: usize = 64;
const FINE: usize = SMALLEST + (FINE_LISTS - 1) * FINE_STEP;
const COARSE_STEP: usize = 512;
const COARSE_LISTS: usize = 14;
const LARGEST: usize = FINE + COARSE_LISTS * COARSE_STEP;

/// What wants more alignment, as channels do, has lists of its own: 128 bytes, 256 and so on.
const PADDED_ALIGN: usize = 128;
const PADDED_LISTS: usize = 8;

const LISTS: usize = FINE_LISTS + COARSE_LISTS + PADDED_LISTS;

/// A thread that would keep more than this gives everything back first.
const MOST_BYTES: usize = 32 * 1024;

/// An allocator in front of another. The global one, and the only one of its kind in a process: the lists
/// are the threads', not its own.
#[derive(Debug, Default)]
pub struct Keeping<A>(pub A);

/// While this value lives, its thread keeps what it frees.
#[derive(Debug)]
#[must_use = "the thread keeps blocks only while this lives"]
pub struct Kept(PhantomData<*const ()>);

/// One thread's free blocks: singly linked through their own first bytes.
struct Shelf {
    open: Cell<bool>,
    bytes: Cell<usize>,
    lists: [Cell<*mut u8>; LISTS],
}

thread_local! {
    // Constant and without a destructor: to reach it never allocates.
    static SHELF: Shelf = const {
        Shelf { open: Cell::new(false), bytes: Cell::new(0), lists: [const { Cell::new(ptr::null_mut()) }; LISTS] }
    };
}

/// Lets this thread keep what it frees, up to 32 KiB, until the value is dropped.
pub fn keep() -> Kept {
    SHELF.with(|shelf| shelf.open.set(true));
    Kept(PhantomData)
}

impl Kept {
    /// Gives back what is kept, as before a long wait.
    pub fn give_back(&self) {
        SHELF.with(|shelf| {
            shelf.open.set(false);
            shelf.clear(|block, layout| {
                // SAFETY: the block came from the global allocator with this layout (`Keeping::dealloc` put
                // it there), nobody else has it, and as the shelf is closed it is passed on.
                unsafe { std::alloc::dealloc(block, layout) }
            });
            shelf.open.set(true);
        });
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.give_back();
        SHELF.with(|shelf| shelf.open.set(false));
    }
}

#[allow(clippy::cast_ptr_alignment, reason = "every block is aligned to 16 bytes or more")]
impl Shelf {
    fn take(&self, list: usize) -> *mut u8 {
        let head = self.lists[list].get();
        if !head.is_null() {
            // SAFETY: a block on a list is free, longer than a pointer and aligned for one, and its
            // first bytes were written by `put`.
            self.lists[list].set(unsafe { head.cast::<*mut u8>().read() });
            self.bytes.set(self.bytes.get() - size_of_list(list));
        }
        head
    }

    /// # Safety
    ///
    /// The block is free, and of that list's size and alignment.
    unsafe fn put(&self, list: usize, block: *mut u8) {
        // SAFETY: as the caller says; a pointer fits in the smallest block.
        unsafe { block.cast::<*mut u8>().write(self.lists[list].get()) };
        self.lists[list].set(block);
        self.bytes.set(self.bytes.get() + size_of_list(list));
    }

    fn clear(&self, mut free: impl FnMut(*mut u8, Layout)) {
        for list in 0..LISTS {
            loop {
                let block = self.take(list);
                if block.is_null() {
                    break;
                }
                free(block, layout_of_list(list));
            }
        }
    }
}

/// The list for blocks of this layout; `None` where they are not kept.
fn list_of(layout: Layout) -> Option<usize> {
    let size = layout.size();
    if layout.align() <= ALIGN && size <= FINE {
        Some(size.saturating_sub(SMALLEST).div_ceil(FINE_STEP))
    } else if layout.align() <= ALIGN && size <= LARGEST {
        Some(FINE_LISTS + (size - FINE - 1) / COARSE_STEP)
    } else if layout.align() > ALIGN && layout.align() <= PADDED_ALIGN && size <= PADDED_LISTS * PADDED_ALIGN
    {
        Some(FINE_LISTS + COARSE_LISTS + size.saturating_sub(1) / PADDED_ALIGN)
    } else {
        None
    }
}

/// The bytes that each block of a list has, and their alignment.
const fn shape_of_list(list: usize) -> (usize, usize) {
    if list < FINE_LISTS {
        (SMALLEST + list * FINE_STEP, ALIGN)
    } else if list < FINE_LISTS + COARSE_LISTS {
        (FINE + (list - FINE_LISTS + 1) * COARSE_STEP, ALIGN)
    } else {
        ((list - FINE_LISTS - COARSE_LISTS + 1) * PADDED_ALIGN, PADDED_ALIGN)
    }
}

fn size_of_list(list: usize) -> usize {
    shape_of_list(list).0
}

fn layout_of_list(list: usize) -> Layout {
    let (size, align) = shape_of_list(list);
    // SAFETY: both alignments are powers of two, and the largest size is far from overflowing.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

// SAFETY: a block is either the inner allocator's own, asked and given back with the same layout, or one
// that was given back here and not there, of at least the size and alignment asked, taken from its list
// before it is handed out. Lists are reached by their own thread only. Nothing here unwinds or allocates.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Keeping<A> {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list_of(layout) else {
            // SAFETY: the caller's layout, as it came.
            return unsafe { self.0.alloc(layout) };
        };
        let kept = SHELF.with(|shelf| shelf.take(list));
        if kept.is_null() {
            // SAFETY: a list's size is never zero.
            return unsafe { self.0.alloc(layout_of_list(list)) };
        }
        kept
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(list) = list_of(layout) else {
            // SAFETY: a block of this layout came from the inner allocator with it.
            return unsafe { self.0.dealloc(block, layout) };
        };
        SHELF.with(|shelf| {
            if !shelf.open.get() {
                // SAFETY: a block of a list's sizes came from the inner allocator with the list's layout.
                return unsafe { self.0.dealloc(block, layout_of_list(list)) };
            }
            if shelf.bytes.get() + size_of_list(list) > MOST_BYTES {
                // SAFETY: the same, for each block that was put on a list.
                shelf.clear(|block, layout| unsafe { self.0.dealloc(block, layout) });
            }
            // SAFETY: it was handed out with this list's size and alignment, and is free from here on.
            unsafe { shelf.put(list, block) };
        });
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if list_of(layout).is_none() {
            // SAFETY: the caller's layout, as it came.
            return unsafe { self.0.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's layout; what is written lies within the block.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller vouches that `size` does not overflow with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list_of(layout), list_of(wanted)) {
            // SAFETY: the block is the inner allocator's with this layout, and stays so.
            (None, None) => unsafe { self.0.realloc(block, layout, size) },
            (Some(list), Some(same)) if list == same => block,
            // SAFETY: as the methods above; the copied bytes lie within both blocks, which differ.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;
    use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

    /// Counts what it has given, and fills it, so that nobody relies on what was there.
    #[derive(Default)]
    struct Counting {
        live: AtomicIsize,
        calls: AtomicUsize,
    }

    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.live.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
            self.calls.fetch_add(1, Ordering::Relaxed);
            unsafe {
                let block = System.alloc(layout);
                block.write_bytes(0xa5, layout.size());
                block
            }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.live.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
            unsafe { System.dealloc(block, layout) }
        }
    }

    /// What `keep` does, for an allocator that is not the global one.
    fn keeping(allocator: &Keeping<Counting>, work: impl FnOnce()) {
        SHELF.with(|shelf| {
            shelf.open.set(true);
            work();
            shelf.clear(|block, layout| unsafe { allocator.0.dealloc(block, layout) });
            shelf.open.set(false);
            assert_eq!(shelf.bytes.get(), 0);
        });
    }

    #[test]
    fn every_size_has_the_smallest_list_that_holds_it() {
        for (largest, align, first) in
            [(LARGEST, 8, 0), (PADDED_LISTS * PADDED_ALIGN, 64, FINE_LISTS + COARSE_LISTS)]
        {
            for size in 1..=largest {
                let list = list_of(Layout::from_size_align(size, align).unwrap()).unwrap();
                let layout = layout_of_list(list);
                assert!(list < LISTS && layout.size() >= size && layout.align() >= align, "{size}");
                assert!(list == first || size_of_list(list - 1) < size, "{size}");
            }
            assert_eq!(list_of(Layout::from_size_align(largest + 1, align).unwrap()), None);
        }
        assert_eq!(list_of(Layout::from_size_align(64, 256).unwrap()), None);
    }

    #[test]
    fn what_a_thread_frees_it_gets_again() {
        let allocator = Keeping(Counting::default());
        let layout = Layout::from_size_align(100, 8).unwrap();
        keeping(&allocator, || unsafe {
            let first = allocator.alloc(layout);
            allocator.dealloc(first, layout);
            let (second, third) = (allocator.alloc(layout), allocator.alloc_zeroed(layout));
            assert!(first == second && second != third);
            assert!((0..100).all(|at| third.add(at).read() == 0));
            allocator.dealloc(third, layout);
            let zeroed = allocator.alloc_zeroed(layout);
            assert!(zeroed == third && (0..100).all(|at| zeroed.add(at).read() == 0));
            allocator.dealloc(zeroed, layout);
            allocator.dealloc(second, layout);
        });
        assert_eq!(allocator.0.calls.load(Ordering::Relaxed), 2);
        assert_eq!(allocator.0.live.load(Ordering::Relaxed), 0);
        // A thread that keeps nothing.
        unsafe {
            let block = allocator.alloc(layout);
            allocator.dealloc(block, layout);
        }
        assert_eq!(allocator.0.live.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_bound() {
        let allocator = Keeping(Counting::default());
        keeping(&allocator, || unsafe {
            let layout = |size| Layout::from_size_align(size, 8).unwrap();
            let blocks: Vec<_> =
                (1..2000).map(|size| (allocator.alloc(layout(size)), layout(size))).collect();
            for (block, layout) in blocks {
                allocator.dealloc(block, layout);
            }
            let live = allocator.0.live.load(Ordering::Relaxed).unsigned_abs();
            assert!(live > 0 && live <= MOST_BYTES, "{live}");
        });
        assert_eq!(allocator.0.live.load(Ordering::Relaxed), 0);
    }

    /// Blocks of changing sizes handed from thread to thread, each full of its own byte.
    #[test]
    fn no_block_is_had_twice() {
        let allocator = Keeping(Counting::default());
        let passed = std::sync::Mutex::new(Vec::<(usize, Layout, u8)>::new());
        let check = |block: *mut u8, length: usize, byte: u8| unsafe {
            assert!((0..length).all(|at| block.add(at).read() == byte));
        };
        let work = |seed: u32| {
            let mut random = seed;
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                random as usize
            };
            keeping(&allocator, || {
                for _ in 0..4_000 {
                    let size = if next() % 8 == 0 { next() % 12_000 } else { next() % 300 } + 1;
                    let layout = Layout::from_size_align(size, 1 << (next() % 9)).unwrap();
                    let byte = u8::try_from(next() % 256).unwrap();
                    let block = unsafe { allocator.alloc(layout) };
                    assert_eq!(block as usize % layout.align(), 0);
                    unsafe { block.write_bytes(byte, size) };
                    passed.lock().unwrap().push((block as usize, layout, byte));
                    let mut passed = passed.lock().unwrap();
                    if passed.len() < 200 {
                        continue;
                    }
                    let at = next() % passed.len();
                    let (block, layout, byte) = passed.swap_remove(at);
                    drop(passed);
                    let block = block as *mut u8;
                    check(block, layout.size(), byte);
                    let size = next() % 2000 + 1;
                    unsafe {
                        let grown = allocator.realloc(block, layout, size);
                        check(grown, size.min(layout.size()), byte);
                        allocator.dealloc(grown, Layout::from_size_align(size, layout.align()).unwrap());
                    }
                }
            });
        };
        std::thread::scope(|scope| {
            for seed in 1..=3 {
                scope.spawn(move || work(seed));
            }
        });
        for (block, layout, byte) in passed.into_inner().unwrap() {
            check(block as *mut u8, layout.size(), byte);
            unsafe { allocator.dealloc(block as *mut u8, layout) };
        }
        assert_eq!(allocator.0.live.load(Ordering::Relaxed), 0);
    }
}
