//# case: 22 a variable that begins with another value, one that grows, and one that points to a constant that changed
//# flags: -O2
//# refuse-diff: level (data): a variable begins with another value in the new build
//# refuse-diff: room (data): a variable of 16 bytes is one of 32 bytes in the new build
#include "tick.h"
int level = PICK(3, 4);
int room[PICK(4, 8)];
OUT_OF_LINE int value(int i) { say("value"); return level + room[i] + PICK(1, 2); }
int main(void) { for (;;) { say("%d", value(1)); tick(); } }
