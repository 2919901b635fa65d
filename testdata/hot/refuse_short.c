//# case: 37 a function too short for a jump
//# flags: -Os
//# refuse-diff: tiny (entry): it is 4 bytes long
#include "tick.h"
OUT_OF_LINE int tiny(int x) { return x + PICK(1, 2); }
int (*volatile pointer)(int) = tiny;
int main(void) { for (;;) { say("%d", pointer(7)); tick(); } }
