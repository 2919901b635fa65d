//# case: 25 a structure that grows
//# flags: -O2 -g
//# refuse-diff: conn (layout): the type is 16 bytes long instead of 8
#include "tick.h"
struct conn { int id; int port;
#ifdef NEW
    long since;
#endif
};
OUT_OF_LINE int port(struct conn *c) { say("port"); return c->port + (int)sizeof *c; }
int main(void) { struct conn c = {1, 2}; for (;;) { say("%d", port(&c)); tick(); } }
