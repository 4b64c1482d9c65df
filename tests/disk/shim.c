/* A disk that can be told to fail, and that remembers what was written to it in which order.
 *
 * Loaded into the program with LD_PRELOAD. It stands between the program and the C library, for files below
 * WEBSTEAD_DISK_ROOT only:
 *
 *   - counts the operations of each kind, and the bytes written, in the page WEBSTEAD_DISK_CONTROL,
 *   - fails those that this page asks for (`struct control`), a write after the first half of it,
 *   - appends each change to WEBSTEAD_DISK_LOG, if that is set: crash.rs makes of it what would be on the
 *     disk if the power had gone at any moment.
 *
 * What is written through a shared mapping is not seen. SQLite does that with `-shm` only, which is made
 * anew after a crash. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { READ, WRITE, SYNC, NAME, OPEN, KINDS };

/* The same in shim.rs. */
struct control {
    _Atomic uint64_t seen[8];      /* operations of each kind */
    _Atomic uint64_t written;      /* bytes */
    _Atomic uint64_t fail_kinds;   /* bit 1 << kind: what is to fail; 0: nothing */
    _Atomic uint64_t fail_after;   /* operations of these kinds that still go well */
    _Atomic uint64_t fail_times;   /* and how many fail then */
    _Atomic uint64_t fail_with;    /* errno */
    _Atomic uint64_t failed;       /* how many have */
    char only[64];                 /* what must be in the path; empty: everything */
    char last[256];                /* what failed last */
    /* Syncs of a file that failed, by the end of its inode's number: shim.rs does not look at these. */
    _Atomic uint64_t sync_errors[256];
};

#define MOST 65536
static struct tracked { uint64_t inode, told_errors; char is_dir, is_logged; char name[256]; } *files[MOST];

static struct control *control;
static char root[PATH_MAX];
static size_t root_len;
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside;

#define REAL(result, name, ...) static result (*real_##name)(__VA_ARGS__)
REAL(int, open, const char *, int, ...);
REAL(int, openat, int, const char *, int, ...);
REAL(int, close, int);
REAL(ssize_t, read, int, void *, size_t);
REAL(ssize_t, pread, int, void *, size_t, off_t);
REAL(ssize_t, readv, int, const struct iovec *, int);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, ftruncate, int, off_t);
REAL(int, rename, const char *, const char *);
REAL(int, renameat2, int, const char *, int, const char *, unsigned);
REAL(int, link, const char *, const char *);
REAL(int, linkat, int, const char *, int, const char *, int);
REAL(int, unlink, const char *);
REAL(int, unlinkat, int, const char *, int);
REAL(int, mkdir, const char *, mode_t);
REAL(int, rmdir, const char *);
REAL(int, posix_fallocate, int, off_t, off_t);
REAL(ssize_t, copy_file_range, int, off_t *, int, off_t *, size_t, unsigned);
REAL(ssize_t, sendfile, int, int, off_t *, size_t);

