//# case: 6 a coroutine that waits in the function for ever
//# flags: -O2
//# before: value 1
//# refuse-apply: leads to work at +
#include "tick.h"
#include <ucontext.h>
static ucontext_t first, second;
OUT_OF_LINE void yield(void) { swapcontext(&second, &first); }
OUT_OF_LINE void work(void) { yield(); say("worked %d", PICK(1, 2)); }
OUT_OF_LINE int value(void) { KEEP; return PICK(1, 2); }
int main(void) {
    getcontext(&second);
    second.uc_stack.ss_sp = malloc(1 << 16);
    second.uc_stack.ss_size = 1 << 16;
    makecontext(&second, work, 0);
    swapcontext(&first, &second);
    for (;;) { say("value %d", value()); tick(); }
}
