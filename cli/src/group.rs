//! Spans and traces put into groups: what `stats`, `values` and `sessions` count.

use std::collections::{BTreeMap, HashMap};

use spanlite_model::{Cost, Span, TokenUsage, Trace, Value};

/// Columns of a trend.
const BUCKETS: usize = 12;

/// Something of a span, or of its trace, that spans are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Name,
    Type,
    Kind,
    Status,
    Model,
    Provider,
    Service,
    ErrorType,
    TraceName,
    TraceState,
    Session,
    User,
    Tag(String),
    Metadata(String),
    Resource(String),
    Attribute(String),
}

impl Field {
    /// The names of what is no attribute, tag or the like.
    pub(crate) const NAMES: [&str; 12] = [
        "name", "type", "kind", "status", "model", "provider", "service", "error", "trace",
        "state", "session", "user",
    ];

    /// Takes the names that the query language has for such things; any other is the key of an
    /// attribute.
    pub(crate) fn parse(text: &str) -> Self {
        let key = |prefix: &str| text.strip_prefix(prefix).map(ToOwned::to_owned);
        match text {
            "name" | "span:name" | "span.name" => Self::Name,
            "type" | "span:type" | "span.type" => Self::Type,
            "kind" | "span:kind" => Self::Kind,
            "status" | "span:status" | "span.status" => Self::Status,
            "model" => Self::Model,
            "provider" => Self::Provider,
            "service" | "resource.service.name" => Self::Service,
            "error" | "span:errorType" => Self::ErrorType,
            "trace" | "trace:name" | "trace.name" => Self::TraceName,
            "state" | "trace:status" | "trace.status" => Self::TraceState,
            "session" | "trace:session" => Self::Session,
            "user" | "trace:user" => Self::User,
            _ => key("tag.")
                .map(Self::Tag)
                .or_else(|| key("metadata.").map(Self::Metadata))
                .or_else(|| key("resource.").map(Self::Resource))
                .or_else(|| key("span.").map(Self::Attribute))
                .or_else(|| key(".").map(Self::Attribute))
                .unwrap_or_else(|| Self::Attribute(text.to_owned())),
        }
    }

    /// The value of a span; nothing if it has none.
    pub(crate) fn of(&self, trace: &Trace, span: &Span) -> Option<String> {
        let owned = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let shown = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_json_text(),
        };
        match self {
            Self::Name => owned(&span.name),
            Self::Type => owned(span.span_type.as_str()),
            Self::Kind => owned(span.kind.as_str()),
            Self::Status => owned(span.status.code.as_str()),
            Self::Model => span.model().and_then(owned),
            Self::Provider => span.provider().and_then(owned),
            Self::Service => span.service_name().and_then(owned),
            Self::ErrorType => span.error_type().and_then(owned),
            Self::TraceName => trace.name().and_then(owned),
            Self::TraceState => owned(trace.state().as_str()),
            Self::Session => trace.info.session.clone(),
            Self::User => trace.info.user.clone(),
            Self::Tag(key) => trace.info.tags.get(key).cloned(),
            Self::Metadata(key) => trace.info.metadata.get(key).cloned(),
            Self::Resource(key) => span.resource.attributes.get(key).map(shown),
            Self::Attribute(key) => span.attributes.get(key).map(shown),
        }
    }
}

/// What is counted of a group of spans.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    pub(crate) spans: u64,
    pub(crate) errors: u64,
    pub(crate) usage: TokenUsage,
    pub(crate) cost: Option<f64>,
    /// Model calls of which no cost is known.
    pub(crate) without_cost: u64,
    durations: Vec<u64>,
    starts: Vec<u64>,
}

impl Group {
    /// Adds a span. What `covered` says was counted at a span above it is not counted again.
    pub(crate) fn add(&mut self, span: &Counted, place: u32, end: u32, covered: &mut Covered) {
        self.spans += 1;
        self.errors += u64::from(span.is_error);
        let usage = span.usage;
        if !usage.is_empty() && place >= covered.usage_until {
            covered.usage_until = end;
            self.usage = self.usage.plus(usage);
        }
        if place >= covered.cost_until {
            if let Some(cost) = span.cost {
                covered.cost_until = end;
                self.cost = Some(self.cost.unwrap_or(0.0) + cost);
            } else if span.is_model_call && !usage.is_empty() {
                self.without_cost += 1;
            }
        }
        self.durations.extend(span.nanos);
        self.starts.push(span.start_unix_nano);
    }

