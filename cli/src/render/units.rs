//! Quantities as people read them.

use spanlite_model::TraceId;

/// A length of time: `838µs`, `2.6ms`, `1.49s`, `6m03s`, `1h02m`, `3d04h`.
pub(crate) fn duration(nanos: u64) -> String {
    const MICRO: u64 = 1_000;
    const MILLI: u64 = 1_000_000;
    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    // Rounds before choosing the unit, so that 999.9 ms is 1.00s and not 1000ms.
    let tenths = |unit: u64| {
        let value = (nanos + unit / 20) / (unit / 10);
        (value / 10, value % 10)
    };
    match nanos {
        0..MICRO => format!("{nanos}ns"),
        MICRO..999_500 => format!("{}µs", (nanos + 500) / MICRO),
        999_500..9_950_000 => {
            let (whole, tenth) = tenths(MILLI);
            format!("{whole}.{tenth}ms")
        }
        9_950_000..999_500_000 => format!("{}ms", (nanos + MILLI / 2) / MILLI),
        999_500_000..9_995_000_000 => {
            let hundredths = (nanos + SECOND / 200) / (SECOND / 100);
            format!("{}.{:02}s", hundredths / 100, hundredths % 100)
        }
        9_995_000_000..59_950_000_000 => {
            let (whole, tenth) = tenths(SECOND);
            format!("{whole}.{tenth}s")
        }
        59_950_000_000..3_599_500_000_000 => {
            let seconds = (nanos + SECOND / 2) / SECOND;
            format!("{}m{:02}s", seconds / 60, seconds % 60)
        }
        _ if nanos < DAY => format!("{}h{:02}m", nanos / HOUR, nanos % HOUR / MINUTE),
        _ => format!("{}d{:02}h", nanos / DAY, nanos % DAY / HOUR),
    }
}

/// A count, in groups of three digits: `1 284`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A count in at most five characters: `194`, `3.1k`, `182k`, `1.9M`.
pub(crate) fn short_count(number: u64) -> String {
    let scaled = |unit: u64, letter: char| {
        let tenths = (number + unit / 20) / (unit / 10);
        if tenths < 100 {
            format!("{}.{}{letter}", tenths / 10, tenths % 10)
        } else {
            format!("{}{letter}", (number + unit / 2) / unit)
        }
    };
    match number {
        0..1_000 => number.to_string(),
        1_000..999_500 => scaled(1_000, 'k'),
        999_500..999_500_000 => scaled(1_000_000, 'M'),
        _ => scaled(1_000_000_000, 'G'),
    }
}

/// US dollars with three digits that count, at most ten columns: `$73.2`, `$3.90`, `$0.512`,
/// `$0.0041`, `$0.0003`.
pub(crate) fn dollars(amount: f64) -> String {
    let size = amount.abs();
    if size == 0.0 || !size.is_finite() {
        return format!("${amount}");
    }
    let decimals = match size {
        s if s >= 100.0 => 0,
        s if s >= 10.0 => 1,
        s if s >= 1.0 => 2,
        s if s < 1e-6 => return "<$0.000001".to_owned(),
        s => {
            // Fractions of a tenth of a cent get two digits.
            let digits = if s < 0.001 { 1_usize } else { 2 };
            digits.saturating_add_signed(-s.log10().floor() as isize)
        }
    };
    let text = format!("{amount:.decimals$}");
    let text = if size < 1.0 {
        text.trim_end_matches('0')
    } else {
        &text
    };
    format!("${text}")
}

/// A number of bytes: `48.1 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1_024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_023.95 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let decimals = usize::from(value < 99.95);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// A share of a whole: `0%`, `1.1%`, `38%`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0%".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if percent < 9.95 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// `1 span`, `2 spans`.
pub(crate) fn plural(number: u64, one: &str) -> String {
    let ending = if number == 1 {
        ""
    } else if one.ends_with('s') || one.ends_with("ch") {
        "es"
    } else {
        "s"
    };
    format!("{} {one}{ending}", count(number))
}

/// What an id of 64 bits begins with.
pub(crate) const ZEROS_OF_64_BITS: &str = "0000000000000000";
/// Digits of a trace id that people see, at least.
pub(crate) const MIN_ID_DIGITS: usize = 8;

/// So many digits of a trace id as people see them; one of 64 bits comes without its zeros.
pub(crate) fn short_id(trace_id: TraceId, digits: usize) -> String {
    let hex = trace_id.to_hex();
    let (hex, digits) = match hex.strip_prefix(ZEROS_OF_64_BITS) {
        Some(rest) => (rest, digits.saturating_sub(ZEROS_OF_64_BITS.len())),
        None => (hex.as_str(), digits),
    };
    hex.chars().take(digits.max(MIN_ID_DIGITS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let shown = [
            (0, "0ns"),
            (999, "999ns"),
            (838_400, "838µs"),
            (999_700, "1.0ms"),
            (2_600_000, "2.6ms"),
            (987_000_000, "987ms"),
            (999_900_000, "1.00s"),
            (1_490_000_000, "1.49s"),
            (41_200_000_000, "41.2s"),
            (59_990_000_000, "1m00s"),
            (363_000_000_000, "6m03s"),
            (3_720_000_000_000, "1h02m"),
            (u64::MAX, "213503d23h"),
        ];
        for (nanos, text) in shown {
            assert_eq!(duration(nanos), text, "{nanos}");
        }
    }

    #[test]
    fn counts_and_money_are_short() {
        assert_eq!(count(1_284), "1 284");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1 000 000");
        let short = [
            (194, "194"),
            (3_090, "3.1k"),
            (9_960, "10k"),
            (182_300, "182k"),
        ];
        for (number, text) in short {
            assert_eq!(short_count(number), text);
        }
        assert_eq!(short_count(1_900_000), "1.9M");
        assert_eq!(short_count(999_600), "1.0M");
        let money = [
            (73.21, "$73.2"),
            (3.9, "$3.90"),
            (0.512, "$0.512"),
            (0.0041, "$0.0041"),
        ];
        for (amount, text) in money {
            assert_eq!(dollars(amount), text);
        }
        assert_eq!(dollars(0.0), "$0");
        assert_eq!(dollars(0.000_001_234_5), "$0.0000012");
        assert_eq!(dollars(0.000_297), "$0.0003");
        assert_eq!(dollars(1e-9), "<$0.000001");
    }

    #[test]
    fn bytes_shares_and_plurals() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(50_435_000), "48.1 MiB");
        assert_eq!(bytes(1_048_570), "1.0 MiB");
        assert_eq!(percent(11, 1_000), "1.1%");
        assert_eq!(percent(0, 0), "0%");
        assert_eq!(percent(7, 7), "100%");
        assert_eq!(plural(1, "span"), "1 span");
        assert_eq!(plural(2, "trace"), "2 traces");
    }
}
