//! What is shown of a record.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::observe::{Depth, Record};
use crate::trace::{Detail, Ladder, Line, Links, Tone, Tree};

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One line for each.
    Lines,
    /// One JSON object a line.
    Json,
    /// Each below its cause.
    Tree,
    /// A sequence diagram of each connection.
    Ladder,
}

/// A tree is drawn when it has grown so large, even if more may belong to it.
const LARGEST: usize = 10_000;

#[derive(Debug)]
pub(super) struct Picture {
    form: Option<Form>,
    colour: bool,
    depth: Depth,
    tree: Tree,
    ladder: Ladder,
}

impl Picture {
    pub(super) fn new(form: Option<Form>, colour: bool, depth: Depth) -> Picture {
        Picture { form, colour, depth, tree: Tree::default(), ladder: Ladder::default() }
    }

    /// One more record.
    pub(super) fn show(&mut self, record: Record<'static>, out: &mut dyn Write) -> io::Result<()> {
        match self.form {
            None => Ok(()),
            Some(Form::Json) => {
                writeln!(out, "{}", serde_json::to_string(&record).map_err(io::Error::other)?)
            }
            Some(Form::Lines) => {
                let style = self.style(Tone::of(&record.event));
                writeln!(out, "{style}{} {} {}{style:#}", record.at, Links(&record), Line(&record.event))?;
                if self.depth >= Depth::Bytes {
                    write!(out, "{}", Detail(&record.event))?;
                }
                Ok(())
            }
            Some(Form::Ladder) => {
                let style = self.style(Tone::of(&record.event));
                for rung in self.ladder.draw(&record) {
                    writeln!(out, "{style}{rung}{style:#}")?;
                }
                Ok(())
            }
            Some(Form::Tree) => {
                self.tree.push(record);
                if self.tree.len() < LARGEST { Ok(()) } else { self.rest(out) }
            }
        }
    }

    /// So many are missing here.
    pub(super) fn miss(&mut self, records: u64, out: &mut dyn Write) -> io::Result<()> {
        self.rest(out)?;
        match self.form {
            None => Ok(()),
            Some(Form::Json) => writeln!(out, "{{\"dropped\":{records}}}"),
            Some(_) => {
                let style = self.style(Tone::Drop);
                writeln!(
                    out,
                    "{style}{records} records are missing here: they came faster than they were read{style:#}"
                )
            }
        }
    }

    /// Nothing happens, or nothing will any more: what waits is drawn.
    pub(super) fn rest(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.tree.is_empty() {
            return Ok(());
        }
        for (line, record) in self.tree.lines() {
            let style = self.style(Tone::of(&record.event));
            writeln!(out, "{style}{line}{style:#}")?;
        }
        self.tree.clear();
        Ok(())
    }

    fn style(&self, tone: Tone) -> Style {
        let style = Style::new();
        if !self.colour {
            return style;
        }
        match tone {
            Tone::Plain => style,
            Tone::Life => style.fg_color(Some(AnsiColor::Green.into())),
            Tone::Call => style.fg_color(Some(AnsiColor::Cyan.into())),
            Tone::Again => style.fg_color(Some(AnsiColor::Yellow.into())),
            Tone::Drop => style.fg_color(Some(AnsiColor::Red.into())),
        }
    }
}
