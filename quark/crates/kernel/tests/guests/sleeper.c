// Has something of everything that must outlast the end of the host process it runs in, waits in many ways, and checks all of it at each
// line that it reads. "ok N" if it is right, else what is not.
#define _GNU_SOURCE
#include <errno.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 300
#define THREADS 5

static __thread uint64_t own;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t round_, done[THREADS];
static volatile sig_atomic_t alarms;
static int guarded, null;
static unsigned char *plain, *hidden, *shared, *huge;
static struct { sem_t go, gone; uint64_t value; } *pair;

static void fail(const char *what, unsigned long detail) {
  printf("wrong: %s %lu\n", what, detail);
  fflush(stdout);
  _exit(1);
}

static void on_alarm(int signal) { alarms++; }

static unsigned char byte(unsigned long page, uint64_t round) { return page * 7 + round * 13 + 1; }

// Every third page is written, and of those every second one changes at each round; the others are zero.
static void check_pages(uint64_t before) {
  for (unsigned long page = 0; page < PAGES; page++) {
    unsigned char *at = plain + page * PAGE;
    unsigned char expected = page % 3 ? 0 : byte(page, page % 6 ? 0 : before);
    if (at[0] != expected || at[PAGE - 1] != expected) fail("page", page);
    if (page % 6 == 0) memset(at, byte(page, before + 1), PAGE);
  }
}

// What it has said that it does not need any more is zero, whatever it was before.
static void check_advice(uint64_t before) {
  unsigned char *at = plain + PAGES * PAGE;
  if (at[5] != byte(1, before)) fail("before the advice", at[5]);
  if (madvise(at, 2 * PAGE, MADV_DONTNEED)) fail("madvise", errno);
  if (at[5]) fail("after the advice", at[5]);
  at[5] = byte(1, before + 1);
}

static void check_hidden(uint64_t before) {
  if (mprotect(hidden, PAGE, PROT_READ | PROT_WRITE)) fail("mprotect", errno);
  if (hidden[9] != byte(2, before)) fail("hidden page", hidden[9]);
  hidden[9] = byte(2, before + 1);
  if (mprotect(hidden, PAGE, PROT_NONE)) fail("mprotect", errno);
  if (guarded && (write(null, hidden + PAGE, 1) != -1 || errno != EFAULT)) fail("guarded page", errno);
  if (write(null, hidden + 2 * PAGE, 1) != 1) fail("page behind the guarded one", errno);
}

static void *thread(void *argument) {
  long index = (long)argument;
  own = index + 100;
  __m256i kept = _mm256_set1_epi64x(index * 0x0101010101010101 + 5);
  uint64_t seen = 0;
  for (;;) {
    asm volatile("" : "+x"(kept));
    pthread_mutex_lock(&mutex);
    while (round_ == seen) pthread_cond_wait(&changed, &mutex);
    seen = round_;
    asm volatile("" : "+x"(kept));
    uint64_t words[4];
    _mm256_storeu_si256((__m256i *)words, kept);
    if (words[2] != (uint64_t)index * 0x0101010101010101 + 5) fail("vector register", index);
    if (own != (uint64_t)index + 100) fail("thread's own", index);
    done[index] = seen;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
}

// Waits for the parent in memory that both see.
static void child(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    while (sem_wait(&pair->go)) ;
    pair->value = pair->value * 3 + 1;
    sem_post(&pair->gone);
  }
}

static void check_threads(uint64_t now) {
  pthread_mutex_lock(&mutex);
  round_ = now;
  pthread_cond_broadcast(&changed);
  for (int index = 0; index < THREADS; index++)
    while (done[index] != now) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
}

static void check_child(void) {
  uint64_t before = pair->value;
  sem_post(&pair->go);
  while (sem_wait(&pair->gone)) ;
  if (pair->value != before * 3 + 1) fail("child", pair->value);
}

static void *map(size_t length, int flags, int fd) {
  void *at = mmap(0, length, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) fail("mmap", errno);
  return at;
}

static void prepare(void) {
  plain = map((PAGES + 2) * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  for (unsigned long page = 0; page < PAGES; page += 3) memset(plain + page * PAGE, byte(page, 0), PAGE);
  plain[PAGES * PAGE + 5] = byte(1, 0);
  hidden = map(3 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  hidden[9] = byte(2, 0);
  mprotect(hidden, PAGE, PROT_NONE);
  // Guarded pages, where Linux has them (6.13).
  guarded = !madvise(hidden + PAGE, PAGE, 102);
  int ends[2];
  if (pipe(ends)) fail("pipe", errno);
  null = ends[1];
  huge = map(1ul << 36, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  huge[1ul << 35] = 77;
  int file = memfd_create("shared", 0);
  if (ftruncate(file, PAGE)) fail("ftruncate", errno);
  shared = map(PAGE, MAP_SHARED, file);
  pair = map(PAGE, MAP_SHARED | MAP_ANONYMOUS, -1);
  sem_init(&pair->go, 1, 0);
  sem_init(&pair->gone, 1, 0);
  if (!fork()) child();
  for (long index = 0; index < THREADS; index++) {
    pthread_t id;
    if (pthread_create(&id, 0, thread, (void *)index)) fail("thread", index);
  }
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, 0);
}

// The ways to wait for standard input: each round another.
static void await(uint64_t round) {
  struct pollfd polled = {.fd = 0, .events = POLLIN};
  static int set = -1;
  fd_set files;
  switch (round % 4) {
  case 0:
    while (poll(&polled, 1, -1) < 1) ;
    break;
  case 1:
    if (set < 0) {
      struct epoll_event event = {.events = EPOLLIN};
      set = epoll_create1(0);
      epoll_ctl(set, EPOLL_CTL_ADD, 0, &event);
    }
    struct epoll_event got;
    while (epoll_wait(set, &got, 1, 60000) < 1) ;
    break;
  case 2:
    do {
      FD_ZERO(&files);
      FD_SET(0, &files);
    } while (select(1, &files, 0, 0, 0) < 1);
  }
}

int main(int count, char **arguments) {
  char line[64];
  prepare();
  printf("ready\n");
  fflush(stdout);
  for (uint64_t round = 0;; round++) {
    await(round);
    ssize_t length = read(0, line, sizeof line);
    if (length == 0) return 0;
    if (length < 0) fail("read", errno);
    if (!strncmp(line, "alarm", 5)) {
      // Another who waits: until a signal.
      sigset_t none;
      sigemptyset(&none);
      sig_atomic_t before = alarms;
      printf("sleeps\n");
      fflush(stdout);
      ualarm(300000, 0);
      while (alarms == before) sigsuspend(&none);
    } else if (!strncmp(line, "nap", 3)) {
      printf("sleeps\n");
      fflush(stdout);
      usleep(300000);
    }
    check_pages(round);
    check_advice(round);
    check_hidden(round);
    check_threads(round + 1);
    check_child();
    if (huge[1ul << 35] != 77 || huge[(1ul << 35) - 1]) fail("huge", huge[1ul << 35]);
    if (shared[3] != (unsigned char)round) fail("memfd", shared[3]);
    shared[3] = round + 1;
    printf("ok %lu\n", round);
    fflush(stdout);
  }
}
