//! What a request must and what a reply may look like: X's OpenAPI excerpt, and schemas of our own for what it lacks.

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::OnceLock};

const DOCUMENTS: [&str; 6] = [
    include_str!("x-api-openapi.json"),
    include_str!("schemas/accounts.json"),
    include_str!("schemas/sources.json"),
    include_str!("schemas/broadcasts.json"),
    include_str!("schemas/elsewhere.json"),
    include_str!("schemas/errors.json"),
];

/// One method of one path.
pub struct Operation {
    pub method: String,
    /// With its parameters in braces.
    pub template: String,
    /// What an OAuth 2.0 token must have been given; none where no token is needed.
    pub scopes: Option<Vec<String>>,
    parameters: Vec<Parameter>,
    /// By media type; empty where a body is an error.
    bodies: BTreeMap<String, Validator>,
    replies: BTreeMap<u16, Option<Validator>>,
}

struct Parameter {
    name: String,
    in_path: bool,
    required: bool,
    kind: String,
    schema: Validator,
    /// What is said of a wrong value, which itself is never told: it may be a key.
    refused_with: String,
}

/// A request that was understood.
#[derive(Default)]
pub struct Arguments {
    pub path: BTreeMap<String, String>,
    pub query: BTreeMap<String, Value>,
}

/// The name of the parameter or field that is wrong, if it is known, and what is wrong with it.
pub struct Wrong {
    pub parameter: String,
    pub text: String,
}

impl Wrong {
    pub fn new(parameter: impl Into<String>, text: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), text: text.into() }
    }
}

pub struct Api {
    pub operations: Vec<Operation>,
    errors: Validator,
}

/// All of it, compiled once for a program.
pub fn api() -> &'static Api {
    static API: OnceLock<Api> = OnceLock::new();
    API.get_or_init(Api::read)
}

impl Api {
    fn read() -> Self {
        let mut documents: Vec<Value> =
            DOCUMENTS.iter().map(|text| serde_json::from_str(text).expect("a JSON document")).collect();
        documents.iter_mut().for_each(make_strict);
        let mut components = json!({"parameters": {}, "schemas": {}});
        for document in &documents {
            for kind in ["parameters", "schemas"] {
                let all = components[kind].as_object_mut().expect("an object");
                for (name, schema) in document["components"][kind].as_object().expect("an object") {
                    assert!(all.insert(name.clone(), schema.clone()).is_none(), "{name} is there twice");
                }
            }
        }
        let mut operations = Vec::new();
        for document in &documents {
            for (template, methods) in document["paths"].as_object().expect("paths") {
                for (method, operation) in methods.as_object().expect("methods") {
                    operations.push(Operation::read(method, template, operation, &components));
                }
            }
        }
        let errors = compile(&json!({"$ref": "#/components/schemas/ErrorReply"}), &components);
        Self { operations, errors }
    }

    /// What is wrong with the body of an error that the stand-in is about to send.
    pub fn wrong_error(&self, body: &Value) -> Option<String> {
        self.errors.iter_errors(body).next().map(|error| error.to_string())
    }
}

/// A field that is not named is not allowed, though OpenAPI would let it pass: on requests X may refuse it, and in replies
/// the stand-in would have made it up. `nullable` becomes what JSON Schema knows.
fn make_strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let named =
                fields.get("properties").is_some_and(|named| named.as_object().is_some_and(|all| !all.is_empty()));
            if named && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".into(), json!(false));
            }
            if fields.remove("nullable") == Some(json!(true)) {
                let kind = fields["type"].take();
                fields.insert("type".into(), json!([kind, "null"]));
            }
            fields.values_mut().for_each(make_strict);
        }
        Value::Array(all) => all.iter_mut().for_each(make_strict),
        _ => {}
    }
}

