//# case: 22 constants that changed, and a function that only refers to them
//# flags: -O2
//# before: 1 2 3 first
//# after: 1 20 3 second
#include "tick.h"
static const int table[] = {1, PICK(2, 20), 3};
static const struct { const char *text; int n; } record = {PICK("first", "second"), 4};
OUT_OF_LINE int at(int i) { KEEP; return table[i % record.n]; }
OUT_OF_LINE const char *text(int i) { KEEP; return (&record)[i].text; }
int main(int count, char **arguments) { (void)arguments; for (;;) { say("%d %d %d %s", at(0), at(1), at(count + 1), text(count - 1)); tick(); } }
