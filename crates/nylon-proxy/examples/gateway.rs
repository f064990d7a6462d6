//! Runs a gateway from a normalised snapshot: `gateway <snapshot.json>`. For trying and measuring.

use std::{process::ExitCode, sync::Arc};

use nylon_proxy::{Gateway, Transports};

/// As in the extension module.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: gateway <snapshot.json>");
        return ExitCode::from(2);
    };
    let started =
        std::fs::read(&path).map_err(|error| format!("reading {}: {error}", path.display())).and_then(|snapshot| {
            Gateway::start(&snapshot, Arc::new(Transports::default())).map_err(|error| error.to_string())
        });
    match started {
        Ok(gateway) => {
            println!("clients: {:?}, admin: {:?}", gateway.addresses(), gateway.admin_addresses());
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
