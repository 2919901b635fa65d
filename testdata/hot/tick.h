// What every case needs: a line at once on standard output, and a short sleep.
#pragma once
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef NEW
#define PICK(old, new) (new)
#else
#define PICK(old, new) (old)
#endif
#define OUT_OF_LINE __attribute__((noinline, noclone))
// So that a compiler takes no call for one whose result it knows already.
#define KEEP __asm__ volatile("" ::: "memory")
static inline void tick(void) { usleep(2000); }
static void say(const char *format, ...) __attribute__((format(printf, 1, 2), unused));
static void say(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
    fflush(stdout);
}
