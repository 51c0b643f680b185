//! `bellwether`: the whole stack, or any one part of it, in one binary.
//!
//! This crate parses arguments, builds, runs and maps errors to exit codes; everything else lives in the
//! planes' crates. [`commands`] has one file per sub-command, [`stack`] the stack file, [`up`] the supervisor
//! that starts all parts of a stack in one process. A part started by `up` and the same part started alone
//! are the same code behind the same sockets.
//!
//! Exit codes: 0 success; 1 bad configuration or a part that could not start or failed; 2 wrong usage;
//! 130 ended by a second Ctrl-C.

mod cli;
mod commands;
mod http_client;
mod program_pages;
mod signals;
mod stack;
mod up;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc.h; libmimalloc-sys does not name it.
const MI_OPTION_PURGE_DELAY: i32 = 15;

fn main() -> ExitCode {
    return_freed_memory_at_once();
    // Before anything can build an HTTP client: without a provider those panic.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln_line("a TLS provider was installed before main");
    }
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("bellwether")
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln_line(&format!("cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let run = async {
        tokio::select! {
            result = commands::run(cli) => result,
            never = program_pages::give_back_regularly() => match never {},
        }
    };
    let code = match runtime.block_on(run) {
        Ok(code) => code,
        Err(error) => {
            eprintln_line(&full_message(&error));
            ExitCode::FAILURE
        }
    };
    // Blocking work that ignores its cancellation must not hold up the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

/// With transparent huge pages every page touched in a new region becomes two resident megabytes: 45 instead of
/// 17 MiB for one idle API. A system that refuses keeps them.
#[cfg(target_os = "linux")]
extern "C" fn use_small_pages() {
    // SAFETY: PR_SET_THP_DISABLE takes four integers and touches no memory of ours (prctl(2)).
    #[allow(unsafe_code)]
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

/// Already the first allocation, which comes before `main`, must find them off: two megabytes more.
// SAFETY: functions in this section are called once at the start with the C convention (System V ABI, "Initialization
// and Termination Functions"); this one needs nothing that is set up later.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = use_small_pages;

/// With mimalloc's default delay of 10 ms a process keeps most of a burst's memory; without a delay it went
/// back to less than half at no cost in CPU.
fn return_freed_memory_at_once() {
    // SAFETY: called once at the start of main, before any other thread exists; the option number is checked
    // against mimalloc.h when the crate is upgraded, and an unknown number is ignored by the library.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(MI_OPTION_PURGE_DELAY, 0);
    }
}

/// An error and its causes, each fact once: some messages already hold the text of their source.
fn full_message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !message.contains(&text) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&text);
        }
    }
    message
}

/// The one line in which a failure reaches the user.
#[allow(clippy::print_stderr)]
fn eprintln_line(message: &str) {
    eprintln!("bellwether: {message}");
}
