// The server of the demo: says what a number of pieces costs, in cents, to any number of clients on 127.0.0.1.
//
// Version 1.0 counts in 32 bits, so a large order gets a wrong sum; with -DNEWER it is version 1.1, which counts in 64 and
// tells how many large orders it has seen. Not part of xtask: the demo compiles it twice.
//
// Requests and answers are lines: `price N`, `licence`, `served` (connections and prices so far), `large`.
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef NEWER
#define VERSION "1.1"
#else
#define VERSION "1.0"
#endif

// Room for the stamp of a machine. It is not constant for the compiler, which must not copy it into the code.
char licence[64] = "________________________________________________________________";

static atomic_long connections, prices;

#ifdef NEWER
static atomic_long large_orders; // what version 1.0 does not have

__attribute__((noinline)) static unsigned long price(unsigned pieces) {
    if (pieces > 1000000) large_orders++;
    return pieces * 1995ul;
}
#else
__attribute__((noinline)) static unsigned long price(unsigned pieces) { return pieces * 1995u; }
#endif

// Writes the answer to one request. A thread is in here for microseconds, so that it can be replaced at any time.
__attribute__((noinline)) static int answer(const char *request, char *text, size_t room) {
    if (!strncmp(request, "price ", 6)) {
        prices++;
        return snprintf(text, room, VERSION " %lu\n", price((unsigned)strtoul(request + 6, 0, 10)));
    }
    if (!strncmp(request, "licence", 7)) return snprintf(text, room, "%.64s", licence);
    if (!strncmp(request, "served", 6)) return snprintf(text, room, "%ld %ld\n", connections, prices);
#ifdef NEWER
    if (!strncmp(request, "large", 5)) return snprintf(text, room, "%ld large orders\n", large_orders);
#endif
    return snprintf(text, room, "unknown request\n");
}

// Stays the same in both versions: every thread is in here all the time.
static void *serve(void *argument) {
    int client = (int)(long)argument;
    FILE *stream = fdopen(client, "r");
    char line[256], text[256];
    while (stream && fgets(line, sizeof line, stream)) {
        int length = answer(line, text, sizeof text);
        if (write(client, text, (size_t)length) != length) break;
    }
    if (stream) fclose(stream);
    return 0;
}

// Its own function, since `main` never returns and therefore must be the same in both versions.
__attribute__((noinline)) static int version(void) { return puts("priced " VERSION) < 0; }

int main(int count, char **arguments) {
    if (count > 1 && !strcmp(arguments[1], "--version")) return version();
    // Where Yama lets nobody but a parent look into a process, the demo needs leave to patch this one.
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, size) || listen(listener, 16) || getsockname(listener, (void *)&address, &size))
        return perror("priced"), 1;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int client = accept(listener, 0, 0);
        if (client < 0) return perror("accept"), 1;
        pthread_t thread;
        connections++;
        if (pthread_create(&thread, 0, serve, (void *)(long)client)) return 1;
        pthread_detach(thread);
    }
}
