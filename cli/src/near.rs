//! Names that may have been meant.

/// How alike two names must be for one to be taken for a slip of the other: 1 is equal.
const ALIKE: f64 = 0.75;

/// The names that are spelled most alike, the most alike first.
pub(crate) fn near(wanted: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    const SHOWN: usize = 3;
    let wanted = wanted.to_lowercase();
    let alike = |name: &str| {
        let name = name.to_lowercase();
        // Of short names one slip is a large part.
        let one_slip = strsim::osa_distance(&name, &wanted) <= 1;
        strsim::jaro_winkler(&name, &wanted).max(if one_slip { ALIKE } else { 0.0 })
    };
    let names = names.into_iter().map(|name| (alike(&name), name));
    let mut names: Vec<(f64, String)> = names.filter(|(alike, _)| *alike >= ALIKE).collect();
    names.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    names
        .into_iter()
        .map(|(_, name)| name)
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word() {
        let names = ["name", "model", "status", "gen_ai.request.model"];
        let near = |wanted| near(wanted, names.map(ToOwned::to_owned));
        assert_eq!(near("modle"), ["model"]);
        assert_eq!(near("gen_ai.requst.model"), ["gen_ai.request.model"]);
        assert_eq!(near("Nmae"), ["name"]);
        assert_eq!(super::near("bda", ["bad".to_owned()]), ["bad"]);
        assert!(near("zebra").is_empty());
    }
}
