//! Queries over a store of many small traces, warm, beside SQLite with an index on every field
//! that is asked for, a table of its own for attributes, and FTS5 over the inputs.
//!
//! `cargo bench -p spanlite-benches --bench query [-- TRACES]`, 100,000 traces of 10 spans unless
//! told otherwise. Prints medians; every query must find as many traces on both sides.

mod peer;
mod store;

use spanlite_benches::{measure, median, print_table};
use spanlite_query::{Query, RunOptions};

const ROUNDS: usize = 5;

/// A query and what asks SQLite the same: the ids of the traces that fit, newest first.
const CASES: &[(&str, &str)] = &[
    (
        "{ status = error }",
        "SELECT DISTINCT trace FROM spans WHERE status = 2 ORDER BY trace DESC",
    ),
    (
        "{ trace:duration > 3s }",
        "SELECT trace FROM traces WHERE duration > 3000000000 ORDER BY trace DESC",
    ),
    (
        "{ name = `llm.generate` && duration > 2s }",
        "SELECT DISTINCT trace FROM spans WHERE name = 'llm.generate' AND duration > 2000000000 ORDER BY trace DESC",
    ),
    (
        "{ resource.service.name = `svc-7` && status = error }",
        "SELECT DISTINCT trace FROM spans WHERE service = 'svc-7' AND status = 2 ORDER BY trace DESC",
    ),
    (
        "{ span.user.id = `u-77` }",
        "SELECT DISTINCT trace FROM attributes WHERE key = 'user.id' AND value = 'u-77' ORDER BY trace DESC",
    ),
    (
        "{ span.user.id = `nobody` }",
        "SELECT DISTINCT trace FROM attributes WHERE key = 'user.id' AND value = 'nobody' ORDER BY trace DESC",
    ),
    (
        "{ span.gen_ai.usage.input_tokens > 3990 }",
        "SELECT DISTINCT trace FROM attributes WHERE key = 'gen_ai.usage.input_tokens' AND value > 3990 AND typeof(value) = 'integer' ORDER BY trace DESC",
    ),
    (
        "{ input has `refund policy order` }",
        "SELECT DISTINCT trace FROM inputs WHERE inputs MATCH '\"refund policy order\"' ORDER BY trace DESC",
    ),
    (
        "{ input contains `efund policy orde` }",
        "SELECT DISTINCT trace FROM inputs WHERE input LIKE '%efund policy orde%' ORDER BY trace DESC",
    ),
    (
        "{ name = `tool.call` } > { status = error }",
        "SELECT DISTINCT c.trace FROM spans c JOIN spans p ON p.trace = c.trace AND p.number = c.parent WHERE c.status = 2 AND p.name = 'tool.call' ORDER BY c.trace DESC",
    ),
    (
        "{ name = `agent.run` } >> { status = error }",
        "WITH RECURSIVE up(trace, parent) AS (SELECT trace, parent FROM spans WHERE status = 2 UNION SELECT s.trace, s.parent FROM up JOIN spans s ON s.trace = up.trace AND s.number = up.parent) SELECT DISTINCT up.trace FROM up JOIN spans p ON p.trace = up.trace AND p.number = up.parent WHERE p.name = 'agent.run' ORDER BY up.trace DESC",
    ),
    (
        "{ name = `tool.call` } | count() > 6",
        "SELECT trace FROM spans WHERE name = 'tool.call' GROUP BY trace HAVING count(*) > 6 ORDER BY trace DESC",
    ),
];

fn micros(mut costs: Vec<f64>) -> String {
    let median = median(&mut costs) * 1e6;
    if median < 1_000.0 {
        format!("{median:.0} µs")
    } else {
        format!("{:.1} ms", median / 1_000.0)
    }
}

/// The median time of a few runs, and what the last one found.
fn timed(mut run: impl FnMut() -> usize) -> (String, usize) {
    let mut found = run();
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        let (n, cost) = measure(&mut run);
        found = n;
        costs.push(cost.wall.as_secs_f64());
    }
    (micros(costs), found)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let n_traces: u64 = asked.unwrap_or(100_000);
    let folder = tempfile::tempdir()?;
    let (filled, cost) = measure(|| store::fill(folder.path(), n_traces));
    let (store, peer) = filled?;
    let snapshot = store.snapshot()?;
    print_table(
        "built",
        &["traces", "blocks", "seconds"],
        &[vec![
            n_traces.to_string(),
            snapshot.blocks()?.len().to_string(),
            format!("{:.0}", cost.wall.as_secs_f64()),
        ]],
    );

    let mut rows = Vec::new();
    for (text, sql) in CASES {
        let query = Query::parse(text)?;
        let run = |limit| {
            let options = RunOptions {
                limit,
                ..RunOptions::default()
            };
            let mut n = 0;
            let explain = query.find_ids(&snapshot, &options, |_, _| n += 1);
            explain.map_or(0, |_| n)
        };
        let (newest, _) = timed(|| run(Some(20)));
        let (all, found) = timed(|| run(None));
        let (peer_newest, _) =
            timed(|| peer::count(&peer, &format!("{sql} LIMIT 20")).unwrap_or(0));
        let (peer_all, peer_found) = timed(|| peer::count(&peer, sql).unwrap_or(0));
        assert_eq!(found, peer_found, "{text}");
        rows.push(vec![
            (*text).to_owned(),
            newest,
            peer_newest,
            all,
            peer_all,
            found.to_string(),
        ]);
    }
    print_table(
        "queries, ids of traces, warm, medians",
        &["query", "20 newest", "SQLite", "all", "SQLite", "traces"],
        &rows,
    );

    let hundred = "{ span:type = \"llm\" && (status = error || duration > 30s) && resource.service.name = \"chat-api\" } ";
    let (parsed, _) = timed(|| (0..1_000).filter(|_| Query::parse(hundred).is_ok()).count());
    print_table(
        "parse, check and resolve 1,000 queries of 100 bytes",
        &["time"],
        &[vec![parsed]],
    );
    store.close()?;
    Ok(())
}
