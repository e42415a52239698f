use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;

use super::api::StoredInfo;
use super::info::WireInfo;

/// The first thing the server does not give back as it was sent.
pub(super) fn difference(sent: &WireInfo, stored: &StoredInfo) -> Option<String> {
    if stored.state != sent.state {
        return Some(format!("the state {} but {}", sent.state, stored.state));
    }
    if millis(&stored.execution_duration) != millis(&sent.execution_duration) {
        return Some(format!(
            "the duration {} but {}",
            sent.execution_duration, stored.execution_duration
        ));
    }
    if !same_time(&stored.request_time, &sent.request_time) {
        return Some(format!(
            "the time {} but {}",
            sent.request_time, stored.request_time
        ));
    }
    let tags: &BTreeMap<String, String> = &stored.tags;
    if let Some(key) = sent.tags.keys().find(|key| !tags.contains_key(*key)) {
        return Some(format!("the tag {key}"));
    }
    let there: HashSet<&str> = stored
        .assessments
        .iter()
        .map(|one| one.assessment_id.as_str())
        .collect();
    sent.assessments
        .iter()
        .find(|one| !there.contains(one.assessment_id.as_str()))
        .map(|one| format!("the assessment {}", one.assessment_id))
}

/// A protobuf duration such as `1.5s` in milliseconds; an absent one is 0, as protobuf has it.
fn millis(duration: &str) -> Option<u64> {
    if duration.is_empty() {
        return Some(0);
    }
    let seconds = duration.strip_suffix('s')?;
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u64>().ok()? * 1_000 + fraction.parse::<u64>().ok()?)
}

/// Compares times that may be written with or without their zero milliseconds.
pub(super) fn same_time(one: &str, other: &str) -> bool {
    match (
        DateTime::parse_from_rfc3339(one),
        DateTime::parse_from_rfc3339(other),
    ) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_all_forms_of_protobuf() {
        for (text, expected) in [
            ("1.500s", Some(1_500)),
            ("1.5s", Some(1_500)),
            ("2s", Some(2_000)),
            ("0.000000001s", Some(0)),
            ("", Some(0)),
            ("1500ms", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }
}
