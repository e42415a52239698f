"""DuckDB over a Parquet file of the same spans: reads {"sql", "rounds", "limit"} a line, answers
{"ms": [...], "rows": n}, {"late": true} or {"error": "..."}."""

import json
import os
import sys
import threading
import time

try:
    import duckdb
except ImportError as error:
    print(json.dumps({"error": f"{error}"}), flush=True)
    sys.exit(0)

folder = sys.argv[1]
table, parquet = os.path.join(folder, "spans.tsv"), os.path.join(folder, "spans.parquet")
db = duckdb.connect()
if not os.path.exists(parquet):
    columns = {
        "trace": "BIGINT", "number": "BIGINT", "parent": "BIGINT", "name": "VARCHAR", "type": "VARCHAR",
        "status": "TINYINT", "start": "BIGINT", "duration": "BIGINT", "service": "VARCHAR", "model": "VARCHAR",
        "input_tokens": "INTEGER", "output_tokens": "INTEGER", "tool": "VARCHAR", "retries": "INTEGER",
        "user": "VARCHAR", "temperature": "DOUBLE", "stream": "BOOLEAN", "shard": "INTEGER",
        "input": "VARCHAR", "output": "VARCHAR",
    }
    db.execute(
        f"COPY (SELECT * FROM read_csv('{table}', delim='\t', header=false, quote='', escape='', columns={columns}))"
        f" TO '{parquet}.new' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000)"
    )
    os.rename(parquet + ".new", parquet)
    os.remove(table)
db.execute(f"CREATE VIEW spans AS SELECT * FROM read_parquet('{parquet}')")
print(json.dumps({"version": duckdb.__version__}), flush=True)

for line in sys.stdin:
    asked = json.loads(line)
    try:
        taken = []
        began = time.perf_counter()
        rows = 0
        for _ in range(asked["rounds"] + 1):
            guard = threading.Timer(asked["limit"], db.interrupt)
            guard.start()
            start = time.perf_counter()
            rows = len(db.execute(asked["sql"]).fetchall())
            taken.append((time.perf_counter() - start) * 1e3)
            guard.cancel()
            if time.perf_counter() - began > asked["limit"]:
                break
        answer = {"ms": taken[1:] or taken, "rows": rows}
    except duckdb.InterruptException:
        answer = {"late": True}
    except duckdb.Error as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
