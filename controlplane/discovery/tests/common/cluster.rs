//! A fake of Kubernetes' API server: lists, watches from a version on, bookmarks, versions that are too old, broken
//! connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// What a watch hears.
#[derive(Clone, Debug)]
enum Change {
    /// An event of a collection, at a version.
    Event {
        collection: String,
        version: u64,
        line: String,
    },
    /// The connection breaks.
    HangUp,
}

#[derive(Default)]
struct Objects {
    version: u64,
    /// By collection (`/api/v1/pods`), then by `namespace/name`.
    collections: BTreeMap<String, BTreeMap<String, Value>>,
    history: Vec<Change>,
    /// Watches from before this version are too old.
    oldest: u64,
    requests: Vec<String>,
    authorizations: Vec<String>,
}

/// The fake server; clones are the same one.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) url: String,
    objects: Arc<Mutex<Objects>>,
    changes: broadcast::Sender<Change>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            objects: Arc::default(),
            changes: broadcast::channel(1024).0,
        };
        cluster.objects.lock().version = 100;
        let app = Router::new().fallback(answer).with_state(cluster.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        cluster
    }

    /// Adds or changes an object of a collection such as `/api/v1/pods`.
    pub(crate) fn put(&self, collection: &str, mut object: Value) {
        let mut objects = self.objects.lock();
        objects.version += 1;
        let version = objects.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let key = key(&object);
        let known = objects
            .collections
            .entry(collection.to_owned())
            .or_default();
        let kind = match known.insert(key, object.clone()) {
            None => "ADDED",
            Some(_) => "MODIFIED",
        };
        self.tell(&mut objects, collection, kind, &object);
    }

    pub(crate) fn delete(&self, collection: &str, key: &str) {
        let mut objects = self.objects.lock();
        objects.version += 1;
        let known = objects.collections.get_mut(collection).unwrap();
        let object = known.remove(key).unwrap();
        self.tell(&mut objects, collection, "DELETED", &object);
    }

    /// Removes an object without an event, as if it had happened while nobody watched.
    pub(crate) fn lose(&self, collection: &str, key: &str) {
        let mut objects = self.objects.lock();
        objects.version += 1;
        objects
            .collections
            .get_mut(collection)
            .unwrap()
            .remove(key)
            .unwrap();
    }

    /// Tells the watches of a collection the newest version.
    pub(crate) fn bookmark(&self, collection: &str, kind: &str, api_version: &str) {
        let mut objects = self.objects.lock();
        objects.version += 1;
        let object = json!({
            "kind": kind,
            "apiVersion": api_version,
            "metadata": { "resourceVersion": objects.version.to_string() },
        });
        self.tell(&mut objects, collection, "BOOKMARK", &object);
    }

    /// From now on only the newest version can be watched from.
    pub(crate) fn forget_history(&self) {
        let mut objects = self.objects.lock();
        objects.version += 1;
        objects.oldest = objects.version;
        objects.history.clear();
    }

    /// Breaks all watches.
    pub(crate) fn hang_up(&self) {
        let _ = self.changes.send(Change::HangUp);
    }

    /// Paths with their queries, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.objects.lock().requests.clone()
    }

    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.objects.lock().authorizations.clone()
    }

    fn tell(&self, objects: &mut Objects, collection: &str, kind: &str, object: &Value) {
        let change = Change::Event {
            collection: collection.to_owned(),
            version: objects.version,
            line: json!({ "type": kind, "object": object }).to_string() + "\n",
        };
        objects.history.push(change.clone());
        let _ = self.changes.send(change);
    }
}

fn key(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// `/api/v1/namespaces/x/pods` is `/api/v1/pods` of one namespace.
fn split(path: &str) -> (String, Option<String>) {
    match path.split_once("/namespaces/") {
        Some((base, rest)) if rest.contains('/') => {
            let (namespace, kind) = rest.split_once('/').unwrap();
            (format!("{base}/{kind}"), Some(namespace.to_owned()))
        }
        _ => (path.to_owned(), None),
    }
}

fn is_inside(object: &Value, namespace: Option<&String>) -> bool {
    namespace.is_none_or(|ns| object["metadata"]["namespace"] == ns.as_str())
}

async fn answer(State(cluster): State<Cluster>, request: Request) -> Response {
    let uri = request.uri().clone();
    let query: BTreeMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let (collection, namespace) = split(uri.path());
    // Before the list is made: what changes in between must not be missed.
    let changes = cluster.changes.subscribe();
    let mut objects = cluster.objects.lock();
    objects.requests.push(uri.to_string());
    if let Some(header) = request.headers().get("authorization") {
        let text = header.to_str().unwrap().to_owned();
        objects.authorizations.push(text);
    }
    let version = objects.version;
    if query.get("watch").is_none_or(|w| w != "true" && w != "1") {
        let known = objects.collections.get(&collection);
        let items: Vec<&Value> = known
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|object| is_inside(object, namespace.as_ref()))
            .collect();
        let list = json!({
            "kind": "List",
            "apiVersion": "v1",
            "metadata": { "resourceVersion": version.to_string() },
            "items": items,
        });
        return axum::Json(list).into_response();
    }
    let from: u64 = query["resourceVersion"].parse().unwrap();
    if from < objects.oldest {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
            "message": "too old resource version",
        });
        let line = json!({ "type": "ERROR", "object": status }).to_string() + "\n";
        return Body::from(line).into_response();
    }
    let missed: Vec<Change> = objects.history.clone();
    drop(objects);
    let watch = Watch {
        collection,
        namespace,
        seen: from,
        missed: missed.into(),
        changes,
    };
    Body::from_stream(futures_util::stream::unfold(watch, Watch::next)).into_response()
}

struct Watch {
    collection: String,
    namespace: Option<String>,
    /// Newest version that was told.
    seen: u64,
    missed: std::collections::VecDeque<Change>,
    changes: broadcast::Receiver<Change>,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            let change = match self.missed.pop_front() {
                Some(change) => change,
                None => self.changes.recv().await.ok()?,
            };
            let Change::Event {
                collection,
                version,
                line,
            } = change
            else {
                let broken = std::io::Error::other("connection lost");
                return Some((Err(broken), self));
            };
            if collection != self.collection || version <= self.seen {
                continue;
            }
            self.seen = version;
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["type"] == "BOOKMARK" || is_inside(&event["object"], self.namespace.as_ref()) {
                return Some((Ok(Bytes::from(line)), self));
            }
        }
    }
}
