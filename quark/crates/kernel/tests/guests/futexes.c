// Waits and wakes between threads and processes, interrupted by signals, stops and timeouts: none is lost, and what a signal makes of a wait is Linux'.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef _Atomic unsigned word;

static long futex(word *at, int operation, unsigned value, const struct timespec *time, word *other, unsigned last) {
    long got = syscall(SYS_futex, at, operation, value, time, other, last);
    return got < 0 ? -errno : got;
}

static long wait_on(word *at, unsigned value) {
    return futex(at, FUTEX_WAIT, value, NULL, NULL, 0);
}

static word *shared_words(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* Whether the thread sleeps, as /proc says. */
static void until_asleep(pid_t tid) {
    char path[64], line[512];
    sprintf(path, "/proc/%d/stat", tid);
    for (int i = 0; i < 100000; i++) {
        int fd = open(path, O_RDONLY);
        int got = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
        if (fd >= 0) close(fd);
        line[got > 0 ? got : 0] = 0;
        char *end = strrchr(line, ')');
        if (fd < 0 || end && end[2] == 'S') break;
        usleep(200);
    }
    usleep(2000);
}

static volatile int handled;
static void handler(int signal) {
    handled++;
}

static void handle(int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
}

/* A child's wait and what a signal, or two, make of it. */
static void interrupted(const char *what, int flags, int operation, const struct timespec *time, int first, int second, int again) {
    word *at = shared_words();
    int ends[2];
    pipe(ends);
    pid_t pid = fork();
    if (pid == 0) {
        handle(flags);
        write(ends[1], "x", 1);
        long got = futex(at, operation, 0, time, NULL, ~0u);
        printf("%s: %ld handled %d\n", what, got, handled > 0);
        fflush(stdout);
        _exit(0);
    }
    char byte;
    read(ends[0], &byte, 1);
    until_asleep(pid);
    kill(pid, first);
    if (second) {
        usleep(20000);
        kill(pid, second);
    }
    /* What is made again is woken, as often as it takes. */
    while (waitpid(pid, NULL, WNOHANG) != pid) {
        if (again) futex(at, FUTEX_WAKE, 1, NULL, NULL, 0);
        usleep(500);
    }
    close(ends[0]);
    close(ends[1]);
}

static void signals(void) {
    struct timespec far;
    clock_gettime(CLOCK_MONOTONIC, &far);
    far.tv_sec += 3600;
    struct timespec hour = {3600, 0};
    interrupted("handler", 0, FUTEX_WAIT, NULL, SIGUSR1, 0, 0);
    interrupted("restarted", SA_RESTART, FUTEX_WAIT, NULL, SIGUSR1, SIGUSR1, 1);
    interrupted("with a time", SA_RESTART, FUTEX_WAIT, &hour, SIGUSR1, 0, 0);
    interrupted("until a time", SA_RESTART, FUTEX_WAIT_BITSET, &far, SIGUSR1, 0, 0);
    interrupted("ignored", 0, FUTEX_WAIT, NULL, SIGCHLD, SIGUSR1, 0);
    interrupted("stopped", 0, FUTEX_WAIT, NULL, SIGSTOP, SIGCONT, 1);
    interrupted("stopped with a time", 0, FUTEX_WAIT, &hour, SIGSTOP, SIGCONT, 1);
    interrupted("killed", 0, FUTEX_WAIT, NULL, SIGTERM, 0, 0);
}

/* Stops that come again and again don't lengthen a wait. */
static void stops(void) {
    word *at = shared_words();
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec time = {0, 300000000};
        long got = futex(at, FUTEX_WAIT, 0, &time, NULL, 0);
        _exit(got == -ETIMEDOUT ? 7 : 8);
    }
    int status = 0, rounds = 0;
    while (waitpid(pid, &status, WNOHANG) != pid && ++rounds < 400) {
        kill(pid, SIGSTOP);
        usleep(5000);
        kill(pid, SIGCONT);
        usleep(5000);
    }
    printf("stops: %#x within %d\n", status, rounds < 400);
    kill(pid, SIGKILL);
}

