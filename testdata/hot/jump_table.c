//# case: 21 a table of jumps moves with its function
//# flags: -O2
//# before: 3 7 12 0 55 6
//# after: 3 8 12 0 55 60
#include "tick.h"
OUT_OF_LINE int pick(int i) {
    switch (i) {
    case 0: say("zero"); return 3;
    case 1: return PICK(7, 8);
    case 2: say("two"); return 12;
    case 3: return 0;
    case 4: say("four"); return 55;
    case 5: say("five"); return PICK(6, 60);
    default: return -1;
    }
}
int main(void) { for (;;) { int r[6]; for (int i = 0; i < 6; i++) r[i] = pick(i); say("%d %d %d %d %d %d", r[0], r[1], r[2], r[3], r[4], r[5]); tick(); } }
