/* Carries datagrams between a caller and a trunk and does nothing else: what receiving and
 * sending the messages of a call cost at least. As the servers do, it takes and gives them
 * in batches of 32.
 *
 *   forward PORT CALLER_PORT TRUNK_PORT      all on loopback
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 32, ROOM = 4096 };

static void die(const char *what) {
    perror(what);
    exit(2);
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

int main(int count, char **words) {
    static struct mmsghdr head[BATCH];
    static struct iovec part[BATCH];
    static struct sockaddr_in peer[BATCH];
    static char room[BATCH][ROOM + 192]; /* the odd stride spreads them over the cache */
    if (count != 4) return 2;
    struct sockaddr_in own = loopback(words[1]), caller = loopback(words[2]), trunk = loopback(words[3]);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), buffer = 4 << 20;
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own)) die("bind");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            part[i] = (struct iovec){room[i], ROOM};
            head[i].msg_hdr = (struct msghdr){.msg_name = &peer[i], .msg_namelen = sizeof peer[i],
                                              .msg_iov = &part[i], .msg_iovlen = 1};
        }
        int taken = recvmmsg(fd, head, BATCH, MSG_WAITFORONE, NULL);
        if (taken < 0 && errno != EINTR && errno != ECONNREFUSED) die("recvmmsg");
        for (int i = 0; i < taken; i++) {
            part[i].iov_len = head[i].msg_len;
            peer[i] = peer[i].sin_port == trunk.sin_port ? caller : trunk;
        }
        for (int sent = 0; sent < taken;) {
            int given = sendmmsg(fd, head + sent, (unsigned)(taken - sent), 0);
            sent += given > 0 ? given : 1; /* one that could not be sent is lost */
        }
    }
}
