//! One command at a time: the system's lock on an open file or folder.
//!
//! Owns the waiting. Must not know what is changed. Decision: flock, which ends with its holder however that
//! ends, so that no lock is ever stale and none has to be broken.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

/// How long to wait for another command.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it, and did not give it back in time.
    Held,
    /// The system refused it.
    System(io::Error),
}

/// Waits for the lock, which lasts until the file is closed.
pub fn lock(file: &File) -> Result<(), LockError> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => return Err(LockError::System(source)),
            Err(TryLockError::WouldBlock) if started.elapsed() > PATIENCE => return Err(LockError::Held),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
