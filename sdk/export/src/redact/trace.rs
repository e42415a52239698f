use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;

use spanlite_model::{
    Assessment, AssessmentValue, Attributes, Event, Json, Resource, Span, Trace, Value,
};

use super::json::redact_json;
use super::{Redaction, RedactionCounts, mark};

impl Redaction {
    /// Takes out of a trace what the rules say, and returns how many values that were.
    pub fn apply(&self, trace: &mut Trace) -> u64 {
        let mut counts = RedactionCounts::default();
        self.apply_counted(trace, &mut counts);
        counts.total()
    }

    /// Takes out of a trace what the rules say, and counts it.
    pub fn apply_counted(&self, trace: &mut Trace, counts: &mut RedactionCounts) {
        if self.is_empty() {
            return;
        }
        let mut pass = Pass {
            rules: self,
            counts,
            resources: HashMap::new(),
        };
        for span in &mut trace.spans {
            pass.span(span);
        }
        pass.info(trace);
    }
}

struct Pass<'a> {
    rules: &'a Redaction,
    counts: &'a mut RedactionCounts,
    resources: HashMap<*const Resource, Arc<Resource>>,
}

impl Pass<'_> {
    fn text(&mut self, text: &mut String) {
        if let Cow::Owned(redacted) = self.rules.redact_text(text, 0, self.counts) {
            *text = redacted;
        }
    }

    fn optional(&mut self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn json(&mut self, json: &mut Json) {
        let redacted = redact_json(self.rules, json.as_text(), 0, self.counts);
        if let Cow::Owned(redacted) = redacted {
            *json = Json::from_trusted_text(redacted);
        }
    }

    fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.entry(key, value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) => {}
        }
    }

    fn entry(&mut self, key: &mut String, value: &mut Value) {
        match self.rules.key_rule(key) {
            Some(rule) if *value != Value::Null => {
                *value = Value::String(mark(rule));
                self.counts.add(rule, 1);
            }
            _ => self.value(value),
        }
        self.text(key);
    }

    fn attributes(&mut self, attributes: &mut Attributes) {
        for (key, value) in attributes.iter_mut() {
            self.entry(key, value);
        }
    }

    /// Keys and values of a trace. Two keys that become one by redaction keep the first value.
    fn map(&mut self, map: &mut BTreeMap<String, String>) {
        for (mut key, mut value) in mem::take(map) {
            match self.rules.key_rule(&key) {
                Some(rule) => {
                    value = mark(rule);
                    self.counts.add(rule, 1);
                }
                None => self.text(&mut value),
            }
            self.text(&mut key);
            map.entry(key).or_insert(value);
        }
    }

    fn event(&mut self, event: &mut Event) {
        self.text(&mut event.name);
        self.attributes(&mut event.attributes);
    }

    fn span(&mut self, span: &mut Span) {
        self.text(&mut span.name);
        self.text(&mut span.status.message);
        self.attributes(&mut span.attributes);
        for json in [&mut span.inputs, &mut span.outputs].into_iter().flatten() {
            self.json(json);
        }
        span.events.iter_mut().for_each(|event| self.event(event));
        for link in &mut span.links {
            self.attributes(&mut link.attributes);
        }
        self.resource(&mut span.resource);
    }

    fn resource(&mut self, resource: &mut Arc<Resource>) {
        let address = Arc::as_ptr(resource);
        if let Some(known) = self.resources.get(&address) {
            *resource = Arc::clone(known);
            return;
        }
        let before = self.counts.total();
        let mut copy = Resource::clone(resource);
        self.attributes(&mut copy.attributes);
        if self.counts.total() > before {
            *resource = Arc::new(copy);
        }
        self.resources.insert(address, Arc::clone(resource));
    }

    fn info(&mut self, trace: &mut Trace) {
        let info = &mut trace.info;
        for text in [
            &mut info.name,
            &mut info.session,
            &mut info.user,
            &mut info.client_request_id,
            &mut info.request_preview,
            &mut info.response_preview,
        ] {
            self.optional(text);
        }
        self.map(&mut info.tags);
        self.map(&mut info.metadata);
        info.extra.values_mut().for_each(|json| self.json(json));
        for assessment in &mut info.assessments {
            self.assessment(assessment);
        }
    }

    fn assessment(&mut self, assessment: &mut Assessment) {
        self.text(&mut assessment.name);
        self.optional(&mut assessment.rationale);
        self.optional(&mut assessment.source.source_id);
        self.map(&mut assessment.metadata);
        match &mut assessment.value {
            AssessmentValue::Feedback { value, error } => {
                if let Some(value) = value {
                    self.json(value);
                }
                if let Some(error) = error {
                    self.optional(&mut error.message);
                    self.optional(&mut error.stack_trace);
                }
            }
            AssessmentValue::Expectation { value } => self.json(value),
            AssessmentValue::Issue { name } => self.text(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use spanlite_model::{SpanId, TraceId};

    use super::*;
    use crate::redact::RedactionRules;

    const SECRET: &str = "a@b.de";

    fn text() -> String {
        SECRET.to_owned()
    }

    fn attributes() -> Attributes {
        let nested = Value::Map(vec![(SECRET.to_owned(), Value::Array(vec![SECRET.into()]))]);
        [(SECRET, nested), ("password", Value::Int(7))]
            .into_iter()
            .collect()
    }

    fn map() -> BTreeMap<String, String> {
        [
            (SECRET.to_owned(), SECRET.to_owned()),
            ("api_key".to_owned(), "k".to_owned()),
        ]
        .into()
    }

    fn span() -> Span {
        let id = TraceId::from_bytes([1; 16]);
        let mut span = Span::new(id, SpanId::from_bytes([1; 8]), SECRET);
        span.status.message = SECRET.to_owned();
        span.attributes = attributes();
        span.inputs = Some(Json::string(SECRET));
        span.outputs = Some(Json::string(SECRET));
        span.resource = Arc::new(Resource {
            attributes: attributes(),
            ..Resource::default()
        });
        span.events.push(Event {
            name: SECRET.to_owned(),
            attributes: attributes(),
            ..Event::default()
        });
        span.links.push(spanlite_model::Link {
            attributes: attributes(),
            ..spanlite_model::Link::default()
        });
        span
    }

    fn assessment(value: AssessmentValue) -> Assessment {
        Assessment {
            assessment_id: "a-1".into(),
            name: SECRET.to_owned(),
            value,
            source: spanlite_model::AssessmentSource {
                source_type: "HUMAN".into(),
                source_id: Some(text()),
            },
            span_id: None,
            rationale: Some(text()),
            metadata: map(),
            create_time_unix_nano: 0,
            update_time_unix_nano: 0,
            valid: true,
            overrides: None,
        }
    }

    #[test]
    fn no_text_of_a_trace_is_forgotten() {
        let mut trace = Trace::new(TraceId::from_bytes([1; 16]), vec![span()]);
        let info = &mut trace.info;
        info.name = Some(text());
        info.session = Some(text());
        info.user = Some(text());
        info.client_request_id = Some(text());
        info.request_preview = Some(text());
        info.response_preview = Some(text());
        info.tags = map();
        info.metadata = map();
        info.extra = [("x".to_owned(), Json::string(SECRET))].into();
        info.assessments = vec![
            assessment(AssessmentValue::Feedback {
                value: Some(Json::string(SECRET)),
                error: Some(spanlite_model::AssessmentError {
                    code: "E".to_owned(),
                    message: Some(text()),
                    stack_trace: Some(text()),
                }),
            }),
            assessment(AssessmentValue::Expectation {
                value: Json::string(SECRET),
            }),
            assessment(AssessmentValue::Issue {
                name: SECRET.to_owned(),
            }),
        ];
        let rules = RedactionRules {
            default: true,
            ..RedactionRules::default()
        };
        let rules = rules.compile().unwrap();
        let mut again = trace.clone();
        let mut counts = RedactionCounts::default();
        rules.apply_counted(&mut trace, &mut counts);
        let n = counts.total();
        let shown = format!("{trace:?}");
        assert!(
            !shown.contains(SECRET) && !shown.contains("Int(7)"),
            "{shown}"
        );
        assert!(!shown.contains("\"k\""), "{shown}");
        assert!(n > 40, "{n}");
        let by_rule: Vec<(&str, u64)> = counts.by_rule().collect();
        assert_eq!(by_rule.iter().map(|(_, count)| count).sum::<u64>(), n);
        let rules_found: Vec<&str> = by_rule.iter().map(|(rule, _)| *rule).collect();
        assert_eq!(rules_found, ["api_key", "email", "password"]);
        assert_eq!(rules.apply(&mut again), n);
        assert_eq!(trace, again);
    }
}
