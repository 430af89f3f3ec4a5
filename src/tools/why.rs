//! `tapsock why`: the reason that a trace has named.

use std::fmt::Write as _;

use crate::daemon::Failure;
use crate::observe::Rule;

/// Explains the rule of this name, or each rule whose name begins with it; without a name, lists all.
///
/// ```
/// let text = tapsock::tools::why::explain(Some("tcp.rst.closed-port"))?;
/// assert!(text.contains("no socket owns the port: RST"));
/// # Ok::<(), tapsock::daemon::Failure>(())
/// ```
///
/// # Errors
///
/// [`Failure::Mistake`] if there is no such rule, with those that it may have been.
pub fn explain(name: Option<&str>) -> Result<String, Failure> {
    let Some(name) = name else { return Ok(list(Rule::ALL)) };
    if let Some(rule) = Rule::named(name) {
        return Ok(entry(rule));
    }
    let prefix = name.trim_end_matches(['.', '*']);
    let family: Vec<Rule> = rules().filter(|rule| is_within(rule.name(), prefix)).collect();
    if !family.is_empty() {
        return Ok(family.into_iter().map(entry).collect::<Vec<_>>().join("\n"));
    }
    Err(Failure::Mistake(unknown(name)))
}

/// A rule or a family of rules, as a filter takes it: without the `.` or `*` that a person may write behind a family.
///
/// # Errors
///
/// There is none, and a sentence says which it may have been.
pub fn named(name: &str) -> Result<String, String> {
    let plain = name.trim_end_matches(['.', '*']);
    match rules().any(|rule| rule.name() == plain || is_within(rule.name(), plain)) {
        true => Ok(plain.to_owned()),
        false => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> String {
    let words: Vec<&str> = name.split(['.', '-', ' ']).filter(|word| word.len() > 2).collect();
    let score = |rule: Rule| words.iter().filter(|word| rule.name().contains(**word)).count();
    let mut near: Vec<Rule> = rules().filter(|&rule| score(rule) > 0).collect();
    near.sort_by_key(|&rule| std::cmp::Reverse(score(rule)));
    let near: Vec<&str> = near.into_iter().map(Rule::name).take(8).collect();
    match near.is_empty() {
        true => format!("there is no rule '{name}'; tapsock why lists all of them"),
        false => format!("there is no rule '{name}'; perhaps {}; tapsock why lists all of them", near.join(", ")),
    }
}

fn rules() -> impl Iterator<Item = Rule> {
    Rule::ALL.iter().copied()
}

/// Whether a name is in the family of `prefix`: `tcp.challenge.rst` is in `tcp.challenge` and in `tcp`.
fn is_within(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

fn entry(rule: Rule) -> String {
    let mut text = format!("{}\n    {}.\n    for example: {}\n", rule.name(), rule.sentence(), rule.example());
    if !rule.source().is_empty() {
        let _ = writeln!(text, "    by: {}", rule.source());
    }
    text
}

fn list(rules: &[Rule]) -> String {
    let width = rules.iter().map(|rule| rule.name().len()).max().unwrap_or(0);
    rules.iter().map(|rule| format!("{:<width$}  {}\n", rule.name(), rule.sentence())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    #[test]
    fn a_rule_is_explained_with_an_example_and_its_source() {
        assert_eq!(
            explain(Some("tcp.drop.paws")).unwrap(),
            "\
tcp.drop.paws
    the timestamp is older than the last one: a copy from an earlier turn of the sequence numbers, answered with our own ACK.
    for example: a segment that was on a slow way for longer than the numbers need to come around
    by: RFC 7323 §5.3
"
        );
    }

    #[test]
    fn the_beginning_of_a_name_stands_for_its_family_and_nothing_for_all() {
        let family = explain(Some("tcp.challenge")).unwrap();
        assert_eq!(family.matches("for example").count(), 5);
        assert_eq!(explain(Some("tcp.challenge.*")).unwrap(), family);
        assert_eq!(explain(None).unwrap().lines().count(), Rule::ALL.len());
    }

    #[test]
    fn an_unknown_rule_is_a_mistake_that_names_its_neighbours() {
        let sentence = |name| explain(Some(name)).unwrap_err().to_string();
        assert!(sentence("rst.closed-prot").contains("perhaps tcp.rst.closed"));
        assert_eq!(sentence("xyzzy"), "there is no rule 'xyzzy'; tapsock why lists all of them");
    }

    /// The whole table, for those who read it in a browser.
    fn document() -> String {
        let mut text = String::from(
            "# Rules\n\n\
             Why a packet was dropped, answered without a socket, or sent without a socket asking for it. Each drop, reset,\n\
             challenge, retransmission, probe and error that a trace shows names one of these; `tapsock why RULE` prints it,\n\
             and `tapsock stats` counts it.\n\n\
             This file is made from the table in `src/observe/rule/table.rs`:\n\
             `TAPSOCK_WRITE=1 cargo test --lib the_document_of_rules`.\n",
        );
        let layer = |rule: Rule| rule.name().split('.').next().unwrap_or_default();
        let mut layers: Vec<&str> = Vec::new();
        for name in rules().map(layer) {
            if !layers.contains(&name) {
                layers.push(name);
            }
        }
        for name in layers {
            let _ = write!(text, "\n## {name}\n\n| rule | what happened | for example | by |\n|---|---|---|---|\n");
            for rule in rules().filter(|&rule| layer(rule) == name) {
                let cell = |text: &str| text.replace('|', "\\|");
                let row = [rule.sentence(), rule.example(), rule.source()].map(cell);
                let _ = writeln!(text, "| `{}` | {} | {} | {} |", rule.name(), row[0], row[1], row[2]);
            }
        }
        text
    }

    #[test]
    fn the_document_of_rules_is_that_of_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
        let text = document();
        if env::var_os("TAPSOCK_WRITE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == text,
            "docs/rules.md is not up to date; run: TAPSOCK_WRITE=1 cargo test --lib the_document_of_rules"
        );
    }
}
