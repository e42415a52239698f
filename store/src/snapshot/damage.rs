use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::ValueError;
use crate::error::StorageError;

/// Something that could not be read because it is damaged.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A whole file.
    #[error("`{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Arc<StorageError>,
    },
    /// One value of a file.
    #[error("a value in table `{table}` of `{}` cannot be read", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// The key, as the table has it.
        key: Box<[u8]>,
        /// What is wrong with the value.
        #[source]
        source: ValueError,
    },
}

impl Damage {
    pub(crate) fn file(path: PathBuf, source: StorageError) -> Self {
        Self::File {
            path,
            source: Arc::new(source),
        }
    }

    pub(crate) fn value(path: &Path, table: &'static str, key: &[u8], source: ValueError) -> Self {
        Self::Value {
            path: path.to_owned(),
            table,
            key: key.into(),
            source,
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Value { path, .. } => path,
        }
    }

    /// Returns whether both are about the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { path, .. }, Self::File { path: other, .. }) => path == other,
            (
                Self::Value {
                    path, table, key, ..
                },
                Self::Value {
                    path: other_path,
                    table: other_table,
                    key: other_key,
                    ..
                },
            ) => path == other_path && table == other_table && key == other_key,
            _ => false,
        }
    }
}
