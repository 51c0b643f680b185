//! Asking the running server to load its configuration again.

use tokio::sync::{mpsc, oneshot};

/// Reloads wait in a short line; more than this many at once means that something is wrong with the callers.
const QUEUE_LEN: usize = 8;

/// The answer to a request: the error's text when the configuration was refused.
pub(crate) type ReloadReply = oneshot::Sender<Result<(), String>>;

/// Asks for reloads. Cheap to clone; works from any task.
#[derive(Clone, Debug)]
pub struct ReloadHandle(mpsc::Sender<ReloadReply>);

impl ReloadHandle {
    pub(crate) fn new() -> (Self, mpsc::Receiver<ReloadReply>) {
        let (sender, receiver) = mpsc::channel(QUEUE_LEN);
        (Self(sender), receiver)
    }

    /// Loads and applies the configuration; returns when it is in force.
    ///
    /// # Errors
    /// Why it was refused, in words for a person; the old configuration then stays in force.
    pub async fn request(&self) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || "the server is stopping".to_owned();
        self.0.send(reply).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}
