//# case: 3 the outermost frame decides
//# flags: -O1 -fno-optimize-sibling-calls
//# before: 5! is 120
//# after: 5! is 1920
#include "tick.h"
OUT_OF_LINE int factorial(int n) { usleep(200); return n < 2 ? 1 : n * factorial(n - 1) * PICK(1, 1 + (n > 0)); }
int main(void) { for (;;) { say("5! is %d", factorial(5)); tick(); tick(); } }
