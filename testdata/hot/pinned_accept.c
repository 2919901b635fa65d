//# case: 1 a thread that waits in accept() for ever is named; the others run on all the time
//# flags: -O2 -pthread
//# before: value 1
//# refuse-apply: is in serve at +
#include "tick.h"
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
OUT_OF_LINE int value(void) { KEEP; return PICK(1, 2); }
OUT_OF_LINE void *serve(void *unused) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t));
    listen(listener, 1);
    for (;;) { int client = accept(listener, 0, 0); say("accepted %d of %d", client, PICK(1, 2)); }
    return unused;
}
int main(void) { pthread_t thread; pthread_create(&thread, 0, serve, 0); tick(); for (;;) { say("value %d", value()); tick(); } }
