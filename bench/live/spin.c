// The target of `cargo xtask bench live`: one thread spins and measures the longest gap between two rounds, the others
// sleep. Lines on standard input: `reset`, `report` (longest gap in nanoseconds), `cost` (nanoseconds per call).
#include <pthread.h>
#include <stdatomic.h>
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
static _Atomic long longest, rounds;
static volatile int sink;
static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000L + t.tv_nsec; }
__attribute__((noinline, noclone)) int value(int x) { __asm__ volatile("" ::: "memory"); return x * 3 + PICK(1, 2); }
static void *spin(void *unused) {
    (void)unused;
    for (long last = now();;) {
        long next = now(), gap = next - last;
        if (gap > longest) longest = gap;
        last = next;
        rounds++;
    }
    return 0;
}
static void *sleeps(void *unused) { for (;;) pause(); return unused; }
int main(int count, char **arguments) {
    int threads = count > 1 ? atoi(arguments[1]) : 2;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    pthread_t thread;
    pthread_create(&thread, &small, spin, 0);
    for (int i = 2; i < threads; i++) pthread_create(&thread, &small, sleeps, 0);
    char line[64];
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        for (long seen = rounds; !strncmp(line, "reset", 5) && rounds < seen + 2;) usleep(100);
        if (!strncmp(line, "reset", 5)) longest = 0, printf("ok\n");
        // Who has not run since has seen nothing: the gap is over when the next round is.
        for (long seen = rounds; !strncmp(line, "report", 6) && rounds < seen + 2;) usleep(100);
        if (!strncmp(line, "report", 6)) printf("%ld %d\n", (long)longest, value(0));
        if (!strncmp(line, "cost", 4)) {
            long best = 1L << 60;
            for (int round = 0; round < 15; round++) {
                long start = now();
                for (int i = 0; i < 4000000; i++) sink = value(i);
                long took = now() - start;
                if (took < best) best = took;
            }
            printf("%.3f\n", best / 4e6);
        }
        fflush(stdout);
    }
}
