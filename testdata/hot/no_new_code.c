//# case: 36 a process that may not make memory executable (MDWE): what is mapped is never writable and executable
//# flags: -O2
//# before: value 1, refused 1
//# after: value 2, refused 1
#include "tick.h"
#include <sys/mman.h>
#include <sys/prctl.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
int main(void) {
    // PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN; a kernel that does not know it refuses nothing, and the case shows less.
    int known = prctl(65, 1, 0, 0, 0) == 0;
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int refused = !known || mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0;
    for (;;) { say("value %d, refused %d", value(), refused); tick(); }
}
