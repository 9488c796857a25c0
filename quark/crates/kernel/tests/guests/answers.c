// Who one is, asked often enough that the calls are patched, through every change: the answers are the kernel's at each moment.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int CALLS[] = {SYS_getpid, SYS_gettid, SYS_getppid, SYS_getpgrp, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid};
enum { PID, TID, PARENT, GROUP, UID, EUID, GID, EGID, COUNT };

static inline long ask(long number) {
    long answer;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(number) : "rcx", "r11", "memory");
    return answer;
}

struct answers {
    long of[COUNT];
};

/* Thirty times: a site is patched at its twelfth trap. The answers of all are the same. */
static struct answers look(void) {
    struct answers first = {0}, now;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < COUNT; i++) now.of[i] = ask(CALLS[i]);
        if (round == 0) first = now;
        if (memcmp(&first, &now, sizeof now)) {
            printf("round %d differs\n", round);
                    _exit(9);
        }
    }
    return now;
}

/* In words that are the same in each run. */
static void show(const char *what, struct answers now, long pid, long tid, long parent, long group) {
    printf("%s: pid %d tid %d parent %d group %d ids %ld %ld %ld %ld\n", what, now.of[PID] == pid, now.of[TID] == tid, now.of[PARENT] == parent,
           now.of[GROUP] == group, now.of[UID], now.of[EUID], now.of[GID], now.of[EGID]);
}

static int end_of(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) != pid) {}
    return status;
}

static volatile int step;
static void until(int wanted) {
    while (step < wanted) usleep(100);
}

static void *thread(void *unused) {
    show("thread", look(), getpid(), syscall(SYS_gettid), getppid(), getpgrp());
    syscall(SYS_setresgid, 30, 31, 32);
    syscall(SYS_setresuid, 20, 21, 22);
    show("thread after setresuid", look(), getpid(), syscall(SYS_gettid), getppid(), getpgrp());
    step = 1;
    until(2);
    show("thread when the group has changed", look(), getpid(), syscall(SYS_gettid), getppid(), getpid());
    return unused;
}

static void threads(void) {
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t other;
        look();
        pthread_create(&other, NULL, thread, NULL);
        until(1);
        show("another thread's ids are its own", look(), getpid(), getpid(), getppid(), getpgrp());
        setpgid(0, 0);
        step = 2;
        pthread_join(other, NULL);
        show("setpgid", look(), getpid(), getpid(), getppid(), getpid());
        _exit(0);
    }
    printf("threads ended with %#x\n", end_of(pid));
}

static void families(void) {
    long me = getpid(), group = getpgrp();
    look();
    int up[2], down[2];
    pipe(up);
    pipe(down);
    pid_t pid = fork();
    if (pid == 0) {
        show("child", look(), getpid(), getpid(), me, group);
        pid_t parent = getpid(), grandchild = fork();
        if (grandchild == 0) {
            show("grandchild", look(), getpid(), getpid(), parent, group);
            write(up[1], "x", 1);
            /* The parent's end is awaited with the patched site itself. */
            long now;
            for (int i = 0; (now = ask(SYS_getppid)) == parent && i < 100000; i++) usleep(100);
            char byte;
            read(down[0], &byte, 1);
            printf("orphan: %d\n", now != parent && now == look().of[PARENT]);
            printf("in another group: %d\n", look().of[GROUP] == group);
                    _exit(0);
        }
        char byte;
        read(up[0], &byte, 1);
        _exit(3);
    }
    printf("child ended with %#x\n", end_of(pid));
    write(down[1], "x", 1);
    /* Until the orphan has ended. */
    close(up[1]);
    char byte;
    while (read(up[0], &byte, 1) > 0) {}
    show("parent", look(), me, me, getppid(), group);
}

static void moved_by_its_parent(void) {
    int up[2], down[2];
    pipe(up);
    pipe(down);
    char byte;
    pid_t pid = fork();
    if (pid == 0) {
        look();
        write(up[1], "x", 1);
        read(down[0], &byte, 1);
        show("moved by its parent", look(), getpid(), getpid(), getppid(), getpid());
        pid_t leader = fork();
        if (leader == 0) {
            look();
            long session = setsid();
            show("a session", look(), session, session, getppid(), session);
            _exit(0);
        }
        end_of(leader);
        _exit(0);
    }
    read(up[0], &byte, 1);
    setpgid(pid, pid);
    write(down[1], "x", 1);
    printf("moved one ended with %#x\n", end_of(pid));
}

static long stack_of_sharer[1 << 14];
static int shares(void *unused) {
    struct answers now = look();
    show("shares memory", now, syscall(SYS_getpid), syscall(SYS_gettid), syscall(SYS_getppid), getpgrp());
    return 0;
}

static void sharers(void) {
    look();
    pid_t pid = clone(shares, stack_of_sharer + (1 << 14), CLONE_VM | SIGCHLD, NULL);
    printf("sharer ended with %#x\n", end_of(pid));
    show("beside it", look(), getpid(), getpid(), getppid(), getpgrp());
    pid = vfork();
    if (pid == 0) {
        struct answers now = look();
        _exit(now.of[PID] == ask(SYS_gettid) && now.of[PID] != now.of[PARENT] ? 4 : 5);
    }
    printf("vfork ended with %#x\n", end_of(pid));
    show("behind it", look(), getpid(), getpid(), getppid(), getpgrp());
}

static void *execute(void *program) {
    look();
    char parent[20];
    sprintf(parent, "%d", getppid());
    execl(program, program, "executed", parent, NULL);
    return NULL;
}

static void programs(char *program) {
    pid_t pid = fork();
    if (pid == 0) {
        look();
        pthread_t other;
        pthread_create(&other, NULL, execute, program);
        pthread_join(other, NULL);
        _exit(1);
    }
    printf("program ended with %#x\n", end_of(pid));
}

static void filters(void) {
    pid_t pid = fork();
    if (pid == 0) {
        look();
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {4, code};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        printf("filter %d\n", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
        show("filtered", look(), getpid(), getpid(), getppid(), getpgrp());
        _exit(0);
    }
    printf("filtered one ended with %#x\n", end_of(pid));
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count > 1) {
        show("executed", look(), getpid(), getpid(), atoi(arguments[2]), getpgrp());
        return 0;
    }
    show("at first", look(), getpid(), getpid(), getppid(), getpgrp());
    threads();
    families();
    moved_by_its_parent();
    sharers();
    programs(arguments[0]);
    filters();
    return 0;
}
