//# case: 22 23 new functions, strings, constants and variables; old variables keep their values
//# flags: -O2
//# before: counted 1
//# after: added, 10 more, new 1 of one two
//# reverted: old again
#include "tick.h"
static int counter;
#ifdef NEW
static int fresh;
static int filled = 5;
static const char *const words[] = {"one", "two"};
static const int big[40] = {[3] = 7};
OUT_OF_LINE static void added(int start) {
    fresh++;
    filled++;
    if (fresh == 1) say("added, %d more, new %d of %s %s", big[3] + 3, fresh, words[0], words[1]);
    else say("fresh %d filled %d start %d", fresh, filled, start);
}
#endif
OUT_OF_LINE void show(void) {
    static int calls;
    calls++;
    counter++;
    if (calls != counter) say("lost a variable");
#ifdef NEW
    added(calls);
#else
    if (calls == 1) say("counted 1");
    else if (calls > 5) say("old again");
#endif
}
int main(void) { for (;;) { show(); tick(); } }
