//! Spans of this program's own work.
//!
//! Nothing is global: [`Traces`] is where a part's first spans come from, and spans below one find it by the context
//! of their thread. Without a span above, or while tracing is off, a span is nothing and costs a look at that context.
//!
//! A context does not follow work to another thread: [`carry`] takes it along, and [`Span::around`] to a future.

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _, Tracer as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

pub use opentelemetry::trace::SpanKind;
pub use opentelemetry::{Context, KeyValue};

/// Where the first spans of a part come from; off until a tracer is set. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traces(Arc<ArcSwapOption<SdkTracer>>);

impl Traces {
    /// Spans come from this tracer from now on; none turns them off.
    pub fn set(&self, tracer: Option<SdkTracer>) {
        self.0.store(tracer.map(Arc::new));
    }

    /// Whether spans are made.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.load().is_some()
    }

    /// A span without a span above it in this process. `parent` may hold one of another process.
    pub fn start(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: &Context,
    ) -> Span {
        match self.0.load_full() {
            Some(tracer) => Span::new(tracer, name.into(), kind, parent),
            None => Span(None),
        }
    }
}

/// Kept in a context, so that spans below are of the same tracer.
struct Tracer(Arc<SdkTracer>);

/// A span; it ends when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Span(Option<Context>);

/// Makes a span the one above all that this thread starts, until it is dropped.
#[must_use]
pub struct Entered {
    _guard: Option<opentelemetry::ContextGuard>,
}

/// A span below the current one of this thread.
pub fn span(name: impl Into<Cow<'static, str>>) -> Span {
    span_of(name, SpanKind::Internal)
}

/// [`span`] of another kind.
pub fn span_of(name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Span {
    Context::map_current(|current| match current.get::<Tracer>() {
        Some(tracer) => Span::new(Arc::clone(&tracer.0), name.into(), kind, current),
        None => Span(None),
    })
}

/// Adds attributes to the current span of this thread.
pub fn set_on_current(attributes: impl FnOnce() -> Vec<KeyValue>) {
    Context::map_current(|current| {
        if current.get::<Tracer>().is_some() && current.span().is_recording() {
            current.span().set_attributes(attributes());
        }
    });
}

/// The context of a request of another process, by its headers (W3C Trace Context).
#[must_use]
pub fn remote_parent<'a>(header: &dyn Fn(&str) -> Option<&'a str>) -> Context {
    struct Headers<'b, 'a>(&'b dyn Fn(&str) -> Option<&'a str>);
    impl Extractor for Headers<'_, '_> {
        fn get(&self, key: &str) -> Option<&str> {
            (self.0)(key)
        }

        fn keys(&self) -> Vec<&str> {
            Vec::new()
        }
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(header))
}

/// Takes the current span along to the thread where `work` runs.
pub fn carry<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let current = Context::current();
    move || {
        let _guard = current.attach();
        work()
    }
}

impl Span {
    fn new(
        tracer: Arc<SdkTracer>,
        name: Cow<'static, str>,
        kind: SpanKind,
        parent: &Context,
    ) -> Self {
        let builder = tracer.span_builder(name).with_kind(kind);
        let span = tracer.build_with_context(builder, parent);
        Self(Some(parent.with_value(Tracer(tracer)).with_span(span)))
    }

    /// Whether somebody will see it: what is expensive to say can be left out otherwise.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        let recording = |context: &Context| context.span().is_recording();
        self.0.as_ref().is_some_and(recording)
    }

    /// Adds attributes; `attributes` is asked only when somebody will see them.
    pub fn set(&self, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if let Some(context) = &self.0
            && context.span().is_recording()
        {
            context.span().set_attributes(attributes());
        }
    }

    /// What the span stands for went wrong.
    pub fn fail(&self, reason: &str) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(reason.to_owned()));
        }
    }

    /// Adds the event of an error, which may be mended later.
    pub fn record_error(&self, message: &str) {
        if let Some(context) = &self.0 {
            let message = KeyValue::new("exception.message", message.to_owned());
            context.span().add_event("exception", vec![message]);
        }
    }

    /// Headers that tell the receiver of a request of this span (W3C Trace Context).
    pub fn inject(&self, mut set: impl FnMut(&str, String)) {
        struct Headers<'a>(&'a mut dyn FnMut(&str, String));
        impl Injector for Headers<'_> {
            fn set(&mut self, key: &str, value: String) {
                if !value.is_empty() {
                    (self.0)(key, value);
                }
            }
        }
        if let Some(context) = &self.0 {
            TraceContextPropagator::new().inject_context(context, &mut Headers(&mut set));
        }
    }

    /// Makes it the current span of this thread.
    pub fn enter(&self) -> Entered {
        Entered {
            _guard: self.0.clone().map(Context::attach),
        }
    }

    /// Makes it the current span of a future, wherever that runs.
    pub async fn around<F: Future>(&self, future: F) -> F::Output {
        match self.0.clone() {
            Some(context) => future.with_context(context).await,
            None => future.await,
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            // Others may still hold the context.
            context.span().end();
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TracerProvider as _};
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    use super::*;

    #[test]
    fn spans_are_below_the_current_one_also_on_other_threads() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let traces = Traces::default();
        drop(traces.start("off", SpanKind::Server, &Context::new()));
        drop(span("nothing above"));
        traces.set(Some(provider.tracer("")));
        let root = traces.start("root", SpanKind::Server, &Context::new());
        {
            let _entered = root.enter();
            let child = span("child");
            child.set(|| vec![KeyValue::new("a", 1)]);
            child.fail("broken");
            let entered = child.enter();
            let work = carry(|| drop(span("grandchild")));
            drop(entered);
            assert!(std::thread::spawn(work).join().is_ok());
        }
        drop(root);
        drop(span("nothing above"));
        let spans = exporter.get_finished_spans().unwrap_or_default();
        let names: Vec<&str> = spans.iter().map(|s| &*s.name).collect();
        assert_eq!(names, ["grandchild", "child", "root"]);
        assert_eq!(spans[2].parent_span_id, SpanId::INVALID);
        assert_eq!(spans[1].parent_span_id, spans[2].span_context.span_id());
        assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
        assert_eq!(spans[1].status, Status::error("broken"));
    }

    #[test]
    fn other_processes_are_told_and_heard() {
        let provider = SdkTracerProvider::builder().build();
        let traces = Traces::default();
        traces.set(Some(provider.tracer("")));
        let theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = remote_parent(&|name| (name == "traceparent").then_some(theirs));
        let span = traces.start("ours", SpanKind::Server, &parent);
        let mut told = Vec::new();
        span.inject(|name, value| told.push((name.to_owned(), value)));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, "traceparent");
        assert!(told[0].1.starts_with(&theirs[..36]), "{told:?}");
        assert_ne!(told[0].1, theirs);
        drop(span);
        let nobody = remote_parent(&|_| None);
        assert!(!nobody.span().span_context().is_valid());
    }
}
