//# case: 38 the entry of the function lies on two pages
//# flags: -O2 -fno-toplevel-reorder
//# before: value 1, crosses
//# after: value 2, crosses
#include "tick.h"
__asm__(".section .text.crossing, \"ax\", @progbits\n.balign 4096\n.skip 4093, 0xcc\n.text\n");
__attribute__((noinline, noclone, section(".text.crossing"), aligned(1))) int value(void) { say("called"); return PICK(1, 2); }
int (*volatile pointer)(void) = value; /* a compiler believes that functions are aligned */
int main(void) { for (;;) { say("value %d, %s", value(), (unsigned long)pointer % 4096 == 4093 ? "crosses" : "is elsewhere"); tick(); } }
