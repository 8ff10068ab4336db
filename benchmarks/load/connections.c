/* Connections: how they upgrade, what arrives on them, and that it arrives as it should. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "frame.h"
#include "run.h"

#define EVENTS 4096
#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455's own example, with its answer */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

void fail(const char *reason) {
    if (!run.failure) run.failure = reason;
}

static void note_surprise(const void *bytes, size_t length) {
    if (run.surprise[0]) return;
    if (length >= sizeof run.surprise) length = sizeof run.surprise - 1;
    for (size_t i = 0; i < length; i++) {
        char c = ((const char *)bytes)[i];
        run.surprise[i] = c < 32 || c > 126 || c == '"' || c == '\\' ? '.' : c;
    }
}

static void close_connection(struct connection *connection) {
    if (connection->state == OPEN) {
        run.opened--;
        run.closed++;
        fail("the server closed a connection");
    } else {
        run.refused++;
        fail("the server refused a connection");
    }
    connection->state = CLOSED;
    socket_close(&connection->socket);
}

void send_bytes(struct connection *connection, const void *bytes, size_t length) {
    if (connection->state == CLOSED) return;
    if (!socket_send(run.epoll, &connection->socket, connection, bytes, length))
        close_connection(connection);
}

static void send_frame(struct connection *connection, int opcode, const void *payload,
                       size_t length) {
    uint8_t frame[MASKED_HEADER_BYTES + 256];
    if (length > 256) length = 256;
    send_bytes(connection, frame, frame_write_masked(frame, opcode, payload, length));
}

const struct address *address_of(const struct connection *connection) {
    return &run.addresses[connection->index % (uint32_t)run.options.url_count];
}

/* Write the URL's path with the room's number in the place of "%d". */
static void write_path(char *path, size_t size, const char *pattern, uint32_t room) {
    const char *holder = strstr(pattern, "%d");
    if (holder)
        snprintf(path, size, "%.*s%u%s", (int)(holder - pattern), pattern, room, holder + 2);
    else
        snprintf(path, size, "%s", pattern);
}

static void request_upgrade(struct connection *connection) {
    char path[1100], request[8192];
    const struct address *address = address_of(connection);
    write_path(path, sizeof path, address->path, connection->room);
    const char *protocol = run.protocols ? run.protocols[connection->index] : run.options.protocol;
    int length =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: " KEY
                 "\r\nSec-WebSocket-Version: 13\r\n"
                 "Origin: http://%s:%d\r\n%s%s%s\r\n",
                 path, address->host, address->port, address->host, address->port,
                 protocol ? "Sec-WebSocket-Protocol: " : "", protocol ? protocol : "",
                 protocol ? "\r\n" : "");
    if (length >= (int)sizeof request) die("a subprotocol is too long");
    connection->state = UPGRADING;
    send_bytes(connection, request, (size_t)length);
    if (connection->state != CLOSED) socket_watch(run.epoll, &connection->socket, connection, 0);
}

/* Read the answer to the upgrade; return its bytes, 0 when it is not whole or not a 101. */
static size_t read_upgrade(struct connection *connection, const uint8_t *answer, size_t length) {
    const uint8_t *end = memmem(answer, length, "\r\n\r\n", 4);
    if (!end) return 0;
    if (memcmp(answer, "HTTP/1.1 101", 12) ||
        !memmem(answer, (size_t)(end - answer), ACCEPT, strlen(ACCEPT))) {
        note_surprise(answer, length);
        close_connection(connection);
        return 0;
    }
    connection->state = OPEN;
    run.opened++;
    return (size_t)(end + 4 - answer);
}

/* Hold the promise of the service: each message of the connection's room, once, in order. */
static void check_place(struct connection *connection, struct mark mark) {
    if (mark.room != connection->room) {
        run.strange++;
    } else if (mark.place == connection->place) {
        connection->place++;
    } else if (mark.place > connection->place) {
        run.skipped += mark.place - connection->place;
        connection->place = mark.place + 1;
    } else {
        run.repeated++; /* or late, which was counted as skipped before */
    }
}

static void answer_socketio(struct connection *connection, const uint8_t *text, size_t length) {
    if (length == 1 && text[0] == '2') {
        run.pings++;
        send_frame(connection, TEXT, "3", 1);
    } else if (length > 1 && text[0] == '0') {
        send_frame(connection, TEXT, "40", 2);
    }
}

static void read_text(struct connection *connection, const uint8_t *text, size_t length,
                      uint64_t time) {
    struct mark mark;
    if (mark_find(text, text + length, &mark)) { /* one message a frame: all the servers do that */
        run.delivered++;
        check_place(connection, mark);
        if (run.measuring)
            latency_add(&run.latency, time > mark.published ? time - mark.published : 0);
        return;
    }
    run.other++;
    if (run.options.socketio)
        answer_socketio(connection, text, length);
    else
        note_surprise(text, length);
}

static size_t read_frames(struct connection *connection, const uint8_t *data, size_t length) {
    size_t used = 0, size;
    uint64_t time = now();
    struct frame frame;
    while (connection->state == OPEN && (size = frame_read(data + used, length - used, &frame))) {
        used += size;
        run.frames++;
        if (frame.opcode == TEXT) {
            read_text(connection, frame.payload, frame.length, time);
        } else if (frame.opcode == PING) {
            run.pings++;
            send_frame(connection, PONG, frame.payload, frame.length);
        } else {
            note_surprise(frame.payload, frame.length);
            if (frame.opcode == CLOSE) close_connection(connection);
        }
    }
    return used;
}

/* Count the answers to the publisher over HTTP; keep the end of an answer that may be a beginning.
 */
static size_t read_answers(const uint8_t *data, size_t length) {
    static const char status[] = "HTTP/1.1 ";
    const uint8_t *rest = data, *end = data + length, *found;
    while ((found = memmem(rest, (size_t)(end - rest), status, strlen(status))) &&
           end - found >= 12) {
        if (found[9] != '2') {
            note_surprise(found, (size_t)(end - found));
            fail("the server refused a run.message");
        }
        rest = found + 12;
    }
    return end - rest < 12 ? (size_t)(rest - data) : length - 11;
}

static void receive(struct connection *connection) {
    uint8_t *data;
    long length = socket_read(&connection->socket, &data);
    if (length < 0) close_connection(connection);
    if (length <= 0) return;
    size_t all = (size_t)length, used = 0;
    run.received += all; /* bytes kept from before count twice: these are few */
    if (connection == &run.publisher) {
        used = read_answers(data, all);
    } else {
        if (connection->state == UPGRADING) used = read_upgrade(connection, data, all);
        if (connection->state == OPEN) used += read_frames(connection, data + used, all - used);
    }
    if (connection->state != CLOSED) {
        run.received -= all - used;
        socket_keep(&connection->socket, data + used, all - used);
    }
}

static void serve(struct connection *connection, uint32_t events) {
    if (connection->state == CLOSED) return;
    if (connection->state == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP))
            close_connection(connection);
        else if (events & EPOLLOUT)
            request_upgrade(connection);
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(connection);
    if (events & EPOLLOUT && connection->state != CLOSED && connection->socket.unsent.length &&
        !socket_flush(run.epoll, &connection->socket, connection))
        close_connection(connection);
}

void poll_once(int milliseconds) {
    static struct epoll_event events[EVENTS];
    int count = epoll_wait(run.epoll, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) serve(events[i].data.ptr, events[i].events);
    if (now() > run.deadline) fail("the run took too long");
}
