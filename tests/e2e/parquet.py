"""Prints what DuckDB reads of a Parquet file: a line with its columns and types, then one a row.

usage: parquet.py FILE [QUERY], times as microseconds since 1970
"""

import json
import sys

import duckdb

path = sys.argv[1]
duckdb.execute("SET TimeZone = 'UTC'")
query = sys.argv[2] if len(sys.argv) > 2 else """
    SELECT * REPLACE (
        epoch_us(start_time) AS start_time,
        epoch_us(end_time) AS end_time,
        [struct_update(event, time := epoch_us(event.time)) FOR event IN events] AS events,
        struct_update(
            trace,
            start_time := epoch_us(trace.start_time),
            assessments := [
                struct_update(one, create_time := epoch_us(one.create_time), update_time := epoch_us(one.update_time))
                FOR one IN trace.assessments
            ]
        ) AS trace
    ) FROM traces ORDER BY trace_id, span_index
"""
duckdb.execute(f"CREATE VIEW traces AS FROM read_parquet('{path}')")
types = {name: kind for name, kind, *_ in duckdb.sql("DESCRIBE traces").fetchall()}
print(json.dumps(types))
result = duckdb.sql(query)
for row in result.fetchall():
    print(json.dumps(dict(zip(result.columns, row))))
