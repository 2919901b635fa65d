//# case: 9 another process with the same memory is in the function
//# flags: -O2
//# before: value 1
//# refuse-apply: is in work at +
#define _GNU_SOURCE
#include "tick.h"
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
OUT_OF_LINE int value(void) { KEEP; return PICK(1, 2); }
OUT_OF_LINE int work(void) { for (;;) { pause(); say("worked %d", PICK(1, 2)); } return 0; }
static int shares(void *unused) { prctl(PR_SET_PDEATHSIG, SIGKILL); return work() + (unused != 0); }
int main(void) {
    char *stack = malloc(1 << 16);
    clone(shares, stack + (1 << 16), CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, 0);
    tick();
    for (;;) { say("value %d", value()); tick(); }
}
