//# case: 4 a signal handler that uses the function, on a stack of its own
//# flags: -O2
//# before: handled 1
//# after: handled 2
#include "tick.h"
#include <signal.h>
#include <sys/time.h>
static volatile int last;
OUT_OF_LINE int value(void) { for (volatile int i = 0; i < 200; i++) {} return PICK(1, 2); }
static void handler(int signal) { (void)signal; last = value(); }
int main(void) {
    static char stack[1 << 16];
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&own, 0);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigaction(SIGALRM, &action, 0);
    struct itimerval often = {{0, 700}, {0, 700}};
    setitimer(ITIMER_REAL, &often, 0);
    for (;;) { tick(); if (last) say("handled %d", last); }
}
