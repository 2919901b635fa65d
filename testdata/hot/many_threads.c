//# case: 2 7 threads that call the function all the time, and threads that come and go
//# flags: -O2 -pthread
//# before: all 1
//# after: all 2
#include "tick.h"
#include <pthread.h>
#include <stdatomic.h>
static atomic_int seen[3];
OUT_OF_LINE int value(int x) { for (volatile int i = 0; i < 50; i++) {} return x + PICK(1, 2); }
static void *busy(void *arg) { (void)arg; for (;;) { atomic_fetch_add(&seen[value(0)], 1); usleep(100); } return 0; }
static void *brief(void *arg) { (void)arg; atomic_fetch_add(&seen[value(0)], 1); return 0; }
int main(void) {
    pthread_t thread;
    for (int i = 0; i < 20; i++) pthread_create(&thread, 0, busy, 0);
    for (;;) {
        pthread_create(&thread, 0, brief, 0);
        pthread_join(thread, 0);
        atomic_store(&seen[1], 0);
        atomic_store(&seen[2], 0);
        usleep(5000);
        int one = seen[1], two = seen[2];
        if (one && !two) say("all 1");
        if (two && !one) say("all 2");
    }
}
