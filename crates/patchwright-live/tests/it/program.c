// A program whose functions begin in the ways that functions begin, each on a page of its own. All of them return 1.
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FUNCTION(name, body)                                                                                           \
    __asm__(".pushsection .text." #name ",\"ax\",@progbits\n.balign 4096\n.globl " #name "\n.type " #name               \
            ",@function\n" #name ":\n.cfi_startproc\n" body "\n.cfi_endproc\n.size " #name ", .-" #name                 \
            "\n.balign 32\n.popsection\n");                                                                            \
    int name(int);

FUNCTION(one, "mov $1, %eax\n ret\n nop\n nop")
FUNCTION(plain, "mov $1, %eax\n ret\n nop\n nop")
FUNCTION(refers, "cmpl $5, five(%rip)\n jne 1f\n mov $1, %eax\n ret\n1: mov $9, %eax\n ret")
FUNCTION(branches, "test %edi, %edi\n js 1f\n mov $1, %eax\n ret\n1: mov $9, %eax\n ret")
FUNCTION(calls, "push %rbx\n .cfi_adjust_cfa_offset 8\n call one\n pop %rbx\n .cfi_adjust_cfa_offset -8\n ret")
FUNCTION(calls_slot, "call *slot(%rip)\n ret\n nop\n nop")
FUNCTION(leaves, "jmp one\n nop\n nop\n nop")
FUNCTION(marked, "endbr64\n push %rbp\n .cfi_adjust_cfa_offset 8\n mov $1, %eax\n pop %rbp\n .cfi_adjust_cfa_offset -8\n ret")

int five = 5;
int (*slot)(int) = one;

static int (*const all[])(int) = {plain, refers, branches, calls, calls_slot, leaves, marked};
static volatile int wrong;

// What a row of calls says: the value that all of them have, or 0.
static int row(void) {
    int first = all[0](0);
    for (unsigned i = 1; i < sizeof all / sizeof *all; i++)
        if (all[i](0) != first) return 0;
    return first;
}

// Registers that nobody else has any business with.
static void *keeps(void *arg) {
    (void)arg;
    for (;;) {
        unsigned long lost;
        __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n movaps %%xmm0, %%xmm7\n mov $0x1234567, %%r12\n mov $0x7654321, %%r9\n"
                         "mov $20000, %%ecx\n movq $77, -64(%%rsp)\n"
                         "1: dec %%ecx\n jnz 1b\n"
                         "xor %%eax, %%eax\n cmp $0x1234567, %%r12\n setne %%al\n cmp $0x7654321, %%r9\n setne %%ah\n"
                         "cmpq $77, -64(%%rsp)\n je 2f\n or $4, %%eax\n"
                         "2: pcmpeqd %%xmm7, %%xmm0\n pmovmskb %%xmm0, %%ecx\n cmp $0xffff, %%ecx\n je 3f\n or $8, %%eax\n"
                         "3: mov %%rax, %0\n"
                         : "=r"(lost)
                         :
                         : "rax", "rcx", "r9", "r12", "xmm0", "xmm7", "cc", "memory");
        if (lost) wrong++;
    }
    return 0;
}

static void *asks(void *arg) {
    (void)arg;
    for (;;) {
        row();
        usleep(50);
    }
    return 0;
}

static void *waits(void *arg) {
    (void)arg;
    int events = epoll_create1(0);
    struct epoll_event event;
    for (;;) epoll_wait(events, &event, 1, -1);
    return 0;
}

int main(void) {
    void *(*const threads[])(void *) = {keeps, asks, asks, waits};
    for (unsigned i = 0; i < sizeof threads / sizeof *threads; i++) {
        pthread_t thread;
        pthread_create(&thread, 0, threads[i], 0);
    }
    // Whoever asks by a byte is told how all functions behave from then on.
    for (char byte; read(0, &byte, 1) == 1;) {
        int first = row(), value = first;
        for (int i = 0; i < 20; i++) {
            usleep(50);
            if (row() != first) value = 0;
        }
        printf("value %d, wrong %d\n", value, wrong);
        fflush(stdout);
    }
}
