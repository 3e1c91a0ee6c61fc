//! The program: reads the command line, does one thing, says how it ended with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    keytrail::cli::main()
}
