//! Random spans, changes and records for property tests.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use spanlite_model::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, Attributes, Derived, Event,
    Json, Link, Resource, Scope, Span, SpanId, SpanKind, SpanType, Status, StatusCode, TraceChange,
    TraceState, TraceUpdate, Value,
};

use super::{Origin, Record};

pub(crate) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        proptest::num::f64::NORMAL.prop_map(Value::Double),
        any::<String>().prop_map(Value::String),
        vec(any::<u8>(), 0..9).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((any::<String>(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    vec((".{0,4}", values()), 0..4).prop_map(Attributes::from)
}

pub(crate) fn json() -> impl Strategy<Value = Json> {
    values().prop_map(|value| Json::from_text(value.to_json_text()).unwrap())
}

pub(crate) fn events() -> impl Strategy<Value = Event> {
    (".{0,8}", any::<u64>(), attributes(), any::<u32>()).prop_map(|(name, time, attributes, n)| {
        Event {
            name,
            time_unix_nano: time,
            attributes,
            dropped_attributes_count: n,
        }
    })
}

pub(crate) fn links() -> impl Strategy<Value = Link> {
    (
        any::<[u8; 16]>(),
        any::<[u8; 8]>(),
        ".{0,4}",
        attributes(),
        any::<[u32; 2]>(),
    )
        .prop_map(
            |(trace_id, span_id, trace_state, attributes, [dropped, flags])| Link {
                trace_id: trace_id.into(),
                span_id: span_id.into(),
                trace_state,
                attributes,
                dropped_attributes_count: dropped,
                flags,
            },
        )
}

pub(crate) fn origins() -> impl Strategy<Value = Origin> {
    (attributes(), any::<u32>(), ".{0,3}", ".{0,3}").prop_map(|(attributes, n, url, name)| Origin {
        resource: Arc::new(Resource {
            attributes: attributes.clone(),
            dropped_attributes_count: n,
            schema_url: url.clone(),
        }),
        scope: Arc::new(Scope {
            name,
            version: "1".to_owned(),
            attributes,
            dropped_attributes_count: n,
            schema_url: url,
        }),
    })
}

prop_compose! {
    pub(crate) fn spans()(
        ids in any::<([u8; 16], [u8; 8])>(),
        parent_span_id in option::of(any::<[u8; 8]>().prop_map(SpanId::from)),
        texts in [".{0,8}", ".{0,8}", ".{0,8}", ".{0,8}"],
        kind in 0..6_u8,
        times in (any::<u64>(), option::of(any::<u64>())),
        code in 0..3_u8,
        attributes in attributes(),
        payloads in (option::of(json()), option::of(json())),
        derived in any::<[bool; 3]>(),
        events in vec(events(), 0..3),
        links in vec(links(), 0..3),
        numbers in any::<[u32; 4]>(),
        origin in origins(),
    ) -> Span {
        let [name, span_type, message, trace_state] = texts;
        Span {
            trace_id: ids.0.into(),
            span_id: ids.1.into(),
            parent_span_id,
            name,
            kind: SpanKind::from_number(kind).unwrap(),
            span_type: if span_type.is_empty() { SpanType::Unknown } else { span_type.into() },
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            status: Status { code: StatusCode::from_number(code).unwrap(), message },
            attributes,
            inputs: payloads.0,
            outputs: payloads.1,
            derived: Derived { span_type: derived[0], inputs: derived[1], outputs: derived[2] },
            events,
            links,
            trace_state,
            flags: numbers[0],
            dropped_attributes_count: numbers[1],
            dropped_events_count: numbers[2],
            dropped_links_count: numbers[3],
            resource: origin.resource,
            scope: origin.scope,
        }
    }
}

prop_compose! {
    pub(crate) fn assessments()(
        texts in [".{0,6}", ".{0,6}", ".{0,6}"],
        value in prop_oneof![
            (option::of(json()), option::of((".{0,4}", option::of(".{0,4}"), option::of(".{0,4}"))))
                .prop_map(|(value, error)| AssessmentValue::Feedback {
                    value,
                    error: error.map(|(code, message, stack_trace)| {
                        AssessmentError { code, message, stack_trace }
                    }),
                }),
            json().prop_map(|value| AssessmentValue::Expectation { value }),
            ".{0,6}".prop_map(|name| AssessmentValue::Issue { name }),
        ],
        source_id in option::of(".{0,4}"),
        span_id in option::of(any::<[u8; 8]>()),
        rationale in option::of(".{0,4}"),
        metadata in btree_map(".{0,4}", ".{0,4}", 0..3),
        times in any::<[u64; 2]>(),
        valid in any::<bool>(),
        overrides in option::of(".{0,4}"),
    ) -> Assessment {
        Assessment {
            assessment_id: texts[0].as_str().into(),
            name: texts[1].clone(),
            value,
            source: AssessmentSource { source_type: texts[2].as_str().into(), source_id },
            span_id: span_id.map(SpanId::from),
            rationale,
            metadata,
            create_time_unix_nano: times[0],
            update_time_unix_nano: times[1],
            valid,
            overrides: overrides.as_deref().map(Into::into),
        }
    }
}

pub(crate) fn changes() -> impl Strategy<Value = TraceChange> {
    let text = || any::<String>();
    prop_oneof![
        text().prop_map(TraceChange::Name),
        (text(), text()).prop_map(|(key, value)| TraceChange::Tag { key, value }),
        text().prop_map(|key| TraceChange::RemoveTag { key }),
        (text(), text()).prop_map(|(key, value)| TraceChange::Metadata { key, value }),
        text().prop_map(TraceChange::Session),
        text().prop_map(TraceChange::User),
        text().prop_map(TraceChange::ClientRequestId),
        text().prop_map(TraceChange::RequestPreview),
        text().prop_map(TraceChange::ResponsePreview),
        (0..5_usize).prop_map(|state| TraceChange::State(TraceState::ALL[state])),
        any::<u64>().prop_map(TraceChange::RequestTime),
        any::<u64>().prop_map(TraceChange::ExecutionDuration),
        assessments().prop_map(|one| TraceChange::PutAssessment(Box::new(one))),
        text().prop_map(|id| TraceChange::RemoveAssessment(id.as_str().into())),
        any::<bool>().prop_map(TraceChange::Pinned),
        (text(), json()).prop_map(|(key, value)| TraceChange::Extra { key, value }),
    ]
}

pub(crate) fn records() -> impl Strategy<Value = Record> {
    prop_oneof![
        spans().prop_map(|span| Record::Span(Box::new(span))),
        (any::<[u8; 16]>(), any::<u64>(), changes()).prop_map(|(id, time, change)| {
            Record::Update(TraceUpdate {
                trace_id: id.into(),
                time_unix_nano: time,
                change,
            })
        }),
    ]
}
