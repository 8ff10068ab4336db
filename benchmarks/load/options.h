/* What a run of the load client does: `load --help` prints the list. */
#pragma once
#include <stdint.h>

#define MOST_SERVERS 32

struct options {
    const char *urls[MOST_SERVERS]; /* ws://127.0.0.1:PORT/PATH; "%d" becomes the room's number;
                                       connections take them in turn */
    const char *publish_url; /* publish by POST there; over the rooms' first connections if NULL */
    const char *protocol;    /* Sec-WebSocket-Protocol of all connections */
    const char
        *protocols;      /* file with one Sec-WebSocket-Protocol a line, one for each connection */
    const char *pattern; /* what is published: "{message}" in it becomes the mark and padding */
    long content;        /* bytes of mark and padding */
    long connections, rooms; /* the first connections/rooms connections are in room 0, and so on */
    long window, burst;      /* closed loop: at most so many messages on the way, so many at once */
    double rate;             /* open loop: messages a second, in bursts; closed loop if 0 */
    int random;              /* open loop: at random times, as many senders have them together */
    double warm_up, seconds; /* before measuring, and measured */
    double settle, hold;     /* after connecting; then idle, measured */
    double patience;         /* without a delivery for so long, what is missing is lost */
    int doze;                /* milliseconds to sleep at most while measuring; 0: never */
    double limit;            /* seconds after which the run ends in any case */
    long concurrency;        /* handshakes on the way */
    long sources;            /* source addresses to spread the connections over */
    int pids[MOST_SERVERS];  /* the servers whose accounts are taken */
    int url_count, pid_count;
    int socketio;            /* answer as a Socket.IO client */
};

/* Read the command line; end the program with a reason when it cannot be used. */
struct options options_parse(int argc, char **argv);
