//# case: 14 the program that runs has no symbols; the patch is made from its twin with symbols
//# flags: -O2
//# strip
//# before: value 1
//# after: value 2
#include "tick.h"
OUT_OF_LINE static int value(void) { say("called"); return PICK(1, 2); }
int main(void) { for (;;) { say("value %d", value()); tick(); } }
