//# case: 24 an assertion of the program's own moves by a line, in a loop that never returns
//# flags: -O2 -g
//# before: value 1
//# after: value 2
//# functions: value
#include "tick.h"
static const char *where = "nowhere";
OUT_OF_LINE void failed(const char *what, const char *file, int line) { where = file, say("%s failed at line %d", what, line); exit(1); }
#define CHECK(holds) ((holds) ? (void)0 : failed(#holds, __FILE__, __LINE__))
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
#ifdef NEW
#line 40 // as if there were more above
#endif
OUT_OF_LINE void serve(int rounds) {
    for (int round = 0;; round++) {
        CHECK(round != rounds);
        int got = value();
        CHECK(got > 0);
        say("value %d", got);
        tick();
    }
}
int main(int count, char **arguments) {
    (void)arguments;
    serve(-count);
}
