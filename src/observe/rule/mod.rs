//! The table of reasons.

mod table;

pub use table::Rule;

use std::fmt;

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Rule {
    /// The row of this name.
    pub fn named(name: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_numbers_are_rows() {
        for (row, &rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(rule as usize, row);
            assert!(Rule::ALL[..row].iter().all(|other| other.name() != rule.name()), "{rule}");
        }
    }
}
