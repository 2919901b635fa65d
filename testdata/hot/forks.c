//# case: 8 children that are made all the time: each has both new functions or neither, and none is left behind
//# flags: -O2
//# before: value 1, mixed 0
//# after: value 2, mixed 0
//# times: 10
#include "tick.h"
#include <sys/wait.h>
OUT_OF_LINE int one(void) { KEEP; return PICK(1, 2); }
OUT_OF_LINE int other(void) { KEEP; return PICK(1, 2); }
int main(void) {
    int mixed = 0;
    for (;;) {
        for (int i = 0; i < 8; i++) {
            pid_t child = fork();
            if (child == 0) { int first = one(); usleep(300); _exit(first * 10 + other()); }
            int status = 0;
            /* A child that was left standing would be waited for in vain. */
            waitpid(child, &status, 0);
            int told = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
            mixed += told != 11 && told != 22;
        }
        say("value %d, mixed %d", one() == other() ? one() : 0, mixed);
    }
}
