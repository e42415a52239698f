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

/// How the pane shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct How {
    /// Payloads are shown whatever their size.
    pub(super) whole: bool,
    /// Messages are shown as JSON.
    pub(super) raw: bool,
    /// Lists and objects below this many levels are one line.
    pub(super) depth: usize,
}

impl Default for How {
    fn default() -> Self {
        Self {
            whole: false,
            raw: false,
            depth: usize::MAX,
        }
    }
}

impl How {
    /// Folds one level more; the first time all but the outermost.
    pub(super) fn fold(&mut self) {
        self.raw = true;
        self.depth = match self.depth {
            usize::MAX => 2,
            depth => depth.saturating_sub(1).max(1),
        };
    }

    /// Unfolds one level more, at last all.
    pub(super) fn unfold(&mut self) {
        self.depth = match self.depth {
            depth @ 0..8 => depth + 1,
            _ => usize::MAX,
        };
    }
}

/// The lines of the pane.
pub(super) fn lines(tab: Tab, trace: &Trace, span: &Span, look: &Look, how: How) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut sheet = Sheet::of_lines(&mut lines, look);
    // A sheet of lines has nothing that could fail.
    drop(fill(&mut sheet, tab, trace, span, how));
    lines
}

fn fill(
    sheet: &mut Sheet<'_>,
    tab: Tab,
    trace: &Trace,
    span: &Span,
    how: How,
) -> std::io::Result<()> {
    let short = JsonFold {
        depth: how.depth.min(JsonFold::SHORT.depth),
        ..JsonFold::SHORT
    };
    match tab {
        Tab::Input | Tab::Output => {
            let payload = if tab == Tab::Input {
                &span.inputs
            } else {
                &span.outputs
            };
            let large = payload.as_ref().map_or(0, |json| json.as_text().len());
            if !how.raw
                && (how.whole || large <= SHOWN_BYTES)
                && write_messages(sheet, span, tab == Tab::Input)?
            {
                return Ok(());
            }
            match payload {
                Some(json) => show_json(sheet, json, how),
                None => sheet.text(Role::Dim, "nothing was recorded"),
            }
        }
        Tab::Attributes => {
            pairs(sheet, &span.attributes, 0, short)?;
            if !span.resource.attributes.is_empty() {
                sheet.blank()?;
                sheet.text(Role::Heading, "RESOURCE")?;
                pairs(sheet, &span.resource.attributes, 0, short)?;
            }
            Ok(())
        }
        Tab::Events => {
            for event in &span.events {
                let offset = event
                    .time_unix_nano
                    .saturating_sub(span.start_time_unix_nano);
                let mut line = Line::of(Role::Dim, &format!("+{} ", units::duration(offset)));
                line.fitted(Role::Strong, &event.name, 120);
                sheet.line(&line)?;
                pairs(sheet, &event.attributes, 2, short)?;
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

fn show_json(sheet: &mut Sheet<'_>, json: &Json, how: How) -> std::io::Result<()> {
    let text = json.as_text();
    if how.whole || text.len() <= SHOWN_BYTES {
        let fold = JsonFold {
            depth: how.depth,
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
