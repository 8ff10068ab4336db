/* The clock of every measurement. */
#pragma once
#include <stdint.h>
#include <time.h>

#define SECOND 1000000000ull

/* Nanoseconds since some moment in the past; never goes back. */
static inline uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Seconds of CPU that this process has used. */
static inline double own_cpu(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
