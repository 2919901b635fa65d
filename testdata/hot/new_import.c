//# case: 15 the new code calls functions of libc that the old never did, one of them chosen at the start (IFUNC)
//# flags: -O2
//# before: found nothing
//# after: found llo, 42
#include "tick.h"
OUT_OF_LINE const char *find(const char *text, int letter) {
    KEEP;
#ifdef NEW
    static char copy[32];
    snprintf(copy, sizeof copy, "%s, %ld", (const char *)memchr(text, letter, strlen(text)), strtol("42", 0, 10));
    return copy;
#else
    (void)letter;
    return text[0] ? "nothing" : "";
#endif
}
int main(int count, char **arguments) { (void)arguments; for (;;) { say("found %s", find(count ? "hello" : "", 'l')); tick(); } }
