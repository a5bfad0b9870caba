//! Which files a configuration depends on, so that a change of one is noticed.
//!
//! Owns the rule that finds them. Must not read them. Decision: they are found by the names of their keys
//! (`*_path`, `*_file`, `*_dir`, wherever they stand) and not told by each reader, so that a reader to come
//! cannot forget; a name too many costs a look at a file that never changes.

use crate::ground::document::{DocumentError, Node};
use std::path::{Path, PathBuf};

/// Keys without such an end, whose value is a path, or a PEM text or the path of one.
const PEM_OR_PATH: [&str; 3] = ["rs256_private_key", "rs256_public_key", "path"];

/// Every path that the configuration names; relative ones are relative to its folder.
pub(super) fn files(root: &Node<'_>, folder: &Path) -> Result<Vec<PathBuf>, DocumentError> {
    let mut found = Vec::new();
    walk(root, folder, &mut found)?;
    Ok(found)
}

fn walk(node: &Node<'_>, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DocumentError> {
    if node.is_list() {
        return node.items()?.try_for_each(|item| walk(&item, folder, found));
    }
    if !node.is_mapping() {
        return Ok(());
    }
    for (key, value) in node.entries()? {
        if key == "static_claims" {
            continue; // what stands there is the verifiers' business
        }
        let names_a_file =
            ["_path", "_file", "_dir"].iter().any(|end| key.ends_with(end)) || PEM_OR_PATH.contains(&key);
        if names_a_file && value.is_string() {
            let text = value.string_or_empty()?;
            if !text.is_empty() && !text.contains("-----BEGIN") {
                found.push(folder.join(text));
            }
        } else {
            walk(&value, folder, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::document::Document;

    #[test]
    fn what_names_a_file_is_found_wherever_it_stands() {
        let text = "users_file: users\nrs256_private_key: |\n  -----BEGIN X-----\nrs256_public_key: pub.pem\n\
                    keys: [{path: /k/a.pem}, {path: b}]\nsecret: x\nstatic_claims: {a_path: /dev/null}\n";
        let document = Document::parse(Path::new("etc/c.yaml"), text.to_owned()).unwrap();
        let found = files(&document.root(), Path::new("etc")).unwrap();
        let expected = ["etc/users", "etc/pub.pem", "/k/a.pem", "etc/b"].map(PathBuf::from);
        assert_eq!(found, expected);
    }
}
