use crate::error::{CliError, Outcome};
use crate::render::{Line, Node, Role, object, units};
use crate::session::Session;

/// Checks every byte of the store.
pub(super) fn run(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let progress = session.progress("checking");
    let report = store.verify()?;
    drop(progress);
    let damage: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    let sound = damage.is_empty();
    if session.out.wants_json() {
        let item = object([
            ("ok", sound.into()),
            ("traces", report.traces.into()),
            ("spans", report.spans.into()),
            (
                "damage",
                Node::List(damage.into_iter().map(Node::from).collect()),
            ),
        ]);
        session.out.object(&item)?;
    } else {
        let counts = format!(
            "{}, {} read and checked",
            units::plural(report.traces, "trace"),
            units::plural(report.spans, "span"),
        );
        let mut sheet = session.out.sheet();
        let mut line = Line::new();
        if sound {
            line.sign(Role::Ok, "✓ ").text(Role::Ok, "sound");
        } else {
            let found = units::plural(damage.len() as u64, "damaged place");
            line.sign(Role::Error, "✗ ").text(Role::Error, &found);
        }
        line.pad(2).text(Role::Plain, &counts);
        sheet.line(&line)?;
        for one in &damage {
            let mut line = Line::new();
            line.pad(2).text(Role::Plain, one);
            sheet.line(&line)?;
        }
    }
    Ok(if sound {
        Outcome::Done
    } else {
        Outcome::DamageFound
    })
}
