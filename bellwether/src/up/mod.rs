//! `bellwether up`: the whole stack in one process, honest sockets between its parts.
//!
//! ```text
//! bind every port -> start parts -> ready table -> first data -> status line ... signal
//!                                                                                |
//!      traffic stops -> applications flush -> collectors drain -> dashboard, server close
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`lock`] | one process per data directory |
//! | [`parts`] | builds each part from the stack and binds its ports; nothing runs yet |
//! | [`supervisor`] | runs parts as tasks in shutdown stages and notices one that ends early |
//! | [`watch`] | asks the running stack, over its own HTTP ports, whether it is ready and has data |
//! | [`screen`] | the table, the status line, plain lines where there is no terminal |
//!
//! Nothing is started before every port of every part is bound: a port in use leaves nothing half-started.

mod lock;
mod parts;
mod screen;
mod supervisor;
mod watch;

use std::process::ExitCode;
use std::time::Instant;

use crate::cli::UpArgs;
use crate::signals;
use crate::stack::access::ServerAccess;
use crate::stack::{Overrides, Stack};

pub(crate) async fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let overrides = Overrides {
        listen: args.listen,
        data_dir: args.data_dir.clone(),
    };
    let stack = Stack::load(args.stack.as_deref(), &overrides)?;
    let _claim = lock::DataDir::claim(&stack.data_dir)?;
    let access = ServerAccess::load(&stack)?;
    let parts = parts::bind(&stack, &access, args.no_load, args.stack.as_deref()).await?;

    let shutdown = signals::shutdown_token();
    let screen = screen::Screen::new();
    let mut supervisor = supervisor::Supervisor::new();
    let components = parts.start(&mut supervisor);
    if !bellwether_dashboard::BUILT {
        screen.line("this binary was built without the dashboard; its pages say how to get it");
    }

    let client = watch::Client::new(&access)?;
    let follow = watch::follow(&stack, &components, &client, started, args.no_load, &screen);
    let failure = tokio::select! {
        () = shutdown.cancelled() => None,
        failure = supervisor.first_end() => Some(failure),
        never = follow => match never {},
    };
    screen.finish();
    if failure.is_none() {
        screen.line(
            "stopping: traffic, applications, collectors, server (Ctrl-C again ends at once)",
        );
    }
    let late = supervisor.shut_down().await;
    match failure.into_iter().chain(late).next() {
        None => {
            screen.line("stopped, everything flushed");
            Ok(ExitCode::SUCCESS)
        }
        Some(failure) => Err(failure),
    }
}
