//# case: 30 a function with two names
//# flags: -O2
//# before: 1 1
//# after: 2 2
#include "tick.h"
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int other(void) __attribute__((alias("value")));
int main(void) { for (;;) { int a = value(), b = other(); say("%d %d", a, b); tick(); } }
