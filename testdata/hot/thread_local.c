//# case: 16 a thread variable of the program
//# flags: -O2 -pthread
//# before: mine 1
//# after: mine 1001
//# reverted: mine 1001
#include "tick.h"
#include <pthread.h>
static __thread int mine = 0;
static __thread long padding[4] = {1, 2, 3, 4};
OUT_OF_LINE int next(void) { mine++; if (mine > 1 && mine < 1000) mine = PICK(1, 1001); return mine + (int)padding[0] - 1; }
static void *other(void *arg) { (void)arg; for (;;) { next(); tick(); } return 0; }
int main(void) { pthread_t thread; pthread_create(&thread, 0, other, 0); for (;;) { int n = next(); say("mine %d", n > 1000 ? 1001 : 1); tick(); } }
