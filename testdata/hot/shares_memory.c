//# case: 9 another process with the same memory, which is no thread of this one
//# flags: -O2
//# before: value 1 and 1
//# after: value 2 and 2
#define _GNU_SOURCE
#include "tick.h"
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
static volatile int seen;
OUT_OF_LINE int value(void) { for (volatile int i = 0; i < 50; i++) {} return PICK(1, 2); }
static int shares(void *unused) { prctl(PR_SET_PDEATHSIG, SIGKILL); for (;;) { seen = value(); usleep(100); } return unused != 0; }
int main(void) {
    char *stack = malloc(1 << 16);
    clone(shares, stack + (1 << 16), CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, 0);
    for (;;) { say("value %d and %d", value(), seen); tick(); }
}
