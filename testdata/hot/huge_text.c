//# case: 41 code in a huge page
//# flags: -O2 -Wl,-z,max-page-size=0x200000 -Wl,-z,separate-code
//# before: value 1
//# after: value 2
#define _GNU_SOURCE
#include "tick.h"
#include <sys/mman.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
static void remap(void) {
    enum { HUGE = 1 << 21 };
    char *from = (char *)((unsigned long)value & -(unsigned long)HUGE);
    char *room = mmap(0, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *to = (char *)(((unsigned long)room + HUGE - 1) & -(unsigned long)HUGE);
    madvise(to, HUGE, MADV_HUGEPAGE);
    unsigned long len = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && (char *)start == from) len = end - start;
    }
    fclose(maps);
    memcpy(to, from, len);
    mprotect(to, HUGE, PROT_READ | PROT_EXEC);
    if (!len || mremap(to, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, from) != from) { say("failed"); exit(1); }
}
int main(void) { say("ready"); remap(); for (;;) { say("value %d", value()); tick(); } }
