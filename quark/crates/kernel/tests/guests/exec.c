/* What programs are executed, with what, and what is refused. The same program runs on the host's kernel and on ours; both must say the same. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char self[256], directory[] = "/tmp/quark-exec-XXXXXX", path[512];

static void say(const char *what, long got) {
	if (got == -1) printf("%s: %s\n", what, strerrorname_np(errno));
	else printf("%s: %ld\n", what, got);
	fflush(stdout);
}

static const char *in(const char *name) {
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static void put(const char *name, const void *text, size_t length, int mode) {
	int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	write(fd, text, length);
	fchmod(fd, mode);
	close(fd);
}

/* Executes in a child: its status, or the error. */
static void run(const char *what, int at, const char *file, char **arguments, char **environment, int flags) {
	int ends[2];
	pipe2(ends, O_CLOEXEC);
	pid_t child = fork();
	if (child == 0) {
		syscall(SYS_execveat, at, file, arguments, environment, flags);
		int error = errno;
		write(ends[1], &error, sizeof error);
		_exit(0);
	}
	close(ends[1]);
	int error = 0, status;
	read(ends[0], &error, sizeof error);
	close(ends[0]);
	waitpid(child, &status, 0);
	if (error) printf("%s: %s\n", what, strerrorname_np(error));
	else printf("%s: status %x\n", what, status);
	fflush(stdout);
}

static void plain(const char *what, const char *file) {
	char *arguments[] = { "called", "show", 0 }, *environment[] = { "A=1", "B=", 0 };
	run(what, AT_FDCWD, file, arguments, environment, 0);
}

/* What the executed program sees. */
static int show(int count, char **arguments) {
	for (int index = 0; index < count; index++) {
		char *text = arguments[index];
		if (!strncmp(text, directory, 16)) text = strrchr(text, '/');
		printf("  argument %s\n", text);
	}
	for (char **each = environ; *each; each++) printf("  environment %s\n", *each);
	char *name = (char *)getauxval(AT_EXECFN);
	printf("  name %s\n", strncmp(name, "/tmp/", 5) ? name : strrchr(name, '/'));
	char comm[16];
	prctl(PR_GET_NAME, comm);
	printf("  comm %s\n", comm);
	printf("  page %lu ticks %lu entry size %lu platform %s secure %lu\n", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_PHENT),
		(char *)getauxval(AT_PLATFORM), getauxval(AT_SECURE));
	printf("  capabilities of the processor %lx %lx\n", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
	printf("  ids %lu %lu %lu %lu\n", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID));
	Elf64_Phdr *headers = (void *)getauxval(AT_PHDR);
	int loads = 0;
	for (unsigned long index = 0; index < getauxval(AT_PHNUM); index++) loads += headers[index].p_type == PT_LOAD;
	printf("  loads %d random %d vdso %d stack %d\n", loads, getauxval(AT_RANDOM) != 0, getauxval(AT_SYSINFO_EHDR) != 0,
		(unsigned long)&loads < (unsigned long)arguments);
	printf("  aligned %d closed %d\n", ((unsigned long)(arguments - 1) & 15) == 0, fcntl(77, F_GETFD) == -1);
	fflush(stdout);
	return 7;
}

