//# case: 24 lines that moved are no change
//# flags: -O2
//# before: value 1
//# after: value 2
//# functions: value
#include "tick.h"
#include <assert.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
#ifdef NEW
#line 40 // as if there were more above
#endif
OUT_OF_LINE int checked(int n) { assert(n < 100); say("checked"); return n; }
int main(int count, char **arguments) { (void)arguments; for (;;) { say("value %d", value() * (checked(count) > 0)); tick(); } }
