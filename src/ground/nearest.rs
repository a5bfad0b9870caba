//! The word that was probably meant.
//!
//! Owns the distance between two words (optimal string alignment).

/// The known word that this one was probably meant to be: at most two edits away, and at most a third.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && distance * 3 <= candidate.len().max(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// A hint: the word that was probably meant, or else what to say of those there are.
pub fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>, otherwise: &str) -> String {
    nearest(word, known.into_iter())
        .map_or_else(|| otherwise.to_owned(), |nearest| format!("did you mean `{nearest}`?"))
}

/// How many characters to add, drop, change or swap with the next one, over the first 64 of each word.
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let changed = row[j] + usize::from(a[i] != b[j]);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_far_from_all_has_no_suggestion() {
        assert_eq!(nearest("frobnicate", ["issuer", "audience"].into_iter()), None);
        assert_eq!(nearest("audiense", ["issuer", "audience"].into_iter()), Some("audience"));
        assert_eq!(nearest("hots", ["host", "port"].into_iter()), Some("host"));
    }
}
