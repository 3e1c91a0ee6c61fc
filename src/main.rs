//! The program: reads the command line, does one thing, says how it ended with its exit code.

use std::process::ExitCode;

/// Epochs are large buffers that come and go; the system's allocator hands each back to the kernel and has it cleared
/// anew, which took a fifth of all time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_freed_memory();
    keytrail::cli::main()
}

/// Has the allocator keep freed memory for a second instead of ten milliseconds, because the next epoch needs it again
/// (benches/README.md has what that saves). It reads its settings before `main` and from the environment alone,
/// so the program begins anew with them. Where that cannot be done it goes on without.
#[cfg(unix)]
fn keep_freed_memory() {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    const SETTING: &str = "MIMALLOC_PURGE_DELAY";
    const MILLISECONDS: &str = "1000";

    let mut arguments = std::env::args_os();
    if std::env::var_os(SETTING).is_some() {
        return;
    }
    if let (Some(name), Ok(program)) = (arguments.next(), std::env::current_exe()) {
        // Returns only if it failed.
        let _failed = Command::new(program)
            .arg0(name)
            .args(arguments)
            .env(SETTING, MILLISECONDS)
            .exec();
    }
}

#[cfg(not(unix))]
const fn keep_freed_memory() {}
