//# case: 18 exceptions in a static program without symbols: the unwinder that would have to be told cannot be found
//# flags: -O1 -static
//# strip
//# before: caught old
//# refuse-apply: exceptions may pass through the new code, and the process has no unwinder that could learn of it
//# refuse-kind: malformed
#include "tick.h"
#include <stdexcept>
OUT_OF_LINE void raise(int n) { if (n >= 0) throw std::runtime_error(PICK("old", "new")); say("unraised"); }
OUT_OF_LINE const char *catches(int n) {
    static char what[16];
    try { raise(n); } catch (const std::exception &e) { snprintf(what, sizeof what, "%s", e.what()); return what; }
    return "none";
}
int main() { for (;;) { say("caught %s", catches(1)); tick(); } }
