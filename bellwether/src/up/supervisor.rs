//! Tasks in shutdown stages.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Shutdown goes with the data: what produces stops first, what stores stops last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Traffic,
    Applications,
    Collectors,
    ControlPlane,
}

const STAGES: [Stage; 4] = [
    Stage::Traffic,
    Stage::Applications,
    Stage::Collectors,
    Stage::ControlPlane,
];

impl Stage {
    /// The longest a stage may take. An API drains requests for up to 30 s and then flushes its telemetry.
    fn deadline(self) -> Duration {
        match self {
            Self::Traffic => Duration::from_secs(5),
            Self::Applications => Duration::from_secs(40),
            Self::Collectors => Duration::from_secs(15),
            Self::ControlPlane => Duration::from_secs(60),
        }
    }
}

/// Owns every task of the stack.
pub(super) struct Supervisor {
    tokens: [CancellationToken; 4],
    tasks: JoinSet<anyhow::Result<()>>,
    running: HashMap<Id, (Stage, String)>,
}

impl Supervisor {
    pub(super) fn new() -> Self {
        Self {
            tokens: std::array::from_fn(|_| CancellationToken::new()),
            tasks: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Starts a part. `part` gets the token that asks its stage to stop.
    pub(super) fn spawn<F>(
        &mut self,
        stage: Stage,
        name: impl Into<String>,
        part: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let handle = self.tasks.spawn(part(self.tokens[stage as usize].clone()));
        self.running.insert(handle.id(), (stage, name.into()));
    }

    /// Waits until a part ends, which none should before the shutdown, and says which and why.
    pub(super) async fn first_end(&mut self) -> anyhow::Error {
        loop {
            match self.next_end().await {
                Some((name, Ok(()))) => return anyhow!("{name} ended by itself"),
                Some((name, Err(error))) => return error.context(format!("{name} failed")),
                None => std::future::pending::<()>().await,
            }
        }
    }

    async fn next_end(&mut self) -> Option<(String, anyhow::Result<()>)> {
        let joined = self.tasks.join_next_with_id().await?;
        let (id, result) = match joined {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(panicked(error))),
        };
        let (_, name) = self
            .running
            .remove(&id)
            .unwrap_or((Stage::Traffic, "a part".to_owned()));
        Some((name, result))
    }

    /// Stops stage after stage, waiting for each. Returns what went wrong on the way.
    pub(super) async fn shut_down(mut self) -> Vec<anyhow::Error> {
        let mut errors = Vec::new();
        for stage in STAGES {
            self.tokens[stage as usize].cancel();
            let deadline = tokio::time::Instant::now() + stage.deadline();
            while self.running.values().any(|(s, _)| *s == stage) {
                match tokio::time::timeout_at(deadline, self.next_end()).await {
                    Ok(Some((_, Ok(())))) => {}
                    Ok(Some((name, Err(error)))) => {
                        errors.push(error.context(format!("{name} failed while stopping")));
                    }
                    Ok(None) => break,
                    Err(_) => {
                        errors.push(self.give_up(stage));
                        break;
                    }
                }
            }
        }
        self.tasks.shutdown().await;
        errors
    }

    fn give_up(&mut self, stage: Stage) -> anyhow::Error {
        let late: Vec<String> = self
            .running
            .values()
            .filter(|(s, _)| *s == stage)
            .map(|(_, name)| name.clone())
            .collect();
        self.running.retain(|_, (s, _)| *s != stage);
        anyhow!(
            "{} did not stop within {} s",
            late.join(", "),
            stage.deadline().as_secs()
        )
    }
}

fn panicked(error: JoinError) -> anyhow::Error {
    match error.try_into_panic() {
        Ok(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown panic".to_owned());
            anyhow!("a bug: {text}")
        }
        Err(error) => anyhow!(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn stages_stop_in_the_direction_of_the_data() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut supervisor = Supervisor::new();
        for stage in [
            Stage::ControlPlane,
            Stage::Traffic,
            Stage::Collectors,
            Stage::Applications,
        ] {
            let order = Arc::clone(&order);
            supervisor.spawn(stage, format!("{stage:?}"), |token| async move {
                token.cancelled().await;
                order.lock().unwrap().push(stage);
                Ok(())
            });
        }
        assert!(supervisor.shut_down().await.is_empty());
        assert_eq!(*order.lock().unwrap(), STAGES);
    }

    #[tokio::test]
    async fn a_part_that_fails_is_named() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn(Stage::Collectors, "collector qa", |_| async {
            Err(anyhow!("no socket"))
        });
        supervisor.spawn(Stage::ControlPlane, "server", |token| async move {
            token.cancelled().await;
            Ok(())
        });
        let error = supervisor.first_end().await;
        assert_eq!(format!("{error:#}"), "collector qa failed: no socket");
        assert!(supervisor.shut_down().await.is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_part() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn(Stage::Traffic, "load prod", |_| async { panic!("boom") });
        assert_eq!(
            format!("{:#}", supervisor.first_end().await),
            "load prod failed: a bug: boom"
        );
    }
}
