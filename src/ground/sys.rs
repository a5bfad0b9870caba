//! The calls that neither std nor socket2 offers: poll, limits, umask, file systems, who we are.
//!
//! Owns every `unsafe` block of the program. Decision: plain functions over borrowed descriptors, so that
//! each block's reason is beside it and the rest is safe code.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Which of `sources` can be read, waiting for that until the time is up (`None`: for ever) or a signal comes.
pub(crate) fn wait_readable(sources: &[Option<BorrowedFd<'_>>], timeout: Option<Duration>) -> Vec<bool> {
    wait(sources, libc::POLLIN, timeout)
}

/// Whether the kernel takes more bytes, now or within that time. An error shows when they are written.
pub(crate) fn is_writable(sink: BorrowedFd<'_>, patience: Duration) -> bool {
    wait(&[Some(sink)], libc::POLLOUT, Some(patience)) == [true]
}

fn wait(fds: &[Option<BorrowedFd<'_>>], events: libc::c_short, timeout: Option<Duration>) -> Vec<bool> {
    // A negative descriptor is skipped by poll.
    let number = |fd: &Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
    let mut polled: Vec<_> =
        fds.iter().map(|fd| libc::pollfd { fd: number(fd), events, revents: 0 }).collect();
    // Rounded up, so that a timer that is due in 0.9 ms does not spin.
    let millis = timeout.map_or(-1, |t| i32::try_from(t.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or(0);
    // SAFETY: the pointer and the count are those of `polled`, which outlives the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, millis) };
    polled.iter().map(|entry| ready > 0 && entry.revents != 0).collect()
}

/// Raises the soft limit on descriptors to `wanted`, as far as the hard limit and the system let it; gives the
/// limit that is in force.
pub(crate) fn raise_descriptor_limit(wanted: usize) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit fills the struct, which outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    let wanted = libc::rlim_t::try_from(wanted).unwrap_or(libc::rlim_t::MAX);
    if limit.rlim_cur < wanted {
        let raised = libc::rlimit { rlim_cur: wanted.min(limit.rlim_max), rlim_max: limit.rlim_max };
        // SAFETY: setrlimit reads the struct, which outlives the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Descriptors that are open now, as far as /proc tells; 0 where it doesn't.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Does something while files that are made get none of the permissions in `mask`. The mask is the whole
/// process's, so this is for the start, before there are other threads.
pub(crate) fn with_umask<T>(mask: u16, act: impl FnOnce() -> T) -> T {
    // SAFETY: umask takes a number, cannot fail and touches no memory.
    let before = unsafe { libc::umask(mask.into()) };
    let done = act();
    // SAFETY: the same.
    unsafe { libc::umask(before) };
    done
}

/// Keeps keys out of core files, and other processes of this user out of the memory: no core dumps, no ptrace.
pub(crate) fn forbid_dumps() -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: setrlimit reads the struct, which outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[cfg(target_os = "linux")]
    // SAFETY: PR_SET_DUMPABLE takes one number and touches no memory.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0 as libc::c_ulong) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The network file system that a file lies on, by name, where that can be told.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "for a store in a file"))]
pub(crate) fn network_file_system(path: &Path) -> Option<&'static str> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with a zero byte, and statfs fills the struct where it gives 0.
    let found = unsafe {
        if libc::statfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    network_kind(&found)
}

/// By the magic numbers of statfs(2) and linux/magic.h.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "for a store in a file"))]
#[cfg(target_os = "linux")]
fn network_kind(found: &libc::statfs) -> Option<&'static str> {
    // The field's type differs between platforms; the numbers have 32 bits.
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::unnecessary_cast)]
    let magic = found.f_type as u32;
    Some(match magic {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9P",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x7461_636f => "OCFS2",
        0x0116_1970 => "GFS2",
        _ => return None,
    })
}

#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "for a store in a file"))]
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
fn network_kind(found: &libc::statfs) -> Option<&'static str> {
    // The types differ between the platforms; the flag has the 13th bit.
    #[allow(clippy::cast_sign_loss, clippy::useless_conversion)]
    let local = u64::from(found.f_flags) & libc::MNT_LOCAL as u64;
    (local == 0).then_some("by the system's word")
}

/// The user that the process acts as.
pub(crate) fn user_id() -> u32 {
    // SAFETY: geteuid takes nothing, cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}

/// Whether standard output was closed when the program began. std puts /dev/null in the place of a closed one
/// before `main`, and nothing can tell that from a /dev/null that was meant.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Among the functions that the loader calls before std begins.
#[used]
// SAFETY: an array of plain C functions is what the loader expects in this section.
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    // SAFETY: asks for the flags of a descriptor, open or not; changes nothing.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    STDOUT_CLOSED.store(flags == -1, Ordering::Relaxed);
}
