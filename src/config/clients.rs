//! `clients`: the programs that may ask about tokens, or end them.

use crate::ground::document::{DocumentError, Node};
use crate::ground::file::Files;
use crate::ground::text::quoted;
use crate::login::clients::{Act, Client, Clients, hash_of};
use crate::login::password::{DEFAULT_COST, ENABLED, Hash, HashError};
use crate::login::users::{NOT_ENABLED, name_problem};

/// The key of the file that this reads.
pub(super) const KEY: &str = "clients";

const KEYS: [&str; 5] = ["name", "hash", "secret_path", "may", "audiences"];

/// How to make a proof that is accepted.
const MAKE: &str = "make a secret with: openssl rand -hex 32 > gateway.secret, and name it by `secret_path`";
/// The same for a hash.
const HASH: &str = "it is what stands behind the colon in what `keypebble hash-password --user NAME` prints";

/// Reads the list from the root of a configuration.
pub(super) fn read(root: &Node<'_>, files: &mut Files) -> Result<Clients, DocumentError> {
    let Some(list) = root.get(KEY) else { return Ok(Clients::default()) };
    list.needs(ENABLED, NOT_ENABLED)?;
    let mut clients: Vec<(String, Hash, Client)> = Vec::new();
    for item in list.items()? {
        item.allow_keys(&KEYS)?;
        let name = name(&item)?;
        if clients.iter().any(|(known, ..)| *known == name) {
            let problem = format!("there are two clients {}", quoted("", &name));
            return Err(item.key_error("name", problem).hint("leave one of the two out"));
        }
        let hash = proof(&item, &name, files)?;
        clients.push((name, hash, Client { may: may(&item)?, audiences: audiences(&item)? }));
    }
    Ok(Clients::new(clients))
}

fn name(item: &Node<'_>) -> Result<String, DocumentError> {
    let node = item.required("name", "it is the client's `client_id`")?;
    let name = node.string()?;
    match name_problem(name) {
        None => Ok(name.to_owned()),
        Some(problem) => Err(node.error(problem.replace("user name", "client's name"))),
    }
}

/// The hash of the client's secret.
fn proof(item: &Node<'_>, name: &str, files: &mut Files) -> Result<Hash, DocumentError> {
    match (item.get("hash"), item.get("secret_path")) {
        (Some(hash), None) => {
            let text = hash.string()?;
            let read: Result<Hash, HashError> = text.parse();
            let read = read.map_err(|error| hash.error(error.to_string()).hint(HASH))?;
            if read.cost() < DEFAULT_COST {
                files.warn(
                    format!(
                        "the client {name}: a hash of a bcrypt cost under {DEFAULT_COST} is quick to guess"
                    ),
                    "make it anew with `keypebble hash-password`, or use `secret_path`",
                );
            }
            Ok(read)
        }
        (None, Some(path)) => {
            let secret = path.secret(files)?;
            if secret.expose().iter().any(|byte| b"+%".contains(byte)) {
                files.warn(
                    format!(
                        "the secret of the client {name} holds + or %: some programs encode them in Authorization (RFC 6749, 2.3.1) and some do not"
                    ),
                    "make one with: openssl rand -hex 32",
                );
            }
            hash_of(&secret).map_err(|problem| path.error(problem).hint(MAKE))
        }
        (Some(hash), Some(_)) => {
            let error = hash.error("`hash` and `secret_path` exclude each other");
            Err(error.hint("leave one of them out: which one counts would be a guess"))
        }
        (None, None) => Err(item.error("a client needs `hash` or `secret_path`").hint(MAKE)),
    }
}

fn may(item: &Node<'_>) -> Result<Vec<Act>, DocumentError> {
    const ONE_OF: &str = "expected `introspect` or `revoke`";
    let list = item.required("may", "say what the client may ask: may: [introspect]")?;
    let mut acts = Vec::new();
    for act in list.items()? {
        let name = act.string()?;
        let known = Act::ALL.into_iter().find(|known| known.name() == name);
        acts.push(known.ok_or_else(|| act.error(format!("{ONE_OF}, found {}", act.quoted())))?);
    }
    if acts.is_empty() { Err(list.error("the client may ask nothing").hint(ONE_OF)) } else { Ok(acts) }
}

fn audiences(item: &Node<'_>) -> Result<Option<Vec<String>>, DocumentError> {
    let Some(list) = item.get("audiences") else { return Ok(None) };
    let names: Result<Vec<String>, _> = list.items()?.map(|name| name.string().map(str::to_owned)).collect();
    match names?.as_slice() {
        [] => Err(list
            .error("an empty list: no token would be the client's business")
            .hint("leave `audiences` out for all of them")),
        names => Ok(Some(names.to_vec())),
    }
}
