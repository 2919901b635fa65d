//# case: 1 a function that never returns is named, with the thread and the place
//# flags: -O2
//# before: loop 1
//# refuse-apply: is in serve at +
//# refuse-apply: in a call (pinned.c:7)
#include "tick.h"
OUT_OF_LINE void serve(void) { for (;;) { say("loop %d", PICK(1, 2)); tick(); } }
int main(void) { serve(); return 0; }
