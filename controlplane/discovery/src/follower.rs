//! Who follows a set sees only its newest state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::manager::GroupList;

/// Where a set's states are published.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    sender: watch::Sender<GroupList>,
    /// The newest state was not taken yet.
    waits: Arc<AtomicBool>,
}

/// Follows one set.
#[derive(Clone, Debug)]
pub struct Follower {
    receiver: watch::Receiver<GroupList>,
    waits: Arc<AtomicBool>,
}

impl Publisher {
    /// Puts a state in the place of the one before. True: nobody had taken that one.
    pub(crate) fn publish(&self, groups: GroupList) -> bool {
        let waited = self.waits.swap(true, Ordering::Relaxed);
        self.sender.send_replace(groups);
        waited
    }

    pub(crate) fn follow(&self) -> Follower {
        Follower {
            receiver: self.sender.subscribe(),
            waits: Arc::clone(&self.waits),
        }
    }
}

impl Follower {
    /// The newest state.
    pub fn take(&mut self) -> GroupList {
        self.waits.store(false, Ordering::Relaxed);
        Arc::clone(&self.receiver.borrow_and_update())
    }

    /// Waits for a state that this follower has not taken. `None`: the set is gone.
    pub async fn next(&mut self) -> Option<GroupList> {
        self.receiver.changed().await.ok()?;
        Some(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_waits_until_it_is_taken() {
        let publisher = Publisher::default();
        let mut follower = publisher.follow();
        assert!(!publisher.publish(GroupList::default()));
        assert!(publisher.publish(GroupList::default()));
        assert!(follower.next().await.is_some());
        assert!(!publisher.publish(GroupList::default()));
        follower.take();
        assert!(!publisher.publish(GroupList::default()));
        drop(publisher);
        // The last state is still seen.
        assert!(follower.next().await.is_some());
        assert!(follower.next().await.is_none());
    }
}
