use std::error::Error;

/// An error with what caused it, on one line. A cause that the text before it ends with already is
/// not said twice.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn causes_follow_and_are_not_repeated() {
        let layer = |text, source: Option<Layer>| Layer {
            text,
            source: source.map(Box::new),
        };
        let cause = layer("connection refused", None);
        let repeated = layer("tcp: connection refused", Some(cause));
        let whole = layer("no answer", Some(repeated));
        assert_eq!(with_causes(&whole), "no answer: tcp: connection refused");
    }
}
