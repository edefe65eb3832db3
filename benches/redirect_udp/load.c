/* Sends INVITEs over UDP on loopback and measures what their answers cost.
 *
 *   load echo PORT BYTES
 *       Answers every datagram with its own first BYTES bytes: what receiving and
 *       sending alone cost.
 *   load call PORT (--window N | --rate N) [--seconds S] [--dids N] [--any] [--cpu PID]...
 *       Keeps N INVITEs open, or sends N a second, for S seconds after a warm-up of one
 *       second, and prints one line. --any takes any answer that carries the branch;
 *       without it the answer must be the 302 of the dialled number. --cpu names the
 *       processes of the server: their processor time is divided by the answers. --watch 1
 *       has a real-time thread on each processor wake every half millisecond: when the most
 *       urgent thread there is wakes late, it is the machine that stood still.
 *
 * Both receive and send in batches of 32. Number i of the table is
 * +442 followed by nine digits, i * 2654435761 mod 10^9, and belongs to group i mod 10.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, ROOM = 4096, OPEN_MAX = 1 << 20, PIDS_MAX = 16, SAMPLES_MAX = 1 << 23 };
static const uint64_t GIVE_UP_NS = 500000000; /* T1: then the caller would repeat itself */

/* How late a watcher woke at most, and how often by more than STILL_NS. */
static const uint64_t STILL_NS = 5000000;
static _Atomic uint64_t still_max_ns, stills;

static void die(const char *what) {
    perror(what);
    exit(2);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static int udp(int port) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    struct sockaddr_in a = loopback(port);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a)) die("bind");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    return fd;
}

/* A batch of datagrams with room for each. */
struct batch {
    struct mmsghdr head[BATCH];
    struct iovec part[BATCH];
    struct sockaddr_in peer[BATCH];
    char room[BATCH][ROOM + 192]; /* the odd stride spreads them over the cache */
};

static void open_batch(struct batch *b, unsigned from) {
    for (unsigned i = from; i < BATCH; i++) {
        b->part[i] = (struct iovec){b->room[i], ROOM};
        b->head[i].msg_hdr = (struct msghdr){.msg_name = &b->peer[i], .msg_namelen = sizeof b->peer[i],
                                             .msg_iov = &b->part[i], .msg_iovlen = 1};
    }
}

static void echo(int port, size_t bytes) {
    static struct batch b;
    int fd = udp(port);
    for (;;) {
        open_batch(&b, 0);
        int n = recvmmsg(fd, b.head, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EINTR) die("recvmmsg");
        for (int i = 0; i < n; i++)
            b.part[i].iov_len = b.head[i].msg_len < bytes ? b.head[i].msg_len : bytes;
        for (int sent = 0; sent < n;) {
            int m = sendmmsg(fd, b.head + sent, (unsigned)(n - sent), 0);
            if (m < 0) die("sendmmsg");
            sent += m;
        }
    }
}

/* The INVITE of an AudioCodes SBC; SSSSSSSSSS is the call, NNNNNNNNN the number. */
static const char INVITE[] =
    "INVITE sip:+442NNNNNNNNN@127.0.0.1:PPPPP;user=phone SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:QQQQQ;branch=z9hG4bKacSSSSSSSSSS\r\n"
    "Max-Forwards: 70\r\n"
    "From: \"Ada King\" <sip:+441632960001@127.0.0.1;user=phone>;tag=1cSSSSSSSSSS\r\n"
    "To: <sip:+442NNNNNNNNN@127.0.0.1;user=phone>\r\n"
    "Call-ID: 18SSSSSSSSSS2211202619@127.0.0.1\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:+441632960001@127.0.0.1:QQQQQ>\r\n"
    "Supported: em,100rel,timer,replaces,path,sdp-anat\r\n"
    "Allow: REGISTER,OPTIONS,INVITE,ACK,CANCEL,BYE,NOTIFY,PRACK,REFER,INFO,SUBSCRIBE,UPDATE\r\n"
    "User-Agent: SBC/v.7.40A.500.357\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: 213\r\n"
    "\r\n"
    "v=0\r\n"
    "o=SBC 1714391847 1714391846 IN IP4 127.0.0.1\r\n"
    "s=Phone-Call\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=audio 6000 RTP/AVP 8 0 101\r\n"
    "a=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=sendrecv\r\n";

static char invite[sizeof INVITE];
static int call_at[8], number_at[8], calls_in, numbers_in;

