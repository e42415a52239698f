//! `DuckDB`, which runs in Python: the library's own build takes longer than this whole project's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::timing::{LIMIT, ROUNDS, Timing};

pub(crate) struct DuckDb {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl DuckDb {
    /// Starts the peer, which makes its Parquet file the first time. An error says why there is
    /// none.
    pub(crate) fn start(target: &Path, folder: &Path) -> Result<Self, String> {
        let python = target.join("bench-venv/bin/python");
        if !python.try_exists().unwrap_or(false) {
            let make = |program: &Path, arguments: &[&str]| {
                let made = Command::new(program).args(arguments).output();
                made.is_ok_and(|output| output.status.success())
            };
            let venv = target.join("bench-venv");
            let venv = venv.to_str().ok_or("the folder has no name in UTF-8")?;
            let installed = make(Path::new("python3"), &["-m", "venv", venv])
                && make(&python, &["-m", "pip", "install", "-q", "duckdb"]);
            if !installed {
                return Err("no Python with duckdb could be set up".to_owned());
            }
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/query/duckdb_peer.py");
        let mut child = Command::new(&python)
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("it has no pipes".to_owned());
        };
        let mut this = Self {
            child,
            questions,
            answers: BufReader::new(answers),
        };
        let hello = this.answer()?;
        match hello.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(this),
        }
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| error.to_string())
    }

    pub(crate) fn time(&mut self, sql: &str) -> Result<Timing, String> {
        let asked = json!({"sql": sql, "rounds": ROUNDS, "limit": LIMIT.as_secs_f64()});
        writeln!(self.questions, "{asked}").map_err(|error| error.to_string())?;
        let answer = self.answer()?;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            return Err(error.to_owned());
        }
        let costs = answer.get("ms").and_then(Value::as_array);
        let Some(costs) = costs else {
            return Ok(Timing::late());
        };
        let seconds = costs.iter().filter_map(Value::as_f64).map(|ms| ms / 1e3);
        let rows = answer.get("rows").and_then(Value::as_u64).unwrap_or(0);
        Ok(Timing::of(seconds.collect(), rows as usize))
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It ends with its input, or now.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
