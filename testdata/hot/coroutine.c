//# case: 6 a coroutine calls the function, and waits elsewhere
//# flags: -O2
//# before: value 1 of 3
//# after: value 2 of 3
#include "tick.h"
#include <ucontext.h>
static ucontext_t first, second;
static int last;
OUT_OF_LINE int value(void) { KEEP; return PICK(1, 2); }
OUT_OF_LINE void yield(void) { swapcontext(&second, &first); }
static void worker(void) { for (;;) { last = value(); yield(); } }
int main(void) {
    getcontext(&second);
    second.uc_stack.ss_sp = malloc(1 << 16);
    second.uc_stack.ss_size = 1 << 16;
    makecontext(&second, worker, 0);
    for (;;) { swapcontext(&first, &second); say("value %d of %d", last, 3); tick(); }
}
