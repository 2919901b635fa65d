//# case: 39 no system call fails because of us
//# flags: -O2 -pthread
//# before: value 1, interrupted 0
//# after: value 2, interrupted 0
//# times: 20
#include "tick.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
static atomic_int interrupted;
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }
static void *waits_for_events(void *arg) {
    int events = epoll_create1(0);
    struct epoll_event event;
    for (;;) if (epoll_wait(events, &event, 1, arg ? 50 : -1) < 0) interrupted++;
    return 0;
}
static void *waits_for_signal(void *arg) {
    (void)arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    for (;;) { struct timespec limit = {0, 80000000}; if (sigtimedwait(&set, 0, &limit) < 0 && errno == EINTR) interrupted++; }
    return 0;
}
static void *waits_for_bytes(void *arg) {
    (void)arg;
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct timeval limit = {0, 80000};
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char byte;
    for (;;) if (recv(pair[0], &byte, 1, 0) < 0 && errno == EINTR) interrupted++;
    return 0;
}
int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    pthread_t thread;
    pthread_create(&thread, 0, waits_for_events, 0);
    pthread_create(&thread, 0, waits_for_events, &thread);
    pthread_create(&thread, 0, waits_for_signal, 0);
    pthread_create(&thread, 0, waits_for_bytes, 0);
    for (;;) { say("value %d, interrupted %d", value(), interrupted); tick(); }
}
