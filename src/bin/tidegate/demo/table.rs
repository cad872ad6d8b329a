//! A view as lines of text: a table for terminals, one line for everything else.

use super::view::{state_name, View};
use super::worker::State;
use crate::text::{amount, count, nanos, thousands};
use comfy_table::{presets, Cell, CellAlignment, Color, Table};
use crossterm::style::Stylize;

/// How it may look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub colour: bool,
    /// Block characters may be used.
    pub blocks: bool,
    pub width: usize,
    pub height: usize,
}

const BAR: usize = 10;
/// Lines of the screen that are no workers: the rest of the frame, and some for what happens.
const OTHER_LINES: usize = 14;
const LEFT: u16 = 1;
/// Blanks between columns.
const GAP: u16 = 2;

/// The frame of a terminal, no line wider than it.
pub fn frame(view: &View, look: Look) -> Vec<String> {
    let shown = view.rows.len().min(look.height.saturating_sub(OTHER_LINES).max(1));
    let mut lines = vec![String::new(), title(view, look), String::new()];
    let with_bars = table(view, shown, look, true);
    let fits = with_bars.lines().all(|line| seen(line.trim_end()) <= look.width);
    let table = if fits { with_bars } else { table(view, shown, look, false) };
    lines.extend(table.lines().map(|line| line.trim_end().to_owned()));
    lines.push(String::new());
    lines.push(bound_line(view, look));
    lines.push(log_line(view, look));
    lines.into_iter().map(|line| cut(&line, look.width)).collect()
}

fn title(view: &View, look: Look) -> String {
    let time = match view.end {
        Some(end) => format!("{:.0} s of {end:.0} s", view.t.min(end)),
        None => format!("{:.0} s", view.t),
    };
    let workers = count(view.rows.len(), "worker");
    let limit = format!("{workers} share {} per second, burst {}", amount(view.rate), thousands(view.burst));
    if look.colour {
        return format!(" {}  {limit}  {}", "tidegate".bold(), time.dim());
    }
    format!(" tidegate  {limit}  {time}")
}

fn table(view: &View, shown: usize, look: Look, bars: bool) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if look.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let paint = |text: String, colour: Color| if look.colour { Cell::new(text).fg(colour) } else { Cell::new(text) };
    let head = ["worker", "state", "share of the limit", "admitted/s", "denied/s", "waits", "basis"];
    table.set_header(head.map(|name| paint(name.into(), Color::DarkGrey)));
    for row in view.rows.iter().take(shown) {
        let colour = match row.state {
            State::Running => Color::Green,
            State::Starting => Color::Yellow,
            State::Killed | State::Ended => Color::Red,
        };
        let basis = match row.basis.as_str() {
            "kept share" => Color::Yellow,
            "no share" => Color::Red,
            _ => Color::Reset,
        };
        table.add_row(vec![
            Cell::new(row.number),
            paint(state_name(row.state).into(), colour),
            paint(share(row.share_rate, view.rate, bars.then_some(look)), Color::Cyan),
            Cell::new(amount(row.rates.granted)),
            Cell::new(amount(row.rates.denied)),
            Cell::new(amount(row.rates.waited)),
            paint(if row.state == State::Running { row.basis.clone() } else { String::new() }, basis),
        ]);
    }
    let hidden = view.rows.len() - shown;
    table.add_row(vec![
        Cell::new("all"),
        Cell::new(if hidden > 0 { format!("+ {hidden}") } else { String::new() }),
        paint(share(view.shared(), view.rate, bars.then_some(look)), Color::Cyan),
        Cell::new(amount(view.fleet.granted)),
        Cell::new(amount(view.fleet.denied)),
        Cell::new(amount(view.fleet.waited)),
        Cell::new(""),
    ]);
    let last = table.column_count() - 1;
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { LEFT } else { 0 }, if index == last { 0 } else { GAP }));
        if (3..=5).contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn share(rate: f64, limit: f64, bar_of: Option<Look>) -> String {
    let (number, widest) = (format!("{}/s", amount(rate)), format!("{}/s", amount(limit)).len());
    match bar_of {
        Some(look) => format!("{} {number:>widest$}", bar(rate / limit, look.blocks)),
        None => number,
    }
}

/// A part of one as a bar of fixed width.
fn bar(part: f64, blocks: bool) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part.clamp(0.0, 1.0) * BAR as f64 * 8.0).round() as usize;
    let (whole, rest) = (eighths / 8, eighths % 8);
    let mut bar: String = std::iter::repeat_n(if blocks { '█' } else { '#' }, whole).collect();
    if whole < BAR {
        bar.push(if blocks && rest > 0 { EIGHTHS[rest] } else { '.' });
        bar.extend(std::iter::repeat_n(if blocks { '·' } else { '.' }, BAR - whole - 1));
    }
    if blocks {
        bar.replace('.', "·")
    } else {
        bar
    }
}

fn bound_line(view: &View, look: Look) -> String {
    let Some(finding) = &view.finding else { return " bound   nothing admitted yet".into() };
    let state = match (finding.held(), look.colour) {
        (true, true) => "held".green().to_string(),
        (true, false) => "held".into(),
        (false, true) => "BROKEN".red().bold().to_string(),
        (false, false) => "BROKEN".into(),
    };
    let (admitted, allowed) = (amount(finding.worst.admitted as f64), amount(finding.worst_allowed()));
    let length = nanos(finding.worst.length());
    format!(" bound   {state}, worst window so far: {admitted} of {allowed} allowed in {length}")
}

