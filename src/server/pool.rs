//! The threads that serve connections: made when needed, used again, gone when idle.
//!
//! Owns threads. Must not know what a connection is. Decision: the thread that became idle last gets the
//! next job, so that after a crowd the others stay idle long enough to leave.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Enough for any signature scheme's working set; only touched pages cost memory.
const STACK_BYTES: usize = 512 * 1024;

/// How long a thread waits for its next job before it leaves.
const PATIENCE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;
type Idle = Arc<Mutex<Vec<(u64, SyncSender<Job>)>>>;

/// A pool without a bound of its own: who gives it jobs bounds them.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Idle,
    made: u64,
}

impl Pool {
    /// Runs `job` on an idle thread or a new one. It must not panic.
    pub(super) fn run(&mut self, job: Job) -> io::Result<()> {
        let mut job = job;
        loop {
            // A statement of its own, so that the lock is not held while the job is handed over.
            let last = lock(&self.idle).pop();
            let Some((_, thread)) = last else { break };
            match thread.send(job) {
                Ok(()) => return Ok(()),
                Err(back) => job = back.0,
            }
        }
        let idle = Arc::clone(&self.idle);
        let id = self.made;
        self.made += 1;
        let (sender, receiver) = sync_channel(1);
        thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES).spawn(move || {
            job();
            live(&idle, id, &sender, &receiver);
        })?;
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Idle threads leave when nobody can send to them: they hold their sender only through this list.
        lock(&self.idle).clear();
    }
}

/// Takes jobs until none has come for a while.
fn live(idle: &Idle, id: u64, sender: &SyncSender<Job>, receiver: &Receiver<Job>) {
    loop {
        lock(idle).push((id, sender.clone()));
        let job = match receiver.recv_timeout(PATIENCE) {
            Ok(job) => job,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let mut list = lock(idle);
                let before = list.len();
                list.retain(|(other, _)| *other != id);
                if list.len() < before {
                    return;
                }
                drop(list);
                // It was taken from the list in that instant: a job is on its way.
                match receiver.recv_timeout(PATIENCE) {
                    Ok(job) => job,
                    Err(_) => return,
                }
            }
        };
        job();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_that_is_idle_is_used_again() {
        let mut pool = Pool::default();
        let (tell, told) = channel();
        let mut run = || {
            let tell = tell.clone();
            pool.run(Box::new(move || tell.send(thread::current().id()).unwrap())).unwrap();
            let id = told.recv().unwrap();
            while lock(&pool.idle).is_empty() {
                thread::yield_now();
            }
            id
        };
        assert_eq!(run(), run());
    }
}
