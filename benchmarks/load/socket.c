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

#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

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
    struct address address = {.socket.sin_family = AF_INET,
                              .secure =
                                  !strncmp(url, "wss:", 4) || !strncmp(url, "https:", 6)};
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
    self->tls = NULL;
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
    if (address->secure) socket_encrypt(self, NULL, NULL);
}

#ifdef WITH_TLS
static SSL_CTX *make_context(const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(certificate ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (certificate && (SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) != 1 ||
                        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1))
        die("cannot use %s and %s", certificate, key);
    /* The client's side is not what is measured: one system call for many records. */
    if (!certificate) SSL_CTX_set_read_ahead(context, 1);
    return context;
}

void socket_encrypt(struct socket *self, const char *certificate, const char *key) {
    static SSL_CTX *context;
    if (!context) context = make_context(certificate, key);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, self->fd);
    if (certificate)
        SSL_set_accept_state(tls);
    else
        SSL_set_connect_state(tls);
    self->tls = tls;
}

/* What OpenSSL's result means: bytes, 0 for later, -1 for the end. */
static long tls_result(struct socket *self, int result) {
    if (result > 0) return result;
    int why = SSL_get_error(self->tls, result);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static long tls_receive(struct socket *self, uint8_t *to, size_t most) {
    size_t all = 0;
    long got = 0;
    while (all < most && (got = tls_result(self, SSL_read(self->tls, to + all, (int)(most - all)))) > 0)
        all += (size_t)got;
    return all ? (long)all : got;
}
#else
void socket_encrypt(struct socket *self, const char *certificate, const char *key) {
    (void)self, (void)certificate, (void)key;
    die("built without OpenSSL: its headers were not found (Debian: libssl-dev)");
}
#endif

void socket_watch(int epoll, struct socket *self, void *data, int add) {
    uint32_t wanted = EPOLLIN | (add || self->unsent.length ? EPOLLOUT : 0);
    struct epoll_event event = {.events = wanted, .data.ptr = data};
    epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, self->fd, &event);
}

static long try_send(struct socket *self, const void *bytes, size_t length) {
#ifdef WITH_TLS
    if (self->tls) return tls_result(self, SSL_write(self->tls, bytes, (int)length));
#endif
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

/* Return the bytes that came, 0 when none did, -1 at the end. */
static long receive(struct socket *self, uint8_t *to, size_t most) {
#ifdef WITH_TLS
    if (self->tls) return tls_receive(self, to, most);
#endif
    long got = recv(self->fd, to, most, MSG_DONTWAIT);
    if (got > 0) return got;
    return got < 0 && errno == EAGAIN ? 0 : -1;
}

long socket_read(struct socket *self, uint8_t **buffer) {
    static uint8_t shared[READ_BYTES];
    size_t kept = self->unread.length;
    if (kept >= sizeof shared) die("a message is larger than %u bytes", READ_BYTES);
    if (kept) memcpy(shared, self->unread.data, kept);
    long got = receive(self, shared + kept, sizeof shared - kept);
    if (got <= 0) return got;
    self->unread.length = 0;
    *buffer = shared;
    return (long)kept + got;
}

void socket_keep(struct socket *self, const uint8_t *rest, size_t length) {
    if (length) bytes_append(&self->unread, rest, length);
}

void socket_close(struct socket *self) {
#ifdef WITH_TLS
    SSL_free(self->tls);
    self->tls = NULL;
#endif
    if (self->fd >= 0) close(self->fd);
    self->fd = -1;
    free(self->unread.data);
    free(self->unsent.data);
    self->unread = self->unsent = (struct bytes){0};
}
