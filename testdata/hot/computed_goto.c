//# case: 21 a table of labels moves with its function
//# flags: -O2
//# before: ran 111
//# after: ran 121
#include "tick.h"
OUT_OF_LINE int run(const unsigned char *code) {
    static const void *const labels[] = {&&stop, &&one, &&ten};
    KEEP;
    int sum = 1;
    goto *labels[*code];
one: sum += 10 * PICK(1, 2); goto *labels[*++code];
ten: sum += 100; goto *labels[*++code];
stop: return sum;
}
int main(void) { for (;;) { say("ran %d", run((const unsigned char[]){1, 2, 0})); tick(); } }
