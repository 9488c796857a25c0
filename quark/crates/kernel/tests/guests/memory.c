/* Calls about memory with good and bad arguments, and what they answer. The same program runs on the host's kernel and on ours; both must say the same.
 * Addresses are never printed, only whether they are what they must be. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define P 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define PRIV (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHAR (MAP_SHARED | MAP_ANONYMOUS)

static void say(const char *what, long got) {
	if (got == -1) printf("%s: %s\n", what, strerrorname_np(errno));
	else printf("%s: %s\n", what, got == 0 ? "0" : "ok");
	fflush(stdout);
}

static void value(const char *what, long got) {
	if (got == -1) printf("%s: %s\n", what, strerrorname_np(errno));
	else printf("%s: %ld\n", what, got);
	fflush(stdout);
}

static long map(unsigned long at, unsigned long length, int protection, int flags, int fd, unsigned long offset) {
	return syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

static sigjmp_buf jump;
static volatile int jumped, code;

static void caught(int number, siginfo_t *info, void *context) {
	(void)context;
	jumped = number;
	code = info->si_code;
	siglongjmp(jump, 1);
}

/* Which signal touching a byte raises, and its code; 0 for none. */
static int touch(volatile char *at, int writes) {
	jumped = 0;
	if (sigsetjmp(jump, 1) == 0) {
		if (writes) *at = 1;
		else (void)*at;
	}
	return jumped ? jumped * 100 + code : 0;
}

static void maps(void) {
	say("length 0", map(0, 0, RW, PRIV, -1, 0));
	say("length too large", map(0, -1UL, RW, PRIV, -1, 0));
	say("length of all", map(0, 1UL << 47, RW, PRIV, -1, 0));
	say("neither shared nor private", map(0, P, RW, MAP_ANONYMOUS, -1, 0));
	say("both", map(0, P, RW, PRIV | MAP_SHARED, -1, 0));
	say("validate anonymous", map(0, P, RW, MAP_ANONYMOUS | 3, -1, 0));
	say("bad descriptor", map(0, P, RW, MAP_PRIVATE, 99, 0));
	say("offset unaligned", map(0, P, RW, PRIV, -1, 1));
	say("offset too large", map(0, P, RW, MAP_PRIVATE, 0, -P));
	say("fixed unaligned", map(0x10000001, P, RW, PRIV | MAP_FIXED, -1, 0));
	say("fixed too high", map(1UL << 47, P, RW, PRIV | MAP_FIXED, -1, 0));
	say("shared growing", map(0, P, RW, SHAR | MAP_GROWSDOWN, -1, 0));
	say("huge", map(0, 2 << 20, RW, PRIV | MAP_HUGETLB, -1, 0));
	say("unknown protection", map(0, P, 0xf0, PRIV, -1, 0));
	long at = map(0, 4 * P, RW, PRIV, -1, 0);
	say("plain", at);
	say("no replace over it", map(at + P, P, RW, PRIV | MAP_FIXED_NOREPLACE, -1, 0));
	value("hint taken", map(at + P, P, RW, PRIV, -1, 0) == at + (long)P);
	say("unmap middle", munmap((void *)(at + P), P));
	value("hint free", map(at + P, P, RW, PRIV, -1, 0) == at + (long)P);
	munmap((void *)(at + P), P);
	value("no replace free", map(at + P, P, RW, PRIV | MAP_FIXED_NOREPLACE, -1, 0) == at + (long)P);
	long low = map(0, P, RW, PRIV | MAP_32BIT, -1, 0);
	value("below 2G", low > 0 && low < 1L << 31);
	say("unmap unaligned", munmap((void *)(at + 1), P));
	say("unmap 0", munmap((void *)at, 0));
	say("unmap nothing", munmap((void *)0x10000000, P));
	say("unmap too high", munmap((void *)(1UL << 47), P));
	say("unmap over the end", munmap((void *)at, -1UL & ~(P - 1)));
	value("touched", touch((char *)at, 1));
	munmap((void *)at, P);
	value("unmapped", touch((char *)at, 1));
}

