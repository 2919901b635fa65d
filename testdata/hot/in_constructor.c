//# case: 43 the loader has not come to main yet
//# flags: -O2
//# before: value 1 before main
//# after: value 2 before main
#include "tick.h"
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
__attribute__((constructor)) static void early(void) { for (;;) { say("value %d before main", value()); tick(); } }
int main(void) { return 0; }
