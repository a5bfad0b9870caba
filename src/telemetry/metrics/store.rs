//! What the store counts of itself, as families.

use super::counters::histogram;
use super::seconds;
use super::text::Text;
use crate::store::Store;
use crate::store::counters::COMMIT_BOUNDS;

pub(super) fn write(text: &mut Text, store: &Store) {
    let now = store.counters().read();
    text.gauge("keypebble_store_queue", "Records that wait to be written.", store.queued());
    let rows = "Tokens in the store: counted every hour, and what this process wrote since.";
    text.gauge("keypebble_store_rows", rows, now.rows);
    text.counter("keypebble_store_written", "Tokens written.", now.written);
    let dropped = "Records that are lost: the queue had no room, or the database refused them.";
    text.counter("keypebble_store_dropped", dropped, now.dropped);
    text.counter("keypebble_store_failures", "Transactions and connections that failed.", now.failures);
    let name = "keypebble_store_commit_seconds";
    let commits = "How long transactions took, from the first row to the commit.";
    text.family(name, "histogram", "seconds", commits);
    histogram(text, name, &[], &COMMIT_BOUNDS, &now.commits, now.commit_time);
    let success = "When the store last took something, in seconds since 1970.";
    text.gauge("keypebble_store_success_time_seconds", success, seconds(now.last_success));
}
