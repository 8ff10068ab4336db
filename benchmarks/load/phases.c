/* The phases of a run: connect, wait, publish while measuring, and see that nothing is missing. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "frame.h"
#include "run.h"

struct account accounts(double *cpus) {
    struct account sum = {0};
    for (int i = 0; i < run.options.pid_count; i++) {
        struct account account = account_of(run.options.pids[i]);
        sum.cpu += account.cpu;
        sum.user += account.user;
        sum.resident += account.resident;
        if (cpus) cpus[i] = account.cpu;
    }
    return sum;
}

void open_connections(void) {
    long started = 0, done = 0;
    uint64_t progress = now();
    while (run.opened + run.refused < run.options.connections && !run.failure) {
        while (started < run.options.connections &&
               started - run.opened - run.refused < run.options.concurrency) {
            struct connection *connection = &run.connections[started];
            connection->index = (uint32_t)started;
            connection->room = (uint32_t)(started / (run.options.connections / run.options.rooms));
            connection->state = CONNECTING;
            uint32_t source =
                run.options.sources > 1 ? 1 + (uint32_t)(started % run.options.sources) : 0;
            socket_connect(&connection->socket, address_of(connection), source);
            socket_watch(run.epoll, &connection->socket, connection, 1);
            started++;
        }
        poll_once(2);
        if (run.opened + run.refused != done) {
            done = run.opened + run.refused;
            progress = now();
        } else if (now() - progress > STALL) {
            fail("the server stopped accepting");
        }
    }
}

void wait_for(double seconds, int milliseconds) {
    uint64_t until = now() + (uint64_t)(seconds * 1e9);
    while (now() < until && !run.failure) poll_once(milliseconds);
}

void open_publisher(void) {
    run.publisher.state = OPEN;
    socket_connect(&run.publisher.socket, &run.publish_address, 0);
    socket_watch(run.epoll, &run.publisher.socket, &run.publisher, 1);
    wait_for(0.05, 5);
}

static size_t write_published(uint8_t *to) {
    if (!run.options.publish_url)
        return frame_write_masked(to, TEXT, run.message.text, run.message.length);
    int head = sprintf((char *)to, "POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %zu\r\n\r\n",
                       run.publish_address.path, run.publish_address.host, run.publish_address.port,
                       run.message.length);
    memcpy(to + head, run.message.text, run.message.length);
    return (size_t)head + run.message.length;
}

/* Publish messages that were due at a time: to the rooms in turn, one room's in a single send. */
static void publish(long count, uint64_t due) {
    static uint8_t *buffer;
    static uint32_t room;
    if (!buffer) buffer = malloc((size_t)run.options.burst * (run.message.length + 2048));
    for (long done = 0; done < count;) {
        size_t length = 0;
        long together = run.options.rooms == 1 ? run.options.burst : 1;
        for (long i = 0; i < together; i++) {
            message_stamp(&run.message, (struct mark){due, room, run.places[room]++});
            length += write_published(buffer + length);
        }
        struct connection *sender =
            &run.connections[(long)room * (run.options.connections / run.options.rooms)];
        send_bytes(run.options.publish_url ? &run.publisher : sender, buffer, length);
        run.published += (uint64_t)together;
        done += together;
        room = (room + 1) % (uint32_t)run.options.rooms;
    }
}

/* When burst number `count` is due, in nanoseconds from the start. Random times are those of a
   Poisson process from a fixed seed: every server of a comparison meets the same ones. */
static uint64_t due_after(uint64_t count) {
    static uint64_t drawn;
    static double sum;
    double interval = (double)run.options.burst * 1e9 / run.options.rate;
    if (!run.options.random) return (uint64_t)((double)count * interval);
    for (; drawn < count; drawn++) sum -= log(1 - drand48()) * interval;
    return (uint64_t)sum;
}

/* Publish what is due: in the open loop by the clock, whatever has come back; in the closed loop
   once there is room for a burst in the window. */