static void programs(void) {
	plain("itself", self);
	plain("nothing", "/no/such/program");
	plain("empty path", "");
	plain("a directory", "/tmp");
	plain("below a file", "/etc/passwd/x");
	plain("a device", "/dev/null");
	put("plain", "text\n", 5, 0644);
	plain("not executable", in("plain"));
	put("text", "text\n", 5, 0755);
	plain("text", in("text"));
	put("empty", "", 0, 0755);
	plain("empty file", in("empty"));
	char head[4096] = { 0 };
	int fd = open(self, O_RDONLY);
	read(fd, head, sizeof head);
	close(fd);
	put("cut", head, 40, 0755);
	plain("cut header", in("cut"));
	put("cut", head, 100, 0755);
	plain("cut program headers", in("cut"));
	Elf64_Ehdr *file = (void *)head;
	file->e_machine = EM_AARCH64;
	put("other", head, sizeof head, 0755);
	plain("another machine", in("other"));
	file->e_machine = EM_X86_64;
	file->e_type = ET_REL;
	put("object", head, sizeof head, 0755);
	plain("an object file", in("object"));
	file->e_type = ET_EXEC;
	file->e_phnum = 0;
	put("none", head, sizeof head, 0755);
	plain("no program headers", in("none"));
	file->e_phnum = 1;
	file->e_phentsize = 32;
	put("size", head, sizeof head, 0755);
	plain("odd header size", in("size"));
	file->e_phentsize = sizeof(Elf64_Phdr);
	file->e_phoff = sizeof *file;
	Elf64_Phdr *header = (void *)(head + sizeof *file);
	*header = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 2000, .p_filesz = 8 };
	memcpy(head + 2000, "/no/ldso", 8);
	put("unended", head, sizeof head, 0755);
	plain("interpreter without an end", in("unended"));
	header->p_filesz = 9;
	put("missing", head, sizeof head, 0755);
	plain("interpreter missing", in("missing"));
	memcpy(head + 2000, "/etc/passwd", 12);
	header->p_filesz = 12;
	put("strange", head, sizeof head, 0755);
	plain("interpreter not executable", in("strange"));
	symlink(self, in("link"));
	plain("a link", in("link"));
	symlink("loop", in("loop"));
	plain("a loop", in("loop"));
}

static void scripts(void) {
	char text[600];
	int length = snprintf(text, sizeof text, "#! %s \t show  more \nrest", self);
	put("script", text, length, 0755);
	plain("script", in("script"));
	length = snprintf(text, sizeof text, "#!%s show", self);
	put("short", text, length, 0755);
	plain("script without an end", in("short"));
	put("bare", "#!\n", 3, 0755);
	plain("script of nobody", in("bare"));
	put("missing", "#!/no/such/thing\n", 17, 0755);
	plain("script of nothing", in("missing"));
	char name[512];
	snprintf(name, sizeof name, "%s/script", directory);
	for (int depth = 0; depth < 6; depth++) {
		length = snprintf(text, sizeof text, "#!%s\n", name);
		char next[16];
		snprintf(next, sizeof next, "deep%d", depth);
		put(next, text, length, 0755);
		snprintf(name, sizeof name, "%s/%s", directory, next);
		plain(next, name);
	}
	memset(text, 'x', sizeof text);
	memcpy(text, "#!/", 3);
	put("long", text, sizeof text, 0755);
	plain("long interpreter", in("long"));
	length = snprintf(text, sizeof text, "#!%s show ", self);
	memset(text + length, 'y', sizeof text - length);
	put("long", text, sizeof text, 0755);
	plain("long argument", in("long"));
}

static void descriptors(void) {
	char *arguments[] = { "called", "show", 0 }, *environment[] = { "A=1", 0 };
	int fd = open(self, O_RDONLY), closing = open(self, O_RDONLY | O_CLOEXEC), path_only = open(self, O_PATH);
	run("descriptor", fd, "", arguments, environment, AT_EMPTY_PATH);
	run("descriptor that closes", closing, "", arguments, environment, AT_EMPTY_PATH);
	run("path only", path_only, "", arguments, environment, AT_EMPTY_PATH);
	run("empty path", fd, "", arguments, environment, 0);
	run("bad descriptor", 99, "", arguments, environment, AT_EMPTY_PATH);
	run("flags", fd, "", arguments, environment, 1);
	run("relative to a file", fd, "x", arguments, environment, 0);
	int where = open(directory, O_RDONLY | O_DIRECTORY);
	run("relative", where, "link", arguments, environment, 0);
	run("not following", where, "link", arguments, environment, AT_SYMLINK_NOFOLLOW);
	int script = open(in("script"), O_RDONLY), vanishing = open(in("script"), O_RDONLY | O_CLOEXEC);
	run("script that closes", vanishing, "", arguments, environment, AT_EMPTY_PATH);
	close(script);
	int memory = memfd_create("program", MFD_CLOEXEC), copied;
	char buffer[65536];
	while ((copied = read(fd, buffer, sizeof buffer)) > 0) write(memory, buffer, copied);
	run("memfd being written", memory, "", arguments, environment, AT_EMPTY_PATH);
}

