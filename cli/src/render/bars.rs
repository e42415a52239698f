const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;
const SECOND: u64 = 1_000 * MILLI;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Columns between two labels of the axis, at least.
const TICK_COLUMNS: u128 = 9;
/// Cells filled from the left, by eighths.
const LEFT: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Maps times onto columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    /// The time of the left edge.
    pub(crate) start_time_unix_nano: u64,
    /// How long the axis is.
    pub(crate) nanos: u64,
    /// How many columns it has.
    pub(crate) columns: usize,
}

/// A stretch of time: a span, or one of a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start_time_unix_nano: u64,
    /// Nothing while it runs.
    pub(crate) end_time_unix_nano: Option<u64>,
}

impl Scale {
    /// A time as eighths of a column from the left edge.
    fn eighths(&self, unix_nano: u64) -> usize {
        let offset = unix_nano.saturating_sub(self.start_time_unix_nano);
        let offset = u128::from(offset.min(self.nanos));
        (offset * self.columns as u128 * 8 / u128::from(self.nanos.max(1))) as usize
    }

    /// Draws stretches into exactly as many columns as the scale has.
    pub(crate) fn bar(&self, stretches: impl IntoIterator<Item = Stretch>) -> String {
        let mut cells = vec![' '; self.columns];
        for stretch in stretches {
            self.draw(stretch, &mut cells);
        }
        cells.into_iter().collect()
    }

    fn draw(&self, stretch: Stretch, cells: &mut [char]) {
        let Some(last) = cells.len().checked_sub(1) else {
            return;
        };
        let axis_end = self.columns * 8;
        let from = self.eighths(stretch.start_time_unix_nano).min(axis_end - 1);
        let to = match stretch.end_time_unix_nano {
            Some(end) => self.eighths(end),
            None => axis_end,
        };
        let to = to.clamp(from + 1, axis_end);
        let mut put = |cell: usize, sign: char| {
            if sign != ' ' && cells[cell] == ' ' {
                cells[cell] = sign;
            }
        };
        let (first, end) = (from / 8, to / 8);
        let inset = from % 8;
        if first == end || (first + 1 == end && to % 8 == 0) {
            let width = to - from;
            let sign = match (inset, width) {
                (0..4, _) => LEFT[width],
                (_, 0..3) => '▕',
                _ => '▐',
            };
            put(first, sign);
        } else {
            put(first, ['█', '█', '█', '▐', '▐', '▐', '▐', '▕'][inset]);
            (first + 1..end).for_each(|cell| put(cell, '█'));
            if to % 8 > 0 {
                put(end, LEFT[to % 8]);
            }
        }
        if stretch.end_time_unix_nano.is_none() {
            cells[last] = '░';
        }
    }

    /// The labels of the axis with their columns.
    pub(crate) fn ticks(&self) -> Vec<(usize, String)> {
        let nanos = u128::from(self.nanos.max(1));
        let columns = self.columns as u128;
        let wide_enough = |step: &u64| u128::from(*step) * columns >= nanos * TICK_COLUMNS;
        let Some(step) = steps().find(wide_enough) else {
            return Vec::new();
        };
        (0..)
            .map_while(|index: u64| index.checked_mul(step))
            .take_while(|offset| *offset <= self.nanos)
            .map(|offset| {
                let column = u128::from(offset) * columns / nanos;
                (column as usize, tick(offset))
            })
            .collect()
    }
}

/// Distances between labels that people can count in, from short to long.
fn steps() -> impl Iterator<Item = u64> {
    let decimal = (0..=9).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let decimal = decimal.take_while(|step| *step < 10 * SECOND);
    let clock = [
        10 * SECOND,
        15 * SECOND,
        30 * SECOND,
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        15 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        6 * HOUR,
        12 * HOUR,
    ];
    let days = (0..=17).map(|power| DAY << power);
    decimal.chain(clock).chain(days)
}

