//# case: 6 a coroutine of a few instructions, which no library knows, waits in the function for ever
//# flags: -O2
//# before: value 1
//# refuse-apply: leads to work at +
#include "tick.h"
#include <sys/mman.h>
void change(void **from, void *to);
__asm__(".text\n.globl change\n.type change, @function\nchange:\n.cfi_startproc\n push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        " mov %rsp, (%rdi)\n mov %rsi, %rsp\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n.cfi_endproc\n.size change, .-change\n");
static void *first, *second;
OUT_OF_LINE void work(void) { change(&second, first); say("worked %d", PICK(1, 2)); }
OUT_OF_LINE int value(void) { KEEP; return PICK(1, 2); }
int main(void) {
    void **top = (void **)((char *)mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + (1 << 16)) - 2;
    *--top = (void *)work;
    second = top - 6;
    change(&first, second);
    for (;;) { say("value %d", value()); tick(); }
}
