//! The threads that serve connections: made when needed, used again, gone when idle.
//!
//! Owns threads. Must not know what a connection is. Decision: only a few idle ones are kept, and for a while:
//! the others leave with their last job, and with them the memory that a crowd took.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Enough for any signature scheme's working set; only touched pages cost memory.
const STACK_BYTES: usize = 1024 * 1024;

/// How long a thread waits for its next job before it leaves.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many may wait.
const MOST_IDLE: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

/// A pool without a bound of its own: who gives it jobs bounds them.
#[derive(Default)]
pub(super) struct Pool(Arc<(Mutex<Queue>, Condvar)>);

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that wait for one.
    idle: usize,
}

impl Pool {
    /// Runs `job`, which must not panic, on an idle thread or a new one.
    pub(super) fn run(&self, job: Job) -> io::Result<()> {
        let mut queue = lock(&self.0.0);
        if queue.idle > queue.jobs.len() {
            queue.jobs.push_back(job);
            self.0.1.notify_one();
            return Ok(());
        }
        drop(queue);
        let shared = Arc::clone(&self.0);
        let work = move || {
            let mut next = Some(job);
            while let Some(job) = next {
                job();
                next = wait(&shared);
            }
        };
        thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES).spawn(work).map(|_| ())
    }
}

/// The next job; none where the thread is to leave.
fn wait((queue, told): &(Mutex<Queue>, Condvar)) -> Option<Job> {
    let mut queue = lock(queue);
    if queue.idle < MOST_IDLE {
        queue.idle += 1;
        let waited = told.wait_timeout_while(queue, PATIENCE, |queue| queue.jobs.is_empty());
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        queue.idle -= 1;
    }
    queue.jobs.pop_front()
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_that_is_idle_is_used_again() {
        let pool = Pool::default();
        let (tell, told) = channel();
        let run = || {
            let tell = tell.clone();
            pool.run(Box::new(move || tell.send(thread::current().id()).unwrap())).unwrap();
            let id = told.recv().unwrap();
            while lock(&pool.0.0).idle == 0 {
                thread::yield_now();
            }
            id
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn after_a_crowd_few_threads_stay_and_every_job_was_done() {
        let pool = Pool::default();
        let gate = Arc::new(std::sync::Barrier::new(101));
        let (tell, told) = channel();
        for number in 0..100 {
            let (gate, tell) = (Arc::clone(&gate), tell.clone());
            pool.run(Box::new(move || {
                gate.wait();
                tell.send(number).unwrap();
            }))
            .unwrap();
        }
        gate.wait();
        let mut done: Vec<i32> = told.iter().take(100).collect();
        done.sort_unstable();
        assert_eq!(done, (0..100).collect::<Vec<_>>());
        // A thread holds the queue for as long as it lives.
        while Arc::strong_count(&pool.0) > MOST_IDLE + 1 {
            thread::yield_now();
        }
        assert!(lock(&pool.0.0).jobs.is_empty());
    }
}
