//# case: 40 what a function keeps below its stack pointer survives
//# flags: -O2 -pthread
//# before: value 1, wrong 0
//# after: value 2, wrong 0
//# times: 20
#include "tick.h"
#include <pthread.h>
static volatile int wrong;
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
static void *keeps(void *unused) {
    for (;;) {
        unsigned long lost;
        __asm__ volatile(
            "mov $0x1234567, %%ecx\n mov %%rcx, -8(%%rsp)\n mov %%rcx, -64(%%rsp)\n mov %%rcx, -128(%%rsp)\n mov $200000, %%edx\n"
            "1: dec %%edx\n jnz 1b\n"
            "xor %%eax, %%eax\n cmp %%rcx, -8(%%rsp)\n setne %%al\n cmp %%rcx, -64(%%rsp)\n je 2f\n inc %%eax\n2: cmp %%rcx, -128(%%rsp)\n je 3f\n inc %%eax\n3: mov %%rax, %0\n"
            : "=r"(lost) : : "rax", "rcx", "rdx", "cc", "memory");
        if (lost) wrong++;
    }
    return unused;
}
int main(void) { pthread_t thread; pthread_create(&thread, 0, keeps, 0); for (;;) { say("value %d, wrong %d", value(), wrong); tick(); } }
