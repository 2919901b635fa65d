//# case: 12 a static program that can be anywhere
//# flags: -O2 -static-pie
//# before: sum 6
//# after: sum 60
#include "tick.h"
static int numbers[] = {1, 2, 3};
OUT_OF_LINE int sum(void) { int s = 0; for (int i = 0; i < 3; i++) s += numbers[i] * PICK(1, 10); say("summed"); return s; }
int main(void) { for (;;) { say("sum %d", sum()); tick(); } }
