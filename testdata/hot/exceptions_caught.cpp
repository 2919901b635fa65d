//# case: 18 what the library keeps of an exception that was caught in the function is no stack that goes on there
//# flags: -O1
//# before: caught 11
//# after: caught 22
#include "tick.h"
#include <stdexcept>
OUT_OF_LINE void raise(int n) { if (n > 0) throw std::runtime_error("raised"); say("unraised"); }
OUT_OF_LINE int catches(int n) { try { raise(n); } catch (const std::exception &e) { return PICK(11, 22); } return PICK(1, 2); }
int main() { for (;;) { int got = catches(1); say("caught %d", got); tick(); } }
