//# case: 29 a function with a cold part
//# flags: -O2
//# before: fine 4
//# after: fine 5, rare 9
//# reverted: fine 4
#include "tick.h"
__attribute__((cold, noinline)) static void complain(int n) { fprintf(stderr, "complaint %d\n", n); }
OUT_OF_LINE int work(int n) {
    if (__builtin_expect(n < 0, 0)) { complain(n); complain(n * 2); complain(n + PICK(0, 1)); return PICK(8, 9); }
    return n + PICK(1, 2);
}
int main(void) {
    for (;;) {
        int fine = work(3);
#ifdef NEW
#endif
        if (fine == 4) say("fine 4");
        else say("fine %d, rare %d", fine, work(-1));
        tick();
    }
}
