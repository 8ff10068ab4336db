/* The HTTP client: sends requests that were signed before, again and again, over keep-alive
   connections with one request on the way each, and takes the server's account. Prints one JSON
   object; ends with status 0 only when every answer was a 200.

   replay URL FILE CONNECTIONS WARM-UP SECONDS PID
   FILE holds whole requests, each after a line with its length in bytes. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "account.h"
#include "clock.h"
#include "latency.h"
#include "socket.h"

#define STALL (10 * SECOND)

struct connection {
    struct socket socket;
    uint64_t sent;
    size_t next; /* the request that it sends next */
};

static struct bytes *requests;
static size_t request_count;
static struct latency latency;
static uint64_t answered, refused;
static int epoll, measuring;
static char surprise[200];

static void read_requests(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die("cannot read %s", path);
    for (size_t length; fscanf(file, "%zu", &length) == 1 && fgetc(file) == '\n'; request_count++) {
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        struct bytes request = {malloc(length), length, length};
        if (fread(request.data, 1, length, file) != length) die("%s ends early", path);
        requests[request_count] = request;
    }
    fclose(file);
    if (!request_count) die("%s has no requests", path);
}

static void send_next(struct connection *connection) {
    struct bytes *request = &requests[connection->next++ % request_count];
    connection->sent = now();
    if (!socket_send(epoll, &connection->socket, connection, request->data, request->length))
        die("the server closed a connection");
}

/* Return the bytes of an answer, 0 when it has not arrived whole. */
static size_t answer_length(const char *data, size_t length) {
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    for (const char *line = data; (line = memmem(line, (size_t)(end - line), "\r\n", 2));) {
        line += 2;
        if (!strncasecmp(line, "content-length:", 15)) {
            size_t all = (size_t)(end + 4 - data) + strtoul(line + 15, NULL, 10);
            return all <= length ? all : 0;
        }
    }
    die("an answer has no Content-Length");
}

static void receive(struct connection *connection) {
    uint8_t *data;
    long length = socket_read(&connection->socket, &data);
    if (length < 0) die("the server closed a connection");
    if (length <= 0) return;
    size_t used = answer_length((const char *)data, (size_t)length);
    if (used) {
        answered++;
        if (measuring) latency_add(&latency, now() - connection->sent);
        if (memcmp(data, "HTTP/1.1 200", 12)) {
            if (!refused++) snprintf(surprise, sizeof surprise, "%.*s", (int)used, (char *)data);
        }
        send_next(connection);
    }
    socket_keep(&connection->socket, data + used, (size_t)length - used);
}

/* Run for a time; on a busy machine that may be slept through: until something was answered. */
static void run_until(uint64_t until) {
    static struct epoll_event events[256];
    uint64_t progress = now(), seen = answered, begun = answered;
    for (uint64_t time; (time = now()) < until || answered == begun;) {
        int count = epoll_wait(epoll, events, 256, 0);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && connection->socket.unsent.length &&
                !socket_flush(epoll, &connection->socket, connection))
                die("the server closed a connection");
            if (events[i].events & ~(uint32_t)EPOLLOUT) receive(connection);
        }
        if (answered != seen) {
            seen = answered;
            progress = time;
        } else if (time - progress > STALL) {
            die("the server stopped answering");
        }
    }
}

static void open_connections(const char *url, size_t count) {
    struct address address = address_parse(url);
    struct connection *connections = calloc(count, sizeof *connections);
    need_descriptors((long)count + 32);
    epoll = epoll_create1(0);
    for (size_t i = 0; i < count; i++) {
        struct connection *connection = &connections[i];
        socket_connect(&connection->socket, &address, 0);
        socket_watch(epoll, &connection->socket, connection, 1);
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, 5000) != 1) die("cannot connect");
        connection->next = i * request_count / count;
        socket_watch(epoll, &connection->socket, connection, 0);
    }
    for (size_t i = 0; i < count; i++) send_next(&connections[i]);
}

int main(int argc, char **argv) {
    if (argc != 7) die("replay URL FILE CONNECTIONS WARM-UP SECONDS PID");
    signal(SIGPIPE, SIG_IGN);
    read_requests(argv[2]);
    int pid = atoi(argv[6]);
    open_connections(argv[1], (size_t)atol(argv[3]));
    run_until(now() + (uint64_t)(atof(argv[4]) * 1e9));
    struct account before = account_of(pid);
    uint64_t start = now(), answered_before = answered;
    double cpu_before = own_cpu();
    measuring = 1;
    run_until(start + (uint64_t)(atof(argv[5]) * 1e9));
    struct account after = account_of(pid);
    double seconds = (double)(now() - start) / 1e9;
    printf(
        "{\"seconds\":%.6f,\"answered\":%lu,\"refused\":%lu,\"server_cpu\":%.6f,\"server_user\":%."
        "2f,"
        "\"client_cpu\":%.6f,\"p50\":%.1f,\"p99\":%.1f}\n",
        seconds, answered - answered_before, refused, after.cpu - before.cpu,
        after.user - before.user, own_cpu() - cpu_before, latency_quantile(&latency, 0.5),
        latency_quantile(&latency, 0.99));
    if (refused) fprintf(stderr, "%s\n", surprise);
    return refused ? 3 : 0;
}
