//! What the compiler says of a wrong `#[trace]`. Alone in its binary, because it builds by itself.

#[test]
fn wrong_uses_are_pointed_at() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
