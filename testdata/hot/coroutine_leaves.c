//# case: 6 a coroutine waits in the function, but not for ever
//# flags: -O2
//# before: worked 1
//# after: worked 2
#include "tick.h"
#include <ucontext.h>
static ucontext_t first, second;
OUT_OF_LINE void yield(void) { swapcontext(&second, &first); }
OUT_OF_LINE void work(void) { for (int i = 0; i < 5; i++) yield(); say("worked %d", PICK(1, 2)); }
static void worker(void) { for (;;) { for (int i = 0; i < 5; i++) yield(); work(); } }
int main(void) {
    getcontext(&second);
    second.uc_stack.ss_sp = malloc(1 << 16);
    second.uc_stack.ss_size = 1 << 16;
    makecontext(&second, worker, 0);
    for (;;) { swapcontext(&first, &second); tick(); }
}
