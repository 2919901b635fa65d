//# case: 31 landing pads of indirect branches stay
//# flags: -O2 -fcf-protection=full
//# before: by pointer 1
//# after: by pointer 2
#include "tick.h"
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int (*volatile pointer)(void) = value;
int main(void) { for (;;) { say("by pointer %d", pointer()); tick(); } }