__attribute__((constructor)) static void start(void) {
#define FIND(name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)
    if (real_open) return;
    FIND(open); FIND(openat); FIND(close); FIND(read); FIND(pread); FIND(readv); FIND(write); FIND(pwrite);
    FIND(writev); FIND(fsync); FIND(fdatasync); FIND(ftruncate); FIND(rename); FIND(renameat2); FIND(link);
    FIND(linkat); FIND(unlink); FIND(unlinkat); FIND(mkdir); FIND(rmdir); FIND(posix_fallocate);
    FIND(copy_file_range); FIND(sendfile);
    const char *where = getenv("WEBSTEAD_DISK_ROOT"), *page = getenv("WEBSTEAD_DISK_CONTROL");
    const char *log = getenv("WEBSTEAD_DISK_LOG");
    if (!where || !page || !realpath(where, root)) return;
    int fd = real_open(page, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    real_close(fd);
    if (map == MAP_FAILED) return;
    if (log) {
        int low = real_open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        log_fd = fcntl(low, F_DUPFD_CLOEXEC, 900);
        real_close(low);
    }
    root_len = strlen(root);
    control = map;
}

/* The absolute path without a link at its end, if it is below the root. */
static int below(int dir, const char *path, char *out) {
    if (!control) return 0;
    char whole[2 * PATH_MAX], copy[PATH_MAX], base[PATH_MAX];
    if (path[0] == '/') snprintf(whole, sizeof whole, "%s", path);
    else {
        char from[64], folder[PATH_MAX];
        if (dir == AT_FDCWD) snprintf(from, sizeof from, "/proc/self/cwd");
        else snprintf(from, sizeof from, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(from, folder, sizeof folder - 1);
        if (n < 0) return 0;
        folder[n] = 0;
        snprintf(whole, sizeof whole, "%s/%s", folder, path);
    }
    size_t n = strlen(whole);
    while (n > 1 && whole[n - 1] == '/') whole[--n] = 0;
    char *slash = strrchr(whole, '/');
    if (!slash) return 0;
    snprintf(copy, sizeof copy, "%.*s", (int)(slash == whole ? 1 : slash - whole), whole);
    snprintf(base, sizeof base, "%s", slash + 1);
    char real[PATH_MAX];
    if (!realpath(copy, real)) return 0;
    snprintf(out, PATH_MAX, "%.2000s/%.2000s", real, base);
    return strncmp(out, root, root_len) == 0 && (out[root_len] == '/' || out[root_len] == 0);
}

static struct tracked *of(int fd) { return control && fd >= 0 && fd < MOST ? files[fd] : NULL; }

/* Whether this one is to fail. */
static int fails(enum kind kind, const char *path) {
    atomic_fetch_add(&control->seen[kind], 1);
    if (!(atomic_load(&control->fail_kinds) & (1u << kind))) return 0;
    if (control->only[0] && !strstr(path, control->only)) return 0;
    uint64_t after = atomic_load(&control->fail_after);
    if (after > 0) { atomic_store(&control->fail_after, after - 1); return 0; }
    uint64_t times = atomic_load(&control->fail_times);
    if (times == 0) return 0;
    atomic_store(&control->fail_times, times - 1);
    atomic_fetch_add(&control->failed, 1);
    snprintf(control->last, sizeof control->last, "%d %.200s", kind, path);
    return 1;
}

/* op, inode, number, length of the text, text: little endian, one append each. */
static void note(char op, uint64_t inode, uint64_t number, const void *text, size_t length) {
    if (log_fd < 0) return;
    uint64_t head[4] = { (uint64_t)op, inode, number, length };
    struct iovec parts[2] = { { head, sizeof head }, { (void *)text, length } };
    if (real_writev(log_fd, parts, 2) != (ssize_t)(sizeof head + length)) abort();
}

static const char *short_path(const char *path) { return path[root_len] ? path + root_len + 1 : ""; }
static int is_logged(const char *path) {
    size_t n = strlen(path);
    return !(n > 4 && strcmp(path + n - 4, "-shm") == 0);
}
static int fail_as_asked(void) { errno = (int)atomic_load(&control->fail_with); return -1; }

#define BEGIN pthread_mutex_lock(&lock); inside++
#define END inside--; pthread_mutex_unlock(&lock)

static int opened(int dir, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    if (inside || !below(dir, path, whole)) return real_openat(dir, path, flags, mode);
    BEGIN;
    struct stat before;
    int was_there = lstat(whole, &before) == 0;
    int makes = (flags & O_CREAT) && !was_there, empties = (flags & O_TRUNC) && was_there;
    int fd;
    if (fails(makes || empties ? NAME : OPEN, whole)) fd = fail_as_asked();
    else {
        fd = real_openat(dir, path, flags, mode);
        struct stat now;
        if (fd >= 0 && fd < MOST && fstat(fd, &now) == 0 && (S_ISREG(now.st_mode) || S_ISDIR(now.st_mode))) {
            struct tracked *t = calloc(1, sizeof *t);
            t->inode = now.st_ino;
            t->told_errors = atomic_load(&control->sync_errors[t->inode % 256]);
            t->is_dir = S_ISDIR(now.st_mode);
            t->is_logged = is_logged(whole);
            snprintf(t->name, sizeof t->name, "%.255s", short_path(whole));
            free(files[fd]);
            files[fd] = t;
            if (t->is_logged && makes) note('C', t->inode, 0, t->name, strlen(t->name));
            if (t->is_logged && empties && now.st_size == 0) note('T', t->inode, 0, "", 0);
        }
    }
    END;
    return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list a; va_start(a, flags); mode = va_arg(a, mode_t); va_end(a); }
int open(const char *path, int flags, ...) { start(); MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { start(); MODE return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int dir, const char *path, int flags, ...) { start(); MODE return opened(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { start(); MODE return opened(dir, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    start();
    if (of(fd) && !inside) {
        BEGIN;
        free(files[fd]);
        files[fd] = NULL;
        END;
    }
    return real_close(fd);
}

#define READS(call) \
    start(); \
    struct tracked *t = of(fd); \
    if (t && !inside) { \
        BEGIN; \
        int bad = fails(READ, t->name); \
        END; \
        if (bad) return fail_as_asked(); \
    } \
    return call
ssize_t read(int fd, void *b, size_t n) { READS(real_read(fd, b, n)); }
ssize_t readv(int fd, const struct iovec *v, int n) { READS(real_readv(fd, v, n)); }
ssize_t pread(int fd, void *b, size_t n, off_t at) { READS(real_pread(fd, b, n, at)); }
ssize_t pread64(int fd, void *b, size_t n, off_t at) { READS(real_pread(fd, b, n, at)); }

static ssize_t written(int fd, struct tracked *t, const void *bytes, size_t n, off_t at, int at_end) {
    BEGIN;
    struct stat now;
    if (at_end) {
        int append = fcntl(fd, F_GETFL) & O_APPEND;
        at = append && fstat(fd, &now) == 0 ? now.st_size : lseek(fd, 0, SEEK_CUR);
    }
    int bad = fails(WRITE, t->name);
    size_t take = bad ? n / 2 : n;
    ssize_t done = at_end ? real_write(fd, bytes, take) : real_pwrite(fd, bytes, take, at);
    if (done > 0) {
        atomic_fetch_add(&control->written, done);
        if (t->is_logged) note('W', t->inode, at, bytes, done);
    }
    if (bad) done = fail_as_asked();
    END;
    return done;
}

ssize_t write(int fd, const void *b, size_t n) {
    start();
    struct tracked *t = of(fd);
    return t && !inside ? written(fd, t, b, n, 0, 1) : real_write(fd, b, n);
}
ssize_t writev(int fd, const struct iovec *v, int count) {
    start();
    struct tracked *t = of(fd);
    if (!t || inside) return real_writev(fd, v, count);
    for (int i = 0; i < count; i++)
        if (v[i].iov_len) return written(fd, t, v[i].iov_base, v[i].iov_len, 0, 1);
    return 0;
}
ssize_t pwrite(int fd, const void *b, size_t n, off_t at) {
    start();
    struct tracked *t = of(fd);
    return t && !inside ? written(fd, t, b, n, at, 0) : real_pwrite(fd, b, n, at);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off_t at) { return pwrite(fd, b, n, at); }

static int synced(int fd, int (*sync)(int)) {
    struct tracked *t = of(fd);
    if (!t || inside) return sync(fd);
    BEGIN;
    int bad = fails(SYNC, t->name);
    /* What one sync could not write, each other one who has the file open is told by their next (errseq_t of Linux,
     * since 4.13), though that one writes what is new. */
    _Atomic uint64_t *errors = &control->sync_errors[t->inode % 256];
    if (bad) atomic_fetch_add(errors, 1);
    int is_told = t->told_errors != atomic_load(errors);
    t->told_errors = atomic_load(errors);
    /* Whether the bytes reach the real disk does not matter here: the log says what would have. */
    int outcome = 0;
    if (bad) outcome = fail_as_asked();
    else if (is_told) { errno = EIO; outcome = -1; }
    if (t->is_dir) { if (!bad) note('D', 0, 0, t->name, strlen(t->name)); }
    else if (t->is_logged) note(bad ? 'X' : 'S', t->inode, 0, "", 0);
    END;
    return outcome;
}
int fsync(int fd) { start(); return synced(fd, real_fsync); }
int fdatasync(int fd) { start(); return synced(fd, real_fdatasync); }

int ftruncate(int fd, off_t size) {
    start();
    struct tracked *t = of(fd);
    if (!t || inside) return real_ftruncate(fd, size);
    BEGIN;
    int outcome = fails(NAME, t->name) ? fail_as_asked() : real_ftruncate(fd, size);
    if (outcome == 0 && t->is_logged) note('T', t->inode, size, "", 0);
    END;
    return outcome;
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
int posix_fallocate(int fd, off_t at, off_t n) {
    start();
    return of(fd) ? EOPNOTSUPP : real_posix_fallocate(fd, at, n);
}
int posix_fallocate64(int fd, off_t at, off_t n) { return posix_fallocate(fd, at, n); }
/* Who asks for these copies by hand when they are not there. */
ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags) {
    start();
    if (of(out)) { errno = ENOSYS; return -1; }
    return real_copy_file_range(in, from, out, to, n, flags);
}
ssize_t sendfile(int out, int in, off_t *from, size_t n) {
    start();
    if (of(out)) { errno = EINVAL; return -1; }
    return real_sendfile(out, in, from, n);
}
ssize_t sendfile64(int out, int in, off_t *from, size_t n) { return sendfile(out, in, from, n); }

static void note_two(char op, uint64_t inode, const char *from, const char *to) {
    char both[2 * PATH_MAX];
    size_t a = strlen(short_path(from)), b = strlen(short_path(to));
    memcpy(both, short_path(from), a);
    both[a] = 0;
    memcpy(both + a + 1, short_path(to), b);
    note(op, inode, 0, both, a + 1 + b);
}

#define TWO(op, a, b, dir_a, dir_b, call) \
    start(); \
    char from[PATH_MAX], to[PATH_MAX]; \
    if (inside || !below(dir_a, a, from) || !below(dir_b, b, to)) return call; \
    BEGIN; \
    struct stat now; \
    uint64_t inode = lstat(from, &now) == 0 ? now.st_ino : 0; \
    int outcome = fails(NAME, to) ? fail_as_asked() : call; \
    if (outcome == 0) note_two(op, inode, from, to); \
    END; \
    return outcome
int rename(const char *a, const char *b) { TWO('R', a, b, AT_FDCWD, AT_FDCWD, real_rename(a, b)); }
int renameat(int x, const char *a, int y, const char *b) { TWO('R', a, b, x, y, real_renameat2(x, a, y, b, 0)); }
int renameat2(int x, const char *a, int y, const char *b, unsigned f) { TWO('R', a, b, x, y, real_renameat2(x, a, y, b, f)); }
int link(const char *a, const char *b) { TWO('L', a, b, AT_FDCWD, AT_FDCWD, real_link(a, b)); }
int linkat(int x, const char *a, int y, const char *b, int f) { TWO('L', a, b, x, y, real_linkat(x, a, y, b, f)); }

#define ONE(op, dir, path, call) \
    start(); \
    char whole[PATH_MAX]; \
    if (inside || !below(dir, path, whole)) return call; \
    BEGIN; \
    int outcome = fails(NAME, whole) ? fail_as_asked() : call; \
    if (outcome == 0 && is_logged(whole)) note(op, 0, 0, short_path(whole), strlen(short_path(whole))); \
    END; \
    return outcome
int unlink(const char *path) { ONE('U', AT_FDCWD, path, real_unlink(path)); }
int unlinkat(int dir, const char *path, int flags) { ONE('U', dir, path, real_unlinkat(dir, path, flags)); }
int rmdir(const char *path) { ONE('U', AT_FDCWD, path, real_rmdir(path)); }
int mkdir(const char *path, mode_t mode) { ONE('M', AT_FDCWD, path, real_mkdir(path, mode)); }
