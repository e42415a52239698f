use std::fs;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use serde::{Deserialize, Serialize};

/// Where the secret of a target comes from. The secret itself is never part of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// MLflow's own variables: `MLFLOW_TRACKING_TOKEN`, else `MLFLOW_TRACKING_USERNAME` and
    /// `MLFLOW_TRACKING_PASSWORD`; no authorization when none of them is set.
    #[default]
    MlflowVariables,
    /// No authorization.
    None,
    /// An environment variable that holds a bearer token.
    BearerVariable(String),
    /// An environment variable that holds `user:password`.
    BasicVariable(String),
    /// A file whose first line is `Bearer TOKEN` or `Basic user:password`.
    File(PathBuf),
}

/// The secret of a target cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The job names a variable that is not set.
    #[error("the environment variable `{name}` is not set")]
    NoVariable {
        /// The variable.
        name: String,
    },
    /// The job names a file that cannot be read.
    #[error("cannot read the credentials in `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file begins with neither scheme.
    #[error(
        "the first line of `{}` must be `Bearer TOKEN` or `Basic user:password`",
        path.display()
    )]
    UnknownScheme {
        /// The file.
        path: PathBuf,
    },
    /// The secret holds a line feed or another character no header can carry.
    #[error("the secret cannot be sent in a header")]
    NotAHeader(#[source] InvalidHeaderValue),
}

fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a job names the variable that holds its secret, and no other is read here"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Credentials {
    /// The value of the `Authorization` header, hidden from debug output.
    pub(crate) fn resolve(&self) -> Result<Option<HeaderValue>, AuthError> {
        let required = |name: &String| {
            variable(name).ok_or_else(|| AuthError::NoVariable { name: name.clone() })
        };
        let header = match self {
            Self::None => return Ok(None),
            Self::MlflowVariables => match mlflow_variables() {
                Some(header) => header,
                None => return Ok(None),
            },
            Self::BearerVariable(name) => bearer(&required(name)?),
            Self::BasicVariable(name) => basic(&required(name)?),
            Self::File(path) => {
                let text = fs::read_to_string(path).map_err(|source| AuthError::Unreadable {
                    path: path.clone(),
                    source,
                })?;
                let line = text.lines().next().unwrap_or_default().trim();
                match line.split_once(' ') {
                    Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                        bearer(token.trim())
                    }
                    Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
                        basic(pair.trim())
                    }
                    _ => return Err(AuthError::UnknownScheme { path: path.clone() }),
                }
            }
        };
        let mut header = HeaderValue::try_from(header).map_err(AuthError::NotAHeader)?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

fn mlflow_variables() -> Option<String> {
    if let Some(token) = variable("MLFLOW_TRACKING_TOKEN") {
        return Some(bearer(&token));
    }
    let user = variable("MLFLOW_TRACKING_USERNAME")?;
    let password = variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
    Some(basic(&format!("{user}:{password}")))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn basic(user_and_password: &str) -> String {
    format!("Basic {}", BASE64.encode(user_and_password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_which_scheme_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let resolve = |text: &str| {
            fs::write(&path, text).unwrap();
            Credentials::File(path.clone()).resolve()
        };
        let header = resolve("Bearer t0ken\n").unwrap().unwrap();
        assert_eq!(header, "Bearer t0ken");
        assert_eq!(format!("{header:?}"), "Sensitive");
        let header = resolve("basic ann:pw\n# note").unwrap().unwrap();
        assert_eq!(header, "Basic YW5uOnB3");
        assert!(matches!(
            resolve("t0ken"),
            Err(AuthError::UnknownScheme { .. })
        ));
        assert!(matches!(
            resolve("Bearer a\u{1}b"),
            Err(AuthError::NotAHeader(_))
        ));
    }

    #[test]
    fn a_variable_that_is_not_set_is_an_error() {
        let credentials = Credentials::BearerVariable("SPANLITE_NO_SUCH_VARIABLE".to_owned());
        assert_eq!(
            credentials.resolve().unwrap_err().to_string(),
            "the environment variable `SPANLITE_NO_SUCH_VARIABLE` is not set"
        );
    }
}
