//# case: 18 exceptions in a program that is linked statically
//# flags: -O1 -static
//# before: caught old
//# after: caught new
#include "tick.h"
#include <stdexcept>
OUT_OF_LINE void raise(int n) { if (n >= 0) throw std::runtime_error(PICK("old", "new")); say("unraised"); }
OUT_OF_LINE const char *catches(int n) {
    static char what[16];
    try { raise(n); } catch (const std::exception &e) { snprintf(what, sizeof what, "%s", e.what()); return what; }
    return "none";
}
int main() { for (;;) { say("caught %s", catches(1)); tick(); } }
