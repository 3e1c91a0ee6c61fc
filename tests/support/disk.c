/* Writes down what a program does to the files below one folder, in the order in which it does it: the calls whose
 * effects a page cache holds back, and those that force them to the disk. Loaded with LD_PRELOAD by tests/it/power_cut.rs,
 * which reads the protocol and works out what a power cut at any line could have left.
 *
 *   DISK_ROOT         the folder, an absolute path without a slash at its end
 *   DISK_LOG          the protocol; lines are added at its end
 *   DISK_KILL_AFTER   ends the process right after a link or rename to a path that ends with this
 *   DISK_FAIL_SYNC    the sync of this number, from 1, fails once with EIO
 *
 * Lines: create INODE PATH · write INODE OFFSET LENGTH, then the bytes · fsync INODE · dirsync PATH · link INODE PATH ·
 * rename INODE FROM>TO · unlink PATH · mkdir PATH. What is not called by the tested program is not covered.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FDS];
static long syncs;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int ours(const char *path) {
    const char *root = getenv("DISK_ROOT");
    size_t length = root ? strlen(root) : 0;
    return root && path && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static void say(const char *line, const void *bytes, size_t length) {
    static int log = -1;
    if (log < 0) log = REAL(open64)(getenv("DISK_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ssize_t (*real)(int, const void *, size_t) = REAL(write);
    if (log < 0 || real(log, line, strlen(line)) < 0) abort();
    while (length > 0) {
        ssize_t written = real(log, bytes, length);
        if (written <= 0) abort();
        bytes = (const char *)bytes + written;
        length -= written;
    }
}

static unsigned long inode(const char *path) {
    struct stat64 found;
    return stat64(path, &found) == 0 ? (unsigned long)found.st_ino : 0;
}

static void kill_after(const char *path) {
    const char *end = getenv("DISK_KILL_AFTER");
    size_t length = end ? strlen(end) : 0, all = strlen(path);
    if (end && all >= length && strcmp(path + all - length, end) == 0) _exit(137);
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    if (!ours(path)) return real(path, flags, mode);
    char line[8192];
    pthread_mutex_lock(&lock);
    int fresh = (flags & O_CREAT) && inode(path) == 0;
    int fd = real(path, flags, mode);
    if (fd >= 0 && fd < FDS) {
        free(paths[fd]);
        paths[fd] = strdup(path);
        if (fresh) {
            snprintf(line, sizeof line, "create %lu %s\n", inode(path), path);
            say(line, NULL, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return opened(REAL(open64), path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return opened(REAL(open), path, flags, mode);
}

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS) {
        free(paths[fd]);
        paths[fd] = NULL;
    }
    int done = REAL(close)(fd);
    pthread_mutex_unlock(&lock);
    return done;
}

static void wrote(int fd, const void *bytes, ssize_t length, off64_t at) {
    struct stat64 found;
    char line[128];
    if (length <= 0 || fstat64(fd, &found) != 0) return;
    snprintf(line, sizeof line, "write %lu %ld %ld\n", (unsigned long)found.st_ino, (long)at, (long)length);
    say(line, bytes, length);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (fd < 0 || fd >= FDS || !paths[fd]) return REAL(write)(fd, bytes, length);
    pthread_mutex_lock(&lock);
    ssize_t written = REAL(write)(fd, bytes, length);
    if (written > 0) wrote(fd, bytes, written, lseek64(fd, 0, SEEK_CUR) - written);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    if (fd < 0 || fd >= FDS || !paths[fd]) return REAL(pwrite64)(fd, bytes, length, at);
    pthread_mutex_lock(&lock);
    ssize_t written = REAL(pwrite64)(fd, bytes, length, at);
    wrote(fd, bytes, written, at);
    pthread_mutex_unlock(&lock);
    return written;
}

static int synced(int (*real)(int), int fd) {
    if (fd < 0 || fd >= FDS || !paths[fd]) return real(fd);
    struct stat64 found;
    char line[8192];
    pthread_mutex_lock(&lock);
    const char *fails = getenv("DISK_FAIL_SYNC");
    if (fails && ++syncs == atol(fails)) {
        pthread_mutex_unlock(&lock);
        errno = EIO;
        return -1;
    }
    int done = real(fd);
    if (done == 0 && fstat64(fd, &found) == 0) {
        if (S_ISDIR(found.st_mode)) snprintf(line, sizeof line, "dirsync %s\n", paths[fd]);
        else snprintf(line, sizeof line, "fsync %lu\n", (unsigned long)found.st_ino);
        say(line, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return synced(REAL(fsync), fd); }
int fdatasync(int fd) { return synced(REAL(fdatasync), fd); }

static int linked(int done, const char *to) {
    char line[8192];
    if (done == 0) {
        snprintf(line, sizeof line, "link %lu %s\n", inode(to), to);
        say(line, NULL, 0);
        kill_after(to);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int link(const char *from, const char *to) {
    if (!ours(to)) return REAL(link)(from, to);
    pthread_mutex_lock(&lock);
    return linked(REAL(link)(from, to), to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    if (!ours(to)) return REAL(linkat)(a, from, b, to, flags);
    pthread_mutex_lock(&lock);
    return linked(REAL(linkat)(a, from, b, to, flags), to);
}

int rename(const char *from, const char *to) {
    if (!ours(to)) return REAL(rename)(from, to);
    char line[16384];
    pthread_mutex_lock(&lock);
    int done = REAL(rename)(from, to);
    if (done == 0) {
        snprintf(line, sizeof line, "rename %lu %s>%s\n", inode(to), from, to);
        say(line, NULL, 0);
        kill_after(to);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

static int changed(const char *what, int done, const char *path) {
    char line[8192];
    if (done == 0) {
        snprintf(line, sizeof line, "%s %s\n", what, path);
        say(line, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    if (!ours(path)) return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    return changed("unlink", REAL(unlink)(path), path);
}

int mkdir(const char *path, mode_t mode) {
    if (!ours(path)) return REAL(mkdir)(path, mode);
    pthread_mutex_lock(&lock);
    return changed("mkdir", REAL(mkdir)(path, mode), path);
}
