// Text whose calls have been patched: who reads, changes, moves or unmaps it finds what was there.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
typedef long function(void);

/* mov $39, %eax; syscall; ret: in a file that is mapped, as a library is. */
static const unsigned char CODE[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
static unsigned char file[PAGE];

static void *library(void) {
    memset(file, 0x90, PAGE);
    memcpy(file + 1024, CODE, sizeof CODE);
    char path[] = "/tmp/quark-patches-XXXXXX";
    int disk = mkstemp(path);
    write(disk, file, PAGE);
    close(disk);
    disk = open(path, O_RDONLY);
    unlink(path);
    void *at = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, disk, 0);
    close(disk);
    return at;
}

static int calls(void *at) {
    int right = 0;
    for (int i = 0; i < 40; i++) right += ((function *)((char *)at + 1024))() == getpid();
    return right;
}

static int as_file(const void *at) {
    return memcmp(at, file, PAGE) == 0;
}

static int peeked(void *at) {
    static unsigned char copy[PAGE];
    struct iovec to = {copy, PAGE}, from = {at, PAGE};
    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == PAGE && as_file(copy);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    void *at = library();
    printf("calls %d\n", calls(at));
    printf("patched: %d\n", !as_file(at));
    printf("peeked %d\n", peeked(at));
    pid_t pid = fork();
    if (pid == 0) {
        printf("in a child %d %d\n", calls(at), peeked(at));
        mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
        printf("writable %d %d %d\n", as_file(at), calls(at), as_file(at));
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    printf("in the parent %d %d\n", calls(at), peeked(at));
    void *to = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *moved = mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    printf("moved %d %d\n", moved == to, as_file(moved));
    printf("there %d\n", calls(moved));
    mprotect(moved, PAGE, PROT_READ | PROT_WRITE);
    printf("data %d\n", as_file(moved));
    mprotect(moved, PAGE, PROT_READ | PROT_EXEC);
    printf("text again %d\n", calls(moved));
    munmap(moved, PAGE);
    void *fresh = mmap(moved, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    static unsigned char nothing[PAGE];
    printf("nothing left %d\n", memcmp(fresh, nothing, PAGE) == 0);
    return 0;
}
