//# case: 34 a function whose address was taken is the same function before and after
//# flags: -O2
//# before: same 1
//# after: same 2
#include "tick.h"
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
static int (*volatile kept)(void);
OUT_OF_LINE int check(void) { say("checked"); return kept == value ? PICK(1, 2) : 0; }
int main(void) { kept = value; for (;;) { int v = kept(); if (check() == v) say("same %d", v); else say("differs"); tick(); } }
