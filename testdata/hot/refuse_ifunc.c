//# case: 15 a function that is chosen at the start, changed
//# flags: -O2
//# refuse-diff: choose (ifunc)
#include "tick.h"
static int one(void) { return 1; }
static int two(void) { return 2; }
int (*choose(void))(void) { return PICK(one, two); }
int chosen(void) __attribute__((ifunc("choose")));
OUT_OF_LINE int value(void) { say("value"); return chosen() + PICK(0, 1); }
int main(void) { for (;;) { say("%d", value()); tick(); } }
