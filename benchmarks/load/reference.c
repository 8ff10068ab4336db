/* The C reference: a WebSocket server that does nothing but send. What it costs is the machine's
   price of "one message to N sockets": a bare handshake, then one send(2) of each message to each
   connection of the room. The number in the request's path names the room.

   reference [PORT [CERTIFICATE KEY]]: listens on 127.0.0.1, prints "listening on 127.0.0.1:PORT".
   With the PEM files it speaks TLS: one SSL_write of each message to each connection.
   REFERENCE_JOIN=1 in its environment joins the messages that came in one read to one write. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "socket.h"

#define ROOMS 65536
#define EVENTS 1024

struct connection {
    struct socket socket;
    int upgraded;
    uint32_t room, seat; /* its place among the room's connections */
};

struct room {
    struct connection **connections;
    uint32_t count, capacity;
};

static struct room rooms[ROOMS];
static int epoll, joining;
static const char *certificate, *key;

static void join(struct connection *connection, uint32_t number) {
    struct room *room = &rooms[number];
    if (room->count == room->capacity) {
        room->capacity = room->capacity ? room->capacity * 2 : 8;
        room->connections = realloc(room->connections, room->capacity * sizeof *room->connections);
    }
    connection->room = number;
    connection->seat = room->count;
    connection->upgraded = 1;
    room->connections[room->count++] = connection;
}

static void leave(struct connection *connection) {
    if (connection->upgraded) {
        struct room *room = &rooms[connection->room];
        struct connection *last = room->connections[--room->count];
        room->connections[last->seat = connection->seat] = last;
    }
    socket_close(&connection->socket);
    free(connection);
}

static void broadcast(struct room *room, const uint8_t *frame, size_t length) {
    for (uint32_t i = 0; i < room->count; i++) {
        struct connection *to = room->connections[i];
        /* A broken connection is noticed, and freed, when it is read from. */
        socket_send(epoll, &to->socket, to, frame, length);
    }
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        connection->socket.fd = fd;
        if (certificate) socket_encrypt(&connection->socket, certificate, key);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

/* Answer an upgrade with the request's subprotocol; return the bytes used, 0 when it is not whole.
   The load client's key is always the same, so is the answer to it: nothing is computed. */
static size_t upgrade(struct connection *connection, const uint8_t *request, size_t length) {
    static const char protocol_name[] = "Sec-WebSocket-Protocol: ";
    const uint8_t *end = memmem(request, length, "\r\n\r\n", 4);
    if (!end) return 0;
    const uint8_t *protocol =
        memmem(request, (size_t)(end - request), protocol_name, strlen(protocol_name));
    const uint8_t *line_end =
        protocol ? memmem(protocol, (size_t)(end + 2 - protocol), "\r\n", 2) : NULL;
    char answer[4096];
    int size = snprintf(
        answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n%.*s\r\n",
        protocol ? (int)(line_end + 2 - protocol) : 0, protocol ? (const char *)protocol : "");
    unsigned room = 0;
    if (sscanf((const char *)request, "GET /%u", &room) != 1 || room >= ROOMS) room = 0;
    join(connection, room);
    socket_send(epoll, &connection->socket, connection, answer, (size_t)size);
    return (size_t)(end + 4 - request);
}

/* Unmask a frame of a client; return its bytes, 0 when it has not arrived whole. */
static size_t unmask(uint8_t *from, size_t length, struct frame *frame) {
    if (length < 6) return 0;
    size_t header = 2, payload = from[1] & 127;
    if (payload == 126) header = 4, payload = (size_t)(from[2] << 8 | from[3]);
    if (length < header + 4 + payload) return 0;
    uint8_t *mask = from + header, *text = mask + 4;
    for (size_t i = 0; i < payload; i++) text[i] ^= mask[i & 3];
    *frame = (struct frame){from[0] & 15, text, payload};
    return header + 4 + payload;
}

static size_t write_frame(uint8_t *to, const struct frame *frame) {
    size_t at = 0;
    to[at++] = 0x80 | TEXT;
    if (frame->length < 126) {
        to[at++] = (uint8_t)frame->length;
    } else {
        to[at++] = 126;
        to[at++] = (uint8_t)(frame->length >> 8);
        to[at++] = (uint8_t)frame->length;
    }
    memcpy(to + at, frame->payload, frame->length);
    return at + frame->length;
}

static void serve(struct connection *connection, uint32_t events) {
    static uint8_t out[1 << 17];
    if (events & EPOLLOUT && !socket_flush(epoll, &connection->socket, connection)) {
        leave(connection);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    uint8_t *data;
    long length = socket_read(&connection->socket, &data);
    if (length < 0) leave(connection);
    if (length <= 0) return;
    uint8_t *rest = data, *end = data + length;
    if (!connection->upgraded) rest += upgrade(connection, data, (size_t)length);
    struct frame frame;
    size_t written = 0;
    for (size_t used;
         connection->upgraded && (used = unmask(rest, (size_t)(end - rest), &frame));) {
        rest += used;
        if (frame.opcode == CLOSE) {
            if (written) broadcast(&rooms[connection->room], out, written);
            leave(connection);
            return;
        }
        if (frame.opcode != TEXT) continue;
        size_t room_left = sizeof out - written;
        if (!joining || room_left < frame.length + 4) {
            if (written) broadcast(&rooms[connection->room], out, written);
            written = 0;
        }
        written += write_frame(out + written, &frame);
    }
    if (written) broadcast(&rooms[connection->room], out, written);
    socket_keep(&connection->socket, rest, (size_t)(end - rest));
}

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 4096))
        die("cannot listen on %d", port);
    getsockname(listener, (void *)&address, &size);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    need_descriptors(64);
    signal(SIGPIPE, SIG_IGN);
    joining = getenv("REFERENCE_JOIN") != NULL;
    if (argc > 3) certificate = argv[2], key = argv[3];
    epoll = epoll_create1(0);
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    static struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr, events[i].events);
            else
                accept_all(listener);
        }
    }
}
