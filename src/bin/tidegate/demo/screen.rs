//! Where the demonstration is drawn: a terminal with a table that stays at the bottom, lines of text, or JSON.

use super::table::{frame, line, Look};
use super::view::View;
use crossterm::{cursor, queue, terminal};
use serde_json::{json, Value};
use std::io::{IsTerminal, Write};
use std::time::Duration;

pub enum Screen {
    Terminal(Terminal),
    Lines,
    Json,
}

impl Screen {
    pub fn new(json: bool) -> Screen {
        let named = |name: &str| std::env::var(name).unwrap_or_default();
        let dumb = ["", "dumb"].contains(&named("TERM").as_str());
        match json {
            true => Screen::Json,
            false if std::io::stdout().is_terminal() && !dumb => {
                let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"].map(named).into_iter().find(|value| !value.is_empty());
                let utf8 = utf8.is_some_and(|value| value.to_uppercase().replace('-', "").contains("UTF8"));
                Screen::Terminal(Terminal { colour: named("NO_COLOR").is_empty(), blocks: utf8, drawn: 0, view: None })
            }
            false => Screen::Lines,
        }
    }

    /// How often it wants a view.
    pub fn period(&self) -> Duration {
        match self {
            Screen::Terminal(_) => Duration::from_millis(200),
            _ => Duration::from_secs(1),
        }
    }

    /// # Errors
    /// When nobody reads any more.
    pub fn show(&mut self, view: &View) -> std::io::Result<()> {
        match self {
            Screen::Terminal(terminal) => {
                terminal.view = Some(Box::new(view.clone()));
                terminal.draw(None)
            }
            Screen::Lines => say(&line(view)),
            Screen::Json => say(&view.as_json().to_string()),
        }
    }

    /// Something happened.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn note(&mut self, t: f64, what: &str, text: &str) -> std::io::Result<()> {
        let sentence = format!("t={t:.1} s: {text}");
        match self {
            Screen::Terminal(terminal) => terminal.draw(Some(&sentence)),
            Screen::Lines => say(&sentence),
            Screen::Json => say(&json!({"event": "note", "t": t, "what": what, "text": text}).to_string()),
        }
    }

    /// The last words; the table stays above them.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn verdict(&mut self, text: &str, facts: &Value) -> std::io::Result<()> {
        match self {
            Screen::Json => say(&facts.to_string()),
            _ => say(&format!("\n{text}")),
        }
    }

    /// Columns to write in, if they are known.
    pub fn columns(&self) -> Option<usize> {
        match self {
            Screen::Terminal(_) => terminal::size().ok().map(|(columns, _)| columns.into()),
            _ => None,
        }
    }
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

pub struct Terminal {
    colour: bool,
    blocks: bool,
    /// Lines of the frame that stand above the cursor.
    drawn: u16,
    /// What the frame shows.
    view: Option<Box<View>>,
}

impl Terminal {
    /// Draws the frame anew, below `note`, which stays and scrolls away with time.
    fn draw(&mut self, note: Option<&str>) -> std::io::Result<()> {
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        let mut out = std::io::stdout().lock();
        queue!(out, terminal::BeginSynchronizedUpdate, cursor::Hide)?;
        if self.drawn > 0 {
            queue!(out, cursor::MoveToPreviousLine(self.drawn.min(rows)))?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        self.drawn = 0;
        if let Some(note) = note {
            writeln!(out, "{}", crate::text::wrap(note, columns.into()))?;
        }
        if let Some(view) = &self.view {
            let look = Look { colour: self.colour, blocks: self.blocks, width: columns.into(), height: rows.into() };
            for line in frame(view, look) {
                writeln!(out, "{line}")?;
                self.drawn += 1;
            }
        }
        queue!(out, terminal::EndSynchronizedUpdate)?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = crossterm::execute!(std::io::stdout(), cursor::Show);
    }
}
