//# case: 9 a thread that waits for a vfork child again and again cannot be stopped meanwhile
//# flags: -O2
//# before: value 1
//# after: value 2
#include "tick.h"
#include <sys/wait.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int main(void) {
    for (;;) {
        pid_t child = vfork();
        if (child == 0) { usleep(3000); _exit(0); }
        waitpid(child, 0, 0);
        say("value %d", value());
        tick();
    }
}
