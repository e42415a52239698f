use spanlite_model::{Json, Span, Trace};

use crate::render::{
    JsonFold, Line, Look, Role, Sheet, assessment_line, pairs, units, write_json, write_messages,
    write_text,
};

/// What the lower pane shows of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Input,
    Output,
    Attributes,
    Events,
    Feedback,
}

/// A payload larger than this is shown in part until it is asked for.
const SHOWN_BYTES: usize = 64 << 10;

impl Tab {
    pub(super) const ALL: [Self; 5] = [
        Self::Input,
        Self::Output,
        Self::Attributes,
        Self::Events,
        Self::Feedback,
    ];

    /// The name, with how much there is.
    pub(super) fn title(self, trace: &Trace, span: &Span) -> String {
        let counted = |name: &str, count: usize| match count {
            0 => name.to_owned(),
            count => format!("{name} {count}"),
        };
        match self {
            Self::Input => "Input".to_owned(),
            Self::Output => "Output".to_owned(),
            Self::Attributes => counted("Attributes", span.attributes.len()),
            Self::Events => counted("Events", span.events.len()),
            Self::Feedback => counted("Feedback", trace.info.assessments.len()),
        }
    }
}

/// The lines of the pane. `whole` shows payloads whatever their size, `raw` model calls as JSON.
pub(super) fn lines(
    tab: Tab,
    trace: &Trace,
    span: &Span,
    look: &Look,
    (whole, raw): (bool, bool),
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut sheet = Sheet::of_lines(&mut lines, look);
    // A sheet of lines has nothing that could fail.
    drop(fill(&mut sheet, tab, trace, span, (whole, raw)));
    lines
}

fn fill(
    sheet: &mut Sheet<'_>,
    tab: Tab,
    trace: &Trace,
    span: &Span,
    (whole, raw): (bool, bool),
) -> std::io::Result<()> {
    match tab {
        Tab::Input | Tab::Output => {
            let payload = if tab == Tab::Input {
                &span.inputs
            } else {
                &span.outputs
            };
            let large = payload.as_ref().map_or(0, |json| json.as_text().len());
            if !raw
                && (whole || large <= SHOWN_BYTES)
                && write_messages(sheet, span, tab == Tab::Input)?
            {
                return Ok(());
            }
            match payload {
                Some(json) => show_json(sheet, json, whole),
                None => sheet.text(Role::Dim, "nothing was recorded"),
            }
        }
        Tab::Attributes => {
            pairs(sheet, &span.attributes, 0, JsonFold::SHORT)?;
            if !span.resource.attributes.is_empty() {
                sheet.blank()?;
                sheet.text(Role::Heading, "RESOURCE")?;
                pairs(sheet, &span.resource.attributes, 0, JsonFold::SHORT)?;
            }
            Ok(())
        }
        Tab::Events => {
            for event in &span.events {
                let offset = event
                    .time_unix_nano
                    .saturating_sub(span.start_time_unix_nano);
                let mut line = Line::of(Role::Dim, &format!("+{} ", units::duration(offset)));
                line.text(Role::Strong, &event.name);
                sheet.line(&line)?;
                pairs(sheet, &event.attributes, 2, JsonFold::SHORT)?;
            }
            Ok(())
        }
        Tab::Feedback => {
            for assessment in &trace.info.assessments {
                let line = assessment_line(assessment, sheet.look.width);
                sheet.line(&line)?;
            }
            Ok(())
        }
    }
}

fn show_json(sheet: &mut Sheet<'_>, json: &Json, whole: bool) -> std::io::Result<()> {
    let text = json.as_text();
    if whole || text.len() <= SHOWN_BYTES {
        let fold = JsonFold {
            text_bytes: usize::MAX,
            ..JsonFold::FULL
        };
        return write_json(sheet, json, 0, fold);
    }
    let start: String = text.chars().take(SHOWN_BYTES / 4).collect();
    let rest = units::bytes((text.len() - start.len()) as u64);
    let mut line = Line::of(
        Role::Warning,
        &format!("the first part; load {rest} more: L"),
    );
    line.pad(1);
    sheet.line(&line)?;
    write_text(sheet, &start, 0, JsonFold::FULL, Role::Plain)
}
