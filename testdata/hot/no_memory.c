//# case: 35 a process that may not have more memory
//# flags: -O2
//# before: value 1
//# refuse-apply: cannot map memory for the new code
//# refuse-kind: io
#include "tick.h"
#include <sys/resource.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int main(void) {
    say("ready");
    struct rlimit none = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_AS, &none);
    for (;;) { say("value %d", value()); tick(); }
}