fn log_line(view: &View, look: Look) -> String {
    let state = match (view.broker_running, look.colour) {
        (true, true) => "running".green().to_string(),
        (true, false) => "running".into(),
        (false, true) => "STOPPED".red().bold().to_string(),
        (false, false) => "STOPPED".into(),
    };
    format!(" log     {state}, {} records/s; {}", amount(view.fleet.records), view.broker)
}

/// One line for logs and pipes.
pub fn line(view: &View) -> String {
    let shares: Vec<String> = view.rows.iter().map(|row| amount(row.share_rate)).collect();
    let worst = view.finding.as_ref().map_or("none yet".into(), |finding| {
        let broken = if finding.held() { "" } else { ", BROKEN" };
        let (admitted, allowed) = (amount(finding.worst.admitted as f64), amount(finding.worst_allowed()));
        format!("{admitted} of {allowed}{broken}")
    });
    format!(
        "t={:.1} s: admitted {}/s of {}/s, denied {}/s; shares {}; worst window {worst}; log {}/s, {}",
        view.t,
        amount(view.fleet.granted),
        amount(view.rate),
        amount(view.fleet.denied),
        shares.join(" "),
        amount(view.fleet.records),
        if view.broker_running { "running" } else { "STOPPED" },
    )
}

/// At most `width` characters to see, and what colours them.
fn cut(line: &str, width: usize) -> String {
    let mut visible = 0;
    let keep = |(c, colours): (char, bool)| {
        visible += usize::from(!colours);
        (colours || visible <= width).then_some(c)
    };
    characters(line).filter_map(keep).collect()
}

/// How many characters there are to see.
fn seen(line: &str) -> usize {
    characters(line).filter(|(_, colours)| !colours).count()
}

/// Each with whether it belongs to an escape code.
fn characters(line: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    line.chars().scan(false, |escape, c| {
        let colours = *escape || c == '\x1b';
        *escape = colours && c != 'm';
        Some((c, colours))
    })
}

#[cfg(test)]
mod tests {
    use super::super::view::Row;
    use super::super::worker::Rates;
    use super::*;

    fn view(workers: usize) -> View {
        let rates = Rates { granted: 250.4, denied: 3_811.7, waited: 0.0, records: 1.25 };
        let row = |number| Row { number, state: State::Running, share_rate: 250.0, rates, basis: "kept share".into() };
        let mut rows: Vec<Row> = (1..=workers).map(row).collect();
        rows[1].state = State::Killed;
        rows[1].share_rate = 0.0;
        rows[0].basis = "shared".into();
        let (broker, fleet) = ("librdkafka's mock cluster (pid 4711)".into(), rates);
        View {
            t: 12.4,
            end: Some(30.5),
            rate: 1_000.0,
            burst: 2_000,
            rows,
            fleet,
            broker,
            broker_running: true,
            finding: None,
        }
    }

    fn plain(width: usize, height: usize) -> Look {
        Look { colour: false, blocks: true, width, height }
    }

    #[test]
    fn every_worker_has_a_line_with_its_numbers() {
        let frame = frame(&view(4), plain(80, 24)).join("\n");
        assert!(frame.contains(" 1       running  ██▌·······   250/s         250     3,812      0  shared"), "{frame}");
        assert!(frame.contains(" 2       killed   ··········     0/s"), "{frame}");
        assert!(frame.contains("4 workers share 1,000 per second, burst 2,000"), "{frame}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_frame_higher() {
        for (width, height) in [(80, 24), (200, 50), (40, 10), (1, 1)] {
            for colour in [false, true] {
                let look = Look { colour, ..plain(width, height) };
                let frame = frame(&view(40), look);
                assert!(frame.iter().all(|line| seen(line) <= width), "{width}: {frame:?}");
                assert!(height < OTHER_LINES + 1 || frame.len() < height, "{} lines in {height}", frame.len());
            }
        }
    }

    #[test]
    fn at_80_columns_nothing_is_cut() {
        let (narrow, wide) = (frame(&view(4), plain(80, 24)), frame(&view(4), plain(500, 24)));
        assert_eq!(narrow, wide);
    }

    #[test]
    fn without_colour_there_is_no_escape_code_and_with_it_there_is() {
        let coloured = Look { colour: true, ..plain(80, 24) };
        assert!(frame(&view(4), coloured).iter().any(|line| line.contains('\x1b')));
        assert!(!frame(&view(4), plain(80, 24)).iter().any(|line| line.contains('\x1b')));
        assert!(!line(&view(4)).contains('\x1b'));
    }

    #[test]
    fn where_bars_have_no_room_the_numbers_stand_alone() {
        let wide = View { rate: 1e12, ..view(4) };
        assert!(frame(&wide, plain(120, 24)).join("").contains('·'));
        let narrow = frame(&wide, plain(80, 24)).join("\n");
        assert!(!narrow.contains('·') && narrow.contains("kept share"), "{narrow}");
    }

    #[test]
    fn a_stopped_broker_and_a_broken_limit_cannot_be_overlooked() {
        let stopped = View { broker_running: false, ..view(2) };
        assert!(line(&stopped).contains("STOPPED") && frame(&stopped, plain(80, 24)).join("").contains("STOPPED"));
        assert!(!line(&view(2)).contains("STOPPED"));
    }

    #[test]
    fn a_bar_is_as_long_as_its_part_and_always_as_wide() {
        let bars = [0.0, 0.25, 0.999, 1.0, 7.0].map(|part| bar(part, true));
        assert_eq!(bars, ["··········", "██▌·······", "██████████", "██████████", "██████████"]);
        assert_eq!(bar(0.5, false), "#####.....");
    }
}
