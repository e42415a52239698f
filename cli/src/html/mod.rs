//! Traces as one page for a browser: no outside fetch, readable without script.

use std::io::{self, Write};
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use spanlite_model::{Cost, Json, Span, TokenUsage, Trace};

use crate::render::{
    Fold, Look, Node, Sheet, ShowOptions, Zone, attributes_item, json, object, show, tokens, units,
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the banner of the page says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Banner {
    /// The store that the traces come from.
    pub(crate) source: String,
    /// When the page was made, in Unix nanoseconds.
    pub(crate) time_unix_nano: u64,
    /// How many values were taken out; nothing when nothing was to be.
    pub(crate) redacted: Option<u64>,
    /// Whether damaged data was skipped.
    pub(crate) incomplete: bool,
}

/// Writes the page. The traces are packed inside; a browser without script shows their trees as
/// text.
pub(crate) fn write(out: &mut dyn Write, traces: &[Arc<Trace>], banner: &Banner) -> io::Result<()> {
    let items: Vec<Node> = traces.iter().map(|trace| trace_item(trace)).collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut packed, &items)?;
    let data = BASE64_STANDARD.encode(packed.finish()?);
    let (style_hash, script_hash) = (hash(STYLE), hash(SCRIPT));
    let title = match traces {
        [one] => one.name().unwrap_or("trace").to_owned(),
        many => format!("{} traces", many.len()),
    };
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    )?;
    write!(
        out,
        "<header><b>spanlite</b><select id=\"pick\" aria-label=\"trace\"></select>\
         <input id=\"find\" type=\"search\" placeholder=\"find in all payloads\" aria-label=\"find\">\
         <span id=\"hits\"></span><span id=\"banner\">{}</span></header>\n\
         <main><div id=\"rows\" tabindex=\"0\"><div id=\"tall\"></div></div>\
         <section id=\"pane\"></section></main>\n\
         <footer>j k move, h l fold, n N failed spans, / find, Enter next hit</footer>\n",
        escape(&banner.text())
    )?;
    out.write_all(b"<noscript><pre>")?;
    for trace in traces {
        out.write_all(escape(&plain(trace)?).as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.write_all(b"</pre></noscript>\n")?;
    writeln!(
        out,
        "<script type=\"application/octet-stream\" id=\"data\">{data}</script>"
    )?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")
}

impl Banner {
    fn text(&self) -> String {
        let redacted = match self.redacted {
            Some(count) => format!("{count} values redacted"),
            None => "not redacted".to_owned(),
        };
        let time: String = json::time(self.time_unix_nano).chars().take(19).collect();
        let time = time.replace('T', " ");
        let mut text = format!("{} · {time} UTC · {redacted}", self.source);
        if self.incomplete {
            text.push_str(" · incomplete: damaged data was skipped");
        }
        text
    }
}

/// The base64 of the SHA-256 of an inline text, as the content policy names it.
fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// A text as HTML shows it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// The tree as text.
fn plain(trace: &Arc<Trace>) -> io::Result<String> {
    let look = Look {
        width: 120,
        color: false,
        hyperlinks: None,
        ascii: false,
        zone: Zone::Utc,
    };
    let mut bytes = Vec::new();
    let options = ShowOptions {
        fold: Fold::default(),
        now_unix_nano: 0,
        id_digits: 8,
    };
    show(&mut Sheet::new(&mut bytes, &look), trace, options)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn trace_item(trace: &Trace) -> Node {
    let forest = trace.forest();
    let start = trace.start_time_unix_nano().unwrap_or(0);
    let spans = forest.nodes().iter().map(|node| {
        let span = &trace.spans[node.span];
        let is_orphan = node.depth == 0 && span.parent_span_id.is_some();
        let place = (u64::from(node.depth), u64::from(node.end), is_orphan);
        span_item(span, place, start)
    });
    object([
        ("trace_id", trace.trace_id.to_string().into()),
        ("name", trace.name().into()),
        ("state", trace.state().as_str().into()),
        ("start", json::time(start).into()),
        ("duration_ns", trace.duration_nanos().into()),
        ("spans", Node::List(spans.collect())),
    ])
}

fn span_item(span: &Span, (depth, end, is_orphan): (u64, u64, bool), trace_start: u64) -> Node {
    let payload = |json: &Option<Json>| json.clone().map_or(Node::Null, Node::Raw);
    let events = span.events.iter().map(|event| {
        object([
            ("name", event.name.as_str().into()),
            ("attributes", attributes_item(&event.attributes)),
        ])
    });
    let offset = span.start_time_unix_nano.saturating_sub(trace_start);
    object([
        ("span_id", span.span_id.to_string().into()),
        ("depth", depth.into()),
        ("end", end.into()),
        ("name", span.name.as_str().into()),
        ("type", span.span_type.as_str().into()),
        ("status", span.status.code.as_str().into()),
        ("error", span.error_message().into()),
        ("offset_ns", offset.into()),
        ("duration_ns", span.duration_nanos().into()),
        ("orphan", is_orphan.into()),
        ("model", span.model().into()),
        (
            "tokens",
            tokens(TokenUsage::of(span), units::count)
                .map(|tokens| format!("{tokens} tokens"))
                .into(),
        ),
        ("cost", Cost::of(span).total_cost.map(units::dollars).into()),
        ("inputs", payload(&span.inputs)),
        ("outputs", payload(&span.outputs)),
        ("attributes", attributes_item(&span.attributes)),
        ("events", Node::List(events.collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn the_page_fetches_nothing_and_escapes_everything() {
        let mut trace = samples::agent();
        trace.spans[0].name = "</pre><script>alert(1)</script>".to_owned();
        let mut page = Vec::new();
        write(&mut page, &[Arc::new(trace)], &Banner::default()).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(!page.contains("alert(1)</script>"));
        assert_eq!(page.matches("<script").count(), 2);
        assert!(page.contains(&format!("script-src 'sha256-{}'", hash(SCRIPT))));
        assert!(
            page.contains("&lt;script&gt;alert(1)"),
            "the tree without script"
        );
        for fetch in [
            " src=",
            " href=",
            "@import",
            "url(",
            "fetch(",
            "XMLHttpRequest",
        ] {
            assert!(!page.contains(fetch), "{fetch}");
        }
        // The one address is the name of a language.
        assert_eq!(
            page.matches("http").count(),
            2,
            "http-equiv and the namespace of SVG"
        );
    }

    #[test]
    fn the_hash_is_that_of_the_standard() {
        assert_eq!(hash(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
