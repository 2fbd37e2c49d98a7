/* A kernel that is as unkind as it may be: one byte at a time, "try again", "interrupted", news of
 * nothing, no room for callers. Loaded into a server (LD_PRELOAD), it stands between it and the real
 * one, whichever way system calls are made: seccomp(2) turns each of those below into SIGSYS, and the
 * handler tells what it likes. Nothing it tells is what a real kernel never would:
 *
 * 1. Whoever waits for an edge after "try again" or a short count gets one. EPOLL_CTL_MOD makes it.
 * 2. A blocking socket never says "try again" to a reader: that would mean that its timeout is over.
 *
 * What is trapped survives exec(2) and the handler does not, so it takes over once SIGBUS is ignored:
 * socklab sees to that when it starts itself anew, and a shell can do it for those that do not.
 *
 * FAKE_KERNEL is the seed. FAKE_KERNEL_TALLY names a file of counters (enum lie), 64 bits each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "registers are known for x86-64 only"
#endif

enum lie { SHORT, AGAIN, INTERRUPTED, NEWS, REFUSED, LIES };

static uint64_t nowhere[LIES];
static uint64_t *tally = nowhere;
static uint64_t seed;
static uint64_t drawn;

/* The one place where calls get through. */
long kernel(long number, long a, long b, long c, long d, long e, long f);
extern char through[];
__asm__(".text\n .hidden kernel\n .globl kernel\n kernel:\n"
        " mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n"
        " mov %r8, %r10\n mov %r9, %r8\n mov 8(%rsp), %r9\n syscall\n"
        " .hidden through\n .globl through\n through: ret\n");

