/* A library that is loaded before the C library, and delays or fails what a server does to its files.
 *
 *   cc -O2 -shared -fPIC -o shim.so shim.c -ldl
 *   LD_PRELOAD=./shim.so SHIM_RULES='fdatasync errno=5' server ...
 *   LD_PRELOAD=./shim.so SHIM_FILE=/tmp/rules server ...
 *
 * SHIM_FILE names a file that may change while the server runs; it is read at every call. Rules stand in lines, or
 * between semicolons: an operation, then words.
 *
 *   operation     fsync, fdatasync, sync (both), write (all its forms), rename (all its forms), any
 *   path=TEXT     only for files whose path has this in it
 *   delay_us=N    the call waits so long first
 *   errno=N       then it fails with this error, and does nothing
 *   short=N       or it writes at most so many bytes
 *
 * The first rule that fits counts. Only regular files and folders are meant, never a socket or a pipe.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct order { long delay_us, error, bytes; };

/* The rules as they are now; by bare system calls, or we would meet ourselves. */
static void read_rules(char *into, size_t room) {
    into[0] = 0;
    const char *path = getenv("SHIM_FILE"), *rules = getenv("SHIM_RULES");
    if (path) {
        int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return;
        long n = syscall(SYS_read, fd, into, room - 1);
        syscall(SYS_close, fd);
        into[n > 0 ? n : 0] = 0;
    } else if (rules) {
        strncpy(into, rules, room - 1);
        into[room - 1] = 0;
    }
}

static int fits(const char *wanted, const char *op) {
    int syncs = !strcmp(op, "fsync") || !strcmp(op, "fdatasync");
    return !strcmp(wanted, op) || !strcmp(wanted, "any") || (syncs && !strcmp(wanted, "sync"));
}

/* What is to happen to an operation on a path; waits if it is to wait. */
static struct order ask(const char *op, const char *path) {
    char rules[4096], *line, *lines = rules;
    int before = errno;
    read_rules(rules, sizeof rules);
    struct order order = {0, 0, -1};
    while ((line = strsep(&lines, "\n;"))) {
        char *words = line, *word;
        do { word = strsep(&words, " "); } while (word && !*word);
        if (!word || !fits(word, op)) continue;
        struct order found = {0, 0, -1};
        int is_meant = 1;
        while ((word = strsep(&words, " "))) {
            if (!strncmp(word, "path=", 5)) is_meant &= strstr(path, word + 5) != NULL;
            else if (!strncmp(word, "delay_us=", 9)) found.delay_us = atol(word + 9);
            else if (!strncmp(word, "errno=", 6)) found.error = atol(word + 6);
            else if (!strncmp(word, "short=", 6)) found.bytes = atol(word + 6);
        }
        if (is_meant) { order = found; break; }
    }
    if (order.delay_us) {
        struct timespec time = {order.delay_us / 1000000, order.delay_us % 1000000 * 1000};
        while (nanosleep(&time, &time) && errno == EINTR) {}
    }
    errno = order.error ? (int)order.error : before;
    return order;
}

/* As ask, for a descriptor; nothing happens to what is no file and no folder. */
static struct order ask_fd(const char *op, int fd) {
    struct order none = {0, 0, -1};
    struct stat status;
    char link[64], path[4096];
    int before = errno;
    if (fstat(fd, &status) || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) { errno = before; return none; }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    errno = before;
    return ask(op, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return ask_fd("fsync", fd).error ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return ask_fd("fdatasync", fd).error ? -1 : REAL(fdatasync)(fd); }

static size_t at_most(size_t bytes, struct order order) {
    return order.bytes >= 0 && (size_t)order.bytes < bytes ? (size_t)order.bytes : bytes;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    struct order order = ask_fd("write", fd);
    return order.error ? -1 : REAL(write)(fd, bytes, at_most(count, order));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    struct order order = ask_fd("write", fd);
    return order.error ? -1 : REAL(pwrite)(fd, bytes, at_most(count, order), offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    struct order order = ask_fd("write", fd);
    return order.error ? -1 : REAL(pwrite64)(fd, bytes, at_most(count, order), offset);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    struct order order = ask_fd("write", fd);
    if (order.error) return -1;
    if (order.bytes < 0 || count < 1) return REAL(writev)(fd, pieces, count);
    return REAL(write)(fd, pieces[0].iov_base, at_most(pieces[0].iov_len, order));
}

int rename(const char *from, const char *to) { return ask("rename", to).error ? -1 : REAL(rename)(from, to); }

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return ask("rename", to).error ? -1 : REAL(renameat)(from_folder, from, to_folder, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return ask("rename", to).error ? -1 : REAL(renameat2)(from_folder, from, to_folder, to, flags);
}