static void protects(void) {
	char *at = (char *)map(0, 4 * P, RW, PRIV, -1, 0);
	say("protect unaligned", syscall(SYS_mprotect, at + 1, P, PROT_READ));
	say("protect 0", syscall(SYS_mprotect, at, 0, PROT_READ));
	say("protect unknown", syscall(SYS_mprotect, at, P, 0x80));
	say("protect both directions", syscall(SYS_mprotect, at, P, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP));
	say("protect growing down", syscall(SYS_mprotect, at, P, PROT_READ | PROT_GROWSDOWN));
	say("protect overflow", syscall(SYS_mprotect, at, -1UL, PROT_READ));
	say("read only", mprotect(at, P, PROT_READ));
	value("write to it", touch(at, 1));
	value("read it", touch(at, 0));
	say("none", mprotect(at, P, PROT_NONE));
	value("read none", touch(at, 0));
	munmap(at + 2 * P, P);
	say("protect over a gap", mprotect(at, 4 * P, RW));
	value("before the gap", touch(at, 1));
	say("executable", mprotect(at, P, PROT_READ | PROT_EXEC));
	*(volatile char *)(at + P) = 0;
	mprotect(at + P, P, RW | PROT_EXEC);
	at[P] = (char)0xc3;
	((void (*)(void))(at + P))();
	say("returned from it", 0);
	say("key none", syscall(SYS_pkey_mprotect, at, P, PROT_READ, -1));
	say("key bad", syscall(SYS_pkey_mprotect, at, P, PROT_READ, 99));
}

