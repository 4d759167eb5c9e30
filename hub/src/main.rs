//! The binary `kolga`: the operator's commands and, as `kolga serve`, the hub itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    kolga_hub::cli::main()
}
