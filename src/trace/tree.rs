//! What caused what, as an indented tree.

use std::collections::BTreeMap;
use std::fmt;

use super::line::Line;
use crate::observe::{EventId, Record, Time};

/// Records, each below the one that caused it.
///
/// Records may come in any order. What is drawn once is forgotten; a later record whose cause was drawn already begins a
/// tree of its own and says what caused it.
///
/// ```
/// use tapsock::observe::{CallKind, Depth, Event, Time, Trail};
/// use tapsock::trace::Tree;
///
/// let mut trail = Trail::default();
/// trail.set_depth(Depth::Call);
/// let note = |trail: &mut Trail, call| trail.note(Time::ZERO, Event::Call { socket: None, call });
/// let first = note(&mut trail, CallKind::Read { bytes: 78 });
/// trail.because_of(first);
/// note(&mut trail, CallKind::Write { bytes: 512 });
///
/// let mut tree = Tree::default();
/// trail.drain().for_each(|record| tree.push(record));
/// assert_eq!(tree.to_string(), "\
/// 0.000000 read 78 B
/// +0 µs    └─ write 512 B
/// ");
/// ```
#[derive(Debug, Default)]
pub struct Tree {
    /// By number, so that a parent stands before its children and siblings in their order.
    records: BTreeMap<EventId, Record<'static>>,
}

impl Tree {
    /// One more.
    pub fn push(&mut self, record: Record<'static>) {
        self.records.insert(record.id, record);
    }

    /// How many wait to be drawn.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none waits to be drawn.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets those that were drawn.
    pub fn clear(&mut self) {
        self.records.clear();
    }

    /// The lines of the tree from the top, each with its record.
    pub fn lines(&self) -> Vec<(String, &Record<'static>)> {
        let mut children: BTreeMap<EventId, Vec<EventId>> = BTreeMap::new();
        let mut roots = Vec::new();
        for record in self.records.values() {
            match record.cause.filter(|cause| self.records.contains_key(cause) && *cause < record.id) {
                Some(cause) => children.entry(cause).or_default().push(record.id),
                None => roots.push(record.id),
            }
        }
        let mut lines = Vec::new();
        for root in roots {
            self.draw(root, &children, &mut lines);
        }
        lines
    }

    /// Draws one root and all below it. The way down is a list of what is still to be drawn, because a chain of causes
    /// may be long.
    fn draw<'t>(
        &'t self,
        root: EventId,
        children: &BTreeMap<EventId, Vec<EventId>>,
        lines: &mut Vec<(String, &'t Record<'static>)>,
    ) {
        let Some(begin) = self.records.get(&root).map(|record| record.at) else { return };
        let mut next = vec![(root, String::new(), String::new())];
        while let Some((id, branch, below)) = next.pop() {
            let Some(record) = self.records.get(&id) else { continue };
            let at = if id == root { record.at.to_string() } else { Since(begin, record.at).to_string() };
            let late = match record.cause {
                Some(cause) if id == root => format!(" · because of {cause}, above"),
                _ => String::new(),
            };
            lines.push((format!("{at:<8} {branch}{}{late}", Line(&record.event)), record));
            let all = children.get(&id).map(Vec::as_slice).unwrap_or_default();
            for (i, &child) in all.iter().enumerate().rev() {
                let is_last = i + 1 == all.len();
                let (twig, rest) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                next.push((child, narrow(format!("{below}{twig}")), narrow(format!("{below}{rest}"))));
            }
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|(line, _)| writeln!(f, "{line}"))
    }
}

/// A branch that is longer than this many characters loses its beginning: a chain of causes may have any length.
const WIDEST: usize = 48;

fn narrow(branch: String) -> String {
    let length = branch.chars().count();
    if length <= WIDEST { branch } else { branch.chars().skip(length - WIDEST).collect() }
}

/// How much later.
struct Since(Time, Time);

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", super::quantity::Span(self.1 - self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{CallKind, Depth, Event, Trail};

    fn trail() -> Trail {
        let mut trail = Trail::default();
        trail.set_depth(Depth::Bytes);
        trail
    }

    fn note(trail: &mut Trail, micros: u64, cause: Option<EventId>, bytes: usize) -> Option<EventId> {
        trail.because_of(cause);
        trail.note(Time::from_micros(micros), Event::Call { socket: None, call: CallKind::Write { bytes } })
    }

    #[test]
    fn each_record_stands_below_its_cause_and_siblings_in_their_order() {
        let mut trail = trail();
        let first = note(&mut trail, 0, None, 1);
        let second = note(&mut trail, 10, first, 2);
        let third = note(&mut trail, 20, None, 3);
        note(&mut trail, 30, first, 4);
        note(&mut trail, 40, second, 5);
        note(&mut trail, 50, third, 6);
        let mut tree = Tree::default();
        trail.drain().for_each(|record| tree.push(record));
        assert_eq!(
            tree.to_string(),
            "\
0.000000 write 1 B
+10 µs   ├─ write 2 B
+40 µs   │  └─ write 5 B
+30 µs   └─ write 4 B
0.000020 write 3 B
+30 µs   └─ write 6 B
"
        );
    }

    #[test]
    fn what_comes_after_its_cause_was_drawn_says_so() {
        let mut trail = trail();
        let first = note(&mut trail, 0, None, 1);
        let mut tree = Tree::default();
        trail.drain().for_each(|record| tree.push(record));
        tree.clear();
        note(&mut trail, 5, first, 2);
        trail.drain().for_each(|record| tree.push(record));
        assert_eq!(tree.to_string(), "0.000005 write 2 B · because of @1, above\n");
    }

    #[test]
    fn a_long_chain_of_causes_does_not_need_a_deep_stack() {
        let mut trail = trail();
        let mut cause = None;
        let mut tree = Tree::default();
        for i in 0..2_000 {
            cause = note(&mut trail, i, cause, 1);
        }
        trail.drain().for_each(|record| tree.push(record));
        let lines = tree.lines();
        assert_eq!(lines.len(), 2_000);
        assert!(lines.iter().all(|(line, _)| line.chars().count() < 80));
    }
}
