//! How many requests may be large at the same time.
//!
//! Owns a count. Must not know what is counted. Decision: a thousand clients that each stop just short of
//! every limit would hold a thousand times the largest request; a registry's requests are small, so few
//! large ones at once harm nobody, and the process stays within tens of megabytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The permits that are left.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// One permit, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(permits: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(permits)))
    }

    pub(super) fn permit(&self) -> Option<Permit> {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        taken.ok().map(|_| Permit(Arc::clone(&self.0)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_that_is_given_back_is_there_again() {
        let budget = Budget::new(1);
        let first = budget.permit();
        assert!(first.is_some() && budget.permit().is_none());
        drop(first);
        assert!(budget.permit().is_some());
    }
}
