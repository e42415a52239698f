//! Names of providers and models as traces have them, and as tables do.

/// The provider as tables name it. Nothing for one that no table can know: whoever serves a model
/// by itself pays no list price.
pub(super) fn provider(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let known = match lower.as_str() {
        "azure.ai.openai" | "az.ai.openai" | "azure_openai" | "azure-openai" | "azureopenai" => {
            "azure"
        }
        "aws.bedrock" | "aws_bedrock" | "amazon_bedrock" | "bedrock_converse" => "bedrock",
        "gcp.gemini" | "gcp.gen_ai" | "google" | "google_genai" | "google-genai" | "google_ai"
        | "googleai" => "gemini",
        "mistral_ai" | "mistralai" => "mistral",
        "x_ai" | "x.ai" => "xai",
        "cohere_chat" => "cohere",
        "moonshotai" | "moonshot_ai" => "moonshot",
        _ => return lower,
    };
    known.to_owned()
}

/// The spellings of a model's name under which a table may have it, the most exact first: as it
/// is, without what stands before a slash, without the day of its release.
pub(super) fn spellings(model: &str) -> Vec<String> {
    let lower = model.trim().to_ascii_lowercase();
    let bare = lower
        .rsplit('/')
        .next()
        .unwrap_or(lower.as_str())
        .to_owned();
    let undated = without_day(&bare).map(ToOwned::to_owned);
    let mut found = vec![lower];
    for other in [Some(bare), undated].into_iter().flatten() {
        if !found.contains(&other) {
            found.push(other);
        }
    }
    found
}

/// `gpt-4o-2024-08-06`, `claude-opus-4-20250514`, `claude-3-haiku@20240307`, `model-latest`.
fn without_day(model: &str) -> Option<&str> {
    if let Some(rest) = model.strip_suffix("-latest") {
        return Some(rest);
    }
    for length in [10, 8] {
        let split = model.len().checked_sub(length)?;
        let (rest, day) = model.split_at_checked(split)?;
        let digits = day.bytes().filter(u8::is_ascii_digit).count();
        let dashes = day.bytes().filter(|byte| *byte == b'-').count();
        if digits == 8
            && digits + dashes == length
            && let Some(rest) = rest.strip_suffix(['-', '@'])
        {
            return Some(rest);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_tables_leave_out() {
        let last = |model| spellings(model).pop().unwrap();
        assert_eq!(spellings("gpt-4o"), ["gpt-4o"]);
        assert_eq!(last("openai/GPT-4o-2024-08-06"), "gpt-4o");
        assert_eq!(last("claude-opus-4-20250514"), "claude-opus-4");
        assert_eq!(last("claude-3-haiku@20240307"), "claude-3-haiku");
        assert_eq!(last("models/gemini-2.5-pro"), "gemini-2.5-pro");
        assert_eq!(last("gpt-4-1106"), "gpt-4-1106");
        assert_eq!(last("\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}"), "äääää");
        assert_eq!(provider("AWS.Bedrock"), "bedrock");
        assert_eq!(provider("ollama"), "ollama");
    }
}
