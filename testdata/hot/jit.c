//# case: 34 code that was made at run time and has no unwind data calls the function
//# flags: -O2 -pthread -falign-functions=64
//# before: called 1
//# after: called 2
#include "tick.h"
#include <pthread.h>
#include <sys/mman.h>
OUT_OF_LINE int value(void) { for (volatile int i = 0; i < 50; i++) {} return PICK(1, 2); }
static volatile int last;
static void report(int value) { last = value; usleep(200); }
static void *runs(void *arg) {
    unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at = code;
    void *called = (void *)value, *then = (void *)report;
    /* push rbx; again: mov rax, value; call rax; mov edi, eax; mov rax, report; call rax; jmp again */
    *at++ = 0x53;
    memcpy(at, "\x48\xb8", 2); memcpy(at + 2, &called, 8); memcpy(at + 10, "\xff\xd0\x89\xc7\x48\xb8", 6);
    memcpy(at + 16, &then, 8); memcpy(at + 24, "\xff\xd0\xeb\xe4", 4);
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
    ((void (*)(void))code)();
    return arg;
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, runs, 0);
    for (;;) { if (last) say("called %d", last); tick(); }
}
