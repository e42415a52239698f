//! OTLP over gRPC, and how it refuses.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use spanlite_formats::PartialSuccess;
use spanlite_server::{ReceiveOptions, Token};
use spanlite_store::{OpenOptions, Store};
use tokio::net::TcpStream;

use crate::scene::{A, B, Scene, options, protobuf, request, with_receiver, with_receiver_in};
use crate::small_disk::SmallDisk;

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The codes that are expected, by their names in gRPC.
const OK: &str = "0";
const INVALID_ARGUMENT: &str = "3";
const RESOURCE_EXHAUSTED: &str = "8";
const UNIMPLEMENTED: &str = "12";
const UNAVAILABLE: &str = "14";
const UNAUTHENTICATED: &str = "16";

struct Reply {
    /// Headers, or trailers where there is a message.
    status: HeaderMap,
    message: Bytes,
}

impl Reply {
    fn code(&self) -> &str {
        self.status["grpc-status"].to_str().unwrap()
    }

    /// Whether the sender is told when to send the same again; without it gRPC's exporters drop
    /// what was refused.
    fn asks_again(&self) -> bool {
        let Some(details) = self.status.get("grpc-status-details-bin") else {
            return false;
        };
        let details = details.to_str().unwrap();
        let details = STANDARD_NO_PAD.decode(details).unwrap();
        let needle = b"google.rpc.RetryInfo";
        details.windows(needle.len()).any(|part| part == needle)
    }
}

