//# case: 13 the smallest change, in a position-independent program
//# flags: -O2
//# before: value 1
//# after: value 2
#include "tick.h"
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int main(void) { for (;;) { say("value %d", value()); tick(); } }
