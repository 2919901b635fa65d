//# case: 47 a process that nobody but root may look into
//# flags: -O2
//# needs: root
//# before: value 1
//# after: value 2
#include "tick.h"
#include <sys/prctl.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int main(void) { say("ready"); prctl(PR_SET_DUMPABLE, 0); for (;;) { say("value %d", value()); tick(); } }
