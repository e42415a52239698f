//! `#[trace]` on functions of every shape.

use spanlite::testing::capture;
use spanlite::trace;

#[trace(span_type = "func", attributes("key" = "value"))]
fn add_1(x: i64) -> i64 {
    x + 1
}

#[trace(name = "Trace Test")]
fn trace_test(x: i64) -> i64 {
    add_1(add_1(x))
}

#[test]
fn nested_calls_become_a_tree() {
    let capture = capture();
    assert_eq!(trace_test(4), 6);
    insta::assert_snapshot!(capture.tree());
}
