/* The bar for the poll engine: an echo server on raw epoll, as lean as an expert would write it.
 *
 * One thread. Each connection is registered once, edge-triggered, for both directions. One read,
 * one send, and nothing else per message; memory per connection only while its peer does not read.
 * Rivals print their address on the first line and serve until they are killed. To compare:
 *
 *   cc -O2 -o target/epoll_echo benches/rivals/epoll_echo.c
 *   socklab bench --server epoll='exec target/epoll_echo {port}' \
 *     --server poll='exec socklab server --port {port} --host 127.0.0.1 -q'
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, QUEUE = 4096 };

/* What a peer has not taken yet. */
struct backlog {
    size_t at, end;
    unsigned char bytes[];
};

static unsigned char input[128 * 1024];
static struct backlog **backlogs; /* by descriptor; NULL for every peer that reads */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void end(int fd)
{
    free(backlogs[fd]);
    backlogs[fd] = NULL;
    close(fd);
}

/* Reads and answers until the socket is empty. A short read has emptied it, unless an end may hide
 * behind (`hidden`). While a backlog stands nothing is read. */
static void echo(int fd, bool hidden)
{
    for (;;) {
        ssize_t n = recv(fd, input, sizeof input, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            return end(fd);
        ssize_t sent = send(fd, input, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return end(fd);
        if (sent < 0)
            sent = 0;
        if (sent < n) {
            struct backlog *b = malloc(sizeof *b + (n - sent));
            if (!b)
                return end(fd);
            b->at = 0;
            b->end = n - sent;
            memcpy(b->bytes, input + sent, n - sent);
            backlogs[fd] = b;
            return;
        }
        if (n < (ssize_t)sizeof input && !hidden)
            return;
    }
}

static void flush(int fd)
{
    struct backlog *b = backlogs[fd];
    while (b->at < b->end) {
        ssize_t sent = send(fd, b->bytes + b->at, b->end - b->at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            return end(fd);
        b->at += sent;
    }
    free(b);
    backlogs[fd] = NULL;
    /* The edges of what came meanwhile are used up, so anything may hide here. */
    echo(fd, true);
}

int main(int count, char **arguments)
{
    char *rest = NULL;
    long port = count == 2 ? strtol(arguments[1], &rest, 10) : -1;
    if (!rest || rest == arguments[1] || *rest || port < 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: epoll_echo PORT\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        die("setrlimit");
    backlogs = calloc(files.rlim_max, sizeof *backlogs);
    if (!backlogs)
        die("calloc");

    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (door < 0 || setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        setsockopt(door, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
        bind(door, (struct sockaddr *)&address, length) < 0 || listen(door, QUEUE) < 0 ||
        getsockname(door, (struct sockaddr *)&address, &length) < 0)
        die("listen");
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = door};
    if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, door, &event) < 0)
        die("epoll");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    static struct epoll_event events[EVENTS];
    for (;;) {
        int news = epoll_wait(set, events, EVENTS, -1);
        if (news < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < news; i++) {
            int fd = events[i].data.fd;
            if (fd == door) {
                for (;;) {
                    int peer = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                    if (peer < 0 && (errno == EINTR || errno == ECONNABORTED))
                        continue;
                    if (peer < 0 && errno == EAGAIN)
                        break;
                    if (peer < 0)
                        die("accept4");
                    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
                    event.data.fd = peer;
                    if (epoll_ctl(set, EPOLL_CTL_ADD, peer, &event) < 0)
                        die("epoll_ctl");
                }
            } else if (backlogs[fd]) {
                flush(fd);
            } else if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
                echo(fd, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
            }
        }
    }
}
