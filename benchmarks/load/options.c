#define _GNU_SOURCE
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "message.h"
#include "socket.h"

static const char HELP[] =
    "load --url ws://127.0.0.1:PORT/PATH ... [--connections N] [--rooms N] [--pid PID ...]\n"
    "     [--protocol TEXT | --protocols FILE] [--concurrency N] [--sources N] [--socketio]\n"
    "     [--pattern TEXT] [--content BYTES] [--publish-url http://127.0.0.1:PORT/PATH]\n"
    "     [--window N | --rate N [--random]] [--burst N] [--warm-up SECONDS] [--seconds SECONDS]\n"
    "     [--settle SECONDS] [--hold SECONDS] [--patience SECONDS] [--limit SECONDS]\n"
    "     [--doze MILLISECONDS]\n";

static const struct option NAMES[] = {
    {"url", 1, 0, 'u'},
    {"publish-url", 1, 0, 'U'},
    {"protocol", 1, 0, 'p'},
    {"protocols", 1, 0, 'P'},
    {"pattern", 1, 0, 't'},
    {"content", 1, 0, 'c'},
    {"rooms", 1, 0, 'r'},
    {"connections", 1, 0, 'n'},
    {"window", 1, 0, 'w'},
    {"burst", 1, 0, 'b'},
    {"rate", 1, 0, 'R'},
    {"random", 0, 0, 'm'},
    {"warm-up", 1, 0, 'W'},
    {"seconds", 1, 0, 's'},
    {"settle", 1, 0, 'S'},
    {"hold", 1, 0, 'H'},
    {"limit", 1, 0, 'l'},
    {"patience", 1, 0, 'q'},
    {"doze", 1, 0, 'd'},
    {"sources", 1, 0, 'a'},
    {"concurrency", 1, 0, 'C'},
    {"pid", 1, 0, 'i'},
    {"socketio", 0, 0, 'o'},
    {"help", 0, 0, 'h'},
    {0},
};

static int next(int *count) {
    if (*count == MOST_SERVERS) die("there may be %d servers at most", MOST_SERVERS);
    return (*count)++;
}

static void set(struct options *options, int name, char *value) {
    switch (name) {
        case 'u': options->urls[next(&options->url_count)] = value; break;
        case 'U': options->publish_url = value; break;
        case 'p': options->protocol = value; break;
        case 'P': options->protocols = value; break;
        case 't': options->pattern = value; break;
        case 'c': options->content = atol(value); break;
        case 'r': options->rooms = atol(value); break;
        case 'n': options->connections = atol(value); break;
        case 'w': options->window = atol(value); break;
        case 'b': options->burst = atol(value); break;
        case 'R': options->rate = atof(value); break;
        case 'm': options->random = 1; break;
        case 'W': options->warm_up = atof(value); break;
        case 's': options->seconds = atof(value); break;
        case 'S': options->settle = atof(value); break;
        case 'H': options->hold = atof(value); break;
        case 'q': options->patience = atof(value); break;
        case 'd': options->doze = atoi(value); break;
        case 'l': options->limit = atof(value); break;
        case 'a': options->sources = atol(value); break;
        case 'C': options->concurrency = atol(value); break;
        case 'i': options->pids[next(&options->pid_count)] = atoi(value); break;
        case 'o': options->socketio = 1; break;
        case 'h': fputs(HELP, stdout); exit(0);
        default: fputs(HELP, stderr); exit(1);
    }
}

struct options options_parse(int argc, char **argv) {
    struct options options = {
        .pattern = "{\"Content\":\"{message}\"}",
        .content = 286,
        .connections = 100,
        .rooms = 1,
        .window = 1,
        .burst = 1,
        .warm_up = 0.3,
        .seconds = 2,
        .settle = 0.3,
        .patience = 2,
        .limit = 120,
        .concurrency = 64,
        .sources = 1,
    };
    for (int name; (name = getopt_long(argc, argv, "", NAMES, NULL)) != -1;)
        set(&options, name, optarg);
    if (!options.url_count) die("needs --url");
    if (options.connections < 1 || options.rooms < 1 || options.rooms > 65536 ||
        options.connections % options.rooms)
        die("--connections must be a multiple of --rooms, and these at most 65536");
    if (options.window < 1 || options.burst < 1 ||
        options.burst > options.window + (options.rate > 0) * 65536)
        die("--burst must be from 1 to --window");
    if (options.window > 4096 || options.content < MARK_BYTES || options.content > 32768)
        die("--window is at most 4096, --content from %d to 32768", MARK_BYTES);
    if (options.random && options.rate <= 0) die("--random needs --rate");
    if (options.rate > 0 && options.publish_url) die("--rate publishes over WebSocket only");
    return options;
}
