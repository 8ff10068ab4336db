#define _GNU_SOURCE
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void bytes_append(struct bytes *bytes, const void *data, size_t length) {
    if (bytes->length + length > bytes->capacity) {
        bytes->capacity = (bytes->length + length) * 2;
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data) die("out of memory");
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

void bytes_drop(struct bytes *bytes, size_t length) {
    bytes->length -= length;
    memmove(bytes->data, bytes->data + length, bytes->length);
}

struct address address_parse(const char *url) {
    struct address address = {.socket.sin_family = AF_INET};
    if (sscanf(url, "%*[a-z]://%63[^:/]:%d%1023s", address.host, &address.port, address.path) < 2)
        die("not a URL with a port: %s", url);
    if (!address.path[0]) strcpy(address.path, "/");
    address.socket.sin_port = htons((uint16_t)address.port);
    if (!inet_aton(address.host, &address.socket.sin_addr)) die("not an IPv4 address: %s", url);
    if (ntohl(address.socket.sin_addr.s_addr) >> 24 != 127) die("not a loopback address: %s", url);
    return address;
}

void need_descriptors(long count) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)count)
        die("needs %ld descriptors and may have %ld", count, (long)limit.rlim_cur);
}

void socket_connect(struct socket *self, const struct address *address, uint32_t source) {
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd < 0) die("socket: %s", strerror(errno));
    int on = 1;
    setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Closing resets: no connection waits in TIME_WAIT and takes a port from the next run. */
    struct linger reset = {1, 0};
    setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (source) {
        setsockopt(self->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(0x7f000001 + source)};
        if (bind(self->fd, (void *)&from, sizeof from)) die("bind: %s", strerror(errno));
    }
    if (connect(self->fd, (const void *)&address->socket, sizeof address->socket) &&
        errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
}

void socket_watch(int epoll, struct socket *self, void *data, int add) {
    uint32_t wanted = EPOLLIN | (add || self->unsent.length ? EPOLLOUT : 0);
    struct epoll_event event = {.events = wanted, .data.ptr = data};
    epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, self->fd, &event);
}

static long try_send(struct socket *self, const void *bytes, size_t length) {
    long sent = send(self->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

int socket_send(int epoll, struct socket *self, void *data, const void *bytes, size_t length) {
    long sent = self->unsent.length ? 0 : try_send(self, bytes, length);
    if (sent < 0) return 0;
    if ((size_t)sent == length) return 1;
    bytes_append(&self->unsent, (const uint8_t *)bytes + sent, length - (size_t)sent);
    socket_watch(epoll, self, data, 0);
    return 1;
}

int socket_flush(int epoll, struct socket *self, void *data) {
    long sent = try_send(self, self->unsent.data, self->unsent.length);
    if (sent < 0) return 0;
    bytes_drop(&self->unsent, (size_t)sent);
    if (!self->unsent.length) socket_watch(epoll, self, data, 0);
    return 1;
}

long socket_read(struct socket *self, uint8_t **buffer) {
    static uint8_t shared[READ_BYTES];
    size_t kept = self->unread.length;
    if (kept >= sizeof shared) die("a message is larger than %u bytes", READ_BYTES);
    if (kept) memcpy(shared, self->unread.data, kept);
    long got = recv(self->fd, shared + kept, sizeof shared - kept, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
    self->unread.length = 0;
    *buffer = shared;
    return (long)kept + got;
}

void socket_keep(struct socket *self, const uint8_t *rest, size_t length) {
    if (length) bytes_append(&self->unread, rest, length);
}

void socket_close(struct socket *self) {
    if (self->fd >= 0) close(self->fd);
    self->fd = -1;
    free(self->unread.data);
    free(self->unsent.data);
    self->unread = self->unsent = (struct bytes){0};
}