    fn merge(&mut self, other: Self) {
        self.spans += other.spans;
        self.errors += other.errors;
        self.usage = self.usage.plus(other.usage);
        if let Some(cost) = other.cost {
            self.cost = Some(self.cost.unwrap_or(0.0) + cost);
        }
        self.without_cost += other.without_cost;
        self.durations.extend(other.durations);
        self.starts.extend(other.starts);
    }

    /// The shortest duration that `percent` of the ended spans do not exceed.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.durations.len() as u64 * percent).div_ceil(100).max(1);
        self.durations.get(rank as usize - 1).copied()
    }

    /// How many spans began in each part of a stretch of time.
    pub(crate) fn trend(&self, (from, until): (u64, u64)) -> [u64; BUCKETS] {
        let mut counts = [0; BUCKETS];
        let length = u128::from(until.saturating_sub(from)) + 1;
        for start in &self.starts {
            let offset = u128::from(start.saturating_sub(from)).min(length - 1);
            counts[(offset * BUCKETS as u128 / length) as usize] += 1;
        }
        counts
    }
}

/// What of a span is counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) is_error: bool,
    pub(crate) start_unix_nano: u64,
    /// How long it took; nothing while it runs.
    pub(crate) nanos: Option<u64>,
    pub(crate) usage: TokenUsage,
    pub(crate) cost: Option<f64>,
    pub(crate) is_model_call: bool,
}

impl Counted {
    fn of(span: &Span) -> Self {
        let mut counted = Self {
            is_error: span.is_error(),
            start_unix_nano: span.start_time_unix_nano,
            nanos: span.duration_nanos(),
            ..Self::default()
        };
        counted.take_costs(span);
        counted
    }

    /// Takes over what attributes tell of tokens and costs.
    pub(crate) fn take_costs(&mut self, span: &Span) {
        self.usage = TokenUsage::of(span);
        self.cost = Cost::of(span).total_cost;
        self.is_model_call = span.span_type.is_model_call();
    }
}

/// Up to which place in pre-order a span of a group stands for those below it: a wrapper says the
/// same tokens and the same cost as what it called.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Covered {
    usage_until: u32,
    cost_until: u32,
}

/// The values that the spans of a group have in common, one of each field.
pub(crate) type GroupKey = Vec<Option<String>>;

/// Spans in groups by the values of fields.
#[derive(Debug)]
pub(crate) struct Groups {
    fields: Vec<Field>,
    groups: HashMap<GroupKey, Group>,
    /// The first and last start of a span.
    pub(crate) range: Option<(u64, u64)>,
}

impl Groups {
    pub(crate) fn new(fields: Vec<Field>) -> Self {
        Self {
            fields,
            groups: HashMap::new(),
            range: None,
        }
    }

    /// Adds those spans of a trace that `is_wanted` picks by their place in it. Tokens and costs
    /// that a span repeats from spans below it, in the same group, count once.
    pub(crate) fn add(&mut self, trace: &Trace, is_wanted: impl Fn(usize) -> bool) {
        let mut covered: BTreeMap<GroupKey, Covered> = BTreeMap::new();
        for (place, node) in trace.forest().nodes().iter().enumerate() {
            if !is_wanted(node.span) {
                continue;
            }
            let span = &trace.spans[node.span];
            let fields = self.fields.iter();
            let key: Vec<_> = fields.map(|field| field.of(trace, span)).collect();
            let covered = covered.entry(key.clone()).or_default();
            let group = self.groups.entry(key).or_default();
            group.add(&Counted::of(span), place as u32, node.end, covered);
            self.reach(span.start_time_unix_nano);
        }
    }

