//# case: 13 a program for one address
//# flags: -O2 -fno-pie -no-pie
//# before: value 1 of a, table 10
//# after: value 2 of b, table 30
#include "tick.h"
static const char *names[] = {"a", "b"};
OUT_OF_LINE const char *name(int i) { KEEP; return names[i]; }
OUT_OF_LINE int pick(int i) {
    switch (i) {
    case 0: return 10;
    case 1: return PICK(20, 30);
    case 2: return 41;
    case 3: return 52;
    case 4: say("four"); return 63;
    case 5: return 17;
    default: return 0;
    }
}
OUT_OF_LINE void show(void) { say("value %d of %s, table %d", PICK(1, 2), name(PICK(0, 1)), pick(PICK(0, 1))); }
int main(void) { for (;;) { show(); tick(); } }
