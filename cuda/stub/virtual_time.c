// Preloaded by tests: the clock and sleep of the C library in the virtual time of the stub driver, so that programs and the interposer need not
// know of it. Clocks of processor time stay real.
#define _GNU_SOURCE
#include "world.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct timespec of_ns(uint64_t ns)
{
  return (struct timespec){.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};
}

static uint64_t to_ns(const struct timespec *t)
{
  return (uint64_t)t->tv_sec * 1000000000ull + (uint64_t)t->tv_nsec;
}

static bool is_replaced(clockid_t clock)
{
  return clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_MONOTONIC_COARSE ||
         clock == CLOCK_REALTIME_COARSE || clock == CLOCK_BOOTTIME;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *t)
{
  struct world *w = is_replaced(clock) ? world_open() : NULL;
  if (w == NULL || !w->is_virtual) return (int)syscall(SYS_clock_gettime, clock, t);
  *t = of_ns(world_clock(w));
  return 0;
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left)
{
  struct world *w = is_replaced(clock) ? world_open() : NULL;
  if (w == NULL || !w->is_virtual) return (int)-syscall(SYS_clock_nanosleep, clock, flags, t, left);
  world_sleep_until(w, (flags & TIMER_ABSTIME) ? to_ns(t) : world_clock(w) + to_ns(t));
  return 0;
}

EXPORT int nanosleep(const struct timespec *t, struct timespec *left)
{
  return clock_nanosleep(CLOCK_MONOTONIC, 0, t, left);
}

EXPORT int usleep(useconds_t us)
{
  struct timespec t = of_ns((uint64_t)us * 1000);
  return nanosleep(&t, NULL);
}

EXPORT int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
  struct timespec now;
  (void)zone;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return failed;
}
