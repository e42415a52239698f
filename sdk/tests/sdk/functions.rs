//! `#[trace]` on functions of every shape.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{Debug, Display};
use std::pin::Pin;

use spanlite::testing::capture;
use spanlite::{SpanType, current_span, trace};

use crate::{block_on, yield_once};

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

#[derive(Debug)]
struct OnlyDebug(#[expect(dead_code, reason = "read by `Debug`")] u8);
struct Opaque;

#[trace]
fn tiers(text: &str, debug: OnlyDebug, opaque: Opaque, list: &[u8], nested: Option<&mut u8>) {
    let _ = (text, debug, opaque, list, nested);
}

#[trace]
fn destructured((a, b): (u8, u8), [first, ..]: [u8; 2], _: u8, _unused: u8) -> u8 {
    a + b + first
}

#[trace]
fn generic_debug<T: Debug>(x: T) -> T {
    x
}

#[trace]
fn generic_without_bounds<T>(x: T) -> usize {
    size_of_val(&x)
}

#[trace]
fn opaque_argument(x: impl Display + Debug) -> String {
    x.to_string()
}

#[trace]
fn callback(apply: impl Fn(u8) -> u8, with: &dyn Debug) -> u8 {
    let _ = with;
    apply(1)
}

#[test]
fn values_are_captured_as_far_as_their_types_allow() {
    let capture = capture();
    tiers("a", OnlyDebug(1), Opaque, &[1, 2], Some(&mut 3));
    destructured((1, 2), [3, 4], 5, 6);
    generic_debug(OnlyDebug(7));
    generic_without_bounds("x");
    opaque_argument(8);
    callback(|x| x + 1, &"dyn");
    insta::assert_snapshot!(capture.tree());
}

#[trace(
    skip(secret),
    fields(query = &request.0, n = request.0.len()),
    attributes("tenant" = request.1, user.id = OnlyDebug(1))
)]
fn with_fields(request: (String, u8), secret: &str, kept: bool) -> usize {
    let _ = kept;
    secret.len() + request.0.len()
}

#[trace(skip_all, skip_output, span_type = SpanType::Tool)]
fn silent(secret: &str) -> String {
    secret.to_owned()
}

#[trace]
fn sets_its_outputs(x: u8) -> u8 {
    current_span().set_outputs("said in the body");
    current_span().set_attribute("model", "m-1");
    x
}

#[test]
fn arguments_of_the_attribute_are_obeyed() {
    let capture = capture();
    with_fields(("q".to_owned(), 3), "secret", true);
    silent("secret");
    sets_its_outputs(1);
    insta::assert_snapshot!(capture.tree());
}

struct Counter {
    counts: HashMap<String, u32>,
}

impl Counter {
    #[trace]
    fn borrowed(&self, key: &str) -> Option<&u32> {
        self.counts.get(key)
    }

    #[trace(skip(self))]
    fn mutable(&mut self, key: &str) -> &mut u32 {
        self.counts.entry(key.to_owned()).or_default()
    }

    #[trace]
    fn entry(&mut self, key: String) -> Entry<'_, String, u32> {
        self.counts.entry(key)
    }

    #[trace]
    fn boxed(self: Box<Self>) -> usize {
        self.counts.len()
    }

    #[trace]
    fn owned(self) -> HashMap<String, u32> {
        self.counts
    }

    #[trace]
    fn longest<'a>(&self, a: &'a str, b: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(if a.len() > b.len() { a } else { b })
    }

    #[trace]
    async fn asynchronous(&mut self, by: u32) -> u32 {
        yield_once().await;
        let count = self.counts.entry("async".to_owned()).or_default();
        *count += by;
        *count
    }
}

#[test]
fn methods_keep_their_receivers_and_lifetimes() {
    let capture = capture();
    let mut counter = Counter {
        counts: HashMap::new(),
    };
    *counter.mutable("a") += 2;
    assert_eq!(counter.borrowed("a"), Some(&2));
    counter.entry("b".to_owned()).or_insert(5);
    assert_eq!(counter.longest("xy", "x"), "xy");
    assert_eq!(block_on(counter.asynchronous(3)), 3);
    assert_eq!(
        Box::new(Counter {
            counts: HashMap::new()
        })
        .boxed(),
        0
    );
    assert_eq!(counter.owned().len(), 3);
    let names: Vec<String> = capture.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(
        names,
        [
            "mutable",
            "borrowed",
            "entry",
            "longest",
            "asynchronous",
            "boxed",
            "owned"
        ]
    );
}

trait Answers {
    async fn native(&self, x: u8) -> u8;
    fn boxed<'a>(&'a self, x: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>>;
    #[trace]
    fn provided(&self) -> &'static str {
        "provided"
    }
}

struct Model;

impl Answers for Model {
    #[trace]
    async fn native(&self, x: u8) -> u8 {
        yield_once().await;
        x + 1
    }

