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
#[non_exhaustive]
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
    use std::process::Command;

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

    /// What the test below hands to itself.
    const CREDENTIALS: &str = "SPANLITE_TEST_CREDENTIALS";
    const HEADER: &str = "SPANLITE_TEST_HEADER";

    #[test]
    fn secrets_come_from_variables() {
        let check = |credentials: &Credentials, header: &str, variables: &[(&str, &str)]| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "http::auth::tests::resolves", "--ignored"]);
            for name in ["TOKEN", "USERNAME", "PASSWORD"] {
                child.env_remove(format!("MLFLOW_TRACKING_{name}"));
            }
            let credentials = serde_json::to_string(credentials).unwrap();
            child.env(CREDENTIALS, &credentials).env(HEADER, header);
            let output = child.envs(variables.iter().copied()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{credentials}: {said}");
        };
        let mine = ("MINE", "a b");
        check(
            &Credentials::BearerVariable("MINE".to_owned()),
            "Bearer a b",
            &[mine],
        );
        check(
            &Credentials::BasicVariable("MINE".to_owned()),
            "Basic YSBi",
            &[mine],
        );
        let user = ("MLFLOW_TRACKING_USERNAME", "ann");
        let password = ("MLFLOW_TRACKING_PASSWORD", "pw");
        let token = ("MLFLOW_TRACKING_TOKEN", "t0ken");
        let mlflow = Credentials::MlflowVariables;
        check(&mlflow, "", &[]);
        check(&mlflow, "", &[password, ("MLFLOW_TRACKING_TOKEN", "")]);
        check(&mlflow, "Basic YW5uOg==", &[user]);
        check(&mlflow, "Basic YW5uOnB3", &[user, password]);
        check(&mlflow, "Bearer t0ken", &[user, password, token]);
        check(&Credentials::None, "", &[user, password, token]);
    }

    #[test]
    #[ignore = "run by the test above, with variables"]
    fn resolves() {
        let Some(credentials) = variable(CREDENTIALS) else {
            return;
        };
        let credentials: Credentials = serde_json::from_str(&credentials).unwrap();
        let header = credentials.resolve().unwrap();
        let text = header.map(|header| header.to_str().unwrap().to_owned());
        assert_eq!(text, variable(HEADER));
    }
}
