//! The program: reads the command line, does one thing, says how it ended with its exit code.

use std::process::ExitCode;

/// Epochs are large buffers that come and go; the system's allocator hands each back to the kernel and has it cleared
/// anew, which took a fifth of all time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keytrail::cli::main()
}
