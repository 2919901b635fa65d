//# case: 26 28 what the compiler inlines, splits and specialises
//# flags: -O3
//# before: 21 of 6
//# after: 36 of 6
#include "tick.h"
static int weigh(int n, int by) { int s = 0; for (int i = 0; i <= n; i++) s += i * by; return s + PICK(0, n + 9); }
__attribute__((noinline)) static int specialised(int n, int *unused) { if (n < 0) *unused = n; return weigh(n, 1); }
OUT_OF_LINE int total(int n) { int unused; KEEP; return specialised(n, &unused); }
int main(void) { for (;;) { say("%d of %d", total(6), 6); tick(); } }
