#include "base/sandbox.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SANDBOX_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SANDBOX_ARCH AUDIT_ARCH_AARCH64
#else
#error "sandbox: name this machine's AUDIT_ARCH"
#endif
/* The shadow memory of a sanitizer is larger than any limit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_LIMIT_MEMORY 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_LIMIT_MEMORY 0
#endif
#endif
#ifndef SANDBOX_LIMIT_MEMORY
#define SANDBOX_LIMIT_MEMORY 1
#endif

enum { HIGH_FD = 400 }; /* above every target: a dup2 must not overwrite the source of a later one */

static int file_actions(posix_spawn_file_actions_t *a, const struct sandbox_child *c, const int *high, int out)
{
    int bad = posix_spawn_file_actions_adddup2(a, out, 1);
    bad |= posix_spawn_file_actions_addopen(a, 2, "/dev/null", O_WRONLY, 0);
    for (size_t i = 0; i < c->n_files; i++)
        bad |= posix_spawn_file_actions_adddup2(a, high[i], i ? (int)i + 2 : 0);
    return bad | posix_spawn_file_actions_addclosefrom_np(a, c->n_files > 1 ? (int)c->n_files + 2 : 3);
}

static int spawn(pid_t *pid, const struct sandbox_child *c, const int *high, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    char *env[] = {NULL};
    sigemptyset(&none);
    sigfillset(&all);
    int bad = posix_spawn_file_actions_init(&actions) | posix_spawnattr_init(&attr);
    bad |= posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    bad |= posix_spawnattr_setsigmask(&attr, &none) | posix_spawnattr_setsigdefault(&attr, &all);
    bad |= file_actions(&actions, c, high, out);
    if (!bad)
        bad = posix_spawn(pid, "/proc/self/exe", &actions, &attr, (char *const *)(uintptr_t)c->argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return bad;
}

/* Reads until the child closes its end, or time is up, or it talks too much. */
static void collect(struct sandbox_end *how, struct buf *out, int fd, uint32_t timeout_ms)
{
    char chunk[8192];
    uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000;
    for (uint64_t now; (now = clock_ns()) < end;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int k = poll(&p, 1, (int)((end - now) / 1000000 + 1));
        if (k <= 0)
            continue;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        buf_add(out, chunk, (size_t)n);
        if (out->failed) {
            how->flooded = true;
            return;
        }
    }
    how->timed_out = true;
}

static void reap(struct sandbox_end *end, pid_t pid)
{
    int status = 0;
    if (end->timed_out || end->flooded)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    end->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int sandbox_run(struct sandbox_end *end, struct buf *out, const struct sandbox_child *c, struct err *e)
{
    int high[SANDBOX_FILES_MAX], pipe_fd[2] = {-1, -1}, bad = 0;
    size_t n = 0;
    pid_t pid;
    *end = (struct sandbox_end){0};
    ASSERT(c->n_files >= 1 && c->n_files <= SANDBOX_FILES_MAX);
    if (pipe2(pipe_fd, O_CLOEXEC) != 0)
        bad = errno;
    for (; n < c->n_files && !bad; n++)
        if ((high[n] = fcntl(c->files[n], F_DUPFD_CLOEXEC, HIGH_FD)) < 0) {
            bad = errno;
            break;
        }
    int to_child = bad ? -1 : fcntl(pipe_fd[1], F_DUPFD_CLOEXEC, HIGH_FD);
    if (!bad && to_child < 0)
        bad = errno;
    if (!bad)
        bad = spawn(&pid, c, high, to_child);
    for (size_t i = 0; i < n; i++)
        close(high[i]);
    if (to_child >= 0)
        close(to_child);
    if (pipe_fd[1] >= 0)
        close(pipe_fd[1]);
    if (!bad) {
        collect(end, out, pipe_fd[0], c->timeout_ms);
        reap(end, pid);
    }
    if (pipe_fd[0] >= 0)
        close(pipe_fd[0]);
    return bad ? err_set(e, ERR_IO, "sandbox: no child process can be started: %s", strerror(bad)) : 0;
}

static bool limit(__rlimit_resource_t what, uint64_t max)
{
    struct rlimit r;
    return getrlimit(what, &r) == 0 &&
           setrlimit(what, &(struct rlimit){max < r.rlim_max ? max : r.rlim_max, max < r.rlim_max ? max : r.rlim_max}) == 0;
}

static uint64_t mapped_bytes(void)
{
    uint64_t pages = 0;
    char text[256];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    struct str rest = {text, n > 0 ? (size_t)n : 0};
    if (!str_u64(str_split(&rest, ' '), &pages))
        pages = 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

#define ALLOW(call)      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define ARG(i)           ((uint32_t)offsetof(struct seccomp_data, args[i])) /* the low half, on a little-endian machine */
#define LOAD(at)         BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define DIE              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define UNLESS_EXEC(arg) LOAD(ARG(arg)), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), DIE

/* What a parser needs: memory that is not executable, its pipe, time, locks, its end. */
static int filter_calls(void)
{
    struct sock_filter code[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SANDBOX_ARCH, 1, 0),
        DIE,
        LOAD(offsetof(struct seccomp_data, nr)),
        ALLOW(read),
        ALLOW(write),
        ALLOW(brk),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(futex),
        ALLOW(getrandom), /* the hash maps' key */
        ALLOW(clock_gettime),
        ALLOW(sysinfo), /* glibc's qsort asks it for the memory before it sorts more than a kilobyte */
        ALLOW(rt_sigprocmask), /* abort */
        ALLOW(rt_sigreturn),
        ALLOW(gettid),
        ALLOW(getpid),
        ALLOW(exit),
#if !SANDBOX_LIMIT_MEMORY
        ALLOW(sigaltstack), /* a sanitizer, at its end */
#endif
        ALLOW(exit_group),
        /* mmap: no file (descriptor -1), not executable */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 7),
        LOAD(ARG(4)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffffu, 1, 0),
        DIE,
        UNLESS_EXEC(2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        /* mprotect: not executable */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4),
        UNLESS_EXEC(2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        DIE,
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int sandbox_enter(uint64_t memory_max, uint32_t cpu_seconds, struct err *e)
{
    uint64_t space;
    if (!ck_add(mapped_bytes(), memory_max, &space))
        space = UINT64_MAX;
    bool ok = limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, cpu_seconds) && limit(RLIMIT_FSIZE, SANDBOX_OUTPUT_MAX) && limit(RLIMIT_NPROC, 0) &&
              limit(RLIMIT_NOFILE, 0) && (!SANDBOX_LIMIT_MEMORY || limit(RLIMIT_AS, space)) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
              prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter_calls() == 0;
    return ok ? 0 : err_set(e, ERR_IO, "sandbox: cannot be entered: %s; the kernel must allow seccomp filters", strerror(errno));
}
