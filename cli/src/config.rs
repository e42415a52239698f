//! Configuration files: the nearest `.spanlite.toml`, then the user's own.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use spanlite_model::with_causes;

use crate::args::When;
use crate::error::CliError;

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) values: Values,
}

/// What a file may say. An unknown key is an error, so that a slip is not silently without
/// effect.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    /// The folder of the store, meant from where the file stands.
    pub(crate) store: Option<PathBuf>,
    pub(crate) color: Option<Choice>,
    pub(crate) hyperlinks: Option<Choice>,
    /// Where a trace is seen in a browser, with `{trace_id}` in it.
    pub(crate) trace_url: Option<String>,
    pub(crate) utc: Option<bool>,
    /// The pager command; empty for none.
    pub(crate) pager: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Choice {
    Auto,
    Always,
    Never,
}

impl From<Choice> for When {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Auto => Self::Auto,
            Choice::Always => Self::Always,
            Choice::Never => Self::Never,
        }
    }
}

/// Reads the files that are there, nearest first, and says which of the user's own could not be
/// read: a command under another user's home goes on without. A file of the project that cannot
/// be read is an error, because it may name another store; for a command that is `lenient`, with
/// which one finds out what is wrong, it is a warning too.
pub(crate) fn load(
    current_dir: &Path,
    config_home: Option<&Path>,
    lenient: bool,
) -> Result<(Vec<ConfigFile>, Vec<String>), CliError> {
    let near = current_dir
        .ancestors()
        .map(|folder| folder.join(".spanlite.toml"));
    let own = config_home.map(|home| home.join("spanlite/config.toml"));
    let mut files = Vec::new();
    let mut warnings = Vec::new();
    for path in near {
        match read(path) {
            Ok(None) => {}
            Ok(Some(file)) => {
                files.push(file);
                break;
            }
            Err(error) if lenient => {
                warnings.push(in_one_line(&error));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(path) = own {
        match read(path) {
            Ok(file) => files.extend(file),
            Err(CliError::Input { path, source }) => {
                warnings.push(format!("{} cannot be read: {source}", path.display()));
            }
            Err(error) if lenient => warnings.push(in_one_line(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok((files, warnings))
}

fn in_one_line(error: &CliError) -> String {
    let text = with_causes(error);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn read(path: PathBuf) -> Result<Option<ConfigFile>, CliError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CliError::Input { path, source }),
    };
    match toml::from_str(&text) {
        Ok(values) => Ok(Some(ConfigFile { path, values })),
        Err(source) => Err(CliError::Config {
            path,
            source: Box::new(source),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::create_dir_all(root.path().join("home/spanlite")).unwrap();
        std::fs::write(root.path().join("a/.spanlite.toml"), "store = \"s.spans\"").unwrap();
        std::fs::write(root.path().join("home/spanlite/config.toml"), "utc = true").unwrap();
        let (files, warnings) = load(&below, Some(&root.path().join("home")), false).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(files[0].values.store, Some("s.spans".into()));
        assert_eq!(files[1].values.utc, Some(true));
        // A folder where a file should be is one that cannot be read.
        std::fs::create_dir_all(root.path().join("other/spanlite/config.toml")).unwrap();
        let (files, warnings) = load(&below, Some(&root.path().join("other")), false).unwrap();
        assert_eq!((files.len(), warnings.len()), (1, 1));
        std::fs::write(root.path().join("a/.spanlite.toml"), "stor = \"x\"").unwrap();
        let error = load(&below, None, false).unwrap_err();
        assert!(matches!(error, CliError::Config { .. }));
        let (files, warnings) = load(&below, None, true).unwrap();
        assert!(
            files.is_empty() && warnings[0].contains("stor"),
            "{warnings:?}"
        );
    }
}
