//! Conditions on inputs and outputs, for which texts have to be read.

use spanlite_model::Json;
use spanlite_store::Sections;
use spanlite_store::block::{BlockError, Ints, Texts};

use super::block::Block;
use super::leaf::Leaf;
use super::mask::{Mask, Truth};
use crate::eval::Datum;
use crate::resolve::Node;

type Read<T> = Result<T, BlockError>;

impl Block<'_> {
    /// Where a condition on inputs or outputs holds: each distinct payload of a trace is read and
    /// asked about once.
    pub(super) fn payloads(&self, numbers: &Ints<'_>, leaf: &Leaf<'_, '_>) -> Read<Mask> {
        let mut mask = Mask::empty(numbers.len());
        let nil = leaf.truth(&Datum::Nil);
        // Where a text has to fit, most are ruled out by what entered their trace.
        let pattern = leaf.pattern().filter(|_| nil == Truth::No);
        let mut scratch = Vec::new();
        // By the number of a payload.
        let mut known: Vec<Option<Truth>> = Vec::new();
        for (place, bound) in self.span_starts()?.windows(2).enumerate() {
            let (first, end) = (bound[0] as usize, bound[1] as usize);
            if !self.is_wanted(place) {
                for row in first..end {
                    mask.set(row, Truth::Maybe);
                }
                continue;
            }
            if let Some(pattern) = pattern {
                let may_fit = self.reader.look_at_new_texts(place, &mut scratch, |json| {
                    self.count_text(json.len());
                    pattern.may_fit_in(json)
                })?;
                if may_fit == Some(false) {
                    continue;
                }
            }
            let texts = self.reader.texts(place)?;
            known.clear();
            known.resize(texts.len() + 1, None);
            self.rule_out(first..end, &texts, &mut known)?;
            for row in first..end {
                let number = numbers.get(row);
                let truth = match known.get_mut(number as usize) {
                    _ if number == 0 => nil,
                    Some(Some(truth)) => *truth,
                    slot => {
                        let truth = self.payload(number, &texts, leaf, &mut scratch)?;
                        if let Some(slot) = slot {
                            *slot = Some(truth);
                        }
                        truth
                    }
                };
                mask.set(row, truth);
            }
        }
        Ok(mask)
    }

    /// Rules out payloads that entered a trace whole, with a span that the words did not enter
    /// with. Others may repeat words of earlier spans.
    fn rule_out(
        &self,
        rows: std::ops::Range<usize>,
        texts: &Texts<'_, Sections>,
        known: &mut [Option<Truth>],
    ) -> Read<()> {
        let entered = self.entered.borrow();
        let Some(entered) = &*entered else {
            return Ok(());
        };
        let columns = [self.reader.inputs()?, self.reader.outputs()?];
        let mut seen = vec![false; known.len()];
        for row in rows {
            for number in columns.map(|column| column.get(row)) {
                let Some(seen) = seen.get_mut(number as usize) else {
                    continue;
                };
                let is_first = !std::mem::replace(seen, true);
                if is_first && !entered.contains(row) && texts.is_new(number) {
                    known[number as usize] = Some(Truth::No);
                }
            }
        }
        Ok(())
    }

    fn payload(
        &self,
        number: i64,
        texts: &Texts<'_, Sections>,
        leaf: &Leaf<'_, '_>,
        scratch: &mut Vec<u8>,
    ) -> Read<Truth> {
        // A string is asked about as it is read; only a path makes a difference.
        let is_plain = match leaf.node {
            Node::Regex { of, .. } | Node::Text { of, .. } => matches!(**of, Node::Field(_)),
            _ => false,
        };
        texts.look(number, scratch, |bytes| {
            self.count_text(bytes.len());
            match std::str::from_utf8(bytes) {
                Ok(text) if is_plain && let Some(text) = plain_string(text) => {
                    leaf.truth(&Datum::text(text))
                }
                Ok(text) => leaf.truth(&Datum::Json(&Json::from_trusted_text(text))),
                Err(_) => Truth::Maybe,
            }
        })
    }
}

/// What stands between the quotes of a JSON string without escapes.
fn plain_string(json: &str) -> Option<&str> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    // A quote inside would stand behind a backslash.
    (!inner.as_bytes().contains(&b'\\')).then_some(inner)
}
