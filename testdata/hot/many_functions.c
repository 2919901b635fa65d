//# case: 37 hundreds of functions change, and unwind data say where each begins: nothing points into their first bytes
//# flags: -O2 -g -fno-align-functions
//# before: sum 32896
//# after: sum 33152
#include "tick.h"
// Functions of different lengths, with frames of different sizes, so that their unwind data differ too.
#define ONE(n)                                                                                    \
    OUT_OF_LINE int value_##n(int x) {                                                            \
        volatile char room[8 + 0x##n % 7 * 64];                                                   \
        room[0] = (char)x;                                                                        \
        if (x < 0) say("%d", 0x##n % 5 ? value_tail(room[0], 0x##n, 3) : 0x##n);                   \
        KEEP;                                                                                     \
        return x + 0x##n + PICK(1, 2);                                                            \
    }
#define TEN(n)                                                                                    \
    ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7) ONE(n##8) ONE(n##9) ONE(n##a) ONE(n##b) \
    ONE(n##c) ONE(n##d) ONE(n##e) ONE(n##f)
OUT_OF_LINE int value_tail(int x, int y, int z) { KEEP; return x + y * z; }
TEN(0) TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(a) TEN(b) TEN(c) TEN(d) TEN(e) TEN(f)
#define CALL(n) +value_##n(0)
#define CALLS(n)                                                                                  \
    CALL(n##0) CALL(n##1) CALL(n##2) CALL(n##3) CALL(n##4) CALL(n##5) CALL(n##6) CALL(n##7) CALL(n##8) CALL(n##9) CALL(n##a) \
    CALL(n##b) CALL(n##c) CALL(n##d) CALL(n##e) CALL(n##f)
OUT_OF_LINE int sum(void) {
    return CALLS(0) CALLS(1) CALLS(2) CALLS(3) CALLS(4) CALLS(5) CALLS(6) CALLS(7) CALLS(8) CALLS(9) CALLS(a) CALLS(b) CALLS(c)
        CALLS(d) CALLS(e) CALLS(f);
}
int main(void) {
    for (;;) {
        say("sum %d", sum());
        tick();
    }
}