static void publish_due(uint64_t start) {
    uint64_t burst = (uint64_t)run.options.burst;
    uint64_t fan_out = (uint64_t)(run.options.connections / run.options.rooms);
    if (run.options.rate > 0) {
        for (;;) {
            uint64_t due = start + due_after(run.published / burst);
            if (due > now()) break;
            publish(run.options.burst, due);
        }
    } else {
        while (run.published - run.delivered / fan_out + burst <= (uint64_t)run.options.window)
            publish(run.options.burst, now());
    }
}

/* Begin to measure: what was before counts negative. */
static void begin(struct measured *measured) {
    struct account account = accounts(measured->cpus);
    measured->seconds = -(double)now() / 1e9;
    measured->server_cpu = -account.cpu;
    measured->server_user = -account.user;
    measured->client_cpu = -own_cpu();
    measured->published = -run.published;
    measured->delivered = -run.delivered;
    measured->frames = -run.frames;
    measured->received = -run.received;
    run.measuring = 1;
}

static void end(struct measured *measured) {
    double cpus[MOST_SERVERS];
    struct account account = accounts(cpus);
    run.measuring = 0;
    for (int i = 0; i < run.options.pid_count; i++) measured->cpus[i] = cpus[i] - measured->cpus[i];
    measured->seconds += (double)now() / 1e9;
    measured->server_cpu += account.cpu;
    measured->server_user += account.user;
    measured->client_cpu += own_cpu();
    measured->published += run.published;
    measured->delivered += run.delivered;
    measured->frames += run.frames;
    measured->received += run.received;
}

/* Wait until all that was published has come to everybody: what is late is a loss. */
static void drain(void) {
    uint64_t fan_out = (uint64_t)(run.options.connections / run.options.rooms);
    uint64_t progress = now(), seen = 0;
    while (run.delivered < run.published * fan_out && !run.failure) {
        poll_once(1);
        if (run.delivered != seen) {
            seen = run.delivered;
            progress = now();
        } else if (now() - progress > (uint64_t)(run.options.patience * 1e9)) {
            fail("messages did not arrive");
        }
    }
    wait_for(0.05, 5); /* for what should not come */
}

static void check_exactness(void) {
    if (run.skipped || run.repeated || run.strange)
        fail("messages came out of order, more than once, not at all, or to the wrong room");
    for (long i = 0; i < run.options.connections && !run.failure; i++)
        if (run.connections[i].place != run.places[run.connections[i].room])
            fail("a connection missed messages");
}

/* Whether a message has arrived that was published while it is measured, and the servers' accounts,
   which the kernel keeps in ticks, show it. Where messages are due by the clock, none may be yet. */
static int has_measured(const struct measured *measured, uint64_t published) {
    uint64_t fan_out = (uint64_t)(run.options.connections / run.options.rooms);
    if (run.options.rate > 0 && run.published == published) return 1;
    return run.delivered > published * fan_out && accounts(NULL).cpu > -measured->server_cpu;
}

struct measured load(void) {
    struct measured measured = {0};
    uint64_t start = now(), measure_at = start + (uint64_t)(run.options.warm_up * 1e9);
    uint64_t end_at = measure_at + (uint64_t)(run.options.seconds * 1e9);
    uint64_t progress = start, seen = 0, published = 0;
    for (int begun = 0; !run.failure;) {
        uint64_t time = now();
        if (!begun && time >= measure_at) {
            begin(&measured);
            begun = 1;
            published = run.published;
        }
        publish_due(start);
        poll_once(run.options.doze);
        if (run.delivered != seen) {
            seen = run.delivered;
            progress = time;
        } else if (time - progress > STALL) {
            fail("the server stopped delivering");
        }
        /* On a busy machine this thread may sleep through it all: then it goes on. */
        if (time >= end_at && has_measured(&measured, published)) break;
    }
    end(&measured);
    drain();
    check_exactness();
    return measured;
}
