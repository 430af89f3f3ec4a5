//! HTTP/1.1 on port 80 (RFC 9112).
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | a page about the very connection that carries it; with `Accept: application/json` the same as JSON |
//! | `GET /bytes?n=N` | N bytes; byte *i* is *i* mod 251 |
//! | `PUT /discard`, `POST /discard` | takes any body and says how long it was and its CRC-32 |
//! | `GET /metrics` | what the stack has counted, as OpenMetrics text, if the program that offers the service [tells](Metrics) |
//!
//! A peer that is slow to ask, idle between two requests, or slow to send a body loses its connection.

mod discard;
mod metrics;
mod page;
mod pattern;

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::accept::say_goodbye;
use crate::net::tokio::{Inspector, TcpStream};
pub use metrics::Metrics;
use pattern::Pattern;

/// How long a peer may take for the header of a request, and how long it may be idle before the next.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that `/bytes` gives: 1 TiB.
const MOST: u64 = 1 << 40;

type Body = Either<Full<Bytes>, Pattern>;

/// Answers the requests of one connection.
pub(super) async fn stream(stream: TcpStream, metrics: Option<Metrics>) -> io::Result<()> {
    // The last segment of an answer would else wait for the peer's ACK of the one before.
    stream.set_nodelay(true)?;
    let inspector = stream.inspector();
    let service = service_fn(|request| {
        let (inspector, metrics) = (inspector.clone(), metrics.clone());
        async move { Ok::<_, Infallible>(answer(request, &inspector, metrics.as_ref()).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // `nc -N` closes its direction once it has asked, and still wants the answer.
        .half_close(true)
        // Bodies go to the socket from where they are; else hyper would gather them in a buffer of its own.
        .writev(true)
        .serve_connection(TokioIo::new(stream), service);
    let parts = connection.without_shutdown().await.map_err(io::Error::other)?;
    say_goodbye(parts.io.into_inner()).await
}

async fn answer(request: Request<Incoming>, inspector: &Inspector, metrics: Option<&Metrics>) -> Response<Body> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let writes = matches!(*request.method(), Method::PUT | Method::POST);
    match request.uri().path() {
        "/" if reads => page(request.headers(), inspector).await,
        "/" => not_allowed("GET, HEAD", "/ is a page to read; try: curl http://ADDRESS/\n"),
        "/bytes" if reads => bytes(request.uri().query()),
        "/bytes" => not_allowed("GET, HEAD", "/bytes is there to read; try: curl 'http://ADDRESS/bytes?n=1000'\n"),
        "/discard" if writes => discard(request.into_body()).await,
        "/discard" => not_allowed("PUT, POST", "/discard takes bytes; try: curl -T FILE http://ADDRESS/discard\n"),
        "/metrics" if reads => match metrics {
            Some(metrics) => counted(request.headers(), metrics).await,
            None => text(StatusCode::NOT_FOUND, "This program shows no metrics.\n"),
        },
        "/metrics" => not_allowed("GET, HEAD", "/metrics is there to read; try: curl http://ADDRESS/metrics\n"),
        _ => text(StatusCode::NOT_FOUND, NOT_FOUND),
    }
}

const NOT_FOUND: &str = "\
There is nothing here. There are:
  GET /             a page about the connection that carries it; with 'Accept: application/json' as JSON
  GET /bytes?n=N    N bytes; byte i is i mod 251
  PUT /discard      takes any body, says how long it was and its CRC-32
  GET /metrics      what the stack has counted, for Prometheus
";

async fn counted(headers: &HeaderMap, metrics: &Metrics) -> Response<Body> {
    let figures = metrics.text().await;
    let (figures, kind) = match accepts(headers, "text/plain") && !accepts(headers, "application/openmetrics-text") {
        true => (plain(&figures), "text/plain; version=0.0.4; charset=utf-8"),
        false => (figures, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    };
    let mut response = text(StatusCode::OK, figures);
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// OpenMetrics as Prometheus had it before: there a counter is called as its sample is, and the end is not marked.
fn plain(figures: &str) -> String {
    let about = |line: &str| line.strip_prefix("# ").and_then(|about| about.split(' ').nth(1)).map(str::to_owned);
    let is_counter = |line: &&str| line.starts_with("# TYPE ") && line.ends_with(" counter");
    let counters: HashSet<String> = figures.lines().filter(is_counter).filter_map(about).collect();
    let mut plain = String::with_capacity(figures.len());
    for line in figures.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        match about(line).filter(|name| counters.contains(name)) {
            Some(name) => plain.push_str(&line.replacen(&name, &format!("{name}_total"), 1)),
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

async fn page(headers: &HeaderMap, inspector: &Inspector) -> Response<Body> {
    let Ok(info) = inspector.info().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "The connection is over; there is nothing to tell.\n");
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut response = if wants_json(headers) {
        let mut response = text(StatusCode::OK, page::json(&info));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    } else {
        text(StatusCode::OK, page::text(&info, host))
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    // The next one is about a moment later.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether `Accept` names JSON. `*/*`, which curl sends, does not.
fn wants_json(headers: &HeaderMap) -> bool {
    accepts(headers, "application/json")
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT);
    accepted.iter().any(|value| {
        value.as_bytes().split(|&byte| byte == b',' || byte == b';').any(|part| {
            let media_type = part.trim_ascii();
            media_type.eq_ignore_ascii_case(kind.as_bytes())
        })
    })
}

fn bytes(query: Option<&str>) -> Response<Body> {
    let mut parameters = query.unwrap_or_default().split('&').filter_map(|parameter| parameter.split_once('='));
    let number = parameters.find(|&(name, _)| name == "n").and_then(|(_, value)| value.parse().ok());
    let Some(number) = number.filter(|&number| number <= MOST) else {
        let sentence = "Say how many bytes, from 0 to 1099511627776; try: curl 'http://ADDRESS/bytes?n=1000'\n";
        return text(StatusCode::BAD_REQUEST, sentence);
    };
    let mut response = Response::new(Either::Right(Pattern::new(number)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

async fn discard(body: Incoming) -> Response<Body> {
    match discard::read(body).await {
        Ok(received) => text(StatusCode::OK, format!("{received}\n")),
        Err(discard::Failed::Stalled) => {
            text(StatusCode::REQUEST_TIMEOUT, "The body stopped coming before its end; nothing waits for ever.\n")
        }
        Err(discard::Failed::Broken) => text(StatusCode::BAD_REQUEST, "The body ended before its end.\n"),
    }
}

fn not_allowed(allowed: &'static str, sentence: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, sentence);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_who_wants_plain_text_call_counters_as_their_samples() {
        let figures = "# HELP a_frames Frames\n# TYPE a_frames counter\na_frames_total 1\n\
                       # HELP a_bytes Memory\n# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes 2\n# EOF\n";
        let expected = "# HELP a_frames_total Frames\n# TYPE a_frames_total counter\na_frames_total 1\n\
                        # HELP a_bytes Memory\n# TYPE a_bytes gauge\na_bytes 2\n";
        assert_eq!(plain(figures), expected);
        let kind = |accept: &'static str| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let metrics = Metrics::new(|| async { "# EOF\n".to_owned() });
            let response = runtime.block_on(counted(&accepting(accept), &metrics));
            response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned()
        };
        assert!(kind("text/plain;version=0.0.4;q=0.5,*/*;q=0.1").starts_with("text/plain; version=0.0.4"));
        assert!(kind("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").starts_with("application/openm"));
        assert!(kind("*/*").starts_with("application/openmetrics-text"));
    }

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn json_is_for_those_who_name_it() {
        assert!(wants_json(&accepting("application/json")));
        assert!(wants_json(&accepting("text/html, Application/JSON;q=0.9")));
        assert!(!wants_json(&accepting("*/*")));
        assert!(!wants_json(&accepting("application/jsonlines")));
        assert!(!wants_json(&HeaderMap::new()));
    }

    #[test]
    fn a_number_of_bytes_that_is_none_is_refused() {
        for query in [None, Some(""), Some("n"), Some("n="), Some("n=-1"), Some("n=1e3"), Some("n=1099511627777")] {
            assert_eq!(bytes(query).status(), StatusCode::BAD_REQUEST, "{query:?}");
        }
        for query in ["n=0", "x=1&n=7", "n=1099511627776"] {
            assert_eq!(bytes(Some(query)).status(), StatusCode::OK, "{query}");
        }
    }
}