static void remaps(void) {
	char *at = (char *)map(0, 8 * P, RW, PRIV, -1, 0);
	at[0] = 'a';
	at[P] = 'b';
	munmap(at + 4 * P, 4 * P);
	long old = (long)at;
	say("remap unaligned", syscall(SYS_mremap, at + 1, P, P, 0, 0));
	say("remap to 0", syscall(SYS_mremap, at, P, 0, 0, 0));
	say("remap flags", syscall(SYS_mremap, at, P, P, 8, 0));
	say("fixed alone", syscall(SYS_mremap, at, P, P, MREMAP_FIXED, at + 6 * P));
	say("remap nothing", syscall(SYS_mremap, 0x10000000, P, P, 0, 0));
	say("remap too much", syscall(SYS_mremap, at, 8 * P, 16 * P, MREMAP_MAYMOVE, 0));
	value("grow in place", syscall(SYS_mremap, at, 4 * P, 6 * P, 0, 0) == old);
	value("shrink", syscall(SYS_mremap, at, 6 * P, 2 * P, 0, 0) == old);
	value("beyond", touch(at + 2 * P, 0));
	map(old + 2 * P, P, PROT_READ, PRIV | MAP_FIXED, -1, 0);
	say("no room", syscall(SYS_mremap, at, 2 * P, 4 * P, 0, 0));
	long moved = syscall(SYS_mremap, at, 2 * P, 64 * P, MREMAP_MAYMOVE, 0);
	value("moved", moved != -1 && moved != old && ((char *)moved)[P] == 'b');
	value("old is gone", touch(at, 0));
	say("onto itself", syscall(SYS_mremap, moved, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_FIXED, moved + P));
	say("target unaligned", syscall(SYS_mremap, moved, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, 0x20000001));
	value("fixed", syscall(SYS_mremap, moved, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, old) == old && at[0] == 'a');
	say("double private", syscall(SYS_mremap, old, 0, P, MREMAP_MAYMOVE, 0));
	char *shared = (char *)map(0, 2 * P, RW, SHAR, -1, 0);
	shared[P] = 's';
	char *twin = (char *)syscall(SYS_mremap, shared, 0, 2 * P, MREMAP_MAYMOVE, 0);
	value("double shared", twin != MAP_FAILED && twin != shared && twin[P] == 's');
	shared[P] = 't';
	value("both see it", twin[P]);
	say("keep, other length", syscall(SYS_mremap, old, P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
	char *kept = (char *)syscall(SYS_mremap, old, P, P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	value("keep", kept != MAP_FAILED && kept[0] == 'a' && at[0] == 0);
}

static void heap(void) {
	long start = syscall(SYS_brk, 0);
	value("break is", start > 0);
	value("grown", syscall(SYS_brk, start + 3 * P + 5) == (long)(start + 3 * P + 5));
	value("written", touch((char *)start + 3 * P, 1));
	value("below its start", syscall(SYS_brk, 4096) == (long)(start + 3 * P + 5));
	value("too far", syscall(SYS_brk, 1UL << 46) == (long)(start + 3 * P + 5));
	value("shrunk", syscall(SYS_brk, start) == start);
	value("gone", touch((char *)start + 3 * P, 1));
}

static void advises(void) {
	char *at = (char *)map(0, 4 * P, RW, PRIV, -1, 0);
	char name[32];
	for (int advice = -1; advice < 30; advice++) {
		if (advice == 12 || advice == 13) continue; /* same-page merging is a matter of configuration */
		snprintf(name, sizeof name, "advice %d", advice);
		say(name, syscall(SYS_madvise, at, P, advice));
		if (advice == 18) syscall(SYS_madvise, at, P, 19);
	}
	say("advise unaligned", madvise(at + 1, P, MADV_DONTNEED));
	say("advise 0", madvise(at, 0, MADV_DONTNEED));
	say("advise overflow", syscall(SYS_madvise, at, -1UL, MADV_DONTNEED));
	at[0] = 'x';
	say("not needed", madvise(at, P, MADV_DONTNEED));
	value("is zero", at[0]);
	at[P] = at[3 * P] = 'x';
	munmap(at + 2 * P, P);
	say("over a gap", madvise(at, 4 * P, MADV_DONTNEED));
	value("behind the gap", at[3 * P]);
	say("advise nothing", madvise((void *)0x10000000, P, MADV_DONTNEED));
	char *shared = (char *)map(0, P, RW, SHAR, -1, 0);
	shared[0] = 'x';
	say("free shared", madvise(shared, P, MADV_FREE));
	say("wipe shared", madvise(shared, P, MADV_WIPEONFORK));
	say("remove shared", madvise(shared, P, MADV_REMOVE));
	value("removed", shared[0]);
	say("remove private", madvise(at, P, MADV_REMOVE));
	unsigned char in[4];
	say("in core", mincore(at, 2 * P, in));
	say("in core unaligned", mincore(at + 1, P, in));
	say("in core gap", mincore(at, 4 * P, in));
	say("in core nowhere to", syscall(SYS_mincore, at, P, 0x10));
	say("sync", msync(at, P, MS_SYNC));
	say("sync both", msync(at, P, MS_SYNC | MS_ASYNC));
	say("sync flags", msync(at, P, 64));
	say("sync unaligned", msync(at + 1, P, MS_SYNC));
	say("sync gap", msync(at, 4 * P, MS_ASYNC));
	say("sync nothing", msync((void *)0x10000000, P, MS_SYNC));
}

static void locks(void) {
	char *at = (char *)map(0, 4 * P, RW, PRIV, -1, 0);
	say("lock", mlock(at, P));
	say("not needed locked", madvise(at, P, MADV_DONTNEED));
	say("lock 2 flags", syscall(SYS_mlock2, at, P, 2));
	say("lock on fault", syscall(SYS_mlock2, at, P, 1));
	say("invalidate locked", msync(at, P, MS_INVALIDATE));
	say("unlock", munlock(at, P));
	say("lock nothing", mlock((void *)0x10000000, P));
	say("lock all 0", syscall(SYS_mlockall, 0));
	say("lock all on fault", syscall(SYS_mlockall, 4));
	say("unlock all", munlockall());
}

static void files(void) {
	char name[] = "/tmp/quark-memory-XXXXXX";
	int fd = mkstemp(name), reads = open(name, O_RDONLY), writes = open(name, O_WRONLY);
	say("truncate", ftruncate(fd, P + 100));
	pwrite(fd, "file", 4, P);
	char *private = (char *)map(0, 4 * P, RW, MAP_PRIVATE, fd, 0);
	value("private", private[P]);
	private[P] = 'F';
	char *shared = (char *)map(0, 4 * P, RW, MAP_SHARED, fd, 0);
	value("not written through", shared[P]);
	shared[P + 1] = 'I';
	char text[5] = "";
	pread(fd, text, 4, P);
	value("written through", text[1]);
	value("end of page", touch(shared + 2 * P - 1, 0));
	value("beyond the end", touch(shared + 2 * P, 0));
	value("beyond the private end", touch(private + 3 * P, 1));
	ftruncate(fd, 0);
	value("truncated", touch(shared, 0));
	say("shared for writing, read only", map(0, P, RW, MAP_SHARED, reads, 0));
	say("private for writing, read only", map(0, P, RW, MAP_PRIVATE, reads, 0));
	char *view = (char *)map(0, P, PROT_READ, MAP_SHARED, reads, 0);
	say("shared read only", (long)view);
	say("made writable", mprotect(view, P, RW));
	say("write only", map(0, P, PROT_READ, MAP_PRIVATE, writes, 0));
	say("growing file", map(0, P, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
	say("validate with unknown", map(0, P, RW, 3 | 1 << 21, fd, 0));
	say("validate", map(0, P, RW, 3, fd, 0));
	int directory = open("/", O_RDONLY | O_DIRECTORY), path = open(name, O_PATH);
	say("directory", map(0, P, PROT_READ, MAP_PRIVATE, directory, 0));
	say("path only", map(0, P, PROT_READ, MAP_PRIVATE, path, 0));
	int ends[2];
	pipe(ends);
	say("pipe", map(0, P, PROT_READ, MAP_PRIVATE, ends[0], 0));
	unlink(name);
}

static void children(void) {
	char *private = (char *)map(0, P, RW, PRIV, -1, 0), *shared = (char *)map(0, P, RW, SHAR, -1, 0);
	char *wiped = (char *)map(0, P, RW, PRIV, -1, 0), *kept = (char *)map(0, P, RW, PRIV, -1, 0);
	private[0] = shared[0] = wiped[0] = 1;
	madvise(wiped, P, MADV_WIPEONFORK);
	madvise(kept, P, MADV_DONTFORK);
	pid_t child = fork();
	if (child == 0) {
		int answer = private[0] == 1 && wiped[0] == 0 && touch(kept, 0) == SIGSEGV * 100 + 1;
		private[0] = 2;
		shared[0] = 2;
		_exit(answer);
	}
	int status;
	waitpid(child, &status, 0);
	value("child saw", WEXITSTATUS(status));
	value("private", private[0]);
	value("shared", shared[0]);
	child = fork();
	if (child == 0) {
		for (;;) pause();
	}
	char here[8] = "", there[8] = "parent";
	struct iovec mine = { here, 6 }, theirs = { there, 6 };
	there[0] = 'P';
	value("read its memory", process_vm_readv(child, &mine, 1, &theirs, 1, 0));
	value("which says", here[1]);
	strcpy(here, "writer");
	value("write its memory", process_vm_writev(child, &mine, 1, &theirs, 1, 0));
	memset(here, 0, 8);
	value("and read it", process_vm_readv(child, &mine, 1, &theirs, 1, 0));
	value("which says now", here[0]);
	theirs.iov_base = (void *)0x10000000;
	value("read nothing", process_vm_readv(child, &mine, 1, &theirs, 1, 0));
	value("vm flags", process_vm_readv(child, &mine, 1, &theirs, 1, 1));
	value("no process", process_vm_readv(999999, &mine, 1, &theirs, 1, 0));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

static void segments(void) {
	say("get nothing", shmget(0x5155, P, 0600));
	int id = shmget(0x5155, P + 1, IPC_CREAT | IPC_EXCL | 0600);
	value("made", id >= 0);
	say("again exclusively", shmget(0x5155, P, IPC_CREAT | IPC_EXCL | 0600));
	value("again", shmget(0x5155, P, 0600) == id);
	say("too large", shmget(0x5155, 3 * P, 0600));
	say("size 0", shmget(IPC_PRIVATE, 0, 0600));
	char *at = shmat(id, 0, 0), *twin = shmat(id, 0, SHM_RDONLY);
	at[P] = 's';
	value("twin", twin[P]);
	value("write to read only", touch(twin, 1));
	say("make it writable", mprotect(twin, P, RW));
	say("attach unaligned", (long)shmat(id, at + 1, 0));
	say("attach over", (long)shmat(id, at, 0));
	value("remap over", shmat(id, at, SHM_REMAP) == at);
	say("attach nothing", (long)shmat(123456, 0, 0));
	struct shmid_ds about;
	say("status", shmctl(id, IPC_STAT, &about));
	printf("size %zu attached %lu mode %o mine %d\n", about.shm_segsz, about.shm_nattch, about.shm_perm.mode, about.shm_cpid == getpid());
	pid_t child = fork();
	if (child == 0) {
		shmctl(id, IPC_STAT, &about);
		at[P] = 'c';
		_exit(about.shm_nattch);
	}
	int status;
	waitpid(child, &status, 0);
	value("attached with a child", WEXITSTATUS(status));
	value("child wrote", twin[P]);
	say("detach", shmdt(twin));
	say("detach again", shmdt(twin));
	say("remove", shmctl(id, IPC_RMID, 0));
	say("status of removed", shmctl(id, IPC_STAT, &about));
	printf("mode %o attached %lu\n", about.shm_perm.mode, about.shm_nattch);
	say("get removed", shmget(0x5155, P, 0600));
	say("detach last", shmdt(at));
	say("status of gone", shmctl(id, IPC_STAT, &about));
	say("unknown command", shmctl(0, 77, 0));
}

static void memfds(void) {
	int fd = syscall(SYS_memfd_create, "name", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	value("memfd", fd >= 0);
	say("flags", syscall(SYS_memfd_create, "name", 0x8000));
	char name[300];
	memset(name, 'n', sizeof name);
	name[299] = 0;
	say("name too long", syscall(SYS_memfd_create, name, 0));
	say("name nowhere", syscall(SYS_memfd_create, 8, 0));
	value("write", write(fd, "memory", 6));
	value("closes on exec", fcntl(fd, F_GETFD));
	char *at = (char *)map(0, P, RW, MAP_SHARED, fd, 0);
	value("mapped", at[0]);
	at[0] = 'M';
	char text[7] = "";
	value("read", pread(fd, text, 6, 0));
	value("says", text[0]);
	value("seals", fcntl(fd, F_GET_SEALS));
	say("seal shrinking", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	say("shrink", ftruncate(fd, 0));
	say("grow", ftruncate(fd, 2 * P));
	say("seal writing while mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	munmap(at, P);
	say("seal writing", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	say("write sealed", write(fd, "x", 1));
	say("map sealed for writing", map(0, P, RW, MAP_SHARED, fd, 0));
	say("map sealed privately", map(0, P, RW, MAP_PRIVATE, fd, 0));
	say("seal seals", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	say("seal sealed", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	value("all seals", fcntl(fd, F_GET_SEALS));
	int plain = syscall(SYS_memfd_create, "plain", 0);
	value("plain seals", fcntl(plain, F_GET_SEALS));
	say("seal plain", fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
	struct stat about;
	say("stat", fstat(plain, &about));
	printf("mode %o links %lu\n", about.st_mode, (unsigned long)about.st_nlink);
	value("seek", lseek(fd, 0, SEEK_END));
}

static void limits(void) {
	struct rlimit limit, old;
	getrlimit(RLIMIT_AS, &old);
	limit = old;
	limit.rlim_cur = 1 << 20;
	setrlimit(RLIMIT_AS, &limit);
	say("address space", map(0, 1 << 20, RW, PRIV, -1, 0));
	setrlimit(RLIMIT_AS, &old);
	getrlimit(RLIMIT_DATA, &old);
	limit = old;
	limit.rlim_cur = 1 << 16;
	setrlimit(RLIMIT_DATA, &limit);
	say("data", map(0, 1 << 20, RW, PRIV, -1, 0));
	say("data read only", map(0, 1 << 20, PROT_READ, PRIV, -1, 0));
	setrlimit(RLIMIT_DATA, &old);
}

/* Deeper than what is mapped at first, not deeper than its limit. */
static long deep(int depth) {
	volatile char room[64 << 10];
	room[0] = (char)depth;
	return depth == 0 ? room[0] : deep(depth - 1) + room[0] * 0;
}

static void stacks(void) {
	value("7 MiB of stack", deep(112));
	struct rlimit limit;
	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = 32 << 20;
	say("more stack", setrlimit(RLIMIT_STACK, &limit));
	value("28 MiB of stack", deep(448));
	char *growing = (char *)map(0x20000000, 4 * P, RW, PRIV | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	value("below what grows", touch(growing - 1, 1));
	value("far below", touch(growing - 20 * P, 1));
}

static void nodes(void) {
	int mode = -1;
	unsigned long mask[16] = { 0 };
	say("policy", syscall(SYS_get_mempolicy, &mode, mask, 1024UL, 0, 0));
	printf("mode %d mask %lx\n", mode, mask[0]);
	say("policy flags", syscall(SYS_get_mempolicy, &mode, mask, 1024UL, 0, 64));
	say("set default", syscall(SYS_set_mempolicy, 0, 0, 0));
	say("set unknown", syscall(SYS_set_mempolicy, 77, 0, 0));
	mask[0] = 1;
	say("set bind", syscall(SYS_set_mempolicy, 2, mask, 64UL));
	mask[0] = 0;
	say("set bind to nothing", syscall(SYS_set_mempolicy, 2, mask, 64UL));
	say("set default again", syscall(SYS_set_mempolicy, 0, 0, 0));
}

int main(int count, char **arguments) {
	struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static char other[64 << 10];
	stack_t stack = { .ss_sp = other, .ss_size = sizeof other };
	sigaltstack(&stack, 0);
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);
	struct { const char *name; void (*run)(void); } all[] = {
		{ "maps", maps }, { "protects", protects }, { "remaps", remaps }, { "heap", heap }, { "advises", advises },
		{ "locks", locks }, { "files", files }, { "children", children }, { "segments", segments }, { "memfds", memfds },
		{ "limits", limits }, { "stacks", stacks }, { "nodes", nodes },
	};
	for (unsigned index = 0; index < sizeof all / sizeof *all; index++) {
		if (count > 1 && strcmp(arguments[1], all[index].name)) continue;
		printf("# %s\n", all[index].name);
		fflush(stdout);
		/* Each in a process of its own, so that what one leaves does not matter to the next. */
		pid_t child = fork();
		if (child == 0) {
			all[index].run();
			_exit(0);
		}
		int status;
		waitpid(child, &status, 0);
		if (status) printf("ended with %x\n", status);
		fflush(stdout);
	}
	return 0;
}
