//# case: 9 a thread that waits long for a vfork child: the others are not kept waiting, and the refusal says so
//# flags: -O2 -pthread
//# before: value 1
//# refuse-apply: waits in the kernel
#include "tick.h"
#include <pthread.h>
#include <sys/wait.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
static volatile int forked; /* the child has the memory of its parent */
static void *works(void *unused) { while (!forked) tick(); for (;;) { tick(); say("value %d", value()); } return unused; }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, works, 0);
    for (;;) {
        pid_t child = vfork();
        if (child == 0) { forked = 1; sleep(1000); _exit(0); }
        waitpid(child, 0, 0);
    }
}