static void arguments(void) {
	char *environment[] = { 0 };
	run("no arguments", AT_FDCWD, "/bin/true", environment, environment, 0);
	run("null arguments", AT_FDCWD, "/bin/true", 0, 0, 0);
	run("bad arguments", AT_FDCWD, "/bin/true", (char **)8, environment, 0);
	char *bad[] = { (char *)8, 0 };
	run("bad argument", AT_FDCWD, "/bin/true", bad, environment, 0);
	char *large = malloc(200000);
	memset(large, 'x', 200000);
	large[131071] = 0;
	char *one[] = { "x", large, 0 };
	run("largest argument", AT_FDCWD, "/bin/true", one, environment, 0);
	large[131071] = 'x';
	large[131072] = 0;
	run("too large argument", AT_FDCWD, "/bin/true", one, environment, 0);
	large[100000] = 0;
	char **many = calloc(100, sizeof *many);
	for (int index = 0; index < 15; index++) many[index] = large;
	run("1.5 MB", AT_FDCWD, "/bin/true", many, environment, 0);
	for (int index = 0; index < 25; index++) many[index] = large;
	run("2.5 MB", AT_FDCWD, "/bin/true", many, environment, 0);
	struct rlimit limit, old;
	getrlimit(RLIMIT_STACK, &old);
	limit = old;
	limit.rlim_cur = 64 << 20;
	setrlimit(RLIMIT_STACK, &limit);
	for (int index = 0; index < 60; index++) many[index] = large;
	run("6 MB of 64", AT_FDCWD, "/bin/true", many, environment, 0);
	for (int index = 0; index < 70; index++) many[index] = large;
	run("7 MB of 64", AT_FDCWD, "/bin/true", many, environment, 0);
	setrlimit(RLIMIT_STACK, &old);
}

static void busy(void) {
	char buffer[65536];
	int from = open(self, O_RDONLY), to = open(in("copy"), O_WRONLY | O_CREAT, 0755), copied;
	while ((copied = read(from, buffer, sizeof buffer)) > 0) write(to, buffer, copied);
	plain("being written", in("copy"));
	close(to);
	plain("written", in("copy"));
	int ends[2];
	pipe(ends);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], 1);
		execl(in("copy"), "copy", "wait", (char *)0);
		_exit(1);
	}
	char byte;
	read(ends[0], &byte, 1);
	say("write a program", open(in("copy"), O_WRONLY));
	say("append to a program", open(in("copy"), O_WRONLY | O_APPEND));
	say("truncate a program", truncate(in("copy"), 0));
	say("open it truncating", open(in("copy"), O_RDONLY | O_TRUNC));
	say("unlink it", unlink(in("copy")));
	kill(child, 9);
	waitpid(child, 0, 0);
}

static void privileges(void) {
	char buffer[65536];
	int from = open(self, O_RDONLY), to = open(in("set"), O_WRONLY | O_CREAT, 0755), copied;
	while ((copied = read(from, buffer, sizeof buffer)) > 0) write(to, buffer, copied);
	fchown(to, 12, 34);
	fchmod(to, 06755);
	close(to);
	plain("set ids", in("set"));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		setgid(55);
		setuid(56);
		plain("set ids for a user", in("set"));
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		plain("no new privileges", in("set"));
		_exit(0);
	}
	waitpid(child, 0, 0);
}

int main(int count, char **argv) {
	if (count > 1 && !strcmp(argv[1], "wait")) {
		write(1, "x", 1);
		pause();
	}
	if (count > 1 && (!strncmp(argv[1], "show", 4))) return show(count, argv);
	snprintf(self, sizeof self, "%s", argv[0]);
	mkdtemp(directory);
	chmod(directory, 0755);
	dup2(0, 77);
	fcntl(77, F_SETFD, FD_CLOEXEC);
	programs();
	scripts();
	descriptors();
	arguments();
	busy();
	privileges();
	char command[300];
	snprintf(command, sizeof command, "rm -rf %s", directory);
	system(command);
	return 0;
}
