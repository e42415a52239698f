use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use reqwest::ResponseBuilderExt as _;
use spanlite_llm::End;
use spanlite_model::with_causes;

use super::call::{Call, class_of};

pin_project! {
    /// A response's body that shows its bytes to a call as they pass, and changes nothing.
    struct Watched {
        #[pin]
        inner: reqwest::Body,
        call: Call,
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(task));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    this.call.feed(bytes);
                }
                // Readers that know the length do not ask again.
                if this.inner.is_end_stream() {
                    this.call.end(End::Complete);
                }
            }
            Some(Err(error)) => this.call.fail(class_of(error), &chain(error)),
            None => this.call.end(End::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An error with what caused it, without the address, which may hold a key.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let text = with_causes(error);
    match error.url() {
        Some(url) => text.replace(url.as_str(), "…"),
        None => text,
    }
}

/// The response with a body that is watched.
pub(super) fn watch(response: reqwest::Response, mut call: Call) -> reqwest::Response {
    call.respond(&response);
    let url = response.url().clone();
    let (parts, inner) = http::Response::from(response).into_parts();
    let mut watched = http::Response::new(reqwest::Body::wrap(Watched { inner, call }));
    // The address lies in an extension that only a builder can make.
    if let Ok(addressed) = http::Response::builder().url(url).body(()) {
        *watched.extensions_mut() = addressed.into_parts().0.extensions;
    }
    *watched.status_mut() = parts.status;
    *watched.version_mut() = parts.version;
    *watched.headers_mut() = parts.headers;
    watched.extensions_mut().extend(parts.extensions);
    watched.into()
}
