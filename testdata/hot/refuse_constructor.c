//# case: 42 code that would have run before main
//# flags: -O2
//# refuse-diff: .init_array (constructor)
#include "tick.h"
static int ready;
#ifdef NEW
__attribute__((constructor)) static void prepare(void) { ready = 1; }
#endif
OUT_OF_LINE int value(void) { say("value"); return ready + PICK(1, 2); }
int main(void) { for (;;) { say("%d", value()); tick(); } }
