//! What the store counts of itself, as families.

use super::counters::histogram;
use super::seconds;
use super::text::Text;
use crate::store::Store;
use crate::store::counters::COMMIT_BOUNDS;

pub(super) fn write(text: &mut Text, store: &Store) {
    let now = store.counters().read();
    text.gauge("keypebble_store_queue", "Records that wait to be written.", store.queued());
    text.gauge(
        "keypebble_store_rows",
        "Tokens in the store: counted every hour, and what this process wrote since.",
        now.rows,
    );
    for (name, help, count) in [
        ("keypebble_store_written", "Tokens written.", now.written),
        (
            "keypebble_store_dropped",
            "Records that are lost: the queue had no room, or the database refused them.",
            now.dropped,
        ),
        ("keypebble_store_failures", "Transactions and connections that failed.", now.failures),
    ] {
        text.family(name, "counter", "", help);
        text.sample(&format!("{name}_total"), &[], count);
    }
    let name = "keypebble_store_commit_seconds";
    text.family(
        name,
        "histogram",
        "seconds",
        "How long transactions took, from the first row to the commit.",
    );
    histogram(text, name, &[], &COMMIT_BOUNDS, &now.commits, now.commit_time);
    text.gauge(
        "keypebble_store_success_time_seconds",
        "When the store last took something, in seconds since 1970.",
        seconds(now.last_success),
    );
}
