//# case: 40 registers survive, those of numbers with fractions too
//# flags: -O2 -pthread -mavx
//# needs: avx
//# before: value 1, wrong 0
//# after: value 2, wrong 0
//# times: 20
#include "tick.h"
#include <pthread.h>
static volatile int wrong;
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
static void *keeps(void *arg) {
    (void)arg;
    for (;;) {
        unsigned long lost;
        __asm__ volatile(
            "vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n vinsertf128 $1, %%xmm0, %%ymm0, %%ymm0\n vmovaps %%ymm0, %%ymm7\n"
            "mov $0x1234567, %%r12\n mov $0x7654321, %%r9\n mov $200000, %%ecx\n"
            "1: dec %%ecx\n jnz 1b\n"
            "xor %%eax, %%eax\n cmp $0x1234567, %%r12\n setne %%al\n cmp $0x7654321, %%r9\n setne %%ah\n"
            "vxorps %%ymm7, %%ymm0, %%ymm1\n vptest %%ymm1, %%ymm1\n jz 2f\n or $4, %%eax\n"
            "2: vextractf128 $1, %%ymm7, %%xmm2\n vpmovmskb %%xmm2, %%ecx\n cmp $0xffff, %%ecx\n je 3f\n or $8, %%eax\n"
            "3: mov %%rax, %0\n"
            : "=r"(lost) : : "rax", "rcx", "r9", "r12", "xmm0", "xmm1", "xmm2", "xmm7", "cc");
        if (lost) wrong++;
    }
    return 0;
}
int main(void) { pthread_t thread; pthread_create(&thread, 0, keeps, 0); for (;;) { say("value %d, wrong %d", value(), wrong); tick(); } }
