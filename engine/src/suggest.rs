//! "Did you mean": the nearest of the names that would have been possible.

/// More candidates than this are not listed.
const LISTED: usize = 12;

/// A help line with the nearest candidate, or with all of them when none is near and they are few.
pub fn suggest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut search = Search::new(found);
    let mut first = Vec::new();
    for candidate in candidates {
        search.offer(candidate);
        if first.len() <= LISTED {
            first.push(candidate);
        }
    }
    if let Some((_, near)) = search.best {
        return Some(format!("did you mean `{near}`?"));
    }
    match first.len() {
        1..=LISTED => Some(format!("possible here: {}", list(&first))),
        _ => None,
    }
}

/// Names between backticks, separated by commas.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A search for the first of the nearest names. A file may have thousands of mistakes and thousands of names, so most
/// pairs have to be told apart without computing their distance.
struct Search<'a> {
    found: String,
    length: usize,
    letters: Letters,
    /// A name may be off by a third of its letters, or lack its prefix (`encode` for `text.encode`).
    allowed: usize,
    best: Option<(usize, &'a str)>,
}

impl<'a> Search<'a> {
    fn new(found: &str) -> Self {
        let found = found.to_lowercase();
        let length = found.chars().count();
        let letters = Letters::of(found.chars());
        Self { length, letters, allowed: (length / 3).max(1), found, best: None }
    }

    fn offer(&mut self, candidate: &'a str) {
        let may_be_near = match candidate.is_ascii() {
            true => self.may_be_near(candidate.bytes().map(|byte| char::from(byte.to_ascii_lowercase()))),
            false => self.may_be_near(candidate.to_lowercase().chars()),
        };
        if !may_be_near && !is_part(&self.found, candidate) {
            return;
        }
        let distance = strsim::osa_distance(&self.found, &candidate.to_lowercase());
        let is_near = distance <= self.allowed || is_part(&self.found, candidate);
        if is_near && self.best.is_none_or(|(best, _)| distance < best) {
            self.best = Some((distance, candidate));
        }
    }

    /// False only where the distance is certain to be more than allowed: every letter that is missing on one side, and
    /// every letter that is too many, takes an edit of its own.
    fn may_be_near(&self, candidate: impl Iterator<Item = char>) -> bool {
        let (mut length, mut foreign, mut letters) = (0, 0, Letters(0));
        for letter in candidate {
            length += 1;
            foreign += usize::from(!self.letters.has(letter));
            if foreign > self.allowed || length > self.length + self.allowed {
                return false;
            }
            letters.add(letter);
        }
        length + self.allowed >= self.length && self.letters.missing_in(letters) <= self.allowed
    }
}

/// A set of letters; some share a place, so it may claim to have one that it does not have.
#[derive(Clone, Copy)]
struct Letters(u64);

impl Letters {
    fn of(letters: impl Iterator<Item = char>) -> Self {
        let mut set = Self(0);
        letters.for_each(|letter| set.add(letter));
        set
    }

    fn add(&mut self, letter: char) {
        self.0 |= 1 << (u32::from(letter) % 64);
    }

    fn has(self, letter: char) -> bool {
        self.0 & (1 << (u32::from(letter) % 64)) != 0
    }

    fn missing_in(self, other: Self) -> usize {
        (self.0 & !other.0).count_ones() as usize
    }
}

fn is_part(found: &str, candidate: &str) -> bool {
    // Of the same length it would be the name itself, which the distance tells.
    (3..candidate.len()).contains(&found.len()) && candidate.split(['.', '_']).any(|part| part == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_gets_the_nearest_name() {
        assert_eq!(suggest("encod", ["encode", "decode"]).as_deref(), Some("did you mean `encode`?"));
    }

    #[test]
    fn a_missing_prefix_is_found() {
        assert_eq!(suggest("encode", ["text.encode", "x"]).as_deref(), Some("did you mean `text.encode`?"));
    }

    #[test]
    fn nothing_near_lists_what_there_is() {
        assert_eq!(suggest("zzz", ["one", "two"]).as_deref(), Some("possible here: `one`, `two`"));
        assert_eq!(suggest("zzz", []), None);
        assert_eq!(suggest("zzz", ["one"; 13]), None);
    }

    /// The definition, without short cuts.
    fn nearest<'a>(found: &str, candidates: &[&'a str]) -> Option<&'a str> {
        let found = found.to_lowercase();
        let allowed = (found.chars().count() / 3).max(1);
        let is_part =
            |candidate: &str| found.len() >= 3 && candidate.split(['.', '_']).any(|part| part == found);
        candidates
            .iter()
            .map(|candidate| (strsim::osa_distance(&found, &candidate.to_lowercase()), *candidate))
            .filter(|(distance, candidate)| *distance <= allowed || is_part(candidate))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, candidate)| candidate)
    }

    proptest::proptest! {
        #[test]
        fn no_name_is_passed_over(
            found in "[a-cA_.!éÉΣ]{0,9}",
            candidates in proptest::collection::vec("[a-cA_.!éÉΣ]{0,12}", 0..9),
        ) {
            let candidates: Vec<&str> = candidates.iter().map(String::as_str).collect();
            let mut search = Search::new(&found);
            candidates.iter().for_each(|candidate| search.offer(candidate));
            proptest::prop_assert_eq!(search.best.map(|(_, name)| name), nearest(&found, &candidates));
        }
    }
}
