/// What a query has to yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The ids of the 20 newest traces.
    Newest,
    /// The ids of all traces.
    Ids,
    /// Ids, names, starts, durations, states and counts of all traces.
    Headers,
    /// A table of numbers.
    Metrics,
}

/// A query, and what asks the peers the same.
pub(crate) struct Case {
    pub(crate) query: &'static str,
    pub(crate) wanted: Wanted,
    pub(crate) sqlite: &'static str,
    pub(crate) duckdb: &'static str,
    /// What it may take at most, in milliseconds.
    pub(crate) target_ms: Option<f64>,
}

const fn case(
    query: &'static str,
    wanted: Wanted,
    target_ms: Option<f64>,
    sqlite: &'static str,
    duckdb: &'static str,
) -> Case {
    Case {
        query,
        wanted,
        sqlite,
        duckdb,
        target_ms,
    }
}

use Wanted::{Headers, Ids, Metrics, Newest};

/// Over the small spans. An empty text leaves a peer out.
pub(crate) const SMALL: &[Case] = &[
    case(
        "{ span.user.id = `u-77` }",
        Newest,
        Some(1.0),
        "SELECT DISTINCT trace FROM attributes WHERE key = 'user.id' AND value = 'u-77' ORDER BY trace DESC LIMIT 20",
        "SELECT DISTINCT trace FROM spans WHERE \"user\" = 'u-77' ORDER BY trace DESC LIMIT 20",
    ),
    case(
        "{ span.user.id = `nobody` }",
        Newest,
        Some(0.1),
        "SELECT DISTINCT trace FROM attributes WHERE key = 'user.id' AND value = 'nobody' ORDER BY trace DESC LIMIT 20",
        "SELECT DISTINCT trace FROM spans WHERE \"user\" = 'nobody' ORDER BY trace DESC LIMIT 20",
    ),
    case(
        "{ span.user.id = `u-77` }",
        Ids,
        None,
        "SELECT DISTINCT trace FROM attributes WHERE key = 'user.id' AND value = 'u-77' ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM spans WHERE \"user\" = 'u-77' ORDER BY trace DESC",
    ),
    case(
        "{ status = error }",
        Newest,
        None,
        "SELECT DISTINCT trace FROM spans WHERE status = 2 ORDER BY trace DESC LIMIT 20",
        "SELECT DISTINCT trace FROM spans WHERE status = 2 ORDER BY trace DESC LIMIT 20",
    ),
    case(
        "{ status = error }",
        Headers,
        Some(20.0),
        "SELECT * FROM traces WHERE trace IN (SELECT trace FROM spans WHERE status = 2) ORDER BY trace DESC",
        "SELECT trace, min(start), max(start + duration) - min(start), arg_min(name, start), count(*), count(*) FILTER (status = 2) AS errors FROM spans GROUP BY trace HAVING errors > 0 ORDER BY trace DESC",
    ),
    case(
        "{ trace:duration > 3s }",
        Ids,
        None,
        "SELECT trace FROM traces WHERE duration > 3000000000 ORDER BY trace DESC",
        "SELECT trace FROM spans GROUP BY trace HAVING max(start + duration) - min(start) > 3000000000 ORDER BY trace DESC",
    ),
    case(
        "{ name = `llm.generate` && duration > 2s }",
        Ids,
        None,
        "SELECT DISTINCT trace FROM spans WHERE name = 'llm.generate' AND duration > 2000000000 ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM spans WHERE name = 'llm.generate' AND duration > 2000000000 ORDER BY trace DESC",
    ),
    case(
        "{ resource.service.name = `svc-7` && status = error }",
        Ids,
        None,
        "SELECT DISTINCT trace FROM spans WHERE service = 'svc-7' AND status = 2 ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM spans WHERE service = 'svc-7' AND status = 2 ORDER BY trace DESC",
    ),
    case(
        "{ span.gen_ai.usage.input_tokens > 3990 }",
        Ids,
        None,
        "SELECT DISTINCT trace FROM attributes WHERE key = 'gen_ai.usage.input_tokens' AND value > 3990 ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM spans WHERE input_tokens > 3990 ORDER BY trace DESC",
    ),
    case(
        "{ span.shard = 63 }",
        Ids,
        Some(20.0),
        "SELECT DISTINCT trace FROM attributes WHERE key = 'shard' AND value = 63 ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM spans WHERE shard = 63 ORDER BY trace DESC",
    ),
    case(
        "{ name = `tool.call` } > { status = error }",
        Ids,
        Some(50.0),
        "SELECT DISTINCT c.trace FROM spans c JOIN spans p ON p.trace = c.trace AND p.number = c.parent WHERE c.status = 2 AND p.name = 'tool.call' ORDER BY c.trace DESC",
        "SELECT DISTINCT c.trace FROM spans c JOIN spans p ON p.trace = c.trace AND p.number = c.parent WHERE c.status = 2 AND p.name = 'tool.call' ORDER BY c.trace DESC",
    ),
    case(
        "{ name = `tool.call` } >> { name = `db.query` }",
        Ids,
        Some(50.0),
        "WITH RECURSIVE up(trace, parent) AS (SELECT trace, parent FROM spans WHERE name = 'db.query' UNION SELECT s.trace, s.parent FROM up JOIN spans s ON s.trace = up.trace AND s.number = up.parent) SELECT DISTINCT up.trace FROM up JOIN spans p ON p.trace = up.trace AND p.number = up.parent WHERE p.name = 'tool.call' ORDER BY up.trace DESC",
        "WITH RECURSIVE up(trace, parent) AS (SELECT trace, parent FROM spans WHERE name = 'db.query' UNION SELECT s.trace, s.parent FROM up JOIN spans s ON s.trace = up.trace AND s.number = up.parent) SELECT DISTINCT up.trace FROM up JOIN spans p ON p.trace = up.trace AND p.number = up.parent WHERE p.name = 'tool.call' ORDER BY up.trace DESC",
    ),
    case(
        "{ status = error } !< { status = error }",
        Ids,
        Some(50.0),
        "SELECT DISTINCT p.trace FROM spans p WHERE p.status = 2 AND NOT EXISTS (SELECT 1 FROM spans c WHERE c.trace = p.trace AND c.parent = p.number AND c.status = 2) ORDER BY p.trace DESC",
        "SELECT DISTINCT p.trace FROM spans p WHERE p.status = 2 AND NOT EXISTS (SELECT 1 FROM spans c WHERE c.trace = p.trace AND c.parent = p.number AND c.status = 2) ORDER BY p.trace DESC",
    ),
    case(
        "{ name = `retrieve` } && { name = `rerank` }",
        Ids,
        Some(50.0),
        "SELECT trace FROM spans WHERE name = 'retrieve' INTERSECT SELECT trace FROM spans WHERE name = 'rerank' ORDER BY trace DESC",
        "SELECT trace FROM spans WHERE name = 'retrieve' INTERSECT SELECT trace FROM spans WHERE name = 'rerank' ORDER BY trace DESC",
    ),
    case(
        "{ name = `tool.call` } | count() > 6",
        Ids,
        None,
        "SELECT trace FROM spans WHERE name = 'tool.call' GROUP BY trace HAVING count(*) > 6 ORDER BY trace DESC",
        "SELECT trace FROM spans WHERE name = 'tool.call' GROUP BY trace HAVING count(*) > 6 ORDER BY trace DESC",
    ),
    case(
        "{ span:type = `llm` } | by(span.gen_ai.request.model) | sum(span.gen_ai.usage.output_tokens) > 2000",
        Ids,
        Some(100.0),
        "SELECT DISTINCT trace FROM (SELECT trace FROM spans WHERE type = 'LLM' GROUP BY trace, model HAVING sum(output_tokens) > 2000) ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM (SELECT trace FROM spans WHERE type = 'LLM' GROUP BY trace, model HAVING sum(output_tokens) > 2000) ORDER BY trace DESC",
    ),
    case(
        "{ span:type = `llm` } | avg_over_time(duration) by (span.gen_ai.request.model)",
        Metrics,
        Some(100.0),
        "SELECT model, avg(duration) FROM spans WHERE type = 'LLM' GROUP BY model",
        "SELECT model, avg(duration) FROM spans WHERE type = 'LLM' GROUP BY model",
    ),
    case(
        "{ input has `refund policy order` }",
        Newest,
        Some(10.0),
        "SELECT DISTINCT trace FROM inputs WHERE inputs MATCH '\"refund policy order\"' ORDER BY trace DESC LIMIT 20",
        "",
    ),
    case(
        "{ input has `refund policy order` }",
        Ids,
        Some(10.0),
        "SELECT DISTINCT trace FROM inputs WHERE inputs MATCH '\"refund policy order\"' ORDER BY trace DESC",
        "",
    ),
    case(
        "{ input contains `efund policy orde` }",
        Ids,
        None,
        "SELECT DISTINCT trace FROM inputs WHERE input LIKE '%efund policy orde%' ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM spans WHERE input ILIKE '%efund policy orde%' ORDER BY trace DESC",
    ),
    case(
        "{ input =~ `.*ref[uv]nd p.licy.*` }",
        Ids,
        None,
        "",
        "SELECT DISTINCT trace FROM spans WHERE regexp_matches(input, 'ref[uv]nd p.licy') ORDER BY trace DESC",
    ),
    case(
        "{ }",
        Ids,
        None,
        "SELECT trace FROM traces ORDER BY trace DESC",
        "SELECT DISTINCT trace FROM spans ORDER BY trace DESC",
    ),
];

/// Over spans with texts of 2 KiB.
pub(crate) const TEXTS: &[Case] = &[
    case("{ span.shard = 63 }", Ids, None, "", ""),
    case("{ input =~ `.*ref[uv]nd p.licy.*` }", Ids, None, "", ""),
    case("{ input has `refund policy order` }", Ids, None, "", ""),
];
