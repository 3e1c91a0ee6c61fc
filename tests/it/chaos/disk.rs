//! A thread panics, the disk is full, the disk cannot sync (A6, A7, A8).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// A6: whichever thread panics, the process ends, no half epoch is left, and the next run goes on.
#[test]
fn a6_a_panic_in_any_thread_leaves_no_half_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Shared::get();
    let lake = dir.path().join("lake");
    // The thread that reads, one that builds rows, and the lake's, before and after the put.
    for fault in [
        "epoch.read@2=panic",
        "rows.built@3=panic",
        "state.written=panic",
        "table.committed@5=panic",
    ] {
        let output = run(logs.source.run(&lake), fault);
        let words = said(&output);
        assert_eq!(output.status.code(), Some(6), "{fault}: {words}");
        assert!(words.contains("a broken invariant stopped the"), "{words}");
    }
    finish(&logs.source, &lake);
    logs.check(&lake, "panics");
}

/// A small file system, gone at the end.
struct Small(PathBuf);

impl Small {
    /// None where this process may not mount.
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let option = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "keytrail-test"])
            .arg(&at)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(at))
    }

    fn grow(&self, size: &str) {
        let option = format!("remount,size={size}");
        let grown = Command::new("mount")
            .args(["-o", &option])
            .arg(&self.0)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg(&self.0).status();
    }
}

/// A7: the disk is full at the start, in the middle, near the end. The program stops and says why; with more room the
/// next run goes on where the ledger ends.
#[test]
fn a7_a_full_disk_stops_it_and_room_lets_it_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Shared::get();
    for size in ["64k", "1m", "3m"] {
        let Some(disk) = Small::mount(dir.path().join(size), size) else {
            skip("A7, a full disk: this process may not mount a tmpfs");
            return;
        };
        let lake = disk.0.join("lake");
        for _ in 0..2 {
            let output = run(logs.source.run(&lake), "");
            let words = said(&output);
            assert_eq!(output.status.code(), Some(4), "{size}: {words}");
            assert!(words.contains("No space left"), "{size}: {words}");
        }
        disk.grow("64m");
        finish(&logs.source, &lake);
        logs.check(&lake, size);
    }
}

/// Fails one `fsync` or `fdatasync`, and says of which file.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_long count;

static int fails(int fd) {
    const char *at = getenv("KEYTRAIL_TEST_SYNC_AT");
    const char *told = getenv("KEYTRAIL_TEST_SYNC_TOLD");
    if (!at || !told || atomic_fetch_add(&count, 1) + 1 != atol(at)) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    int out = open(told, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (length < 0 || write(out, path, length) != length) abort();
    close(out);
    errno = EIO;
    return 1;
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails(fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails(fd) ? -1 : real(fd);
}
"#;

/// The shim as a library in `folder`; none without a C compiler.
fn shim(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output();
    built
        .is_ok_and(|output| output.status.success())
        .then_some(library)
}

/// A8: the disk refuses once to sync. What was written may be gone although the next sync succeeds, so the program must
/// not go on; the next run begins with what is surely there.
#[test]
fn a8_a_sync_that_fails_once_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = shim(dir.path()) else {
        skip("A8, a disk that cannot sync: there is no C compiler `cc`");
        return;
    };
    let logs = Shared::get();
    let lake = dir.path().join("lake");
    let told = dir.path().join("told");
    // Folders and files of the first start, then staged files, the state, the manifest of later ones.
    for at in [1, 7, 21, 60, 3, 30, 33] {
        let mut command = logs.source.run(&lake);
        command
            .env("LD_PRELOAD", &library)
            .env("KEYTRAIL_TEST_SYNC_AT", at.to_string())
            .env("KEYTRAIL_TEST_SYNC_TOLD", &told);
        let output = run(command, "");
        let file = fs::read_to_string(&told).expect("so many files are synced");
        fs::remove_file(&told).unwrap();
        println!(
            "A8: sync {at} failed, of {file}: {:?}",
            output.status.code()
        );
        let words = said(&output);
        assert_eq!(output.status.code(), Some(4), "sync {at}, {file}: {words}");
        assert!(words.contains("os error 5"), "sync {at}, {file}: {words}");
    }
    finish(&logs.source, &lake);
    logs.check(&lake, "syncs that failed");
}
