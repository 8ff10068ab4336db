#define _GNU_SOURCE
#include "account.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add(int pid, struct account *sum);

static void add_thread(int pid, const char *thread, struct account *sum) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, thread);
    FILE *file = fopen(path, "r");
    if (file) {
        unsigned long long nanoseconds;
        if (fscanf(file, "%llu", &nanoseconds) == 1) sum->cpu += (double)nanoseconds / 1e9;
        fclose(file);
    }
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", pid, thread);
    file = fopen(path, "r");
    if (file) {
        int child;
        while (fscanf(file, "%d", &child) == 1) add(child, sum);
        fclose(file);
    }
}

static void add_user_time(int pid, struct account *sum) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return;
    if (fgets(line, sizeof line, file)) {
        /* The name in parentheses may hold anything; user time is the 12th field after it. */
        char *rest = strrchr(line, ')');
        unsigned long long ticks;
        if (rest &&
            sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu", &ticks) == 1)
            sum->user += (double)ticks / (double)sysconf(_SC_CLK_TCK);
    }
    fclose(file);
}

static void add_resident(int pid, struct account *sum) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (!file) return;
    long kib;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) sum->resident += kib;
    fclose(file);
}

static void add(int pid, struct account *sum) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads) return;
    for (struct dirent *entry; (entry = readdir(threads));)
        if (isdigit((unsigned char)entry->d_name[0])) add_thread(pid, entry->d_name, sum);
    closedir(threads);
    add_user_time(pid, sum);
    add_resident(pid, sum);
}

struct account account_of(int pid) {
    struct account sum = {0};
    if (pid > 0) add(pid, &sum);
    return sum;
}
