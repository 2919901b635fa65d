//# case: 28 the linker has given two functions one code, and one of them changes
//# flags: -O2 -B/usr/lib/llvm-19/bin -fuse-ld=lld -Wl,--icf=all
//# needs: lld
//# refuse-diff: one (folded)
#include "tick.h"
OUT_OF_LINE int one(int n) { say("called %d", n); return n + PICK(1, 2); }
OUT_OF_LINE int other(int n) { say("called %d", n); return n + 1; }
int main(int count, char **arguments) { (void)arguments; for (;;) { say("%d %d", one(count), other(count)); tick(); } }
