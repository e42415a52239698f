"""Prints what MLflow's own client sees: one JSON line per trace id, then one per filter.

usage: readback.py URL EXPERIMENT_ID, with {"trace_ids": [...], "filters": [...]} on standard input
"""

import json
import os
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"

import mlflow  # noqa: E402

url, experiment_id = sys.argv[1:3]
asked = json.load(sys.stdin)
mlflow.set_tracking_uri(url)
for trace_id in asked["trace_ids"]:
    trace = mlflow.get_trace(trace_id)
    spans = [
        {
            "span_id": span.span_id,
            "parent_id": span.parent_id,
            "name": span.name,
            "span_type": span.span_type,
            "status": span.status.status_code.value,
            "start_time_ns": span.start_time_ns,
            "end_time_ns": span.end_time_ns,
            "inputs": span.inputs,
            "outputs": span.outputs,
            "attributes": span.attributes,
        }
        for span in trace.data.spans
    ]
    info = {
        "trace_id": trace.info.trace_id,
        "state": trace.info.state.value,
        "tags": trace.info.tags,
        "metadata": trace.info.trace_metadata,
        "request_time": trace.info.request_time,
        "execution_duration": trace.info.execution_duration,
    }
    print(json.dumps({"info": info, "spans": spans}, default=str))
for text in asked["filters"]:
    found = mlflow.search_traces(
        locations=[experiment_id],
        filter_string=text,
        return_type="list",
        max_results=5000,
        include_spans=False,
    )
    print(json.dumps({"filter": text, "trace_ids": sorted(t.info.trace_id for t in found)}))
