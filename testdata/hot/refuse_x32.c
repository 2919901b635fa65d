//# case: 48 a program with pointers of 32 bits and registers of 64
//# flags: -O2 -mx32 -nostdlib -static -ffreestanding
//# refuse-diff: 
__attribute__((noinline, noclone)) int value(int n) { __asm__ volatile("" ::: "memory");
#ifdef NEW
    return n * 3 + 2;
#else
    return n * 2 + 1;
#endif
}
void _start(void) { for (;;) { volatile int kept = value(7); (void)kept; } }
