//! The target that a resource stands for: `job`, `instance`, `target_info`.

use crate::value::{Attributes, Value};

/// `job` and `instance` of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Target {
    /// `service.namespace/service.name`, or just the name; `None` without a name.
    pub job: Option<String>,
    /// `service.instance.id`.
    pub instance: Option<String>,
}

impl Target {
    /// Reads the identifying attributes of a resource.
    pub fn of(resource: Attributes<'_>) -> Self {
        let text = |key: &str| resource.get(key).as_ref().map(Value::to_text);
        let job = text("service.name").map(|name| match text("service.namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        Self {
            job,
            instance: text("service.instance.id"),
        }
    }

    /// The two labels, those that exist.
    pub fn labels(&self) -> Vec<(String, String)> {
        let mut labels = Vec::with_capacity(2);
        if let Some(instance) = &self.instance {
            labels.push(("instance".to_owned(), instance.clone()));
        }
        if let Some(job) = &self.job {
            labels.push(("job".to_owned(), job.clone()));
        }
        labels
    }
}

/// True for the attributes that `job` and `instance` are made of.
pub fn is_identifying(key: &str) -> bool {
    matches!(
        key,
        "service.name" | "service.namespace" | "service.instance.id"
    )
}
