//# case: 39 no system call fails because of us: each that waits has a thread
//# flags: -O2 -pthread
//# before: value 1 in 28 calls, interrupted:
//# after: value 2 in 28 calls, interrupted:
//# times: 20
#define _GNU_SOURCE
#include "tick.h"
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
OUT_OF_LINE int value(void) { say("called"); return PICK(1, 2); }

static const struct timespec brief = {0, 80000000};
static struct timespec later(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); t.tv_nsec += 80000000; if (t.tv_nsec > 999999999) { t.tv_sec++; t.tv_nsec -= 1000000000; } return t; }
static int pipes[2], pair[2], limited[2], events, listener, semaphores, messages;
static pid_t child;
static sem_t posix;
static aio_context_t context;
static char byte[64];
static sigset_t usr2, all;

/* Each waits for what never comes, or for a while. */
static long epoll_ever(void) { struct epoll_event e; return epoll_wait(events, &e, 1, -1); }
static long epoll_while(void) { struct epoll_event e; return epoll_wait(events, &e, 1, 80); }
static long epoll_mask(void) { struct epoll_event e; return epoll_pwait(events, &e, 1, 80, &all); }
static long polls(void) { struct pollfd p = {pipes[0], POLLIN, 0}; return poll(&p, 1, 80); }
static long ppolls(void) { struct pollfd p = {pipes[0], POLLIN, 0}; return ppoll(&p, 1, &brief, 0); }
static long selects(void) { fd_set s; FD_ZERO(&s); FD_SET(pipes[0], &s); struct timeval t = {0, 80000}; return select(pipes[0] + 1, &s, 0, 0, &t); }
static long pselects(void) { fd_set s; FD_ZERO(&s); FD_SET(pipes[0], &s); return pselect(pipes[0] + 1, &s, 0, 0, &brief, 0); }
static long read_pipe(void) { return read(pipes[0], byte, 1); }
static long read_inotify(void) { return read(inotify_init1(0), byte, sizeof byte); }
static long read_event(void) { return read(eventfd(0, 0), byte, 8); }
static long read_timer(void) { int fd = timerfd_create(CLOCK_MONOTONIC, 0); return read(fd, byte, 8); }
static long recv_ever(void) { return recv(pair[0], byte, 1, 0); }
static long recv_while(void) { return recv(limited[0], byte, 1, 0); }
static long accepts(void) { return accept(listener, 0, 0); }
static long sleeps(void) { return nanosleep(&brief, 0); }
static long clock_sleeps(void) { int failed = clock_nanosleep(CLOCK_MONOTONIC, 0, &brief, 0); errno = failed; return failed ? -1 : 0; }
static long futexes(void) { static int word; return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &brief, 0, 0); }
static long sem_ever(void) { return sem_wait(&posix); }
static long sem_while(void) { struct timespec t = later(); return sem_timedwait(&posix, &t); }
static long semops(void) { struct sembuf down = {0, -1, 0}; return semop(semaphores, &down, 1); }
static long semtimedops(void) { struct sembuf down = {1, -1, 0}; return semtimedop(semaphores, &down, 1, &brief); }
static long signal_while(void) { return sigtimedwait(&usr2, 0, &brief); }
static long signal_ever(void) { return sigwaitinfo(&usr2, 0); }
static long receives(void) { return msgrcv(messages, byte, 8, 0, 0); }
static long aio(void) { struct io_event e; return syscall(SYS_io_getevents, context, 1, 1, &e, 0); }
static long pauses(void) { return pause(); }
static long suspends(void) { return sigsuspend(&all); }
static long waits(void) { int status; return waitpid(child, &status, 0); }
static const struct call { const char *name; long (*wait)(void); } calls[] = {
    {"epoll_wait", epoll_ever}, {"epoll_wait with a limit", epoll_while}, {"epoll_pwait", epoll_mask}, {"poll", polls}, {"ppoll", ppolls},
    {"select", selects}, {"pselect", pselects}, {"read of a pipe", read_pipe}, {"read of inotify", read_inotify}, {"read of eventfd", read_event},
    {"read of timerfd", read_timer}, {"recv", recv_ever}, {"recv with a limit", recv_while}, {"accept", accepts}, {"nanosleep", sleeps},
    {"clock_nanosleep", clock_sleeps}, {"futex", futexes}, {"sem_wait", sem_ever}, {"sem_timedwait", sem_while}, {"semop", semops},
    {"semtimedop", semtimedops}, {"sigtimedwait", signal_while}, {"sigwaitinfo", signal_ever}, {"msgrcv", receives}, {"io_getevents", aio},
    {"pause", pauses}, {"sigsuspend", suspends}, {"waitpid", waits},
};
enum { COUNT = sizeof calls / sizeof *calls };
static volatile int interrupted[COUNT];
static void *waits_in(void *arg) {
    const struct call *call = arg;
    for (;;) if (call->wait() < 0 && errno == EINTR) interrupted[call - calls]++;
    return 0;
}
int main(void) {
    sigfillset(&all);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &usr2, 0);
    child = fork();
    if (child == 0) { prctl(PR_SET_PDEATHSIG, SIGKILL); for (;;) pause(); }
    /* What System V gives outlives a process, but not the last one of its namespace. */
    if (unshare(CLONE_NEWIPC)) unshare(CLONE_NEWUSER | CLONE_NEWIPC);
    semaphores = semget(IPC_PRIVATE, 2, 0600);
    messages = msgget(IPC_PRIVATE, 0600);
    struct timeval limit = {0, 80000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    events = epoll_create1(0);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (pipe(pipes) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || socketpair(AF_UNIX, SOCK_STREAM, 0, limited)
        || setsockopt(limited[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)
        || bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) || listen(listener, 1) || sem_init(&posix, 0, 0)
        || syscall(SYS_io_setup, 8, &context) || semaphores < 0 || messages < 0) { perror("what to wait for"); return 1; }
    pthread_t thread;
    for (int i = 0; i < COUNT; i++) pthread_create(&thread, 0, waits_in, (void *)&calls[i]);
    usleep(50000);
    for (;;) {
        char names[1024] = "";
        for (int i = 0; i < COUNT; i++) if (interrupted[i]) { strcat(names, " "); strcat(names, calls[i].name); }
        say("value %d in %d calls, interrupted:%s", value(), COUNT, names);
        tick();
    }
}
