//! Every resource once: its method and path, who may use it, what it takes and gives. The
//! router and the OpenAPI document are made of the same list, so neither has what the other
//! has not.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, on};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::admission::{Needs, admit};
use super::problem::Problem;
use super::{Api, Role};
use crate::limits::API_BODY_BYTES_MAX;

/// The resources so far.
pub(super) struct Pages {
    api: Arc<Api>,
    router: Router<Arc<Api>>,
    paths: BTreeMap<&'static str, Map<String, Value>>,
    answers: SchemaGenerator,
    bodies: SchemaGenerator,
}

/// One method of one resource.
pub(super) struct Page {
    method: Method,
    path: &'static str,
    /// The path for the router, where a value may hold slashes.
    route: &'static str,
    id: &'static str,
    summary: &'static str,
    may: Option<Role>,
    changes: bool,
    body_bytes_max: usize,
    body: Option<(&'static str, SchemaOf)>,
    query: Option<SchemaOf>,
    values: Vec<Value>,
    answers: Vec<(u16, &'static str, Option<SchemaOf>)>,
    /// Other forms of answers.
    others: Vec<(u16, &'static str)>,
    problems: Vec<u16>,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What every path begins with.
const BASE: &str = "/api/v1";

const JSON: &str = "application/json";

impl Page {
    /// `GET`, for viewers.
    pub(super) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, id, summary)
    }

    /// `POST`, for viewers: a question that does not fit into a query.
    pub(super) fn ask(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, id, summary)
    }

    /// What changes something, for operators.
    pub(super) fn change(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let page = Self {
            may: Some(Role::Operator),
            changes: true,
            ..Self::new(method, path, id, summary)
        };
        page.header(
            "Idempotency-Key",
            "Who asks again with the same key, within a day, is told what was answered before",
            false,
            &json!({"type": "string", "pattern": "^[!-~]{1,128}$"}),
        )
    }

    fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            route: path,
            id,
            summary,
            may: Some(Role::Viewer),
            changes: false,
            body_bytes_max: API_BODY_BYTES_MAX,
            body: None,
            query: None,
            values: Vec::new(),
            answers: Vec::new(),
            others: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// For those who are this at least.
    pub(super) const fn may(mut self, role: Role) -> Self {
        self.may = Some(role);
        self
    }

    /// For whoever can reach it.
    pub(super) const fn for_all(mut self) -> Self {
        self.may = None;
        self
    }

    /// The path as the router has it.
    pub(super) const fn routed_as(mut self, route: &'static str) -> Self {
        self.route = route;
        self
    }

    /// A JSON body.
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some((JSON, |schemas| schemas.subschema_for::<T>()));
        self
    }

    /// A body of text, of at most so many bytes.
    pub(super) fn takes_text(mut self, bytes_max: usize) -> Self {
        self.body = Some(("text/plain", |schemas| schemas.subschema_for::<String>()));
        self.body_bytes_max = bytes_max;
        self
    }

    /// A query with these members.
    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(|schemas| T::json_schema(schemas));
        self
    }

    /// A value in the path.
    pub(super) fn value(self, name: &str, description: &str, schema: &Value) -> Self {
        self.parameter("path", name, description, true, schema)
    }

    /// A header.
    pub(super) fn header(
        self,
        name: &str,
        description: &str,
        is_required: bool,
        schema: &Value,
    ) -> Self {
        self.parameter("header", name, description, is_required, schema)
    }

    fn parameter(
        mut self,
        place: &str,
        name: &str,
        description: &str,
        is_required: bool,
        schema: &Value,
    ) -> Self {
        self.values.push(json!({
            "name": name,
            "in": place,
            "required": is_required,
            "description": description,
            "schema": schema,
        }));
        self
    }

    /// An answer in JSON.
    pub(super) fn gives<T: JsonSchema>(mut self, status: u16) -> Self {
        let schema: SchemaOf = |schemas| schemas.subschema_for::<T>();
        self.answers.push((status, JSON, Some(schema)));
        self
    }

    /// An answer that is something else, or nothing.
    pub(super) fn gives_other(mut self, status: u16, kind: &'static str) -> Self {
        self.answers.push((status, kind, None));
        self
    }

    /// The same answer in another form, where the request asks for it.
    pub(super) fn gives_too(mut self, status: u16, kind: &'static str) -> Self {
        self.others.push((status, kind));
        self
    }

    /// What else may be wrong.
    pub(super) fn problems(mut self, statuses: &[u16]) -> Self {
        self.problems.extend_from_slice(statuses);
        self
    }
}

