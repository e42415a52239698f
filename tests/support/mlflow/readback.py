"""Prints what MLflow's own client sees: one JSON line per trace id, then one per filter.

usage: readback.py URL EXPERIMENT_ID, with {"trace_ids": [...], "filters": [...]} on standard input.
Numbers that JSON does not have are printed as text.
"""

import json
import math
import os
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"

import mlflow  # noqa: E402


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def say(value):
    print(json.dumps(plain(value), allow_nan=False, default=str))


def span_of(span):
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "span_type": span.span_type,
        "status": span.status.status_code.value,
        "status_message": span.status.description,
        "start_time_ns": span.start_time_ns,
        "end_time_ns": span.end_time_ns,
        "inputs": span.inputs,
        "outputs": span.outputs,
        "attributes": span.attributes,
        "events": [
            {"name": event.name, "timestamp": event.timestamp, "attributes": event.attributes}
            for event in span.events
        ],
        "links": [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": link.attributes}
            for link in span.links
        ],
    }


url, experiment_id = sys.argv[1:3]
asked = json.load(sys.stdin)
mlflow.set_tracking_uri(url)
for trace_id in asked["trace_ids"]:
    trace = mlflow.get_trace(trace_id)
    say(
        {
            "info": {
                "trace_id": trace.info.trace_id,
                "client_request_id": trace.info.client_request_id,
                "request_preview": trace.info.request_preview,
                "response_preview": trace.info.response_preview,
                "state": trace.info.state.value,
                "tags": trace.info.tags,
                "metadata": trace.info.trace_metadata,
                "request_time": trace.info.request_time,
                "execution_duration": trace.info.execution_duration,
                "assessments": [one.to_dictionary() for one in trace.info.assessments],
            },
            "spans": [span_of(span) for span in trace.data.spans],
        }
    )
for text in asked["filters"]:
    found = mlflow.search_traces(
        locations=[experiment_id],
        filter_string=text,
        return_type="list",
        max_results=5000,
        include_spans=False,
    )
    say({"filter": text, "trace_ids": sorted(t.info.trace_id for t in found)})
