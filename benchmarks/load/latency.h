/* A histogram of latencies that is exact to 3 % from nanoseconds to hours. */
#pragma once
#include <stdint.h>

struct latency {
    uint64_t buckets[64 * 64];
    uint64_t count, longest;
};

void latency_add(struct latency *latency, uint64_t nanoseconds);

/* Return a quantile (0 to 1) in microseconds. */
double latency_quantile(const struct latency *latency, double quantile);