    // What the `async-trait` crate leaves of an async method.
    #[trace]
    fn boxed<'a>(&'a self, x: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
        Box::pin(async move {
            yield_once().await;
            current_span().set_attribute("inside", true);
            x.len()
        })
    }
}

#[async_trait::async_trait]
trait Tool {
    async fn call(&self, x: &str) -> Result<usize, String>;
}

#[async_trait::async_trait]
impl Tool for Model {
    #[trace(span_type = SpanType::Tool)]
    async fn call(&self, x: &str) -> Result<usize, String> {
        yield_once().await;
        let counted = x.strip_prefix("count ").ok_or("what?")?;
        Ok(counted.len())
    }
}

#[test]
fn methods_of_the_async_trait_crate_are_traced() {
    let capture = capture();
    let tool: &dyn Tool = &Model;
    assert_eq!(block_on(tool.call("count abc")), Ok(3));
    assert!(block_on(tool.call("x")).is_err());
    insta::assert_snapshot!(capture.tree(), @r#"
    call [TOOL]
      inputs: {"x":"count abc"}
      outputs: 3
    call [TOOL] ERROR what?
      inputs: {"x":"x"}
      event exception exception.type="alloc::string::String" exception.message="what?"
    "#);
}

#[trace]
fn returns_a_future(x: u8) -> impl Future<Output = Result<u8, String>> + Send {
    async move {
        yield_once().await;
        add_1(1);
        if x > 1 {
            Err("too much".to_owned())
        } else {
            Ok(x)
        }
    }
}

#[test]
fn methods_of_traits_and_returned_futures_are_traced() {
    let capture = capture();
    assert_eq!(block_on(Model.native(1)), 2);
    assert_eq!(block_on(Model.boxed("abc")), 3);
    assert_eq!(Model.provided(), "provided");
    assert_eq!(block_on(returns_a_future(1)), Ok(1));
    assert!(block_on(returns_a_future(2)).is_err());
    drop(returns_a_future(3));
    insta::assert_snapshot!(capture.tree());
}

#[trace]
async fn leaf(n: u8) -> u8 {
    yield_once().await;
    n
}

#[trace]
async fn joined() -> u8 {
    let (mut a, mut b) = (Box::pin(leaf(1)), Box::pin(leaf(2)));
    let mut sum = 0;
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    let (mut first, mut second) = (true, true);
    while first || second {
        if first && let std::task::Poll::Ready(n) = a.as_mut().poll(&mut task) {
            sum += n;
            first = false;
        }
        if second && let std::task::Poll::Ready(n) = b.as_mut().poll(&mut task) {
            sum += n;
            second = false;
        }
    }
    sum
}

#[test]
fn branches_that_run_by_turns_keep_their_parent() {
    let capture = capture();
    assert_eq!(block_on(joined()), 3);
    insta::assert_snapshot!(capture.tree());
}

#[trace]
fn early(x: u8) -> Result<u8, std::num::ParseIntError> {
    if x == 0 {
        return Ok(0);
    }
    let parsed: u8 = "7".parse()?;
    Ok(parsed + x)
}

#[trace]
async fn early_async(x: u8) -> Result<u8, std::num::ParseIntError> {
    if x == 0 {
        return Ok(0);
    }
    let parsed: u8 = "x".parse()?;
    Ok(parsed + x)
}

#[trace]
fn const_generic<const N: usize>(list: [u8; N]) -> usize {
    list.len()
}

#[trace]
fn raw_names(r#type: u8, r#fn: &str) -> u8 {
    let _ = r#fn;
    r#type
}

#[trace]
unsafe fn careful(x: u8) -> u8 {
    x
}

#[trace]
extern "C" fn foreign(x: u8) -> u8 {
    x
}

#[trace]
fn never(stop: bool) -> ! {
    assert!(!stop, "stopped");
    loop {
        std::thread::park();
    }
}

#[trace]
async fn never_async() -> ! {
    panic!("stopped")
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn other_shapes_compile_and_are_recorded() {
    let capture = capture();
    assert_eq!(early(0), Ok(0));
    assert_eq!(early(1), Ok(8));
    assert_eq!(block_on(assert_send(early_async(0))), Ok(0));
    assert!(block_on(early_async(1)).is_err());
    assert_eq!(const_generic([1, 2]), 2);
    assert_eq!(raw_names(1, "x"), 1);
    assert_eq!(foreign(2), 2);
    assert!(std::panic::catch_unwind(|| never(true)).is_err());
    assert!(std::panic::catch_unwind(|| block_on(never_async())).is_err());
    #[expect(unsafe_code, reason = "the function is safe; its shape is tested")]
    // SAFETY: the function does nothing that needs care.
    let x = unsafe { careful(3) };
    assert_eq!(x, 3);
    insta::assert_snapshot!(capture.tree());
}