impl Pages {
    pub(super) fn new(api: Arc<Api>) -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            api,
            router: Router::new(),
            paths: BTreeMap::new(),
            answers: settings().for_serialize().into_generator(),
            bodies: settings().for_deserialize().into_generator(),
        }
    }

    /// Adds one.
    pub(super) fn add<H, T>(mut self, page: Page, handler: H) -> Self
    where
        H: Handler<T, Arc<Api>>,
        T: 'static,
    {
        let Ok(filter) = MethodFilter::try_from(page.method.clone()) else {
            return self;
        };
        let needs = Needs {
            role: page.may,
            changes: page.changes,
            body_bytes_max: page.body_bytes_max,
        };
        let state = (Arc::clone(&self.api), needs);
        let routed = on(filter, handler).layer(from_fn_with_state(state, admit));
        let route = format!("{BASE}{}", page.route);
        self.router = self.router.route(&route, routed);
        let (path, method) = (page.path, page.method.as_str().to_ascii_lowercase());
        let operation = self.operation(page);
        let methods = self.paths.entry(path).or_default();
        methods.insert(method, operation);
        self
    }

    /// The router, and the document.
    pub(super) fn finish(mut self) -> (Router<Arc<Api>>, Value) {
        self.answers.subschema_for::<Problem>();
        let mut schemas = self.answers.take_definitions(true);
        schemas.append(&mut self.bodies.take_definitions(true));
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Trunkline",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "What a running server serves, and what is done about it",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": BASE}],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        });
        (self.router, document)
    }

    fn operation(&mut self, page: Page) -> Value {
        let mut parameters = page.values;
        if let Some(schema) = page.query {
            parameters.extend(queried(schema(&mut self.bodies)));
        }
        let mut answers = Map::new();
        for (status, kind, schema) in &page.answers {
            let content = match schema {
                Some(schema) => json!({*kind: {"schema": schema(&mut self.answers)}}),
                None if kind.is_empty() => json!({}),
                None => json!({*kind: {"schema": {"type": "string"}}}),
            };
            let answer = json!({"description": phrase(*status), "content": content});
            answers.insert(status.to_string(), answer);
        }
        for (status, kind) in &page.others {
            if let Some(answer) = answers.get_mut(&status.to_string()) {
                answer["content"][kind] = json!({"schema": {"type": "string"}});
            }
        }
        let mut wrong = page.problems;
        wrong.extend([400, 503]);
        if page.may.is_some() {
            wrong.extend([401, 403, 429]);
        }
        if page.changes || page.body.is_some() {
            wrong.extend([408, 413]);
        }
        if page.changes {
            wrong.extend([409, 422]);
        }
        if page.body.is_some() {
            wrong.push(415);
        }
        for status in wrong {
            let schema = json!({"$ref": "#/components/schemas/Problem"});
            let content = json!({"application/problem+json": {"schema": schema}});
            let answer = json!({"description": phrase(status), "content": content});
            answers.entry(status.to_string()).or_insert(answer);
        }
        let mut operation = json!({
            "operationId": page.id,
            "summary": page.summary,
            "parameters": parameters,
            "responses": answers,
            "security": [],
        });
        if let Some(role) = page.may {
            operation["security"] = json!([{"token": []}]);
            operation["x-trunkline-role"] = json!(role.as_str());
        }
        if let Some((kind, schema)) = page.body {
            let schema = schema(&mut self.bodies);
            operation["requestBody"] =
                json!({"required": true, "content": {kind: {"schema": schema}}});
        }
        operation
    }
}

/// Each member of a query as a parameter.
fn queried(schema: Schema) -> Vec<Value> {
    let schema = schema.to_value();
    let required = schema.get("required").and_then(Value::as_array);
    let members = schema.get("properties").and_then(Value::as_object);
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema
            .as_object_mut()
            .and_then(|members| members.remove("description"));
        // What is left out of a query is left out: there is no null.
        if let Some(Value::Array(types)) = schema.get("type") {
            let not_null = types.iter().find(|word| **word != json!("null"));
            let not_null = not_null.cloned().unwrap_or_default();
            schema["type"] = not_null;
        }
        json!({
            "name": name,
            "in": "query",
            "required": required.is_some_and(|names| names.contains(&json!(name))),
            "description": description.unwrap_or_default(),
            "schema": schema,
        })
    };
    members.into_iter().flatten().map(parameter).collect()
}

fn phrase(status: u16) -> &'static str {
    let status = axum::http::StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Answered")
}