fn framed(packed: bool, message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.put_u8(u8::from(packed));
    frame.put_u32(message.len() as u32);
    frame.extend_from_slice(message);
    frame
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Calls the method once, over a connection of its own.
async fn call(scene: &Scene, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
    let address = scene.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connected = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::post(format!("{}{PATH}", scene.url))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    assert_eq!(head.status, 200, "gRPC tells errors by its own status");
    let body = body.collect().await.unwrap();
    let status = body.trailers().cloned().unwrap_or(head.headers);
    let mut message = body.to_bytes();
    if !message.is_empty() {
        message = message.slice(5..);
    }
    connection.abort();
    Reply { status, message }
}

#[test]
fn spans_are_taken_plain_and_packed() {
    let totals = with_receiver(&options(), |scene| async move {
        let reply = call(&scene, &[], framed(false, &protobuf(A))).await;
        assert_eq!((reply.code(), reply.message.len()), (OK, 0));
        assert_eq!(scene.spans(A), 2);
        let packed = framed(true, &gzip(&protobuf(B)));
        let reply = call(&scene, &[("grpc-encoding", "gzip")], packed).await;
        assert_eq!(reply.code(), OK);
        assert_eq!(scene.spans(B), 2);
    });
    assert_eq!((totals.requests, totals.spans), (2, 4));
}

#[test]
fn bad_spans_are_left_out() {
    with_receiver(&options(), |scene| async move {
        let mut mixed = request(A, 2);
        mixed["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] = json!("cut");
        let traces = spanlite_formats::read_otlp_json(mixed.to_string().as_bytes());
        let mut bytes = spanlite_formats::encode_otlp(&traces.unwrap());
        // No id of a span is zero.
        let place = bytes.windows(2).position(|pair| pair == [0x12, 8]).unwrap();
        bytes[place + 2..place + 10].fill(0);
        let reply = call(&scene, &[], framed(false, &bytes)).await;
        assert_eq!(reply.code(), OK);
        let partial = PartialSuccess::from_protobuf(&reply.message).unwrap();
        assert_eq!(partial.rejected_spans, 1);
        assert!(partial.error_message.contains("`cut`"), "{partial:?}");
        assert_eq!(scene.spans(A), 1);
    });
}

#[test]
fn a_token_is_asked_for() {
    let token = ReceiveOptions {
        token: Some(Token::new("0123456789abcdef").unwrap()),
        ..options()
    };
    let totals = with_receiver(&token, |scene| async move {
        for headers in [
            &[][..],
            &[("authorization", "Bearer 0123456789abcdeF")],
            &[("authorization", "0123456789abcdef")],
        ] {
            let reply = call(&scene, headers, framed(false, &protobuf(A))).await;
            assert_eq!(reply.code(), UNAUTHENTICATED);
            assert!(!reply.asks_again());
        }
        assert_eq!(scene.spans(A), 0);
        let right = [("authorization", "Bearer 0123456789abcdef")];
        let reply = call(&scene, &right, framed(false, &protobuf(A))).await;
        assert_eq!(reply.code(), OK);
    });
    assert_eq!((totals.requests, totals.refused_requests), (1, 3));
}

#[test]
fn what_is_no_message_is_refused_for_good() {
    let totals = with_receiver(&options(), |scene| async move {
        let good = protobuf(A);
        let gzipped = [("grpc-encoding", "gzip")];
        let zstd = [("grpc-encoding", "zstd")];
        for (headers, body, code) in [
            (&[][..], Vec::new(), INVALID_ARGUMENT),
            (&[], vec![0; 4], INVALID_ARGUMENT),
            (&[], framed(false, b"{"), INVALID_ARGUMENT),
            (&[], framed(false, &good).repeat(2), INVALID_ARGUMENT),
            (
                &[],
                framed(false, &good)[..good.len()].to_vec(),
                INVALID_ARGUMENT,
            ),
            (&[], framed(true, &good), INVALID_ARGUMENT),
            (&gzipped, framed(true, &good), INVALID_ARGUMENT),
            (&zstd, framed(true, &good), UNIMPLEMENTED),
        ] {
            let reply = call(&scene, headers, body).await;
            assert_eq!(reply.code(), code, "{:?}", reply.status);
            assert!(!reply.asks_again());
        }
        assert_eq!(scene.spans(A), 0);
    });
    assert_eq!((totals.requests, totals.refused_requests), (0, 8));
}

#[test]
fn bodies_are_bounded_packed_and_unpacked() {
    let message = protobuf(A);
    let bounds = ReceiveOptions {
        max_body_bytes: message.len(),
        ..options()
    };
    with_receiver(&bounds, |scene| async move {
        let message = protobuf(A);
        let reply = call(&scene, &[], framed(false, &message)).await;
        assert_eq!(reply.code(), OK, "one of the largest size");
        let large = [message, vec![0; 1]].concat();
        let reply = call(&scene, &[], framed(false, &large)).await;
        assert_eq!(reply.code(), INVALID_ARGUMENT);
        assert!(!reply.asks_again(), "it would be as large again");
        let bomb = framed(true, &gzip(&vec![0; 1 << 20]));
        let reply = call(&scene, &[("grpc-encoding", "gzip")], bomb).await;
        assert!(
            matches!(reply.code(), INVALID_ARGUMENT),
            "{:?}",
            reply.status
        );
        assert!(!reply.asks_again());
    });
}

#[test]
fn what_has_no_room_is_to_be_sent_again() {
    let bounds = ReceiveOptions {
        memory_bytes: 50_000,
        ..options()
    };
    with_receiver(&bounds, |scene| async move {
        let held = scene.hold(30_000, 30_000).await;
        let bomb = framed(true, &gzip(&vec![0; 1 << 20]));
        for (headers, body) in [
            (&[][..], framed(false, &vec![0; 30_000])),
            (&[("grpc-encoding", "gzip")], bomb),
        ] {
            let reply = call(&scene, headers, body).await;
            assert_eq!(reply.code(), RESOURCE_EXHAUSTED);
            assert!(reply.asks_again());
        }
        drop(held);
        let empty = b"\x12\x00".repeat(16_383);
        let message = [&b"\x0a\x82\x80\x02\x12\xfe\xff\x01"[..], &empty].concat();
        let mut reply = call(&scene, &[], framed(false, &message)).await;
        while reply.code() == RESOURCE_EXHAUSTED {
            reply = call(&scene, &[], framed(false, &message)).await;
        }
        assert_eq!(reply.code(), INVALID_ARGUMENT, "it will never have room");
        assert!(!reply.asks_again());
        let reply = call(&scene, &[], framed(false, &protobuf(A))).await;
        assert_eq!(reply.code(), OK, "what was refused gave its memory back");
        scene.store.close().unwrap();
        let reply = call(&scene, &[], framed(false, &protobuf(B))).await;
        assert_eq!(reply.code(), UNAVAILABLE);
        assert!(reply.asks_again());
    });
}

/// One span with 64 KiB that do not compress well.
fn bulky(number: u64) -> (String, Vec<u8>) {
    let trace_id = format!("{:032x}", number + 1);
    let mut traces = request(&trace_id, 1);
    let mut state = number + 1;
    let mut noise = String::new();
    while noise.len() < 1 << 16 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        noise.push_str(&state.to_string());
    }
    let span = &mut traces["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    span["attributes"][0]["value"]["stringValue"] = noise.into();
    let traces = spanlite_formats::read_otlp_json(traces.to_string().as_bytes());
    (trace_id, spanlite_formats::encode_otlp(&traces.unwrap()))
}

#[test]
fn a_full_disk_is_an_answer_and_nothing_is_acknowledged_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else {
        return;
    };
    let mut acknowledged = Vec::new();
    let totals = with_receiver_in(&disk.0, &options(), async |scene| {
        let send = async |number| {
            let (trace_id, message) = bulky(number);
            (trace_id, call(&scene, &[], framed(false, &message)).await)
        };
        let (first, reply) = send(0).await;
        assert_eq!(reply.code(), OK);
        acknowledged.push(first);
        disk.fill();
        // What the files have allocated already takes a few more.
        let mut refused = None;
        for number in 1..200 {
            let (trace_id, reply) = send(number).await;
            if reply.code() != OK {
                assert_eq!(reply.code(), UNAVAILABLE, "{:?}", reply.status);
                assert!(reply.asks_again());
                let said = reply.status["grpc-message"].to_str().unwrap();
                assert!(said.contains("no%20space%20is%20left"), "{said}");
                refused = Some((number, trace_id));
                break;
            }
            acknowledged.push(trace_id);
        }
        let (number, trace_id) = refused.expect("the disk is full");
        assert_eq!(scene.spans(&trace_id), 0);
        disk.make_room();
        let (_, reply) = send(number).await;
        assert_eq!(reply.code(), OK, "it goes on when there is room");
        acknowledged.push(trace_id);
    });
    assert_eq!(
        (totals.requests, totals.refused_requests),
        (acknowledged.len() as u64, 1)
    );
    let store = Store::open(disk.0.join("traces.spans"), OpenOptions::read_only()).unwrap();
    let snapshot = store.snapshot().unwrap();
    for trace_id in &acknowledged {
        let found = snapshot.trace(trace_id.parse().unwrap()).unwrap();
        assert!(found.is_some(), "{trace_id} was acknowledged");
    }
}
