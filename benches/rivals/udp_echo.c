/* The bar for echo over UDP: one socket, one thread, one recvfrom and one sendto per datagram.
 *
 * Blocking, with nothing between the two calls. To compare:
 *
 *   cc -O2 -o target/udp_echo benches/rivals/udp_echo.c
 *   socklab bench --udp --server c='exec target/udp_echo {port}' \
 *     --server poll='exec socklab server echo --udp-only --port {port} --host 127.0.0.1 -q'
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Room for any datagram. */
static unsigned char datagram[64 * 1024];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int main(int count, char **arguments)
{
    char *rest = NULL;
    long port = count == 2 ? strtol(arguments[1], &rest, 10) : -1;
    if (!rest || rest == arguments[1] || *rest || port < 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: udp_echo PORT\n");
        return 2;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        die("socket");
    struct sockaddr_in here = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof here;
    if (bind(fd, (struct sockaddr *)&here, size) < 0)
        die("bind");
    if (getsockname(fd, (struct sockaddr *)&here, &size) < 0)
        die("getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(here.sin_port));
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &length);
        if (n < 0 && errno != EINTR && errno != ECONNREFUSED)
            die("recvfrom");
        /* What cannot be sent is lost, as any datagram may be. */
        if (n >= 0)
            sendto(fd, datagram, n, 0, (struct sockaddr *)&from, length);
    }
}
