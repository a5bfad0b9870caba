//! `store` and the keys that belong to it.

use crate::ground::document::{Document, DocumentError, Node};
use crate::ground::text::quoted;
use crate::store::config::{Place, StoreConfig};
use crate::store::server::Server;

/// The keys of the file that this reads.
pub(super) const KEYS: [&str; 3] = ["store", "store_required", "store_keep_days"];

/// How long a record stays after its token has expired where the file says nothing.
const KEEP_DAYS: u64 = 90;
/// The longest that can be asked for: a century.
const MAX_KEEP_DAYS: u64 = 36_500;

/// Reads the keys from the root of a configuration. The store is not among the files that are watched: it changes
/// with every token.
pub(super) fn read(document: &Document, root: &Node<'_>) -> Result<Option<StoreConfig>, DocumentError> {
    let Some(store) = root.get("store") else {
        let hint = "add `store: sqlite:PATH`, or leave it out";
        return root.no_key_without(&KEYS, "store", hint).map(|()| None);
    };
    let keep_days = match root.get("store_keep_days") {
        None => KEEP_DAYS,
        Some(node) => node.integer(0, MAX_KEEP_DAYS)?,
    };
    Ok(Some(StoreConfig {
        place: place(document, &store)?,
        required: root.get("store_required").map_or(Ok(false), |node| node.boolean())?,
        keep_days: u32::try_from(keep_days).unwrap_or(u32::MAX),
    }))
}

fn place(document: &Document, store: &Node<'_>) -> Result<Place, DocumentError> {
    let text = store.string()?;
    let (kind, rest) = text.split_once(':').unwrap_or(("", text));
    match kind {
        "sqlite" if rest.is_empty() => Err(store.error("expected the path of a file after `sqlite:`")),
        "sqlite" if cfg!(feature = "sqlite") => Ok(Place::Sqlite(document.folder().join(rest))),
        "sqlite" => Err(without(store, "sqlite")),
        "postgres" | "postgresql" if cfg!(feature = "postgres") => {
            let server = Server::parse(text, document.folder());
            server.map(Place::Postgres).map_err(|[what, hint]| store.error(what).hint(hint))
        }
        "postgres" | "postgresql" => Err(without(store, "postgres")),
        _ => Err(store
            .error(format!(
                "expected `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, found {}",
                quoted("", text)
            ))
            .hint("such as `store: sqlite:/var/lib/keypebble/store.db`")),
    }
}

fn without(store: &Node<'_>, feature: &str) -> DocumentError {
    store
        .error(format!("this build is without the feature `{feature}`"))
        .hint(format!("build with `cargo build --release --features {feature}`"))
}
