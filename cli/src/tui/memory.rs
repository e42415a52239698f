use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Stores whose last filter is remembered.
const MAX_STORES: usize = 100;

/// The filters that were asked for last, by store, in a file of the user's.
#[derive(Debug)]
pub(super) struct Memory {
    file: PathBuf,
    store: String,
    filters: BTreeMap<String, String>,
}

impl Memory {
    /// Reads what is remembered; a file that cannot be read remembers nothing.
    pub(super) fn read(state_home: &Path, store: &Path) -> Self {
        let file = state_home.join("spanlite/tui.json");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
        Self {
            filters: serde_json::from_str(&text).unwrap_or_default(),
            store: store.display().to_string(),
            file,
        }
    }

    /// The filter of the store.
    pub(super) fn filter(&self) -> &str {
        self.filters
            .get(&self.store)
            .map_or("", |filter| filter.as_str())
    }

    /// Remembers a filter. Where that cannot be written, it is forgotten.
    pub(super) fn remember(mut self, filter: &str) {
        if filter == self.filter() {
            return;
        }
        self.filters.insert(self.store, filter.to_owned());
        self.filters.retain(|_, filter| !filter.is_empty());
        while self.filters.len() > MAX_STORES {
            self.filters.pop_first();
        }
        let Ok(text) = serde_json::to_string_pretty(&self.filters) else {
            return;
        };
        let written = self
            .file
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&self.file, text));
        drop(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_store_has_its_filter() {
        let home = tempfile::tempdir().unwrap();
        let read = |store: &str| Memory::read(home.path(), &home.path().join(store));
        assert_eq!(read("a").filter(), "");
        read("a").remember("{ status = error }");
        read("b").remember("name = 'x'");
        assert_eq!(read("a").filter(), "{ status = error }");
        read("a").remember("");
        assert_eq!((read("a").filter(), read("b").filter()), ("", "name = 'x'"));
        fs::write(home.path().join("spanlite/tui.json"), "no JSON").unwrap();
        assert_eq!(read("b").filter(), "");
    }
}
