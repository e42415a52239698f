//! Seeded workloads of LLM traces for benchmarks, tests and trying Spanlite out.
