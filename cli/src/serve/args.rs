use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// Where to listen; may be given several times. Other machines reach addresses beyond
    /// 127.0.0.1, which therefore need a token; nothing is encrypted
    #[arg(long = "listen", value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// A file that holds the token [default: `$SPANLITE_TOKEN`]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Listens on 127.0.0.1, ports 4317 and 4318, unless told otherwise. Each port \
takes OTLP over gRPC and over HTTP (protobuf or JSON, gzip or deflate), and what MLflow's Python \
client sends to a tracking server.\nA sender is answered when its spans are on disk. It is told to \
wait (429, RESOURCE_EXHAUSTED) while requests take more than 256 MiB of memory; one of more than 64 \
MiB, or that would take more memory alone, is refused for good (413, INVALID_ARGUMENT). A sender \
beyond this machine gives the token as `Authorization: Bearer TOKEN`.\nCtrl-C ends it, with exit \
code 0 once requests that are under way are answered."
)]
pub(crate) struct ReceiveArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Listens on 127.0.0.1, port 4319, unless told otherwise. Upstreams that are \
known: openai, anthropic, gemini, ollama (on this machine).\nBodies of calls are recorded, headers \
and the query part of addresses never. A client beyond this machine gives the token as \
`x-spanlite-token: TOKEN`, which is not sent on.\nCtrl-C ends it, with exit code 0 once calls that \
are under way are answered and recorded."
)]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// Another upstream, or another address of a known one
    #[arg(long = "upstream", value_name = "NAME=URL")]
    pub(crate) upstreams: Vec<String>,
}
