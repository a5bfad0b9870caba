//! Whether a path of certificates holds, by the rules of Go's `x509`, which are those of every registry.
//!
//! Owns the search for a path. Must not know how a certificate is read or its signature checked.

use super::X509;

/// Why a path of certificates does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathError {
    /// The certificate at this place (0 is the leaf; a root of the bundle comes last) is past its end.
    Expired(usize, i64),
    /// It is not valid yet.
    NotYet(usize, i64),
    /// No certificate of the bundle, through the others, vouches for the leaf.
    Unknown,
    /// One would, but it may sign no certificates: no `CA:TRUE`, or no `keyCertSign`.
    NotAuthority,
    /// A signature is of a kind that is not checked here, or a certificate has an extension that is not
    /// judged here and could refuse it: a critical one, or name constraints.
    Unsupported,
}

/// Whether some path from `chain`'s first certificate, through its others, ends in one of `roots` now:
/// the rules of Go's `x509.Certificate.Verify`; where its name constraints and policies come in, unknown.
pub fn verify_path(chain: &[X509], roots: &[X509], now: i64) -> Result<(), PathError> {
    let [leaf, others @ ..] = chain else { return Err(PathError::Unknown) };
    leaf.in_time(0, now)?;
    if leaf.unjudged {
        return Err(PathError::Unsupported);
    }
    if roots.contains(leaf) {
        return Ok(());
    }
    let mut budget = 100; // signatures: a bound, as Go has one
    extend(&mut vec![leaf], others, roots, now, &mut budget)
}

fn extend<'c>(
    path: &mut Vec<&'c X509>,
    others: &'c [X509],
    roots: &'c [X509],
    now: i64,
    budget: &mut u32,
) -> Result<(), PathError> {
    let Some(&child) = path.last() else { return Err(PathError::Unknown) };
    // The reason that says most: what was nearest to holding.
    let mut reason = PathError::Unknown;
    let candidates = roots.iter().map(|root| (root, true)).chain(others.iter().map(|other| (other, false)));
    for (parent, is_root) in candidates {
        if parent.subject != child.issuer || path.contains(&parent) {
            continue;
        }
        *budget = budget.saturating_sub(1);
        if *budget == 0 {
            return Err(PathError::Unknown);
        }
        let outcome = match child.signed_by(parent) {
            Some(true) if !parent.constraints.may_sign() => Err(PathError::NotAuthority),
            Some(true) if parent.constraints.path_length.is_some_and(|most| path.len() - 1 > most) => {
                Err(PathError::NotAuthority)
            }
            Some(true) if parent.unjudged => Err(PathError::Unsupported),
            Some(true) => parent.in_time(path.len(), now).and_then(|()| {
                if is_root {
                    return Ok(());
                }
                path.push(parent);
                let rest = extend(path, others, roots, now, budget);
                path.pop();
                rest
            }),
            Some(false) => Err(PathError::Unknown),
            None => Err(PathError::Unsupported),
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(PathError::Unknown) => {}
            Err(other) => reason = other,
        }
    }
    Err(reason)
}
