//! The OpenAPI 3.1 document, made from the list of routes and the contract: what it says is what is served.

use prost_reflect::MessageDescriptor;
use redeploy_proto::v1::operator_service_server::SERVICE_NAME;
use serde_json::{Map, Value, json};

use super::input::{BODY_BYTES_MAX, IDEMPOTENCY_FIELD, IDEMPOTENCY_KEY, LAST_EVENT_ID};
use super::routes::{self, BASE, ROUTES, Route, Verb};
use crate::api::problem::{PROBLEM_JSON, Problem};
use crate::api::web::{HEALTH, METRICS, READY};
use crate::json::{self, Schemas};
use crate::metrics;

/// Where it is served, to anybody.
pub(in crate::api) const PATH: &str = "/api/v1/openapi.json";

/// The whole document.
pub(in crate::api) fn document() -> Value {
    let requests = json::service(SERVICE_NAME).into_iter();
    let requests =
        requests.flat_map(|service| service.methods().map(|call| call.input()).collect::<Vec<_>>());
    let mut schemas = Schemas::new(requests);
    let mut paths = plain();
    for route in ROUTES {
        let path = paths.entry(format!("{BASE}{}", route.path)).or_insert_with(|| json!({}));
        path[route.verb.word()] = operation(route, &mut schemas);
    }
    let mut components = schemas.into_components();
    components.insert("Problem".into(), Problem::schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Redeploy coordinator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "Every operation of the gRPC service {SERVICE_NAME}, with the same tokens, rules and errors. Fields may be \
                 added within v1; names, words and meanings stay. A request's body has {BODY_BYTES_MAX} bytes at most."
            ),
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": { "Problem": answer("Why it was not carried out", PROBLEM_JSON, reference("Problem")) },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token of the coordinator." },
            },
        },
    })
}

/// What is beside the routes.
fn plain() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let free = |id, summary: &str, kind, schema| {
        let ok = answer(summary, kind, schema);
        let responses = json!({ "200": ok, "default": { "$ref": "#/components/responses/Problem" } });
        json!({ "get": { "operationId": id, "summary": summary, "tags": ["service"], "security": [],
                         "responses": responses } })
    };
    let mut metrics = free(
        "metrics",
        "Counts for Prometheus; any token may read them",
        metrics::CONTENT_TYPE,
        text.clone(),
    );
    if let Some(get) = metrics["get"].as_object_mut() {
        get.remove("security");
    }
    [
        (HEALTH.to_owned(), free("healthz", "The process serves", "text/plain", text.clone())),
        (
            READY.to_owned(),
            free("readyz", "It can work: the store answers, the driver runs", "text/plain", text),
        ),
        (METRICS.to_owned(), metrics),
        (PATH.to_owned(), free("openapi", "This document", "application/json", json!({ "type": "object" }))),
    ]
    .into_iter()
    .collect()
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let Some(method) = routes::method(route) else { return Value::Null };
    let text = json::comment(&method.parent_file(), method.path());
    let (input, output) = (method.input(), method.output());
    let mut responses = json!({ "default": { "$ref": "#/components/responses/Problem" } });
    let (status, answer) = if method.is_server_streaming() {
        let update = schemas.message(&output);
        let text = format!(
            "Server-sent events. `data` of each without a name: {}; `end`: it is over; `problem`: it broke off.",
            update["$ref"].as_str().unwrap_or_default()
        );
        ("200", answer(&text, "text/event-stream", json!({ "type": "string" })))
    } else if output.fields().len() == 0 {
        ("204", json!({ "description": "Done" }))
    } else {
        let status = if route.makes.is_some() { "201" } else { "200" };
        (status, self::answer("Done", "application/json", schemas.message(&output)))
    };
    responses[status] = answer;
    let mut operation = json!({
        "operationId": lower(route.rpc),
        "tags": [route.path.split('/').nth(1).unwrap_or_default()],
        "parameters": parameters(route, &input, schemas),
        "responses": responses,
    });
    if !text.is_empty() {
        operation["description"] = text.into();
    }
    if route.verb == Verb::Post
        && let Some(schema) = body(route, &input, schemas)
    {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// `None` if everything of the request stands in the path.
fn body(route: &Route, input: &MessageDescriptor, schemas: &mut Schemas) -> Option<Value> {
    let path = route.in_path();
    if path.is_empty() {
        return Some(schemas.message(input));
    }
    (input.fields().len() > path.len()).then(|| schemas.object(input, &path))
}

fn parameters(route: &Route, input: &MessageDescriptor, schemas: &mut Schemas) -> Vec<Value> {
    let path = route.in_path();
    let mut parameters = Vec::new();
    for field in input.fields() {
        let is_in_path = path.contains(&field.name());
        if is_in_path || route.verb == Verb::Get {
            let place = if is_in_path { "path" } else { "query" };
            let schema = schemas.field(&field);
            parameters
                .push(json!({ "name": field.name(), "in": place, "required": is_in_path, "schema": schema }));
        }
    }
    let mut header = |name: &str, text: &str| {
        let schema = json!({ "type": "string" });
        parameters.push(json!({ "name": name, "in": "header", "description": text, "schema": schema }));
    };
    if input.get_field_by_name(IDEMPOTENCY_FIELD).is_some() {
        header(
            IDEMPOTENCY_KEY,
            "The same as `idempotency_key` in the body: with it the request can be repeated safely.",
        );
    }
    if let Some(resume) = route.resume {
        header(LAST_EVENT_ID, &format!("The `id` of the last event seen; wins over `{}`.", resume.after));
    }
    parameters
}

fn answer(text: &str, kind: &str, schema: Value) -> Value {
    json!({ "description": text, "content": { kind: { "schema": schema } } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn lower(rpc: &str) -> String {
    let mut letters = rpc.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
