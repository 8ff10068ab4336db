/* One run of the load client: what its parts share. There is one run in a process. */
#pragma once
#include <stdint.h>

#include "account.h"
#include "latency.h"
#include "message.h"
#include "options.h"
#include "socket.h"

#define STALL (10 * SECOND) /* without progress for so long, a phase has failed */

enum state { NEW, CONNECTING, UPGRADING, OPEN, CLOSED };

struct connection {
    struct socket socket;
    enum state state;
    uint32_t index, room;
    uint32_t place; /* the place that must come next in the room's sequence */
};

struct run {
    struct options options;
    struct address addresses[MOST_SERVERS], publish_address;
    struct connection *connections;
    struct connection publisher; /* over HTTP */
    uint32_t *places;            /* of each room: the place of its next message */
    char **protocols;            /* of each connection, or NULL */
    struct message message;
    struct latency latency;
    int epoll, measuring;
    uint64_t deadline;
    const char *failure; /* the first one */
    char surprise[120];  /* the beginning of the first thing that nobody expected */

    /* Everything that is counted, from the first connection on. */
    long opened, refused, closed;
    uint64_t published, delivered, frames, received; /* received: bytes */
    uint64_t pings, other;                           /* other: texts without a mark */
    uint64_t skipped, repeated, strange;             /* must stay 0: see `check_place` */
};

extern struct run run;

struct measured {
    double seconds, server_cpu, server_user, client_cpu;
    double cpus[MOST_SERVERS]; /* each server's part of server_cpu */
    uint64_t published, delivered, frames, received;
};

/* Note why the run has failed; the first reason stays. */
void fail(const char *reason);

/* Return the sum of the servers' accounts; `cpus` gets the CPU of each, if it is not NULL. */
struct account accounts(double *cpus);

/* Return where a connection goes. */
const struct address *address_of(const struct connection *connection);

/* Send to a server, which may close the connection. */
void send_bytes(struct connection *connection, const void *bytes, size_t length);

/* Serve what the sockets are ready for, after waiting so long at most. */
void poll_once(int milliseconds);

/* The phases, one after the other; each ends early when the run has failed. */
void open_connections(void);
void open_publisher(void);
void wait_for(double seconds, int milliseconds);
struct measured load(void);
