//# case: 18 virtual functions, templates, and a variable of a function with its guard
//# flags: -O1
//# before: 9 10 made
//# after: 27 11 made
#include "tick.h"
struct Shape { virtual ~Shape() {} virtual int size(int n) { return n; } };
struct Square : Shape { int size(int n) override { say("square"); return PICK(n * n, n * n * n); } };
template <class T> OUT_OF_LINE T twice(T x) { say("twice"); return x + x + PICK(0, 1); }
struct Made { int n; Made() : n(1) { say("constructed"); } };
OUT_OF_LINE const char *once() { static Made made; return made.n++ ? "made" : "never"; }
OUT_OF_LINE Shape *make(int i) { return i ? new Square : new Shape; }
int main() { Shape *shape = make(1); for (;;) { int a = shape->size(3), b = twice(5); say("%d %d %s", a, b, once()); tick(); } }
