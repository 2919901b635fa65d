//# case: 27 the whole program optimised at once
//# flags: -O2 -flto
//# before: value 1
//# after: value 2
#include "tick.h"
OUT_OF_LINE static int value(void) { say("called"); return PICK(1, 2); }
int main(void) { for (;;) { say("value %d", value()); tick(); } }
