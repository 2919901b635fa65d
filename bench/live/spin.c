// The target of `cargo xtask bench live`: the main thread spins and measures the longest gap between two rounds, the
// others sleep. Lines on standard input: `reset`; `report` (longest gap in nanoseconds, and what the changed function
// says); `cost` (nanoseconds per call).
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef NEW
#define PICK(old, new) (new)
#else
#define PICK(old, new) (old)
#endif
static volatile int sink;
static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000L + t.tv_nsec; }
__attribute__((noinline, noclone)) int value(int x) { __asm__ volatile("" ::: "memory"); return x * 3 + PICK(1, 2); }
__attribute__((noinline)) static double cost(void) {
    long best = 1L << 60;
    for (int round = 0; round < 15; round++) {
        long start = now();
        for (int i = 0; i < 4000000; i++) sink = value(i);
        long took = now() - start;
        if (took < best) best = took;
    }
    return best / 4e6;
}
static void *sleeps(void *unused) { for (;;) pause(); return unused; }
int main(int count, char **arguments) {
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, sleeps, 0)) return 1;
    }
    fcntl(0, F_SETFL, O_NONBLOCK);
    setvbuf(stdout, 0, _IOLBF, 0);
    puts("ready");
    long longest = 0, last = now();
    for (unsigned round = 0;; round++) {
        long next = now(), gap = next - last;
        if (gap > longest) longest = gap;
        last = next;
        if (round % 256) continue;
        char line[64];
        ssize_t got = read(0, line, sizeof line);
        if (got == 0) return 0;
        if (got < 0) continue;
        // A pause in that call has not been seen yet.
        if ((gap = now() - last) > longest) longest = gap;
        if (!strncmp(line, "report", 6)) printf("%ld %d\n", longest, value(0));
        if (!strncmp(line, "cost", 4)) printf("%.3f\n", cost());
        if (!strncmp(line, "reset", 5)) puts("ok");
        longest = 0, last = now();
    }
}