enum { THREADS = 6, ROUNDS = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter, turn;

static void *counts(void *which) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        while (turn != (long)which) pthread_cond_wait(&changed, &lock);
        counter++;
        turn = (turn + 1) % THREADS;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static volatile int storm_over;
static void *storm(void *unused) {
    while (!storm_over) {
        kill(getpid(), SIGUSR1);
        usleep(500);
    }
    return unused;
}

static void conditions(void) {
    pthread_t threads[THREADS], stormer;
    handle(0);
    pthread_create(&stormer, NULL, storm, NULL);
    for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, counts, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    storm_over = 1;
    pthread_join(stormer, NULL);
    printf("conditions: %ld, signals came %d\n", counter, handled > 0);
    signal(SIGUSR1, SIG_IGN);
}

/* Tokens that each side waits for and wakes for: one lost wake, and it never ends. Signals storm meanwhile. */
static void tokens(const char *what, int signals) {
    word *at = shared_words();
    pid_t pids[4];
    for (int side = 0; side < 4; side++) {
        pids[side] = fork();
        if (pids[side]) continue;
        handle(side & 1 ? SA_RESTART : 0);
        word *own = at + 16 * (side / 2);
        for (int i = 0; i < ROUNDS; i++) {
            while (*own % 2 != side % 2) {
                struct timespec far = {3600, 0};
                futex(own, i % 3 ? FUTEX_WAIT : FUTEX_WAIT_BITSET, 1 - side % 2 + (*own & ~1u), i % 3 == 1 ? &far : NULL, NULL, ~0u);
            }
            (*own)++;
            futex(own, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
        _exit(0);
    }
    int ended = 0;
    for (int side = 0; side < 4;) {
        int status = 1;
        if (waitpid(pids[side], &status, WNOHANG) == pids[side]) {
            ended += status == 0;
            side++;
        } else {
            for (int other = side; signals && other < 4; other++) kill(pids[other], SIGUSR1);
            usleep(300);
        }
    }
    printf("%s: %d ended, %u %u\n", what, ended, at[0], at[16]);
}

static word queue, target;
static void *queues(void *unused) {
    return (void *)wait_on(&queue, 0);
}

static void requeues(void) {
    pthread_t threads[5];
    for (int i = 0; i < 5; i++) {
        pthread_create(&threads[i], NULL, queues, NULL);
    }
    long moved = 0, woken = 0;
    while (moved < 5) {
        moved += syscall(SYS_futex, &queue, FUTEX_CMP_REQUEUE, 0, 10, &target, 0);
        usleep(500);
    }
    handle(0);
    /* To the process: whoever takes it ends a wait for a word that it was moved to. */
    while (woken < 2) woken += futex(&target, FUTEX_WAKE, 2 - woken, NULL, NULL, 0);
    long none = futex(&queue, FUTEX_WAKE, 10, NULL, NULL, 0);
    woken += futex(&target, FUTEX_WAKE, 10, NULL, NULL, 0);
    long sum = 0;
    for (int i = 0; i < 5; i++) {
        void *got;
        pthread_join(threads[i], &got);
        sum += (long)got;
    }
    printf("requeues: %ld moved, %ld woken, %ld left, %ld\n", moved, woken, none, sum);
}

static void *quits(void *unused) {
    usleep(20000);
    exit(3);
}

static void ends(void) {
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t other;
        pthread_create(&other, NULL, quits, NULL);
        wait_on(&queue, 0);
        _exit(9);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("a waiting thread ends with its process: %#x\n", status);
    word *words = shared_words();
    struct { unsigned long value, address; unsigned flags, reserved; } many[2] = {{0, (unsigned long)words, 2, 0}, {0, (unsigned long)(words + 1), 2, 0}};
    pid = fork();
    if (pid == 0) {
        handle(0);
        long got = syscall(SYS_futex_waitv, many, 2, 0, NULL, 0);
        _exit(got == 1 ? 5 : 6);
    }
    while (futex(words + 1, FUTEX_WAKE, 1, NULL, NULL, 0) == 0) usleep(500);
    waitpid(pid, &status, 0);
    printf("many words: %#x\n", status);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    signals();
    stops();
    conditions();
    tokens("tokens", 0);
    tokens("tokens in a storm", 1);
    requeues();
    ends();
    return 0;
}
