//# case: 35 a process that has no free address near its code
//# flags: -O2
//# before: value 1
//# refuse-apply: there is no room for
//# refuse-kind: malformed
#define _GNU_SOURCE
#include "tick.h"
#include <sys/mman.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
static void fill(void) {
    unsigned long near = (unsigned long)value, reach = 1ul << 31, before = near - reach, starts[4096], ends[4096];
    int count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (count < 4096 && fgets(line, sizeof line, maps)) if (sscanf(line, "%lx-%lx", &starts[count], &ends[count]) == 2) count++;
    fclose(maps);
    for (int i = 0; i <= count; i++) {
        unsigned long end = i < count ? starts[i] : near + reach;
        if (end > near + reach) end = near + reach;
        if (before < end) mmap((void *)(before & -4096ul), end - (before & -4096ul), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (i < count && ends[i] > before) before = ends[i];
    }
}
int main(void) { say("ready"); fill(); for (;;) { say("value %d", value()); tick(); } }
