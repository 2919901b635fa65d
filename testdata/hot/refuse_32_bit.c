//# case: 48 a program of 32 bits
//# flags: -O2 -m32
//# needs: m32
//# refuse-diff: 
#include "tick.h"
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int main(void) { for (;;) { say("value %d", value()); tick(); } }
