//! MLflow's experiments: a name and a number that clients ask for before they send.

use spanlite_store::{ReadError, StateError, Store};

/// Where they stand in the state of the store: names under `id/`, numbers under `name/`.
const SPACE: &str = "mlflow-experiments";
/// The experiment that every MLflow server has.
const DEFAULT: (&str, &str) = ("Default", "0");

fn key(of: &str, what: &str) -> Vec<u8> {
    format!("{of}/{what}").into_bytes()
}

fn get(store: &Store, key: &[u8]) -> Result<Option<String>, ReadError> {
    let value = store.state().get(SPACE, key)?;
    Ok(value.map(|value| String::from_utf8_lossy(&value.bytes).into_owned()))
}

/// The number of an experiment.
pub(super) fn id_of(store: &Store, name: &str) -> Result<Option<String>, ReadError> {
    if name == DEFAULT.0 {
        return Ok(Some(DEFAULT.1.to_owned()));
    }
    get(store, &key("name", name))
}

/// The name of an experiment.
pub(super) fn name_of(store: &Store, id: &str) -> Result<Option<String>, ReadError> {
    if id == DEFAULT.1 {
        return Ok(Some(DEFAULT.0.to_owned()));
    }
    get(store, &key("id", id))
}

/// Why an experiment was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    #[error("the experiment is there already")]
    Exists,
    #[error("the experiments cannot be read")]
    Read(#[from] ReadError),
    #[error("the experiment cannot be stored")]
    State(#[from] StateError),
}

/// Gives a name the next number.
pub(super) fn create(store: &Store, name: &str) -> Result<String, CreateError> {
    let mut number = store.state().count(SPACE, b"id/")? + 1;
    loop {
        if id_of(store, name)?.is_some() {
            return Err(CreateError::Exists);
        }
        let id = number.to_string();
        let mut change = store.state().change();
        change.put_if(SPACE, &key("name", name), None, id.as_bytes());
        change.put_if(SPACE, &key("id", &id), None, name.as_bytes());
        match change.commit() {
            Ok(()) => return Ok(id),
            // Somebody else took the number, or made this one.
            Err(StateError::Conflict { .. }) => number += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use spanlite_store::OpenOptions;

    use super::*;

    #[test]
    fn experiments_keep_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default());
        let store = store.unwrap();
        assert_eq!(id_of(&store, "Default").unwrap().as_deref(), Some("0"));
        assert_eq!(id_of(&store, "a").unwrap(), None);
        assert_eq!(create(&store, "a").unwrap(), "1");
        assert_eq!(create(&store, "b").unwrap(), "2");
        assert!(matches!(create(&store, "a"), Err(CreateError::Exists)));
        assert_eq!(id_of(&store, "b").unwrap().as_deref(), Some("2"));
        assert_eq!(name_of(&store, "1").unwrap().as_deref(), Some("a"));
        assert_eq!(name_of(&store, "3").unwrap(), None);
        // A number that was lost is not waited for.
        let mut change = store.state().change();
        change.remove(SPACE, &key("id", "1"));
        change.commit().unwrap();
        assert_eq!(create(&store, "c").unwrap(), "3");
        store.close().unwrap();
    }
}
