use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use serde::Deserialize;

/// Of an answer that is no success, how much is kept to be shown.
const EXCERPT_CHARACTERS: usize = 300;

/// A request did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No whole answer came: no route, a refused or broken connection, a timeout, a certificate
    /// that is not trusted.
    #[error("no answer to {what}")]
    NoAnswer {
        /// The request.
        what: &'static str,
        /// What happened, in the words of the HTTP library.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something answered an address of `https` without TLS.
    #[error("no answer to {what}: what listens there speaks no TLS; is the address one of http?")]
    NoTls {
        /// The request.
        what: &'static str,
        /// What happened, in the words of the HTTP library.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server said no.
    #[error("{what} was answered with {answer}")]
    Refused {
        /// The request.
        what: &'static str,
        /// The answer.
        answer: Answer,
    },
    /// The server said yes, with a body that is not the one its protocol says.
    #[error("the answer to {what} is not what its protocol says")]
    Unreadable {
        /// The request.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// MLflow's `error_code`, where there is one.
    pub error_code: Option<String>,
    /// Its message, or the beginning of the body.
    pub message: String,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error_code: Option<String>,
    message: Option<String>,
    detail: Option<serde_json::Value>,
}

impl Answer {
    pub(super) fn new(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let (error_code, message) = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(parsed) => {
                let detail = parsed.detail.map(|detail| match detail {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                });
                (parsed.error_code, parsed.message.or(detail))
            }
            Err(_) => (None, None),
        };
        let message = message.unwrap_or_else(|| text_of(&String::from_utf8_lossy(body)));
        Self {
            status,
            error_code,
            message: excerpt(&message),
            retry_after,
        }
    }
}

/// A body that is not JSON: what a page says is between its tags.
fn text_of(body: &str) -> String {
    if !body.trim_start().starts_with('<') {
        return body.to_owned();
    }
    let mut text = String::new();
    for piece in body.split('<') {
        let said = piece.split_once('>').map_or(piece, |(_tag, said)| said);
        for word in said.split_whitespace() {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(word);
        }
    }
    text
}

/// The beginning of a text from elsewhere, on one line, without control characters.
fn excerpt(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let mut words = String::new();
    for word in line.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    if words.chars().count() > EXCERPT_CHARACTERS {
        words = words.chars().take(EXCERPT_CHARACTERS).collect();
        words.push('…');
    }
    words
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.error_code {
            write!(f, " {}", excerpt(code))?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl RequestError {
    /// A request without an answer.
    pub(super) fn no_answer(what: &'static str, source: reqwest::Error) -> Self {
        let source = source.without_url();
        let speaks_no_tls = speaks_no_tls(&source);
        let source = Box::new(source);
        if speaks_no_tls {
            Self::NoTls { what, source }
        } else {
            Self::NoAnswer { what, source }
        }
    }

    /// The answer, if one came that is no success.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Refused { answer, .. } => Some(answer),
            Self::NoAnswer { .. } | Self::NoTls { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// Returns whether what came from the other side was no message of TLS.
fn speaks_no_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(mut cause) = source {
        source = cause.source();
        // What an error of I/O holds is not among its sources.
        while let Some(inner) = cause.downcast_ref().and_then(io::Error::get_ref) {
            cause = inner;
        }
        if let Some(rustls::Error::InvalidMessage(_)) = cause.downcast_ref() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_shown_on_one_line_without_control_characters() {
        let mlflow = br#"{"error_code":"BAD","message":"two\nlines \u001b[31mred"}"#;
        let answer = Answer::new(400, mlflow, None);
        assert_eq!(answer.to_string(), "400 BAD: two lines [31mred");
        let fastapi = Answer::new(422, br#"{"detail":[{"loc":["header"]}]}"#, None);
        assert_eq!(fastapi.to_string(), r#"422: [{"loc":["header"]}]"#);
        let page = b"<!DOCTYPE HTML>\n<html><title>Bad\nGateway</title>\n <p>nginx</p></html>";
        assert_eq!(Answer::new(502, page, None).message, "Bad Gateway nginx");
        for long in ["<html>é", "é"] {
            let long = Answer::new(502, long.repeat(1_000).as_bytes(), None);
            assert_eq!(long.message.chars().count(), EXCERPT_CHARACTERS + 1);
        }
        assert_eq!(Answer::new(503, b"", None).to_string(), "503");
    }
}