/// A label: an exact length in its own units.
fn tick(nanos: u64) -> String {
    match nanos {
        0 => "0".to_owned(),
        _ if nanos.is_multiple_of(DAY) => format!("{}d", nanos / DAY),
        DAY.. => format!("{}d{}h", nanos / DAY, nanos % DAY / HOUR),
        _ if nanos.is_multiple_of(HOUR) => format!("{}h", nanos / HOUR),
        HOUR.. => format!("{}h{:02}m", nanos / HOUR, nanos % HOUR / MINUTE),
        _ if nanos.is_multiple_of(MINUTE) => format!("{}m", nanos / MINUTE),
        MINUTE.. => format!("{}m{:02}s", nanos / MINUTE, nanos % MINUTE / SECOND),
        SECOND.. if nanos.is_multiple_of(SECOND) => format!("{}s", nanos / SECOND),
        SECOND.. => format!("{}s", nanos as f64 / SECOND as f64),
        MILLI.. => format!("{}ms", nanos as f64 / MILLI as f64),
        MICRO.. => format!("{}µs", nanos as f64 / MICRO as f64),
        _ => format!("{nanos}ns"),
    }
}

/// Counts as a row of blocks, the largest count as a full one.
pub(crate) fn sparkline(counts: &[u64]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let level = |count: u64| (u128::from(count) * 7).div_ceil(u128::from(most)) as usize;
    counts.iter().map(|&count| LEVELS[level(count)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale {
        start_time_unix_nano: 1_000,
        nanos: 80,
        columns: 10,
    };

    fn bar(list: &[(u64, u64)]) -> String {
        SCALE.bar(list.iter().map(|&(start, end)| Stretch {
            start_time_unix_nano: 1_000 + start,
            end_time_unix_nano: (end > 0).then_some(1_000 + end),
        }))
    }

    #[test]
    fn bars_are_drawn_in_eighths() {
        assert_eq!(bar(&[(0, 80)]), "██████████");
        assert_eq!(bar(&[(0, 12)]), "█▌        ");
        assert_eq!(bar(&[(4, 20)]), "▐█▌       ");
        assert_eq!(bar(&[(8, 11)]), " ▍        ");
        assert_eq!(bar(&[(0, 8), (16, 24)]), "█ █       ");
    }

    #[test]
    fn the_shortest_span_is_seen() {
        assert_eq!(bar(&[(40, 40)]), "     ▏    ");
        assert_eq!(bar(&[(80, 80)]), "         ▕");
        assert_eq!(bar(&[(47, 47)]), "     ▕    ");
    }

    #[test]
    fn a_running_span_reaches_the_edge() {
        assert_eq!(bar(&[(40, 0)]), "     ████░");
    }

    #[test]
    fn strange_times_stay_inside() {
        let early = Stretch {
            start_time_unix_nano: 0,
            end_time_unix_nano: Some(u64::MAX),
        };
        assert_eq!(SCALE.bar([early]), "██████████");
        let backwards = Stretch {
            start_time_unix_nano: 1_040,
            end_time_unix_nano: Some(3),
        };
        assert_eq!(SCALE.bar([backwards]), "     ▏    ");
        let none = Scale { nanos: 0, ..SCALE };
        assert_eq!(none.bar([backwards]).chars().count(), 10);
        assert_eq!(
            Scale {
                columns: 0,
                ..SCALE
            }
            .bar([early]),
            ""
        );
    }

    #[test]
    fn every_sign_has_its_ascii() {
        use super::super::text::to_ascii;
        let ends = (0..=80).flat_map(|start| (start..=80).map(move |end| (start, end)));
        let mut drawn: String = ends.map(|stretch| bar(&[stretch])).collect();
        drawn.push_str(&bar(&[(40, 0)]));
        drawn.push_str(&sparkline(&[0, 1, 2, 3, 4, 5, 6, 7]));
        for sign in LEFT.iter().chain(&['▕', '▐', '░']) {
            assert!(drawn.contains(*sign), "{sign}");
        }
        assert!(!to_ascii(&drawn).contains('?'));
    }

    #[test]
    fn trends_fill_the_blocks() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), "▁▂▅█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
    }

    #[test]
    fn labels_are_round() {
        let ticks = |nanos, columns| {
            let scale = Scale {
                start_time_unix_nano: 0,
                nanos,
                columns,
            };
            let labels = scale.ticks().into_iter();
            labels
                .map(|(column, label)| format!("{label}@{column}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(ticks(6_370_000_000, 30), ["0@0", "2s@9", "4s@18", "6s@28"]);
        assert_eq!(
            ticks(90 * MINUTE, 40),
            ["0@0", "30m@13", "1h@26", "1h30m@40"]
        );
        assert_eq!(ticks(3, 20), ["0@0", "2ns@13"]);
        assert_eq!(ticks(u64::MAX, 20), ["0@0", "131072d@12"]);
        assert_eq!(ticks(1_200_000, 20), ["0@0", "1ms@16"]);
    }
}