static void digits(char *at, uint64_t n, int width) {
    while (width-- > 0) {
        at[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

static void make_invite(int server, int me) {
    memcpy(invite, INVITE, sizeof INVITE);
    for (char *p = invite; *p; p++) {
        if (!strncmp(p, "PPPPP", 5)) digits(p, (uint64_t)server, 5);
        if (!strncmp(p, "QQQQQ", 5)) digits(p, (uint64_t)me, 5);
        if (!strncmp(p, "SSSSSSSSSS", 10)) call_at[calls_in++] = (int)(p - invite), p += 9;
        if (!strncmp(p, "NNNNNNNNN", 9)) number_at[numbers_in++] = (int)(p - invite), p += 8;
    }
}

static uint64_t dids = 1000000;

/* Which number call i dials: all of the table, in no order. */
static uint64_t row_of(uint64_t call) {
    uint64_t x = call + 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return (x ^ (x >> 31)) % dids;
}

static size_t write_call(char *to, uint64_t call) {
    uint64_t number = row_of(call) * 2654435761 % 1000000000;
    memcpy(to, invite, sizeof invite - 1);
    for (int i = 0; i < calls_in; i++) digits(to + call_at[i], call, 10);
    for (int i = 0; i < numbers_in; i++) digits(to + number_at[i], number, 9);
    return sizeof invite - 1;
}

static pid_t pids[PIDS_MAX];
static int pids_in;

/* Processor time of all threads of the servers, in ns. */
static uint64_t processor_ns(void) {
    uint64_t sum = 0;
    for (int i = 0; i < pids_in; i++) {
        char path[96];
        snprintf(path, sizeof path, "/proc/%d/task", pids[i]);
        DIR *tasks = opendir(path);
        if (!tasks) die(path);
        for (struct dirent *task; (task = readdir(tasks));) {
            if (task->d_name[0] == '.') continue;
            char file[400];
            snprintf(file, sizeof file, "%s/%s/schedstat", path, task->d_name);
            FILE *f = fopen(file, "r");
            unsigned long long ns = 0;
            if (!f || fscanf(f, "%llu", &ns) != 1) die(file);
            fclose(f);
            sum += ns;
        }
        closedir(tasks);
    }
    return sum;
}

static uint64_t sent_at[OPEN_MAX]; /* 0: answered or never sent */
static uint32_t samples[SAMPLES_MAX];
static uint64_t samples_in, sent, oldest, answered, wrong, strange, lost, answer_bytes;
static int any_answer;

static uint64_t open_calls(void) {
    return sent - answered - lost;
}

static void send_calls(int fd, struct sockaddr_in *server, uint64_t count) {
    static struct batch b;
    for (; count > 0; count -= count < BATCH ? count : BATCH) {
        unsigned n = count < BATCH ? (unsigned)count : BATCH;
        for (unsigned i = 0; i < n; i++) {
            b.part[i] = (struct iovec){b.room[i], write_call(b.room[i], sent + i)};
            b.head[i].msg_hdr = (struct msghdr){.msg_name = server, .msg_namelen = sizeof *server,
                                                .msg_iov = &b.part[i], .msg_iovlen = 1};
        }
        uint64_t now = now_ns();
        for (unsigned i = 0; i < n; i++) sent_at[(sent + i) % OPEN_MAX] = now;
        for (unsigned done = 0; done < n;) {
            int m = sendmmsg(fd, b.head + done, n - done, 0);
            if (m < 0) die("sendmmsg");
            done += (unsigned)m;
        }
        sent += n;
    }
}

static void take_answer(const char *answer, size_t length, uint64_t now) {
    static const char BRANCH[] = "z9hG4bKac";
    const char *at = memmem(answer, length, BRANCH, sizeof BRANCH - 1);
    if (!at || at + sizeof BRANCH - 1 + 10 > answer + length) {
        strange++;
        return;
    }
    uint64_t call = strtoull((char[11]){at[9], at[10], at[11], at[12], at[13], at[14], at[15], at[16], at[17], at[18], 0}, NULL, 10);
    uint64_t *open = &sent_at[call % OPEN_MAX];
    if (call >= sent || call < oldest || *open == 0) {
        strange++;
        return;
    }
    uint64_t took = (now - *open) / 100;
    *open = 0;
    answered++;
    answer_bytes += length;
    if (samples_in < SAMPLES_MAX) samples[samples_in++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    if (any_answer) return;
    char host[32];
    int host_in = snprintf(host, sizeof host, "@platform-%d.route;user=phone>", (int)(row_of(call) % 10));
    if (length < 12 || memcmp(answer, "SIP/2.0 302 ", 12) || !memmem(answer, length, host, (size_t)host_in)) {
        if (wrong++ == 0) fprintf(stderr, "wrong answer, %s expected:\n%.*s\n", host, (int)length, answer);
    }
}

/* Takes what is there; returns how many. */
static int receive(int fd) {
    static struct batch b;
    static unsigned used = BATCH;
    if (used == BATCH) open_batch(&b, 0);
    int n = recvmmsg(fd, b.head, BATCH, MSG_DONTWAIT, NULL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) die("recvmmsg");
        return 0;
    }
    uint64_t now = now_ns();
    for (int i = 0; i < n; i++) take_answer(b.room[i], b.head[i].msg_len, now);
    return n;
}

/* Calls that no answer came to in time are lost. */
static void give_up(uint64_t now) {
    for (; oldest < sent; oldest++) {
        uint64_t *open = &sent_at[oldest % OPEN_MAX];
        if (*open && now - *open < GIVE_UP_NS) return;
        lost += *open != 0;
        *open = 0;
    }
}

static void forget(void) {
    still_max_ns = stills = 0;
    samples_in = answered = wrong = strange = lost = answer_bytes = 0;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_us(double q) {
    return samples_in ? samples[(uint64_t)(q * (double)(samples_in - 1))] / 10.0 : 0;
}

static void wait_for_answers(int fd, uint64_t until) {
    uint64_t now = now_ns();
    uint64_t left = until > now ? until - now : 0;
    struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    struct pollfd p = {fd, POLLIN, 0};
    ppoll(&p, 1, &t, NULL);
}

static void run(int fd, struct sockaddr_in *server, uint64_t window, uint64_t rate, uint64_t until) {
    uint64_t begun = now_ns(), paced = 0;
    for (uint64_t now = begun; now < until; now = now_ns()) {
        while (receive(fd) == BATCH) {}
        give_up(now);
        if (rate) {
            uint64_t due = (uint64_t)((double)(now - begun) * 1e-9 * (double)rate);
            if (due > paced) send_calls(fd, server, due - paced), paced = due;
            /* a burst each half millisecond, as several trunks together would */
            wait_for_answers(fd, now + 500000);
        } else {
            uint64_t open = open_calls();
            if (window > open && (window - open >= BATCH || open < window / 2))
                send_calls(fd, server, window - open);
            else
                wait_for_answers(fd, now + 1000000);
        }
    }
}

static void *watch(void *processor) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((long)processor, &one);
    sched_setaffinity(0, sizeof one, &one);
    for (;;) {
        uint64_t due = now_ns() + 500000;
        nanosleep(&(struct timespec){0, 500000}, NULL);
        uint64_t now = now_ns(), late = now > due ? now - due : 0;
        if (late > STILL_NS) stills++;
        if (late > still_max_ns) still_max_ns = late;
    }
    return NULL;
}

static void start_watch(void) {
    struct sched_param urgent = {.sched_priority = 1};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &urgent);
    for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
        if (pthread_create(&thread, &attributes, watch, (void *)i)) die("a real-time thread");
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1000);
    if (argc == 4 && !strcmp(argv[1], "echo")) echo(atoi(argv[2]), (size_t)atoi(argv[3]));
    if (argc < 5 || strcmp(argv[1], "call")) {
        fprintf(stderr, "usage: load echo PORT BYTES | load call PORT (--window N | --rate N) ...\n");
        return 2;
    }
    uint64_t window = 0, rate = 0;
    double seconds = 3;
    for (int i = 3; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--any")) { any_answer = 1; continue; }
        if (!strcmp(argv[i], "--window")) window = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--rate")) rate = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--seconds")) seconds = atof(value);
        else if (!strcmp(argv[i], "--dids")) dids = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--watch")) start_watch();
        else if (!strcmp(argv[i], "--cpu") && pids_in < PIDS_MAX) pids[pids_in++] = atoi(value);
        else { fprintf(stderr, "what is %s?\n", argv[i]); return 2; }
        i++;
    }
    int fd = udp(0);
    struct sockaddr_in me, server = loopback(atoi(argv[2]));
    socklen_t length = sizeof me;
    getsockname(fd, (struct sockaddr *)&me, &length);
    make_invite(atoi(argv[2]), ntohs(me.sin_port));
    sent = oldest = now_ns() / 1000 % 1000000000; /* no two runs have a call in common */
    answered = sent;
    run(fd, &server, window, rate, now_ns() + 300000000);
    uint64_t still_open = open_calls(), cpu = processor_ns(), begun = now_ns();
    forget();
    uint64_t first = sent - still_open;
    answered = first; /* calls before the measured ones count as answered */
    run(fd, &server, window, rate, begun + (uint64_t)(seconds * 1e9));
    uint64_t cpu_used = processor_ns() - cpu;
    double took = (double)(now_ns() - begun) * 1e-9;
    uint64_t counted = answered - first;
    for (uint64_t end = now_ns() + 2 * GIVE_UP_NS; open_calls() && now_ns() < end;) {
        wait_for_answers(fd, now_ns() + 10000000);
        while (receive(fd) == BATCH) {}
        give_up(now_ns());
    }
    qsort(samples, samples_in, sizeof *samples, by_size);
    printf("answered=%llu per_s=%.0f cpu_us=%.3f lost=%llu wrong=%llu strange=%llu p50_us=%.1f p99_us=%.1f max_us=%.1f "
           "request_bytes=%zu answer_bytes=%.0f still_us=%.1f stills=%llu\n",
           (unsigned long long)counted, (double)counted / took, counted ? (double)cpu_used / 1000.0 / (double)counted : 0,
           (unsigned long long)lost, (unsigned long long)wrong, (unsigned long long)strange, quantile_us(0.5),
           quantile_us(0.99), quantile_us(1), sizeof invite - 1,
           samples_in ? (double)answer_bytes / (double)samples_in : 0, (double)still_max_ns / 1000.0,
           (unsigned long long)stills);
    return lost || wrong || strange;
}
