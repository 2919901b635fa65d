//# case: 38 threads that are at the first instructions of the function most of the time
//# flags: -O1 -pthread
//# before: value 3
//# after: value 4
//# times: 5
#include "tick.h"
#include <pthread.h>
static volatile int last;
OUT_OF_LINE int value(int a, int b) { KEEP; __asm__ volatile("nop; nop; nop; nop; nop; nop; nop; nop"); return a + b + PICK(0, 1); }
static void *calls(void *unused) { for (;;) last = value(1, 2); return unused; }
int main(void) {
    pthread_t thread;
    for (int i = 0; i < 2; i++) pthread_create(&thread, 0, calls, 0);
    for (;;) { say("value %d", last); tick(); }
}
