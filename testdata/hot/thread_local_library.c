//# case: 16 43 thread variables of a library that was opened while the program ran
//# flags: -O2 -fPIC
//# library
//# before: library 1 and 5
//# after: library 2 and 105
#include "tick.h"
#ifdef LIBRARY
__thread int shown = 5;
static __thread int hidden;
OUT_OF_LINE int both(int *other) { hidden = 1; *other = shown + PICK(0, 100); return hidden + PICK(0, 1); }
#else
#include <dlfcn.h>
int main(int count, char **arguments) {
    (void)count;
    void *library = dlopen(arguments[1], RTLD_NOW);
    int (*both)(int *) = (int (*)(int *))dlsym(library, "both");
    for (;;) { int other, one = both(&other); say("library %d and %d", one, other); tick(); }
}
#endif
