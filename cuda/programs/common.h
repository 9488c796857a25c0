// What the test programs share. They run on a real driver as well: `spin` and `jitter` are PTX that spins.
#ifndef PROGRAMS_COMMON_H
#define PROGRAMS_COMMON_H

#define _GNU_SOURCE
#include "../include/cuda_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHECK(call) \
  do { \
    CUresult result_of_call = (call); \
    if (result_of_call != CUDA_SUCCESS) { \
      fprintf(stderr, "%s:%d: %s: error %d\n", __FILE__, __LINE__, #call, result_of_call); \
      exit(1); \
    } \
  } while (0)

#define ENTRY(name) \
  ".visible .entry " name "(.param .u64 ns)\n{\n.reg .u64 %rd<5>;\n.reg .pred %p<2>;\n" \
  "ld.param.u64 %rd1, [ns];\nmov.u64 %rd2, %globaltimer;\nadd.u64 %rd3, %rd1, %rd2;\n" \
  "again:\nmov.u64 %rd4, %globaltimer;\nsetp.lt.u64 %p1, %rd4, %rd3;\n@%p1 bra again;\nret;\n}\n"

__attribute__((unused)) static const char PTX[] = ".version 6.0\n.target sm_50\n.address_size 64\n" ENTRY("spin") ENTRY("jitter");

__attribute__((unused)) static uint64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

__attribute__((unused)) static void sleep_ns(uint64_t ns)
{
  struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};
  nanosleep(&t, NULL);
}

#endif
