//! The edge in Rust: a report over HTTP becomes an Avro event on Kafka, and 200 follows Kafka's acknowledgement.
//!
//!     edge PORT BOOTSTRAP TOPIC TOKEN_FILE SCHEMA_FILE SCHEMA_ID

mod report;
mod tokens;

use std::{cell::RefCell, convert::Infallible, env, fs, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::HeaderValue, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use rdkafka::{
    ClientConfig, ClientContext,
    error::KafkaError,
    message::{DeliveryResult, Header, Message, OwnedHeaders},
    producer::{BaseRecord, ProducerContext, ThreadedProducer},
};
use report::Report;
use serde_avro_fast::{Schema, ser::SerializerConfig};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tokens::Tokens;
use tokio::{net::TcpListener, sync::oneshot};
use uuid::Uuid;

const MAX_BODY_BYTES: usize = 64 << 10;
const MAX_TASK_ID_CHARACTERS: usize = 255;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
const CONSTANT_HEADERS: [(&str, &str); 4] = [
    ("ce_specversion", "1.0"),
    ("ce_type", "taskstream.ProgressReported"),
    ("ce_source", "/taskstream/edge"),
    ("content-type", "application/avro"),
];

type Acknowledged = Result<(i32, i64), KafkaError>;
type Answer = Response<Full<Bytes>>;

/// Hands each delivery report to the request that waits for it.
struct Acknowledgements;

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<oneshot::Sender<Acknowledged>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        // A caller that has gone away is no error: its report is stored.
        let _ = waiting.send(match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        });
    }
}

struct Edge {
    producer: ThreadedProducer<Acknowledgements>,
    topic: String,
    tokens: Tokens,
    schema: Schema,
    prefix: [u8; 5],
}

/// A status, the API's error code and a message.
struct Refusal(StatusCode, &'static str, String);

thread_local! { static VALUE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) }; }

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, bootstrap, topic, token_file, schema_file, schema_id] = arguments.as_slice() else {
        return Err("usage: edge PORT BOOTSTRAP TOPIC TOKEN_FILE SCHEMA_FILE SCHEMA_ID".into());
    };
    let producer: ThreadedProducer<Acknowledgements> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("delivery.timeout.ms", "10000")
        .set("queue.buffering.max.messages", "100000")
        .set("partitioner", "murmur2_random")
        .create_with_context(Acknowledgements)?;
    let mut prefix = [0; 5];
    prefix[1..].copy_from_slice(&schema_id.parse::<u32>()?.to_be_bytes());
    let edge = Arc::new(Edge {
        producer,
        topic: topic.clone(),
        tokens: Tokens::read(token_file)?,
        schema: fs::read_to_string(schema_file)?.parse()?,
        prefix,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(port.parse()?, edge))?;
    Ok(())
}

async fn serve(port: u16, edge: Arc<Edge>) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let edge = edge.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(edge.clone(), request));
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(edge: Arc<Edge>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(put_progress(&edge, request).await.unwrap_or_else(|Refusal(status, code, message)| {
        let body = serde_json::json!({
            "error_code": code, "error_msg": message, "retriable": status >= StatusCode::TOO_MANY_REQUESTS,
        });
        let mut response = Response::new(Full::new(body.to_string().into()));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        response
    }))
}

async fn put_progress(edge: &Edge, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let now = OffsetDateTime::now_utc();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let encoded = path.strip_prefix("/v3/tasks/").and_then(|rest| rest.strip_suffix("/progress"));
    let Some(encoded) = encoded.filter(|id| !id.is_empty() && !id.contains('/')) else {
        return Err(refusal(StatusCode::NOT_FOUND, "APIGW.0101", "there is no such path"));
    };
    if head.method != Method::PUT {
        return Err(refusal(StatusCode::METHOD_NOT_ALLOWED, "APIGW.0101", "send a PUT request"));
    }
    if head.headers.get("content-type").is_some_and(|media| !media.as_bytes().starts_with(b"application/json")) {
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "TASKSTREAM.0415", "send application/json"));
    }
    let token = head.headers.get("x-auth-token").map_or(&b""[..], HeaderValue::as_bytes);
    let Some(caller) = edge.tokens.caller(token, now) else {
        return Err(refusal(StatusCode::UNAUTHORIZED, "APIGW.0301", "the token is missing, unknown or expired"));
    };
    if !caller.may_report {
        let message = "these credentials do not carry the role 'report'";
        return Err(refusal(StatusCode::FORBIDDEN, "APIGW.0302", message));
    }
    let task_id = percent_decode_str(encoded).decode_utf8_lossy();
    if task_id.chars().count() > MAX_TASK_ID_CHARACTERS || task_id.chars().any(|each| each.is_ascii_control()) {
        let message = "the task id has more than 255 characters or a control character";
        return Err(refusal(StatusCode::BAD_REQUEST, "APIGW.0201", message));
    }
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| refusal(StatusCode::PAYLOAD_TOO_LARGE, "TASKSTREAM.0413", error))?.to_bytes();
    let report: Report =
        serde_json::from_slice(&body).map_err(|error| refusal(StatusCode::BAD_REQUEST, "APIGW.0201", error))?;
    report.check().map_err(|rule| refusal(StatusCode::BAD_REQUEST, "TASKSTREAM.0400", rule))?;
    let event_id = Uuid::now_v7().hyphenated().to_string();
    let acknowledged = edge.publish(&report, &event_id, &caller.project, &task_id, now);
    let (partition, offset) =
        acknowledged.await.map_err(|error| refusal(StatusCode::SERVICE_UNAVAILABLE, "TASKSTREAM.0503", error))?;
    let id = HeaderValue::from_str(&event_id).expect("a UUID is ASCII");
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert("x-request-id", id.clone());
    headers.insert("x-event-id", id);
    headers.insert("x-partition", partition.into());
    headers.insert("x-offset", offset.into());
    Ok(response)
}

impl Edge {
    /// Produce the event, and wait for its partition and offset.
    async fn publish(
        &self,
        report: &Report<'_>,
        event_id: &str,
        project: &str,
        task_id: &str,
        now: OffsetDateTime,
    ) -> Acknowledged {
        let now_us = (now.unix_timestamp_nanos() / 1_000) as i64;
        let event = report.event(event_id, project, task_id, now_us);
        let key = format!("{project}/{task_id}");
        let time = now.format(RFC3339).expect("the year has four digits");
        let mut headers = OwnedHeaders::new_with_capacity(2 + CONSTANT_HEADERS.len())
            .insert(Header { key: "ce_id", value: Some(event_id) })
            .insert(Header { key: "ce_time", value: Some(&time) });
        for (key, value) in CONSTANT_HEADERS {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let (waiting, acknowledged) = oneshot::channel();
        VALUE.with_borrow_mut(|value| {
            value.clear();
            value.extend_from_slice(&self.prefix);
            serde_avro_fast::to_datum(&event, &mut *value, &mut SerializerConfig::new(&self.schema))
                .expect("the event has the fields of the schema");
            let record = BaseRecord::with_opaque_to(&self.topic, Box::new(waiting))
                .key(&key)
                .payload(value.as_slice())
                .timestamp(now_us / 1_000)
                .headers(headers);
            self.producer.send(record).map_err(|(error, _)| error)
        })?;
        acknowledged.await.unwrap_or(Err(KafkaError::Canceled))
    }
}

fn refusal(status: StatusCode, code: &'static str, message: impl ToString) -> Refusal {
    Refusal(status, code, message.to_string())
}
