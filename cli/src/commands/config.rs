use clap::ValueEnum as _;

use crate::args::When;
use crate::error::{CliError, Outcome};
use crate::render::{Column, Listing, Role, object};
use crate::session::Session;

/// Shows the settings and where each came from.
pub(super) fn run(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let settings = session.settings;
    let name = |choice: When| {
        let value = choice.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    };
    let rows = [
        (
            "store",
            settings.store.value.display().to_string(),
            &settings.store.origin,
        ),
        ("color", name(settings.color.value), &settings.color.origin),
        (
            "hyperlinks",
            name(settings.hyperlinks.value),
            &settings.hyperlinks.origin,
        ),
        (
            "trace_url",
            settings.trace_url.value.clone(),
            &settings.trace_url.origin,
        ),
        ("utc", settings.utc.value.to_string(), &settings.utc.origin),
        (
            "pager",
            settings.pager.value.clone(),
            &settings.pager.origin,
        ),
    ];
    let mut listing = Listing::new(vec![
        Column::left("SETTING"),
        Column::left("VALUE").shrinks_to(12),
        Column::left("FROM").shrinks_to(12),
    ]);
    for (name, value, origin) in rows {
        let origin = origin.to_string();
        listing.push(
            vec![
                (Role::Key, name.to_owned()),
                (Role::Plain, value.clone()),
                (Role::Dim, origin.clone()),
            ],
            object([
                ("setting", name.into()),
                ("value", value.into()),
                ("origin", origin.into()),
            ]),
        );
    }
    session.out.list(&listing)?;
    Ok(Outcome::Done)
}
