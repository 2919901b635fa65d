//# case: 12 a static program has no loader and no list of modules
//# flags: -O2 -static
//# before: length 3
//# after: length 5
#include "tick.h"
OUT_OF_LINE size_t length(const char *text) { char copy[64]; strcpy(copy, text); return strlen(copy) + PICK(0, 2); }
int main(void) { for (;;) { say("length %zu", length("abc")); tick(); } }
