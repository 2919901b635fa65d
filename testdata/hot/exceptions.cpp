//# case: 18 exceptions through, out of and into changed functions
//# flags: -O1
//# before: caught old after 1 cleanups
//# after: caught new after 2 cleanups
#include "tick.h"
#include <stdexcept>
#include <string>
static int cleanups;
struct Guard { ~Guard() { cleanups += PICK(1, 2); } };
OUT_OF_LINE void raise(int n) { if (n >= 0) throw std::runtime_error(PICK("old", "new")); say("unraised"); }
OUT_OF_LINE int through(int n) { Guard guard; std::string text("held in memory while it passes"); raise(n); return (int)text.size(); }
OUT_OF_LINE std::string catches(int n) { try { through(n); } catch (const std::logic_error &) { return "wrong"; } catch (const std::exception &e) { return e.what(); } return "none"; }
int main() { for (int i = 0;; i++) { cleanups = 0; std::string what = catches(i & 1); say("caught %s after %d cleanups", what.c_str(), cleanups); tick(); } }
