//! What the user sees while a run works: progress bars on a terminal, plain lines elsewhere. All of it on stderr.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::data::Reporter;

/// A [`Reporter`] for people.
pub(crate) struct Terminal {
    style: Style,
    bar: Option<ProgressBar>,
    title: String,
    first: u64,
    total: u64,
    begun: Instant,
    last_line: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Bars,
    Lines,
}

/// Time between lines where stderr is no terminal.
const QUIET: Duration = Duration::from_secs(10);

impl Default for Terminal {
    fn default() -> Self {
        let style = if std::io::stderr().is_terminal() { Style::Bars } else { Style::Lines };
        Self { style, bar: None, title: String::new(), first: 0, total: 0, begun: Instant::now(), last_line: None }
    }
}

impl Terminal {
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_line(text)),
            None => write_line(text),
        }
    }

    fn time_left(&self, done: u64) -> String {
        let (since, left) = (done.saturating_sub(self.first), self.total.saturating_sub(done));
        let seconds = self.begun.elapsed().as_secs_f64() / since.max(1) as f64 * left as f64;
        format!("{} left", indicatif::HumanDuration(Duration::from_secs_f64(seconds)))
    }
}

fn write_line(text: &str) {
    // If stderr is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Reporter for Terminal {
    fn say(&mut self, message: &str) {
        self.line(&plain(message));
    }

    fn warn(&mut self, message: &str) {
        self.line(&format!("{} {}", emphasised("warning:", "33"), plain(message)));
    }

    fn begin(&mut self, title: &str, done: u64, total: u64) {
        self.title = plain(title);
        (self.first, self.total) = (done, total);
        (self.begun, self.last_line) = (Instant::now(), None);
        if self.style == Style::Bars {
            let bar = ProgressBar::new(total).with_position(done).with_prefix(self.title.clone());
            let template = "{prefix:>22} [{bar:30}] {pos}/{len}  {msg}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            self.bar = Some(bar);
        }
    }

    fn advance(&mut self, done: u64, state: &str) {
        let state = plain(state);
        if let Some(bar) = &self.bar {
            bar.set_message(state);
            bar.set_position(done);
        } else if self.last_line.is_none_or(|last| last.elapsed() >= QUIET) {
            self.line(&format!("{} {done}/{}  {state}  {}", self.title, self.total, self.time_left(done)));
            self.last_line = Some(Instant::now());
        }
    }

    fn end(&mut self, summary: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.line(&plain(summary));
    }
}

/// `word` in an ANSI colour where stderr is a terminal and `NO_COLOR` is not set.
pub(crate) fn emphasised(word: &str, colour: &str) -> String {
    let plain = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain { word.to_owned() } else { format!("\u{1b}[1;{colour}m{word}\u{1b}[0m") }
}

/// `text` without the letters that a terminal obeys or that turn the order of others round, each as its number: names in files can be
/// anything, and are to be read, not followed. Ends of lines and tabs stay.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.extend(letter.escape_unicode()),
            letter if letter.is_control() => shown.extend(letter.escape_unicode()),
            letter => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn letters_that_a_terminal_obeys_are_shown_as_numbers_and_all_others_as_they_are() {
        assert_eq!(plain("a\tGröße\n\u{1b}]0;x\u{7}"), "a\tGröße\n\\u{1b}]0;x\\u{7}");
        assert_eq!(plain("\u{9b}2J\r\u{202e}b"), "\\u{9b}2J\\u{d}\\u{202e}b");
    }
}
