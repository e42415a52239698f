//! Workloads are reproducible and have the shapes they promise.

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use spanlite_generate::{Profile, Workload};
    use spanlite_model::{Forest, SpanType, StatusCode, Trace, Value};

    fn payload_bytes(trace: &Trace) -> usize {
        let json =
            |json: &Option<spanlite_model::Json>| json.as_ref().map_or(0, |j| j.as_text().len());
        let values = |trace: &Trace| -> usize {
            let values = trace.spans.iter().flat_map(|span| span.attributes.iter());
            values
                .map(|(key, value)| key.len() + value.as_str().map_or(8, str::len))
                .sum()
        };
        let bodies = trace
            .spans
            .iter()
            .map(|span| json(&span.inputs) + json(&span.outputs));
        bodies.sum::<usize>() + values(trace)
    }

    fn percentile(mut sample: Vec<usize>, share: f64) -> usize {
        sample.sort_unstable();
        sample[((sample.len() - 1) as f64 * share) as usize]
    }

    #[test]
    fn one_seed_gives_one_workload_and_another_seed_another() {
        for profile in Profile::ALL {
            if matches!(profile, Profile::LongSession | Profile::Hostile) {
                continue;
            }
            let traces: Vec<Trace> = Workload::new(profile, 5, 6).into_iter().collect();
            let again: Vec<Trace> = Workload::new(profile, 5, 6).into_iter().collect();
            assert_eq!(traces, again, "{profile:?}");
            let other = Workload::new(profile, 6, 6).trace(0);
            assert_ne!(traces[0].trace_id, other.trace_id, "{profile:?}");
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
    }

    #[test]
    fn tool_agents_have_the_measured_shape() {
        let traces: Vec<Trace> = Workload::new(Profile::ToolAgent, 1, 150)
            .into_iter()
            .collect();
        let calls = |trace: &Trace| {
            let spans = trace.spans.iter();
            spans
                .filter(|span| span.span_type == SpanType::ChatModel)
                .count()
        };
        let calls: Vec<usize> = traces.iter().map(calls).collect();
        assert!((9..=13).contains(&percentile(calls.clone(), 0.5)));
        assert!((16..=26).contains(&percentile(calls, 0.9)));
        let bytes: Vec<usize> = traces.iter().map(payload_bytes).collect();
        let median = percentile(bytes, 0.5);
        assert!((60_000..400_000).contains(&median), "{median}");
        let tools = traces.iter().flat_map(|trace| &trace.spans);
        let tools: Vec<_> = tools
            .filter(|span| span.span_type == SpanType::Tool)
            .collect();
        let failed = tools.iter().filter(|span| span.is_error()).count() as f64;
        let share = failed / tools.len() as f64;
        assert!((0.04..0.09).contains(&share), "{share}");
    }

    #[test]
    fn each_call_sends_what_the_call_before_sent_and_more() {
        let trace = Workload::new(Profile::ToolAgent, 3, 20).trace(1);
        let inputs = trace
            .spans
            .iter()
            .filter(|span| span.span_type == SpanType::ChatModel);
        let inputs: Vec<&str> = inputs
            .map(|span| span.inputs.as_ref().unwrap().as_text())
            .collect();
        assert!(inputs.len() > 2);
        for pair in inputs.windows(2) {
            let earlier = pair[0].strip_suffix("]}").unwrap();
            assert!(pair[1].starts_with(earlier));
        }
    }

    #[test]
    fn some_traces_are_left_open_by_a_kill() {
        let traces = Workload::new(Profile::CodingAgent, 2, 80).into_iter();
        let open = traces.filter(|trace| {
            trace
                .spans
                .iter()
                .any(|span| span.end_time_unix_nano.is_none())
        });
        assert!((1..12).contains(&open.count()));
    }

    #[test]
    fn a_long_session_reaches_its_context() {
        let trace = Workload::new(Profile::LongSession, 4, 1).trace(0);
        let calls: Vec<usize> = trace
            .spans
            .iter()
            .filter(|span| span.span_type == SpanType::ChatModel)
            .filter_map(|span| Some(span.inputs.as_ref()?.as_text().len()))
            .collect();
        assert!((120..=400).contains(&calls.len()), "{}", calls.len());
        assert!(
            calls.iter().max() > Some(&300_000),
            "{:?}",
            calls.iter().max()
        );
    }

    #[test]
    fn services_are_deep_and_wide_at_times() {
        let traces: Vec<Trace> = Workload::new(Profile::Services, 1, 300)
            .into_iter()
            .collect();
        let spans: Vec<usize> = traces.iter().map(|trace| trace.spans.len()).collect();
        assert!((20..40).contains(&percentile(spans.clone(), 0.5)));
        assert!(spans.iter().max() > Some(&899));
        let depth = |trace: &Trace| {
            let forest = Forest::of(&trace.spans);
            (0..forest.len())
                .map(|number| forest.node(number).depth)
                .max()
        };
        assert!(traces.iter().filter_map(depth).max() >= Some(10));
    }

    #[test]
    fn hostile_traces_hold_what_they_promise() {
        let traces: Vec<Trace> = Workload::new(Profile::Hostile, 1, 8).into_iter().collect();
        assert_eq!(traces[0].spans.len(), 45_001);
        let chain = Forest::of(&traces[1].spans);
        assert_eq!(chain.node(2_000).depth, 2_000);
        let large = traces[2].spans[0]
            .attributes
            .get("large")
            .and_then(Value::as_str);
        assert!(large.unwrap().len() >= 650_000);
        assert_eq!(traces[3].spans[0].attributes.len(), 1_000);
        assert!(traces[4].spans.iter().any(|span| {
            span.end_time_unix_nano
                .is_some_and(|end| end < span.start_time_unix_nano)
        }));
        assert!(traces.iter().all(|trace| {
            trace
                .spans
                .iter()
                .all(|span| span.status.code == StatusCode::Error)
        }));
    }

    #[test]
    fn the_search_workload_matches_known_shares() {
        let count = 3_000;
        let traces: Vec<Trace> = Workload::new(Profile::Search, 1, count)
            .into_iter()
            .collect();
        let share = |matches: &dyn Fn(&Trace) -> bool| {
            traces.iter().filter(|trace| matches(trace)).count() as f64 / count as f64
        };
        let named = |trace: &Trace, name: &str| trace.spans.iter().any(|span| span.name == name);
        let failed = share(&|trace| trace.spans.iter().any(spanlite_model::Span::is_error));
        assert!((0.08..0.115).contains(&failed), "{failed}");
        let both = share(&|trace| named(trace, "retrieve") && named(trace, "rerank"));
        assert!((0.71..0.78).contains(&both), "{both}");
        let phrase = share(&|trace| {
            trace.spans.iter().any(|span| {
                span.attributes
                    .get_str("input")
                    .unwrap()
                    .contains("refund policy order")
            })
        });
        assert!((0.03..0.065).contains(&phrase), "{phrase}");
    }

    #[test]
    fn exactly_ten_traces_have_the_rare_tag() {
        let workload = Workload::new(Profile::Small, 1, 1_234);
        let rare = workload
            .into_iter()
            .filter(|trace| trace.info.tags.contains_key("incident"));
        assert_eq!(rare.count(), 10);
        let ids: HashSet<_> = workload.into_iter().map(|trace| trace.trace_id).collect();
        assert_eq!(ids.len(), 1_234);
    }

    #[test]
    fn payload_spans_have_a_kibibyte_each_way() {
        let trace = Workload::new(Profile::Payload, 1, 10).trace(3);
        for span in &trace.spans {
            let length =
                |json: &Option<spanlite_model::Json>| json.as_ref().unwrap().as_text().len();
            assert!((600..1_800).contains(&length(&span.inputs)));
            assert!((900..1_500).contains(&length(&span.outputs)));
        }
    }

    #[test]
    fn a_mixed_trace_has_some_hundreds_of_kilobytes() {
        let count = 400;
        let traces = Workload::new(Profile::Mixed, 1, count).into_iter();
        let average = traces.map(|trace| payload_bytes(&trace)).sum::<usize>() / count as usize;
        assert!((200_000..600_000).contains(&average), "{average}");
    }
}
