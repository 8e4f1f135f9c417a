//! Texts for a terminal.

use std::time::Duration;

/// A text without control characters: a file's name can't break the line, or colour the terminal.
pub(super) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// `340 ms`, `12.3 s`, `4 min 10 s`.
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis().max(1)),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_escaped_and_letters_are_not() {
        assert_eq!(printable("a\nb\r\x1b[31mé…"), r"a\nb\r\u{1b}[31mé…");
    }

    #[test]
    fn durations_have_their_unit() {
        for (millis, text) in [(0, "1 ms"), (340, "340 ms"), (12_340, "12.3 s"), (250_000, "4 min 10 s")] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
