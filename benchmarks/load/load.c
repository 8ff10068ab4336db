/* The load client: opens WebSocket connections, publishes marked messages, counts every delivery
   and takes the server's account. Prints one JSON object; ends with status 0 only when every
   connection opened and stayed, and each received every message of its room once and in order.

   One thread that never sleeps while it measures: the server does not pay for waking it up. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "run.h"

struct run run;

static void read_protocols(void) {
    FILE *file = fopen(run.options.protocols, "r");
    if (!file) die("cannot read --protocols");
    run.protocols = calloc((size_t)run.options.connections, sizeof *run.protocols);
    char *line = NULL;
    size_t capacity = 0;
    for (long i = 0; i < run.options.connections; i++) {
        if (getline(&line, &capacity, file) < 0)
            die("--protocols has fewer lines than connections");
        line[strcspn(line, "\r\n")] = 0;
        run.protocols[i] = strdup(line);
    }
    free(line);
    fclose(file);
}

static void prepare(void) {
    need_descriptors(run.options.connections + 32);
    signal(SIGPIPE, SIG_IGN);
    run.deadline = now() + (uint64_t)(run.options.limit * 1e9);
    for (int i = 0; i < run.options.url_count; i++)
        run.addresses[i] = address_parse(run.options.urls[i]);
    if (run.options.publish_url) run.publish_address = address_parse(run.options.publish_url);
    if (run.options.protocols) read_protocols();
    run.message = message_build(run.options.pattern, (size_t)run.options.content);
    if (!run.message.text) die("--pattern must have {message} in it");
    run.connections = calloc((size_t)run.options.connections, sizeof *run.connections);
    run.places = calloc((size_t)run.options.rooms, sizeof *run.places);
    run.epoll = epoll_create1(0);
}

static void print_connecting(double seconds, struct account before, struct account after) {
    printf(
        "\"connect_seconds\":%.6f,\"connect_cpu\":%.6f,\"connect_user\":%.2f,"
        "\"resident_before\":%ld,\"resident_after\":%ld,",
        seconds, after.cpu - before.cpu, after.user - before.user, before.resident, after.resident);
}

static void print_measured(const struct measured *measured) {
    printf(
        "\"seconds\":%.6f,\"published\":%lu,\"delivered\":%lu,\"server_cpu\":%.6f,"
        "\"server_user\":%.2f,\"client_cpu\":%.6f,\"frame_bytes\":%.1f,",
        measured->seconds, measured->published, measured->delivered, measured->server_cpu,
        measured->server_user, measured->client_cpu,
        measured->frames ? (double)measured->received / (double)measured->frames : 0);
    for (int i = 0; i < run.options.pid_count; i++)
        printf("%s%.6f", i ? "," : "\"server_cpus\":[", measured->cpus[i]);
    if (run.options.pid_count) printf("],");
    printf("\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"longest\":%.1f,",
           latency_quantile(&run.latency, 0.5), latency_quantile(&run.latency, 0.9),
           latency_quantile(&run.latency, 0.99), (double)run.latency.longest / 1e3);
}

static void print_counts(void) {
    printf(
        "\"opened\":%ld,\"refused\":%ld,\"closed\":%ld,\"total_published\":%lu,"
        "\"total_delivered\":%lu,\"pings\":%lu,\"other\":%lu,\"skipped\":%lu,\"repeated\":%lu,"
        "\"strange\":%lu,",
        run.opened, run.refused, run.closed, run.published, run.delivered, run.pings, run.other,
        run.skipped, run.repeated, run.strange);
    printf("\"failure\":\"%s\",\"surprise\":\"%s\"}\n", run.failure ? run.failure : "",
           run.surprise);
}

int main(int argc, char **argv) {
    run.options = options_parse(argc, argv);
    prepare();
    struct account before = accounts(NULL);
    uint64_t start = now();
    open_connections();
    double connecting = (double)(now() - start) / 1e9;
    wait_for(run.options.settle, 5);
    struct account settled = accounts(NULL);
    uint64_t hold_start = now();
    wait_for(run.options.hold, 100);
    struct account held = accounts(NULL);
    double holding = (double)(now() - hold_start) / 1e9;
    if (run.options.publish_url && !run.failure) open_publisher();
    struct measured measured = {0};
    if (run.options.seconds > 0 && !run.failure) measured = load();
    printf("{\"connections\":%ld,\"rooms\":%ld,", run.options.connections, run.options.rooms);
    print_connecting(connecting, before, settled);
    printf("\"hold_seconds\":%.3f,\"hold_cpu\":%.6f,\"resident_held\":%ld,", holding,
           held.cpu - settled.cpu, held.resident);
    print_measured(&measured);
    print_counts();
    return run.failure ? 3 : 0;
}
