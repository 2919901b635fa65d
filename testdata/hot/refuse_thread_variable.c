//# case: 17 a new thread variable
//# flags: -O2
//# refuse-diff: fresh (thread-variable): a new thread variable, which value refers to
#include "tick.h"
#ifdef NEW
static __thread volatile int fresh;
#endif
OUT_OF_LINE int value(void) {
    say("value");
#ifdef NEW
    return fresh++;
#else
    return 1;
#endif
}
int main(void) { for (;;) { say("%d", value()); tick(); } }
