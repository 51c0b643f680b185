//! The addresses of a host, in the system's order or in turn.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

/// Asks the system's resolver. In turn, each connection begins with the next address, so that connections spread over
/// all of them; the others are tried after it as usual.
#[derive(Clone)]
pub(crate) struct Addresses {
    system: GaiResolver,
    next: Option<Arc<AtomicUsize>>,
}

impl Addresses {
    pub(crate) fn new(in_turn: bool) -> Self {
        Self {
            system: GaiResolver::new(),
            next: in_turn.then(Arc::default),
        }
    }
}

/// Begins with another address; the order goes round.
fn turned(mut addresses: Vec<SocketAddr>, by: usize) -> Vec<SocketAddr> {
    // The resolver's order changes from call to call.
    addresses.sort_unstable();
    addresses.dedup();
    let len = addresses.len().max(1);
    addresses.rotate_left(by % len);
    addresses
}

impl Service<Name> for Addresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.system.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.system.call(name);
        let turn = self
            .next
            .as_ref()
            .map(|n| n.fetch_add(1, Ordering::Relaxed));
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = found.await?.collect();
            Ok(match turn {
                Some(by) => turned(addresses, by),
                None => addresses,
            }
            .into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_begins_with_the_next_address() {
        let all: Vec<SocketAddr> = (1..=3)
            .map(|n| SocketAddr::from(([10, 0, 0, n], 80)))
            .collect();
        let mut mixed = all.clone();
        mixed.reverse();
        let first = |by| turned(mixed.clone(), by)[0];
        assert_eq!(
            [first(0), first(1), first(2), first(3)],
            [all[0], all[1], all[2], all[0]]
        );
        assert_eq!(turned(mixed.clone(), 1).len(), 3);
        assert!(turned(Vec::new(), 5).is_empty());
    }
}
