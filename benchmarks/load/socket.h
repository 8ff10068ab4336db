/* Non-blocking sockets in one epoll set, with buffers for what the kernel does not take at once and
   for what has not arrived whole. Only loopback addresses. TLS where OpenSSL's headers are. */
#pragma once
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define READ_BYTES (1u << 18)

struct bytes {
    uint8_t *data;
    size_t length, capacity;
};

void bytes_append(struct bytes *bytes, const void *data, size_t length);
void bytes_drop(struct bytes *bytes, size_t length);

struct socket {
    int fd; /* -1 once closed */
    void *tls;
    struct bytes unread, unsent;
};

struct address {
    struct sockaddr_in socket;
    char host[64], path[1024];
    int port, secure;
};

/* Read "scheme://127.0.0.1:port/path"; end the program with a reason when it is not that. The
   schemes wss and https mean TLS. */
struct address address_parse(const char *url);

/* Print a reason and end the program with status 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Allow as many descriptors as the system gives; end the program when these are fewer. */
void need_descriptors(long count);

/* Begin to connect; `source` chooses among source addresses 127.0.0.2, ... when it is not 0. */
void socket_connect(struct socket *socket, const struct address *address, uint32_t source);

/* Encrypt from now on, as the server with the PEM files of a certificate and its key, or as a client
   (NULL), which trusts everybody. The handshake goes on with what is sent and read. End the program
   where it was built without OpenSSL, or cannot use the files. */
void socket_encrypt(struct socket *socket, const char *certificate, const char *key);

/* Add the socket to the set, or change what it waits for: `data` comes back with each event. */
void socket_watch(int epoll, struct socket *socket, void *data, int add);

/* Send, keeping what the kernel does not take; return 0 when the connection broke. */
int socket_send(int epoll, struct socket *socket, void *data, const void *bytes, size_t length);

/* Send what was kept; return 0 when the connection broke. */
int socket_flush(int epoll, struct socket *socket, void *data);

/* Read once into a shared buffer, after what was kept: return the bytes there are now, 0 when
   nothing came, -1 when the connection ended. What is not used goes back with `socket_keep`. */
long socket_read(struct socket *socket, uint8_t **buffer);
void socket_keep(struct socket *socket, const uint8_t *rest, size_t length);
void socket_close(struct socket *socket);