static uint64_t draw(uint64_t below)
{
    /* splitmix64 */
    uint64_t z = seed + 0x9E3779B97F4A7C15 * __atomic_add_fetch(&drawn, 1, __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (z ^ (z >> 31)) % below;
}

static void count(enum lie lie)
{
    __atomic_add_fetch(&tally[lie], 1, __ATOMIC_RELAXED);
}

/* Once in so many times, and the first time in any case. */
static bool once_in(uint64_t times, enum lie lie)
{
    return draw(times) == 0 || __atomic_load_n(&tally[lie], __ATOMIC_RELAXED) == 0;
}

/* What is registered with epoll, by descriptor; it stays when that is closed, for late news. */
enum { MOST = 4096 };
static struct {
    bool open;
    int epoll;
    struct epoll_event event;
} watched[MOST];
static int highest;

static void watch(long epoll, long operation, long fd, const struct epoll_event *event)
{
    if (operation == EPOLL_CTL_DEL || fd < 0 || fd >= MOST)
        return;
    watched[fd].open = true;
    watched[fd].epoll = (int)epoll;
    watched[fd].event = *event;
    if (fd > highest)
        highest = (int)fd;
}

/* Whoever was told less than the truth is told again. */
static void tell_again(long fd)
{
    if (fd >= 0 && fd < MOST && watched[fd].open)
        kernel(SYS_epoll_ctl, watched[fd].epoll, EPOLL_CTL_MOD, fd, (long)&watched[fd].event, 0, 0);
}

static int option(long fd, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    kernel(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&value, (long)&length, 0);
    return value;
}

static bool is_internet(long fd)
{
    int domain = option(fd, SO_DOMAIN);
    return domain == AF_INET || domain == AF_INET6;
}

static bool is_stream(long fd)
{
    return is_internet(fd) && option(fd, SO_TYPE) == SOCK_STREAM;
}

static bool blocks(long fd)
{
    return !(kernel(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0) & O_NONBLOCK);
}

static bool has_send_timeout(long fd)
{
    struct timeval time = {0};
    socklen_t length = sizeof time;
    kernel(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, (long)&time, (long)&length, 0);
    return time.tv_sec || time.tv_usec;
}

/* A part of `length`: often one byte. */
static uint64_t part(uint64_t length)
{
    uint64_t most = draw(2) ? 16 : length;
    return draw(3) == 0 ? 1 : 1 + draw(most < length ? most : length);
}

/* How a transfer goes: a negative error, or how many bytes may be moved. */
static long transfer(long fd, uint64_t length, bool sends)
{
    if (length == 0 || !is_stream(fd))
        return length;
    bool waits = blocks(fd);
    if (once_in(8, INTERRUPTED)) {
        count(INTERRUPTED);
        return -EINTR;
    }
    if ((waits ? sends && has_send_timeout(fd) : true) && once_in(8, AGAIN)) {
        count(AGAIN);
        tell_again(fd);
        return -EAGAIN;
    }
    if (once_in(2, SHORT)) {
        count(SHORT);
        return part(length);
    }
    return length;
}

/* Moves what of it may be moved: `at` is the argument with the length. */
static long move(long number, long *a, int at, bool sends)
{
    uint64_t wanted = a[at];
    long allowed = transfer(a[0], wanted, sends);
    if (allowed < 0)
        return allowed;
    a[at] = allowed;
    long moved = kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if ((uint64_t)allowed < wanted)
        tell_again(a[0]);
    return moved;
}

/* A file on a slow disk: what is at hand, which may be nothing. */
static long read_file(long number, long *a, long flags)
{
    struct iovec first;
    if (draw(4) == 0 && (flags & RWF_NOWAIT)) {
        count(AGAIN);
        return -EAGAIN;
    }
    if (draw(2) == 0) {
        count(SHORT);
        if (number == SYS_pread64) {
            a[2] = a[2] ? (long)part(a[2]) : 0;
        } else if (a[2] > 0) {
            first = *(struct iovec *)a[1];
            first.iov_len = first.iov_len ? part(first.iov_len) : 0;
            a[1] = (long)&first;
            a[2] = 1;
        }
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long take_caller(long number, long *a)
{
    static const int refusals[] = {EINTR, ECONNABORTED, EPROTO, EMFILE, ENOBUFS};
    if (once_in(4, REFUSED)) {
        count(REFUSED);
        return -refusals[draw(sizeof refusals / sizeof *refusals)];
    }
    if (!blocks(a[0]) && draw(4) == 0) {
        count(AGAIN);
        tell_again(a[0]);
        return -EAGAIN;
    }
    return kernel(number, a[0], a[1], a[2], a[3], 0, 0);
}

static long take_datagrams(long *a)
{
    bool waits = blocks(a[0]);
    switch (draw(6)) {
    case 0:
        count(INTERRUPTED);
        return -EINTR;
    case 1:
        if (waits)
            break;
        count(AGAIN);
        tell_again(a[0]);
        return -EAGAIN;
    case 2:
        count(SHORT);
        a[2] = 1;
        break;
    }
    long taken = kernel(SYS_recvmmsg, a[0], a[1], a[2], a[3], a[4], 0);
    tell_again(a[0]);
    return taken;
}

/* Some of the news, none, or news of somebody who has none, or has left. */
static long wait_for_news(long number, long *a)
{
    struct epoll_event *events = (struct epoll_event *)a[1];
    if (a[3] != 0 && draw(8) == 0) {
        count(INTERRUPTED);
        return -EINTR;
    }
    long many = 0;
    if (draw(6) != 0) {
        long most = draw(3) == 0 ? 1 + (long)draw(3) : a[2];
        many = kernel(number, a[0], a[1], most < a[2] ? most : a[2], a[3], a[4], a[5]);
        if (many < 0)
            return many;
    }
    long about = (long)draw(highest + 1);
    while (about < highest && watched[about].epoll != a[0])
        about++;
    if (many < a[2] && watched[about].epoll == a[0] && once_in(2, NEWS)) {
        count(NEWS);
        events[many] = watched[about].event;
        events[many++].events = EPOLLOUT | (draw(2) ? EPOLLIN : 0);
    }
    return many;
}

static long look(long number, long *a)
{
    struct pollfd *asked = (struct pollfd *)a[0];
    const struct timespec *time = (const struct timespec *)a[2];
    bool at_once = number == SYS_poll ? a[2] == 0 : time && !time->tv_sec && !time->tv_nsec;
    if (a[1] > 0 && is_internet(asked[0].fd) && draw(3) == 0) {
        if (!at_once) {
            count(INTERRUPTED);
            return -EINTR;
        }
        count(AGAIN);
        for (long i = 0; i < a[1]; i++)
            asked[i].revents = 0;
        tell_again(asked[0].fd);
        return 0;
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], 0);
}

static long answer(long number, long *a)
{
    switch (number) {
    case SYS_read:
        return move(number, a, 2, false);
    case SYS_recvfrom:
        return move(number, a, 2, false);
    case SYS_write:
        return move(number, a, 2, true);
    case SYS_sendto:
        return move(number, a, 2, true);
    case SYS_sendfile:
        return move(number, a, 3, true);
    case SYS_sendmsg:
        if (is_internet(a[0]) && once_in(4, INTERRUPTED)) {
            count(INTERRUPTED);
            return -EINTR;
        }
        break;
    case SYS_recvmmsg:
        return take_datagrams(a);
    case SYS_preadv2:
        return read_file(number, a, a[5]);
    case SYS_pread64:
        return read_file(number, a, 0);
    case SYS_accept:
    case SYS_accept4:
        return take_caller(number, a);
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return wait_for_news(number, a);
    case SYS_poll:
    case SYS_ppoll:
        return look(number, a);
    case SYS_epoll_ctl:
        watch(a[0], a[1], a[2], (const struct epoll_event *)a[3]);
        break;
    case SYS_close:
        if (a[0] >= 0 && a[0] < MOST)
            watched[a[0]].open = false;
        break;
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void called(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long a[] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                registers[REG_R10], registers[REG_R8],  registers[REG_R9]};
    registers[REG_RAX] = answer(registers[REG_RAX], a);
}

#define TRAP(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)

__attribute__((constructor)) static void take_over(void)
{
    const char *given = getenv("FAKE_KERNEL"), *file = getenv("FAKE_KERNEL_TALLY");
    struct sigaction bus;
    if (!given || sigaction(SIGBUS, NULL, &bus) || bus.sa_handler != SIG_IGN)
        return;
    seed = strtoull(given, NULL, 10);
    int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *shared = mmap(NULL, sizeof nowhere, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED)
            tally = shared;
        close(fd);
    }
    struct sigaction action = {.sa_sigaction = called, .sa_flags = SA_SIGINFO | SA_NODEFER};
    uint64_t pass = (uint64_t)through;
    const uint32_t at = offsetof(struct seccomp_data, instruction_pointer);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)pass, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(pass >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        TRAP(SYS_read), TRAP(SYS_recvfrom), TRAP(SYS_recvmmsg), TRAP(SYS_write), TRAP(SYS_sendto),
        TRAP(SYS_sendmsg), TRAP(SYS_sendfile), TRAP(SYS_pread64), TRAP(SYS_preadv2),
        TRAP(SYS_accept), TRAP(SYS_accept4), TRAP(SYS_epoll_wait), TRAP(SYS_epoll_pwait),
        TRAP(SYS_epoll_ctl), TRAP(SYS_poll), TRAP(SYS_ppoll), TRAP(SYS_close),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(111);
}