    /// Adds a group that was counted apart.
    pub(crate) fn merge(&mut self, key: GroupKey, group: Group) {
        for start in &group.starts {
            self.reach(*start);
        }
        self.groups.entry(key).or_default().merge(group);
    }

    fn reach(&mut self, start: u64) {
        let (first, last) = self.range.unwrap_or((start, start));
        self.range = Some((first.min(start), last.max(start)));
    }

    /// The groups as they were counted, in any order.
    pub(crate) fn into_parts(self) -> Vec<(GroupKey, Group)> {
        self.groups.into_iter().collect()
    }

    /// The groups with their values, those of most spans first.
    pub(crate) fn finish(self) -> Vec<(GroupKey, Group)> {
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        for (_, group) in &mut groups {
            group.durations.sort_unstable();
        }
        groups.sort_by(|(a_key, a), (b_key, b)| b.spans.cmp(&a.spans).then(a_key.cmp(b_key)));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanlite_model::{SpanId, TraceId};

    #[test]
    fn percentiles_are_ranks_and_trends_are_counts() {
        let mut groups = Groups::new(vec![Field::parse("name")]);
        let spans = (1..=100_u64).map(|number| {
            let id = SpanId::from_bytes(number.to_be_bytes());
            let mut span = Span::new(TraceId::default(), id, "call");
            span.start_time_unix_nano = number;
            span.end_time_unix_nano = Some(2 * number);
            span
        });
        groups.add(&Trace::new(TraceId::default(), spans.collect()), |_| true);
        let range = groups.range.unwrap();
        let groups = groups.finish();
        let (key, group) = &groups[0];
        assert_eq!(key, &[Some("call".to_owned())]);
        let percentiles = [50, 95, 99, 100].map(|percent| group.percentile(percent));
        assert_eq!(percentiles, [Some(50), Some(95), Some(99), Some(100)]);
        assert_eq!(group.trend(range), [9, 8, 8, 9, 8, 8, 9, 8, 8, 9, 8, 8]);
        assert_eq!(Group::default().percentile(50), None);
    }

    #[test]
    fn what_a_wrapper_repeats_is_counted_once() {
        let span = |number: u8, parent: Option<u8>, name: &str| {
            let mut span = Span::new(TraceId::default(), SpanId::from_bytes([number; 8]), name);
            span.parent_span_id = parent.map(|parent| SpanId::from_bytes([parent; 8]));
            span.start_time_unix_nano = u64::from(number);
            span.span_type = spanlite_model::SpanType::Llm;
            span.attributes.set("gen_ai.usage.input_tokens", 10_i64);
            let cost = vec![("total_cost".to_owned(), Value::Double(0.5))];
            span.attributes
                .set(spanlite_model::keys::MLFLOW_LLM_COST, Value::Map(cost));
            span
        };
        let spans = vec![
            span(1, None, "wrapper"),
            span(2, Some(1), "call"),
            span(3, None, "call"),
        ];
        let trace = Trace::new(TraceId::default(), spans);
        let sums = |by: &[&str]| {
            let mut groups = Groups::new(by.iter().map(|field| Field::parse(field)).collect());
            groups.add(&trace, |_| true);
            let groups = groups.finish().into_iter();
            groups
                .map(|(_, group)| (group.spans, group.usage.input_tokens, group.cost))
                .collect::<Vec<_>>()
        };
        assert_eq!(sums(&[]), [(3, Some(20), Some(1.0))]);
        assert_eq!(
            sums(&["name"]),
            [(2, Some(20), Some(1.0)), (1, Some(10), Some(0.5))]
        );
    }

    #[test]
    fn fields_are_found_by_their_names() {
        for name in Field::NAMES {
            let field = Field::parse(name);
            assert!(!matches!(field, Field::Attribute(_)), "{name}");
        }
        assert_eq!(
            Field::parse("span.tool.name"),
            Field::Attribute("tool.name".to_owned())
        );
        assert_eq!(Field::parse("tag.env"), Field::Tag("env".to_owned()));
        assert_eq!(
            Field::parse("gen_ai.system"),
            Field::Attribute("gen_ai.system".to_owned())
        );
        assert_eq!(Field::parse("span:type"), Field::Type);
    }
}
