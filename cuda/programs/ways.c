// link: -lcuda -ldl -lpthread
// Takes 600 MiB in the way that is named, and prints the driver's result: `ways link|dlsym|dlvsym|default|next|v1|v2|fork|exec|threads|nothing`.
#include "common.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (600ull << 20)

typedef CUresult init_function(unsigned int);
typedef CUresult retain_function(CUcontext *, CUdevice);
typedef CUresult set_function(CUcontext);
typedef CUresult alloc_function(CUdeviceptr *, size_t);
typedef CUresult proc_function(const char *, void **, int, uint64_t);
typedef CUresult proc_v2_function(const char *, void **, int, uint64_t, int *);

static void *library;
static const char *way;

static void *find(const char *name, const char *exported)
{
  void *found = NULL;
  if (strcmp(way, "dlsym") == 0) return dlsym(library, exported);
  if (strcmp(way, "default") == 0) return dlsym(RTLD_DEFAULT, exported);
  if (strcmp(way, "next") == 0) return dlsym(RTLD_NEXT, exported);
  if (strcmp(way, "dlvsym") == 0) return dlvsym(library, exported, "LIBCUDA_1") != NULL ? dlvsym(library, exported, "LIBCUDA_1") : dlsym(library, exported);
  if (strcmp(way, "v1") == 0) ((proc_function *)dlsym(library, "cuGetProcAddress"))(name, &found, 12000, 0);
  if (strcmp(way, "v2") == 0) {
    // As the CUDA runtime does, linked statically or not: the driver's library by dlopen, then everything by the second version of itself.
    proc_v2_function *ask = NULL;
    ((proc_v2_function *)dlsym(library, "cuGetProcAddress_v2"))("cuGetProcAddress", (void **)&ask, 12000, 0, NULL);
    ask(name, &found, 12000, 0, NULL);
  }
  return found;
}

static CUresult take(void)
{
  CUcontext context;
  CUdeviceptr address;
  CUdevice device;
  CHECK(cuInit(0));
  CHECK(cuDeviceGet(&device, 0));
  CHECK(cuDevicePrimaryCtxRetain(&context, device));
  CHECK(cuCtxSetCurrent(context));
  return cuMemAlloc_v2(&address, SIZE);
}

static CUresult take_found(void)
{
  CUcontext context;
  CUdeviceptr address;
  library = dlopen("libcuda.so.1", RTLD_LAZY);
  CHECK(((init_function *)find("cuInit", "cuInit"))(0));
  CHECK(((retain_function *)find("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRetain"))(&context, 0));
  CHECK(((set_function *)find("cuCtxSetCurrent", "cuCtxSetCurrent"))(context));
  return ((alloc_function *)find("cuMemAlloc", "cuMemAlloc_v2"))(&address, SIZE);
}

// Half of it in each of two threads.
static void *take_half(void *result)
{
  CUdeviceptr address;
  CUcontext context;
  CHECK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK(cuCtxSetCurrent(context));
  *(CUresult *)result = cuMemAlloc_v2(&address, SIZE / 2);
  return NULL;
}

static CUresult take_threads(void)
{
  CUresult results[2];
  pthread_t threads[2];
  CHECK(cuInit(0));
  for (int n = 0; n < 2; n++) pthread_create(&threads[n], NULL, take_half, &results[n]);
  for (int n = 0; n < 2; n++) pthread_join(threads[n], NULL);
  return results[0] != CUDA_SUCCESS ? results[0] : results[1];
}

// The child uses the driver, and the parent too after it has ended.
static CUresult take_forked(char **argv)
{
  int status;
  pid_t child = fork();
  if (child == 0 && argv != NULL) execv("/proc/self/exe", argv);
  if (child == 0) _exit(take());
  waitpid(child, &status, 0);
  CUresult own = take();
  return argv == NULL && WEXITSTATUS(status) != own ? 1000 : own;
}

int main(int argc, char **argv)
{
  way = argc < 2 ? "link" : argv[1];
  if (strcmp(way, "nothing") == 0) return 0;
  CUresult r;
  if (strcmp(way, "link") == 0) r = take();
  else if (strcmp(way, "threads") == 0) r = take_threads();
  else if (strcmp(way, "fork") == 0) r = take_forked(NULL);
  else if (strcmp(way, "exec") == 0) r = take_forked((char *[]){argv[0], "link", NULL});
  else r = take_found();
  printf("%d\n", r);
  return 0;
}
