//! The calls that neither std nor socket2 offers: poll, what a socket holds, the descriptor limit.
//!
//! Owns every `unsafe` block of the server. Must not know HTTP. Decision: plain functions over borrowed
//! descriptors, so that each block's reason is beside it and the rest of the server is safe code.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// The number that the next descriptor will get: the lowest free one, found by taking it for a moment.
pub(super) fn next_descriptor(any: impl AsFd) -> io::Result<RawFd> {
    let probe = any.as_fd().try_clone_to_owned()?;
    Ok(probe.as_raw_fd())
}

/// A descriptor of our own for what `number` refers to now. That may be anything: the caller checks.
pub(super) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the borrow lives for one fcntl(F_DUPFD_CLOEXEC). Should another thread close `number`
    // meanwhile, that call fails, or duplicates whatever took the number; neither touches memory, and
    // the caller drops what is not the socket it looks for. `number` is never -1: it was a descriptor.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()
}

/// Waits until one of `sources` can be read, the time is up (`None`: never), or a signal came.
pub(super) fn wait_readable<const N: usize>(
    sources: [Option<BorrowedFd<'_>>; N],
    timeout: Option<Duration>,
) -> [bool; N] {
    // A negative descriptor is skipped by poll.
    let mut polled = sources.map(|fd| libc::pollfd {
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    });
    // One millisecond more, so that a timer that is due in 0.9 ms does not spin.
    let millis = timeout.map_or(-1, |t| i32::try_from(t.as_millis()).unwrap_or(i32::MAX - 1) + 1);
    // SAFETY: the pointer and the length are those of `polled`, which outlives the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, millis) };
    polled.map(|entry| ready > 0 && entry.revents != 0)
}

/// Waits a while for the peer to end its side; true if it has.
#[cfg(target_os = "linux")]
pub(super) fn peer_closed(socket: impl AsFd, patience: Duration) -> bool {
    let mut polled = libc::pollfd { fd: socket.as_fd().as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    let millis = i32::try_from(patience.as_millis()).unwrap_or(1000);
    // SAFETY: one pollfd, which outlives the call.
    let ready = unsafe { libc::poll(&raw mut polled, 1, millis) };
    ready > 0 && polled.revents != 0
}

/// Waits a while; elsewhere than on Linux the peer's end shows only as a deadline passed.
#[cfg(not(target_os = "linux"))]
pub(super) fn peer_closed(_socket: impl AsFd, patience: Duration) -> bool {
    std::thread::sleep(patience);
    false
}

/// Bytes received on a TCP connection since its start, the peer's FIN counting as one; `None` where the
/// system doesn't tell (Unix sockets, other systems, kernels before 4.1).
#[cfg(target_os = "linux")]
pub(super) fn bytes_received(socket: impl AsFd) -> Option<u64> {
    // `struct tcp_info` of linux/tcp.h up to tcpi_bytes_received, which libc's own definition lacks.
    const OFFSET: usize = 128;
    const SIZE: usize = OFFSET + 8;
    let mut info = [0_u64; SIZE / 8];
    let mut length = libc::socklen_t::try_from(SIZE).ok()?;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `info`; any bytes are valid
    // for u64.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0 && length as usize == SIZE).then(|| info[OFFSET / 8])
}

/// Elsewhere it cannot be asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn bytes_received(_socket: impl AsFd) -> Option<u64> {
    None
}

/// Bytes that wait to be read.
pub(super) fn bytes_unread(socket: impl AsFd) -> Option<u64> {
    count(socket.as_fd(), libc::FIONREAD)
}

/// Bytes written that the peer has not acknowledged (of a Unix socket: not read).
pub(super) fn bytes_unsent(socket: impl AsFd) -> Option<u64> {
    count(socket.as_fd(), libc::TIOCOUTQ)
}

/// What ioctl's second argument is here; musl and glibc differ.
#[cfg(target_os = "linux")]
type Question = libc::Ioctl;
#[cfg(not(target_os = "linux"))]
type Question = libc::c_ulong;

fn count(socket: BorrowedFd<'_>, question: Question) -> Option<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD and TIOCOUTQ write one int through the pointer.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), question, &raw mut count) };
    if result == 0 { u64::try_from(count).ok() } else { None }
}

/// Raises the soft limit on descriptors to `wanted`, as far as the hard limit lets it; gives the limit.
pub(super) fn raise_descriptor_limit(wanted: usize) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit fills, and setrlimit reads, the one struct that outlives them.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 1024;
        }
        let wanted = libc::rlim_t::try_from(wanted).unwrap_or(libc::rlim_t::MAX);
        if limit.rlim_cur < wanted {
            let raised = libc::rlimit { rlim_cur: wanted.min(limit.rlim_max), rlim_max: limit.rlim_max };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
                limit = raised;
            }
        }
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Descriptors that are open now, as far as /proc tells; 0 where it doesn't.
pub(super) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Tells the allocator to let `release_memory` find what is free. By default glibc keeps small pieces apart,
/// and what is free at the end of a thread's arena it gives back only when a large piece beside it is freed:
/// after a crowd of hundreds of threads that was 16 MiB that nobody used.
pub(super) fn keep_little_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers and locks what it touches. What it refuses stays as it was.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 * 1024);
        libc::mallopt(libc::M_TOP_PAD, 16 * 1024);
    }
}

/// Asks the allocator to give free memory back. glibc keeps it per arena, for ever, unless asked; musl's
/// allocator gives it back by itself.
pub(super) fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointer and locks what it touches.
    unsafe {
        libc::malloc_trim(0);
    }
}
