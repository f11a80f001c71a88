//! Traces, for who asks for them: spans of requests, commits and syncs, sent to a collector by OTLP
//! over HTTP (protobuf).
//!
//! Spans have the target `littoral::trace` and no other has it: the log leaves them out, and without
//! a collector nobody takes them, so that they cost next to nothing. They tell routes, counts, names
//! of collections and the beginnings of keys, never ids of documents nor what is in them.
//!
//! What can't be sent is dropped, and the log says so once. Without TLS, as ureq is here: a collector
//! is meant to be near.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, Method};
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::field::Empty;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::cli::{Cli, Collector, Command};
use crate::config::Settings;

/// What keeps spans out of the log.
pub(crate) const NOT_LOGGED: &str = "littoral::trace=off";
/// The target of spans.
const TARGET: &str = "littoral::trace";
/// Where a collector takes traces, below its root.
const TRACES: &str = "/v1/traces";
/// What OpenTelemetry calls the collector's root.
const OTEL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// And at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// How much of an answer is read.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Where traces of a command go, if it makes any. What is wrong with a file, `run` says itself.
pub(crate) fn wanted(cli: &Cli) -> Option<Collector> {
    let Command::Run(args) = &cli.command else { return None };
    let said = Settings::of(args).ok().and_then(|settings| settings.otlp);
    said.or_else(|| match env::var(OTEL_ENDPOINT).ok()?.parse() {
        Ok(collector) => Some(collector),
        Err(why) => {
            eprintln!("littoral: no traces are sent: {OTEL_ENDPOINT}: {why}");
            None
        }
    })
}

/// Sends what ends until it is dropped; then the rest.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins.
    pub(crate) fn start(to: &Collector) -> Traces {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::default())
            .with_endpoint(format!("{}{TRACES}", to.0))
            .with_timeout(PATIENCE)
            .build()
            .expect("a client and an address are all it needs");
        let mut resource = Resource::builder();
        if env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("littoral");
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource);
        Traces(provider.build())
    }

    /// What hears of spans.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.tracer("littoral");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false);
        layer.with_filter(filter_fn(|of| of.is_span() && of.target() == TARGET))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(err) = self.0.shutdown_with_timeout(LAST_PATIENCE) {
            tracing::warn!(%err, "the last traces were not sent");
        }
    }
}

/// A request, as OpenTelemetry names its parts; below the span of who asked, if its headers tell one.
pub(crate) fn request(method: &Method, route: &str, name: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        request = name,
    );
    if !span.is_disabled() && headers.contains_key("traceparent") {
        let above = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // It fails only where nobody takes spans.
        let _ = span.set_parent(above);
    }
    span
}

/// How it was answered.
pub(crate) fn answered(span: &Span, status: u16) {
    // Without a sign it would go as text.
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// Sends to the collector, on the thread of the exporter.
#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    /// Whether the last one failed, and that was told.
    failing: AtomicBool,
}

impl Default for Client {
    fn default() -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE));
        Client { agent: config.build().into(), failing: AtomicBool::new(false) }
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let answer = self.agent.run(request.map(|body| body.to_vec()))?;
        let (parts, mut body) = answer.into_parts();
        let body = body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        let why = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(err) => Some(err.to_string()),
        };
        let failed_before = self.failing.swap(why.is_some(), Ordering::Relaxed);
        if let Some(why) = why.filter(|_| !failed_before) {
            tracing::warn!(
                why,
                "the collector does not take traces; they are dropped until it does"
            );
        }
        sent.map_err(Into::into)
    }
}
