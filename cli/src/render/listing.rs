use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::json::{self, Envelope, JsonStyle};
use super::line::{Align, Line, Sheet};
use super::look::Role;
use super::node::Node;
use super::text::{escape, fit};

/// A column of a list for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    name: Cow<'static, str>,
    align: Align,
    /// The narrowest it may become; nothing for columns that are never cut.
    min_width: Option<usize>,
    /// Left out first, second … when the terminal is too narrow; 0 never.
    drop_order: u8,
}

impl Column {
    /// A column of text.
    pub(crate) fn left(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            align: Align::Left,
            min_width: None,
            drop_order: 0,
        }
    }

    /// A column of numbers.
    pub(crate) fn right(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            align: Align::Right,
            ..Self::left(name)
        }
    }

    /// Texts may be cut down to `min_width` columns.
    pub(crate) fn shrinks_to(self, min_width: usize) -> Self {
        Self {
            min_width: Some(min_width),
            ..self
        }
    }

    /// The column is left out where the terminal is narrow, lower orders first.
    pub(crate) fn dropped(self, order: u8) -> Self {
        Self {
            drop_order: order,
            ..self
        }
    }
}

/// A list, for people as cells and for machines as objects.
#[derive(Debug)]
pub(crate) struct Listing {
    columns: Vec<Column>,
    rows: Vec<Vec<(Role, String)>>,
    /// What cells lead to, by row and column.
    links: BTreeMap<(usize, usize), String>,
    items: Vec<Node>,
    /// False when damaged data was skipped, or rows were left out that no next part has.
    pub(crate) complete: bool,
    /// What to ask for to get the next part.
    pub(crate) next: Option<String>,
}

/// Texts in a list are read no further than this.
const CELL_COLUMNS: usize = 400;

