//# case: 5 a jump buffer is all that leads to a stack that was left in a changed function
//# flags: -O2
//# before: round 1
//# refuse-apply: leads to worker at +
#include "tick.h"
#include <setjmp.h>
#include <ucontext.h>
static jmp_buf here, there;
static ucontext_t first, second;
static char stack[1 << 16] __attribute__((aligned(16)));
static volatile unsigned long pointer;
OUT_OF_LINE void worker(void) {
    say("begun");
    for (;;) {
        __asm__ volatile("mov %%rsp, %0" : "=m"(pointer));
        if (!_setjmp(there)) _longjmp(here, 1);
        say("round %d", PICK(1, 2));
    }
}
int main(void) {
    getcontext(&second);
    second.uc_stack.ss_sp = stack;
    second.uc_stack.ss_size = sizeof stack;
    makecontext(&second, worker, 0);
    if (!_setjmp(here)) swapcontext(&first, &second);
    for (;;) {
        /* What the calls of worker have left there must not be what is found. */
        memset(stack, 0, pointer - (unsigned long)stack);
        for (int i = 0; i < 5; i++) tick();
        if (!_setjmp(here)) _longjmp(there, 1);
    }
}
