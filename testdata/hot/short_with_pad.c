//# case: 37 a function of three bytes, with room before it
//# flags: -O1 -fpatchable-function-entry=10,8
//# before: short 7
//# after: short 9
#include "tick.h"
OUT_OF_LINE int tiny(int x) { return x + PICK(0, 2); }
int (*volatile pointer)(int) = tiny;
int main(void) { for (;;) { say("short %d", pointer(7)); tick(); } }
