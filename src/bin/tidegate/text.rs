//! Numbers as people read them.

/// 1234567 as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or an amount that need not be whole: one decimal below ten, none above.
pub fn amount(number: f64) -> String {
    match number {
        n if n >= 9.95 => thousands(n.round() as u64),
        n if n >= 0.05 => format!("{n:.1}"),
        _ => "0".into(),
    }
}

/// Nanoseconds in the unit that fits them.
pub fn nanos(ns: u64) -> String {
    let ns = ns as f64;
    match ns {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} us", n / 1e3),
        n if n < 1e9 => format!("{:.1} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

/// `1 worker`, `2 workers`.
pub fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// Broken between words so that no line is longer than `columns`. A percent sign stays with its number.
pub fn wrap(text: &str, columns: usize) -> String {
    let text = text.replace(" %", "\u{a0}%");
    let (mut wrapped, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        let long = word.chars().count();
        if length > 0 && length + 1 + long > columns {
            wrapped.push('\n');
            length = 0;
        } else if length > 0 {
            wrapped.push(' ');
            length += 1;
        }
        wrapped.push_str(word);
        length += long;
    }
    wrapped.replace('\u{a0}', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let texts = [0, 12, 999, 1_000, 12_345, 1_234_567].map(thousands);
        assert_eq!(texts, ["0", "12", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn small_amounts_keep_a_decimal_and_large_ones_do_not() {
        assert_eq!([0.0, 0.4, 9.9, 12.4, 1000.6].map(amount), ["0", "0.4", "9.9", "12", "1,001"]);
    }

    #[test]
    fn a_time_is_shown_in_the_unit_that_fits() {
        assert_eq!([7, 1_500, 2_340_000, 3_210_000_000].map(nanos), ["7 ns", "1.5 us", "2.3 ms", "3.21 s"]);
    }

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("aa bb cc dddddd e", 5), "aa bb\ncc\ndddddd\ne");
        assert_eq!(wrap("use: 97 %.", 7), "use:\n97 %.");
    }
}