fn compile(schema: &Value, components: &Value) -> Validator {
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.insert("components".into(), components.clone());
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
    options.build(&Value::Object(whole)).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

impl Operation {
    fn read(method: &str, template: &str, operation: &Value, components: &Value) -> Self {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let bodies = operation["requestBody"]["content"].as_object().cloned().unwrap_or_default();
        let scopes = operation["security"].as_array().map(|ways| {
            let scopes = ways.iter().find_map(|way| way["OAuth2UserToken"].as_array()).expect("OAuth 2.0");
            scopes.iter().map(|scope| scope.as_str().expect("a scope").to_owned()).collect()
        });
        let reply = |reply: &Value| {
            let schema = &reply["content"]["application/json"]["schema"];
            (!schema.is_null()).then(|| compile(schema, components))
        };
        Self {
            method: method.to_uppercase(),
            template: template.to_owned(),
            scopes,
            parameters: parameters.iter().map(|parameter| Parameter::read(parameter, components)).collect(),
            bodies: bodies.iter().map(|(kind, body)| (kind.clone(), compile(&body["schema"], components))).collect(),
            replies: operation["responses"]
                .as_object()
                .expect("replies")
                .iter()
                .map(|(code, is)| (code.parse().expect("a status code"), reply(is)))
                .collect(),
        }
    }

    /// The parameters of a path that fits the template, unchecked.
    pub fn fits(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let (mut asked, mut found) = (path.split('/'), BTreeMap::new());
        for part in self.template.split('/') {
            let given = asked.next()?;
            match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !given.is_empty() => drop(found.insert(name.to_owned(), given.to_owned())),
                _ if part == given => {}
                _ => return None,
            }
        }
        asked.next().is_none().then_some(found)
    }

    /// Checks path and query; names that are not known are refused.
    pub fn arguments(&self, path: BTreeMap<String, String>, query: &[(String, String)]) -> Result<Arguments, Wrong> {
        let mut arguments = Arguments { path, query: BTreeMap::new() };
        for (name, text) in query {
            let known = self.parameters.iter().find(|parameter| !parameter.in_path && parameter.name == *name);
            let known = known
                .ok_or_else(|| Wrong::new(name, format!("The query parameter [{name}] is not one of those allowed")))?;
            let value = known.check(text)?;
            if arguments.query.insert(name.clone(), value).is_some() {
                return Err(Wrong::new(name, format!("The query parameter [{name}] is there twice")));
            }
        }
        for parameter in &self.parameters {
            if parameter.in_path {
                let text = arguments.path.get(&parameter.name).expect("in the template");
                parameter.check(text)?;
            } else if parameter.required && !arguments.query.contains_key(&parameter.name) {
                return Err(Wrong::new(
                    &parameter.name,
                    format!("The query parameter [{}] is missing", parameter.name),
                ));
            }
        }
        Ok(arguments)
    }

    pub fn takes_a_body(&self) -> bool {
        !self.bodies.is_empty()
    }

    /// Checks a body of this media type.
    pub fn check_body(&self, kind: &str, body: &Value) -> Result<(), Wrong> {
        let schema =
            self.bodies.get(kind).ok_or_else(|| Wrong::new("", format!("Content-Type {kind:?} is not taken here")))?;
        match schema.iter_errors(body).next() {
            None => Ok(()),
            Some(error) => {
                let field = error.instance_path().to_string().trim_start_matches('/').to_owned();
                // The value may be a secret, such as a key given as an id.
                Err(Wrong::new(field, error.masked().to_string()))
            }
        }
    }

    /// What is wrong with a reply that the stand-in is about to send.
    pub fn wrong_reply(&self, status: u16, body: Option<&Value>) -> Option<String> {
        match (self.replies.get(&status), body) {
            (None, _) => Some(format!("status {status} is not in the schema")),
            (Some(None), None) => None,
            (Some(Some(schema)), Some(body)) => schema.iter_errors(body).next().map(|error| error.to_string()),
            (Some(schema), _) => Some(format!("a body: {}, in the schema: {}", body.is_some(), schema.is_some())),
        }
    }
}

impl Parameter {
    fn read(parameter: &Value, components: &Value) -> Self {
        let referred = parameter["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/parameters/"));
        let parameter = referred.map_or(parameter, |name| &components["parameters"][name]);
        let schema = &parameter["schema"];
        let referred = schema["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/schemas/"));
        let kind = &referred.map_or(schema, |name| &components["schemas"][name])["type"];
        Self {
            name: parameter["name"].as_str().expect("a name").to_owned(),
            in_path: parameter["in"] == "path",
            required: parameter["required"] == true,
            kind: kind.as_str().unwrap_or("string").to_owned(),
            schema: compile(schema, components),
            refused_with: match parameter["x-refused-with"].as_str() {
                Some(text) => text.to_owned(),
                None => format!("The `{}` value is not valid.", parameter["name"].as_str().unwrap_or_default()),
            },
        }
    }

    fn check(&self, text: &str) -> Result<Value, Wrong> {
        let value = match self.kind.as_str() {
            "array" => json!(text.split(',').collect::<Vec<_>>()),
            "integer" => text.parse::<i64>().map_or(json!(text), |number| json!(number)),
            "boolean" => text.parse::<bool>().map_or(json!(text), |yes| json!(yes)),
            _ => json!(text),
        };
        if self.schema.is_valid(&value) {
            return Ok(value);
        }
        Err(Wrong::new(&self.name, &self.refused_with))
    }
}

/// The fields of a form or of a query; a name that is there twice is an error.
pub fn form(text: &[u8]) -> Result<Map<String, Value>, Wrong> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(text) {
        if fields.insert(name.to_string(), json!(value)).is_some() {
            return Err(Wrong::new(name, "is there twice"));
        }
    }
    Ok(fields)
}
