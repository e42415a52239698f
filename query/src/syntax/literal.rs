//! Numbers, durations and dates as text.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * NANOS_PER_SECOND;

/// Units as Prometheus has them: whole numbers, in falling order.
const FALLING: [(&str, i64); 7] = [
    ("y", 365 * 24 * HOUR),
    ("w", 7 * 24 * HOUR),
    ("d", 24 * HOUR),
    ("h", HOUR),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
];

/// Units as Go has them: any order, fractions.
const FREE: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", HOUR),
];

/// Nanoseconds of a duration such as `1h30m`, `1.5h`, `2d`, `1s1h`.
pub(crate) fn duration(text: &str) -> Option<i64> {
    falling(text).or_else(|| free(text))
}

fn split_unit(text: &str) -> Option<(&str, &str, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(unit_at);
    let unit_end = rest
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    (!number.is_empty()).then_some((number, unit, rest))
}

fn falling(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut units = FALLING.iter();
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (number, unit, after) = split_unit(rest)?;
        let (_, nanos) = units.find(|(name, _)| *name == unit)?;
        let number: i64 = number.parse().ok()?;
        total = total.checked_add(number.checked_mul(*nanos)?)?;
        rest = after;
    }
    Some(total)
}

fn free(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (number, unit, after) = split_unit(rest)?;
        let (_, nanos) = FREE.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(whole.checked_mul(*nanos)?)?;
        let mut scale = *nanos as f64;
        let mut part = 0.0;
        for digit in fraction.bytes().take(18) {
            scale /= 10.0;
            part += f64::from(digit - b'0') * scale;
        }
        total = total.checked_add(part.round() as i64)?;
        rest = after;
    }
    Some(total)
}

/// A duration as Go prints it: `1h30m0s`, `100ms`, `1.5µs`.
pub(crate) fn show_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let second = NANOS_PER_SECOND as u64;
    let decimal = |unit: u64| {
        let fraction = nanos % unit;
        let digits = unit.ilog10() as usize;
        let text = format!("{fraction:0digits$}");
        match text.trim_end_matches('0') {
            "" => format!("{}", nanos / unit),
            _ if unit == 1 => format!("{nanos}"),
            part => format!("{}.{part}", nanos / unit),
        }
    };
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{sign}{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{sign}{}µs", decimal(1_000));
    }
    if nanos < second {
        return format!("{sign}{}ms", decimal(1_000_000));
    }
    let minutes = nanos / second / 60;
    let seconds = {
        let nanos = nanos - minutes * 60 * second;
        let fraction = format!("{:09}", nanos % second);
        match fraction.trim_end_matches('0') {
            "" => format!("{}", nanos / second),
            part => format!("{}.{part}", nanos / second),
        }
    };
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// A float as Go's `%g` with the fewest digits prints it, with `.0` where it would look whole.
pub(crate) fn show_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let science = format!("{number:e}");
    let Some((mantissa, exponent)) = science.split_once('e') else {
        return science;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}

/// Unix nanoseconds of a date: `2025-11-01`, `2025-11-01T10:00:00Z`, with or without zone, UTC
/// unless it says otherwise.
pub(crate) fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.timestamp_nanos_opt();
    }
    for format in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return time.and_utc().timestamp_nanos_opt();
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_nanos_opt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_and_go_do() {
        let cases = [
            ("1h30m", Some(5400 * NANOS_PER_SECOND)),
            ("1.5h", Some(5400 * NANOS_PER_SECOND)),
            ("2d", Some(48 * HOUR)),
            ("1w2d", Some(9 * 24 * HOUR)),
            ("1s1h", Some(3601 * NANOS_PER_SECOND)),
            ("1s1s", Some(2 * NANOS_PER_SECOND)),
            ("1ms500us", Some(1_500_000)),
            ("1.5µs", Some(1_500)),
            ("2.394s", Some(2_394_000_000)),
            (".5s", Some(500_000_000)),
            ("1.5d", None),
            ("5d3.5h", None),
            ("1x", None),
            ("s", None),
            ("400y", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(duration(text), nanos, "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_go_does() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (2_100_000_000, "2.1s"),
            (-5_400_000_000_000, "-1h30m0s"),
            (61_000_000_000, "1m1s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(show_duration(nanos), text);
        }
    }

    #[test]
    fn floats_are_shown_as_go_does() {
        let cases = [
            (1.0, "1.0"),
            (1000.0, "1000.0"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (7.0 / 3.0, "2.3333333333333335"),
            (0.0, "0.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5, "-2.5"),
            (1e300, "1e+300"),
            (500.0, "500.0"),
        ];
        for (number, text) in cases {
            assert_eq!(show_float(number), text);
        }
    }

    #[test]
    fn dates_are_utc_unless_they_say_otherwise() {
        let day = 86_400 * NANOS_PER_SECOND;
        assert_eq!(date("1970-01-02"), Some(day));
        assert_eq!(date("1970-01-02T00:00:00Z"), Some(day));
        assert_eq!(date("1970-01-02T01:00:00.5+01:00"), Some(day + 500_000_000));
        assert_eq!(date("1970-01-02 00:00"), Some(day));
        assert_eq!(date("yesterday"), None);
    }
}
