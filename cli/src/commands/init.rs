use std::fs;

use crate::args::InitArgs;
use crate::error::{CliError, Outcome};
use crate::render::{Line, Node, Role, object};
use crate::session::Session;

/// Makes a store, and says how a program writes to it.
pub(super) fn run(args: &InitArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let path = session.settings.store.value.clone();
    let is_new = match session.store_to_look() {
        Ok(_) => false,
        Err(CliError::NoStore { .. }) => {
            session.store_to_write(true)?.close()?;
            true
        }
        Err(error) => return Err(error),
    };
    let mut config_path = Node::Null;
    let mut lines = vec![if is_new {
        format!("made the store {}", path.display())
    } else {
        format!("the store {} is there", path.display())
    }];
    if args.config {
        let config = session.settings.current_dir.join(".spanlite.toml");
        // A JSON string is a TOML string.
        let quoted = spanlite_model::Json::serialize(&path.display().to_string());
        let quoted = quoted.map_or_else(|_| String::new(), |json| json.as_text().to_owned());
        let text = format!("store = {quoted}\n");
        match fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&config)
        {
            Ok(mut file) => {
                std::io::Write::write_all(&mut file, text.as_bytes())?;
                lines.push(format!("wrote {}", config.display()));
                config_path = config.display().to_string().into();
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                lines.push(format!(
                    "{} is there, and is left as it is",
                    config.display()
                ));
            }
            Err(source) => {
                return Err(CliError::Input {
                    path: config,
                    source,
                });
            }
        }
    }
    if session.out.wants_json() {
        session.out.object(&object([
            ("path", path.display().to_string().into()),
            ("made", is_new.into()),
            ("wrote_config", config_path),
        ]))?;
        return Ok(Outcome::Done);
    }
    let literal = format!("{:?}", path.display().to_string());
    let mut sheet = session.out.sheet();
    for line in &lines {
        sheet.text(Role::Plain, line)?;
    }
    sheet.blank()?;
    sheet.text(Role::Dim, "in a Rust program, with the crate `spanlite`:")?;
    for code in [
        format!("let _tracing = spanlite::init({literal})?;"),
        "#[spanlite::trace] on the functions that matter".to_owned(),
    ] {
        let mut line = Line::new();
        line.pad(2).text(Role::Key, &code);
        sheet.line(&line)?;
    }
    sheet.text(Role::Dim, "or files of other tools: spanlite import PATH")?;
    Ok(Outcome::Done)
}
