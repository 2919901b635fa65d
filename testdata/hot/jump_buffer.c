//# case: 5 a jump buffer in a function that does not change, and jumps out of one that does
//# flags: -O2
//# before: jumped 1 times 2
//# after: jumped 2 times 2
#include "tick.h"
#include <setjmp.h>
static jmp_buf buffer;
OUT_OF_LINE void value(int times) { KEEP; if (times < 2) longjmp(buffer, PICK(1, 2)); say("called"); }
int main(void) {
    for (;;) {
        volatile int times = 0, got = 0;
        int now = setjmp(buffer);
        if (now) { got = now; times++; }
        value(times);
        say("jumped %d times %d", got, times);
        tick();
    }
}
