//# case: 2 a thread that is in the function nine tenths of its time
//# flags: -O2 -pthread
//# before: value 1
//# after: value 2
#include "tick.h"
#include <pthread.h>
static volatile int last;
OUT_OF_LINE int value(void) { usleep(1800); return PICK(1, 2); }
static void *works(void *unused) { for (;;) { last = value(); usleep(200); } return unused; }
int main(void) { pthread_t thread; pthread_create(&thread, 0, works, 0); for (;;) { if (last) say("value %d", last); tick(); } }