impl Listing {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            links: BTreeMap::new(),
            items: Vec::new(),
            complete: true,
            next: None,
        }
    }

    /// Adds a row in both its forms.
    pub(crate) fn push(&mut self, cells: Vec<(Role, String)>, item: Node) {
        self.rows.push(cells);
        self.items.push(item);
    }

    /// Lets a cell of the last row lead to an address, where there is one.
    pub(crate) fn link(&mut self, column: usize, url: Option<String>) {
        if let (Some(row), Some(url)) = (self.rows.len().checked_sub(1), url) {
            self.links.insert((row, column), url);
        }
    }

    /// Whether another row may come where at most `limit` are wanted. Once one may not, the list is
    /// not complete.
    pub(crate) fn has_room(&mut self, limit: usize) -> bool {
        let has_room = self.rows.len() < limit;
        self.complete &= has_room;
        has_room
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Writes the list as an aligned table; columns without a text are left out.
    pub(crate) fn write_table(&self, sheet: &mut Sheet<'_>) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let width_of = |text: &str| fit(text, CELL_COLUMNS).width;
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let widest = cells.map(|(_, text)| width_of(text)).max().unwrap_or(0);
                if widest == 0 {
                    0
                } else {
                    widest.max(width_of(&column.name))
                }
            })
            .collect();
        self.make_fit(&mut widths, sheet.look.width);
        let shown: Vec<usize> = (0..widths.len())
            .filter(|&index| widths[index] > 0)
            .collect();
        let mut header = Line::new();
        let put = |line: &mut Line, index: usize, text: (Role, &str), link: Option<&str>| {
            if line.width() > 0 {
                line.pad(2);
            }
            line.linked_cell(text, widths[index], self.columns[index].align, link);
        };
        for &index in &shown {
            let name = &self.columns[index].name;
            put(&mut header, index, (Role::Heading, name), None);
        }
        sheet.line(&header)?;
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = Line::new();
            for &index in &shown {
                if let Some((role, text)) = row.get(index) {
                    let link = self.links.get(&(number, index)).map(String::as_str);
                    put(&mut line, index, (*role, text), link);
                }
            }
            sheet.line(&line)?;
        }
        Ok(())
    }

    /// Cuts columns, then drops them, until the table is as wide as the terminal.
    fn make_fit(&self, widths: &mut [usize], terminal: usize) {
        let total = |widths: &[usize]| {
            let shown = widths.iter().filter(|&&width| width > 0);
            shown
                .map(|width| width + 2)
                .sum::<usize>()
                .saturating_sub(2)
        };
        let mut droppable: Vec<usize> = (0..self.columns.len())
            .filter(|&index| self.columns[index].drop_order > 0)
            .collect();
        droppable.sort_by_key(|&index| self.columns[index].drop_order);
        let mut droppable = droppable.into_iter();
        loop {
            let over = total(widths).saturating_sub(terminal);
            let slack = |index: usize| {
                let min_width = self.columns[index].min_width.unwrap_or(usize::MAX);
                widths[index].saturating_sub(min_width)
            };
            let slacks: Vec<usize> = (0..widths.len()).map(slack).collect();
            if slacks.iter().sum::<usize>() >= over {
                shrink(widths, &slacks, over);
                return;
            }
            let Some(index) = droppable.next() else {
                shrink(widths, &slacks, over);
                return;
            };
            widths[index] = 0;
        }
    }

    /// Writes a JSON document: the envelope with all items.
    pub(crate) fn write_json(&self, out: &mut dyn Write, style: JsonStyle) -> io::Result<()> {
        let envelope = Envelope::new(&self.items, self.complete, self.next.as_deref());
        json::write(out, &envelope, style)
    }

    /// Writes one JSON object a line.
    pub(crate) fn write_ndjson(&self, out: &mut dyn Write, escape: bool) -> io::Result<()> {
        let style = JsonStyle {
            pretty: false,
            escape,
        };
        self.items
            .iter()
            .try_for_each(|item| json::write(out, item, style))
    }

    /// The fields of the objects; those of an object inside one by one, such as `by.model`.
    fn fields(&self) -> Vec<(&str, Option<&str>)> {
        let Some(Node::Object(first)) = self.items.first() else {
            return Vec::new();
        };
        let mut fields = Vec::new();
        for (key, _) in first {
            let inner = self.items.iter().filter_map(|item| match item.get(key) {
                Some(Node::Object(inner)) => Some(inner),
                _ => None,
            });
            let mut names: Vec<&str> = Vec::new();
            for (name, _) in inner.flatten() {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
            if names.is_empty() {
                fields.push((key.as_str(), None));
            }
            fields.extend(names.into_iter().map(|name| (key.as_str(), Some(name))));
        }
        fields
    }

    /// Writes RFC 4180 CSV with the fields of the objects as columns; lists, and objects two levels
    /// below, are JSON text.
    pub(crate) fn write_csv(&self, out: &mut dyn Write, escape_text: bool) -> io::Result<()> {
        let fields = self.fields();
        if fields.is_empty() {
            return Ok(());
        }
        let mut line = String::new();
        for (index, (key, inner)) in fields.iter().enumerate() {
            match inner {
                Some(inner) => push_csv(&mut line, index, &format!("{key}.{inner}")),
                None => push_csv(&mut line, index, key),
            }
        }
        writeln!(out, "{line}")?;
        for item in &self.items {
            line.clear();
            for (index, (key, inner)) in fields.iter().enumerate() {
                let value = match inner {
                    Some(inner) => item.get(key).and_then(|value| value.get(inner)),
                    None => item.get(key),
                };
                match value {
                    None | Some(Node::Null) => push_csv(&mut line, index, ""),
                    Some(Node::Text(text)) if escape_text => {
                        push_csv(&mut line, index, &escape(text).text);
                    }
                    Some(Node::Text(text)) => push_csv(&mut line, index, text),
                    Some(other) => push_csv(&mut line, index, &other.to_text()),
                }
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// Writes a Markdown table.
    pub(crate) fn write_md(&self, out: &mut dyn Write) -> io::Result<()> {
        let names = self.columns.iter().map(|column| md_cell(&column.name));
        writeln!(out, "| {} |", names.collect::<Vec<_>>().join(" | "))?;
        let rules = self.columns.iter().map(|column| match column.align {
            Align::Left => "---",
            Align::Right => "--:",
        });
        writeln!(out, "| {} |", rules.collect::<Vec<_>>().join(" | "))?;
        for row in &self.rows {
            let cells = row.iter().map(|(_, text)| md_cell(text));
            writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        Ok(())
    }
}

/// Takes `over` columns away, from the widest first.
fn shrink(widths: &mut [usize], slacks: &[usize], over: usize) {
    let least: Vec<usize> = widths
        .iter()
        .zip(slacks)
        .map(|(width, slack)| width - slack)
        .collect();
    for _ in 0..over {
        let widest = (0..widths.len())
            .filter(|&index| widths[index] > least[index])
            .max_by_key(|&index| widths[index]);
        match widest {
            Some(index) => widths[index] -= 1,
            None => return,
        }
    }
}

fn push_csv(line: &mut String, index: usize, text: &str) {
    if index > 0 {
        line.push(',');
    }
    if text.contains([',', '"', '\n', '\r']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

/// A text as a cell of a Markdown table.
pub(crate) fn md_cell(text: &str) -> String {
    let text = fit(text, CELL_COLUMNS).text;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '\\' | '`' | '*' | '_' | '<' | '[') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::look::{Look, Zone};
    use super::super::node::object;
    use super::*;

    fn listing() -> Listing {
        let columns = vec![
            Column::left("TRACE"),
            Column::left("NAME").shrinks_to(6),
            Column::left("SESSION").dropped(1),
            Column::right("DUR"),
            Column::left("EMPTY"),
        ];
        let mut listing = Listing::new(columns);
        for (name, duration) in [("support.turn", "41.2s"), ("日本語の長い名前", "6m03s")] {
            let cells = ["9f31c2ab", name, "s-1", duration, ""];
            let cells = cells.map(|text| (Role::Plain, text.to_owned()));
            listing.push(
                cells.to_vec(),
                object([
                    ("name", name.into()),
                    ("tags", object([("a", 1_u64.into())])),
                    ("none", Node::Null),
                ]),
            );
        }
        listing
    }

    fn table(width: usize) -> String {
        let look = Look {
            width,
            color: false,
            hyperlinks: None,
            ascii: false,
            zone: Zone::Utc,
        };
        let mut out = Vec::new();
        listing()
            .write_table(&mut Sheet::new(&mut out, &look))
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_fit_the_terminal() {
        insta::assert_snapshot!(table(80), @r"
        TRACE     NAME              SESSION    DUR
        9f31c2ab  support.turn      s-1      41.2s
        9f31c2ab  日本語の長い名前  s-1      6m03s
        ");
        insta::assert_snapshot!(table(34), @r"
        TRACE     NAME      SESSION    DUR
        9f31c2ab  support…  s-1      41.2s
        9f31c2ab  日本語…   s-1      6m03s
        ");
        insta::assert_snapshot!(table(26), @r"
        TRACE     NAME         DUR
        9f31c2ab  support.…  41.2s
        9f31c2ab  日本語の…  6m03s
        ");
    }

    #[test]
    fn csv_quotes_and_nests() {
        let mut out = Vec::new();
        let mut listing = listing();
        let fields = [
            ("name", "a \"b\", c".into()),
            ("tags", object([("b", Node::List(Vec::new()))])),
            ("none", 1.5.into()),
        ];
        listing.push(Vec::new(), object(fields));
        listing.write_csv(&mut out, false).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        name,tags.a,tags.b,none
        support.turn,1,,
        日本語の長い名前,1,,
        "a ""b"", c",,[],1.5
        "#);
    }

    #[test]
    fn lists_come_in_an_envelope() {
        let mut out = Vec::new();
        let mut listing = Listing::new(vec![]);
        listing.push(Vec::new(), object([("a", 1_u64.into())]));
        listing.complete = false;
        listing.write_json(&mut out, JsonStyle::default()).unwrap();
        let expected = "{\"schema\":1,\"complete\":false,\"next\":null,\"items\":[{\"a\":1}]}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
