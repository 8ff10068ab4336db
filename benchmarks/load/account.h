/* What measured servers have used so far, read from /proc: all their threads and descendants. */
#pragma once

struct account {
    double cpu;    /* seconds on a core, from schedstat: nanoseconds, no sampling */
    double user;   /* seconds of it outside of the kernel: the kernel's estimate, in ticks */
    long resident; /* KiB */
};

/* Return the account of a process and all that it has started; zeros when there is none. */
struct account account_of(int pid);
