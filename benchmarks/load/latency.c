#include "latency.h"

/* A value lies in bucket (exponent, top six bits): 32 buckets for each doubling. */
void latency_add(struct latency *latency, uint64_t nanoseconds) {
    int exponent = nanoseconds < 64 ? 0 : 58 - __builtin_clzll(nanoseconds);
    latency->buckets[exponent * 64 + (int)(nanoseconds >> exponent)]++;
    latency->count++;
    if (nanoseconds > latency->longest) latency->longest = nanoseconds;
}

double latency_quantile(const struct latency *latency, double quantile) {
    uint64_t wanted = (uint64_t)(quantile * (double)latency->count), seen = 0;
    for (int i = 0; i < 64 * 64; i++) {
        seen += latency->buckets[i];
        if (seen > wanted) return (double)((uint64_t)(i % 64) << (i / 64)) / 1000.0;
    }
    return (double)latency->longest / 1000.0;
}
