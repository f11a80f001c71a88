//! Traces: a collector that speaks OTLP over HTTP hears of what a node does, and not of content.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use common::{Running, Sandbox, ask, until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// A collector: what it was sent.
#[derive(Clone)]
struct Collector {
    url: String,
    took: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    /// All bytes of it, for what must not be in them.
    raw: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Collector {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let collector = Collector { url, took: Arc::default(), raw: Arc::default() };
        let this = collector.clone();
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                let this = this.clone();
                std::thread::spawn(move || this.serve(stream.unwrap()));
            }
        });
        collector
    }

    /// Answers requests until the other side is done.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut lines = reader.by_ref().lines().map_while(Result::ok);
            assert_eq!(lines.next()?, "POST /v1/traces HTTP/1.1");
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let value = |name: &str| {
                let of = |line: &String| Some(line.to_lowercase().strip_prefix(name)?.to_owned());
                head.iter().find_map(of)
            };
            assert_eq!(value("content-type: ").as_deref(), Some("application/x-protobuf"));
            let len = value("content-length: ").expect("a length").parse().unwrap();
            let mut body = vec![0; len];
            reader.read_exact(&mut body).ok()?;
            self.took.lock().unwrap().push(ExportTraceServiceRequest::decode(&*body).unwrap());
            self.raw.lock().unwrap().extend(body);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
        }
    }

    fn spans(&self) -> Vec<Span> {
        let took = self.took.lock().unwrap();
        let scopes = took.iter().flat_map(|one| &one.resource_spans).flat_map(|of| &of.scope_spans);
        scopes.flat_map(|of| of.spans.clone()).collect()
    }

    fn of(&self, name: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    fn service(&self) -> BTreeMap<String, String> {
        let took = self.took.lock().unwrap();
        let resource = took[0].resource_spans[0].resource.clone().unwrap();
        resource
            .attributes
            .iter()
            .map(|one| (one.key.clone(), format!("{:?}", one.value)))
            .collect()
    }
}

fn about(span: &Span) -> String {
    let all = span.attributes.iter().map(|one| format!("{}={:?}", one.key, one.value));
    all.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_collector_hears_of_requests_commits_and_syncs_and_not_of_content() {
    const ROUTE: &str = "PUT /collections/{collection}/docs/{id}";
    let (here, collector) = (Sandbox::new(), Collector::start());
    let key = |data: &str| here.json(&["--data", data, "id"])["key"].as_str().unwrap().to_owned();
    // One by what is typed, the other by the variable that is OpenTelemetry's own.
    let start = |data: &str, args: &[&str], by_env: bool| -> Running {
        let typed = ["--otlp", &collector.url];
        let args = if by_env { args.to_vec() } else { [args, &typed].concat() };
        here.run_with(data, &args, |command| {
            command.env("OTEL_BSP_SCHEDULE_DELAY", "100").env("LITTORAL_LOG", "info");
            if by_env {
                command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
            }
        })
    };
    let hub = start("hub", &["--peer", &key("far")], false);
    let far = start("far", &["--peer", &hub.address()], true);

    let above = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let url = format!("{}/collections/notes/docs/secret-id", hub.url);
    let body = Some(r#"{"secret-field": "secret-value"}"#);
    assert_eq!(ask("PUT", &url, &[("traceparent", above)], body).status, 200);
    until("a request, its commit and what the other one applied are told", || {
        let applied = collector.of("sync.apply");
        !collector.of(ROUTE).is_empty() && applied.iter().any(|span| about(span).contains("notes"))
    });
    let request = collector.of(ROUTE).remove(0);
    assert_eq!(request.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(request.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert!(
        about(&request)
            .contains("http.response.status_code=Some(AnyValue { value: Some(IntValue(200"),
        "{}",
        about(&request)
    );
    assert_eq!(request.kind, 2, "a server's");
    assert!(request.end_time_unix_nano >= request.start_time_unix_nano);
    let below = |span: &Span| span.trace_id == request.trace_id;
    until("the commit is below the request", || collector.of("commit").iter().any(below));
    assert!(collector.service()["service.name"].contains("littoral"));

    // What is at its end is sent before the node has ended.
    far.stop();
    hub.stop();
    let links = collector.of("sync.link");
    assert!(links.iter().any(|link| about(link).contains("left")), "{links:?}");
    let raw = String::from_utf8_lossy(&collector.raw.lock().unwrap()).into_owned();
    assert!(!raw.contains("secret"), "ids, names of fields and values are content");
}

#[test]
fn a_collector_that_is_away_is_nobodys_trouble_and_one_with_tls_is_refused() {
    let here = Sandbox::new();
    let node = here.run("a", &["--otlp", "http://127.0.0.1:9"]);
    let url = format!("{}/collections/notes/docs/n", node.url);
    assert_eq!(ask("PUT", &url, &[], Some("{}")).status, 200);
    node.stop();
    let why = here.fails(2, &["--data", "a", "run", "--otlp", "https://127.0.0.1:4318"]);
    assert!(why.contains("no TLS"), "{why}");
}
