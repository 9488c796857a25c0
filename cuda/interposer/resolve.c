// Finds the C library's dlsym without asking for it by name, which would find ours, and the driver's functions by it. A program gets our functions
// instead of the driver's however it asks: by linking (ours are exported and loaded first), by dlsym or dlvsym, or by cuGetProcAddress.
#define _GNU_SOURCE
#include "interposer.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#define BUCKETS 512
#define NO_SYMBOL ((void *)-1)

#define HOOK(name, type) {#name, (void *)name, NULL},
struct hook hooks[HOOKS_END] = {
#include "hooks.h"
};
#undef HOOK

__attribute__((visibility("hidden"))) void *(*c_library_dlsym)(void *, const char *);
__attribute__((visibility("hidden"))) void *(*c_library_dlvsym)(void *, const char *, const char *);
static void *(*c_library_dlopen)(const char *, int);
static uint32_t lock;
static bool has_driver, has_nvml;
static struct hook *by_real[BUCKETS];

struct search {
  const char *name;
  void *found;
};

static size_t symbols_of(const uint32_t *gnu, const uint32_t *sysv)
{
  if (sysv != NULL) return sysv[1];
  const uint32_t *buckets = gnu + 4 + gnu[2] * (sizeof(ElfW(Addr)) / 4), *chains = buckets + gnu[0];
  uint32_t last = 0;
  for (uint32_t n = 0; n < gnu[0]; n++)
    if (buckets[n] > last) last = buckets[n];
  if (last == 0) return 0;
  while (!(chains[last - gnu[1]] & 1)) last++;
  return last + 1;
}

// glibc writes addresses into the dynamic section of what it has loaded, musl leaves offsets.
static const void *pointer_of(const struct dl_phdr_info *info, ElfW(Addr) value)
{
  return (const void *)(value < info->dlpi_addr ? info->dlpi_addr + value : value);
}

static void *find_symbol(const struct dl_phdr_info *info, const ElfW(Dyn) *d, const char *name)
{
  const ElfW(Sym) *symbols = NULL;
  const char *strings = NULL;
  const uint32_t *gnu = NULL, *sysv = NULL;
  for (; d->d_tag != DT_NULL; d++) {
    if (d->d_tag == DT_SYMTAB) symbols = pointer_of(info, d->d_un.d_ptr);
    if (d->d_tag == DT_STRTAB) strings = pointer_of(info, d->d_un.d_ptr);
    if (d->d_tag == DT_GNU_HASH) gnu = pointer_of(info, d->d_un.d_ptr);
    if (d->d_tag == DT_HASH) sysv = pointer_of(info, d->d_un.d_ptr);
  }
  if (symbols == NULL || strings == NULL || (gnu == NULL && sysv == NULL)) return NULL;
  size_t count = symbols_of(gnu, sysv);
  for (size_t n = 1; n < count; n++)
    if (symbols[n].st_shndx != SHN_UNDEF && symbols[n].st_value != 0 && strcmp(strings + symbols[n].st_name, name) == 0)
      return (void *)(info->dlpi_addr + symbols[n].st_value);
  return NULL;
}

static bool is_c_library(const char *path)
{
  const char *name = strrchr(path, '/');
  name = name == NULL ? path : name + 1;
  return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc.musl", 9) == 0 || strncmp(name, "libdl.so", 8) == 0 || strncmp(name, "libdl-2", 7) == 0 ||
         strncmp(name, "libc-2", 6) == 0 || strncmp(name, "ld-musl", 7) == 0;
}

static int search_library(struct dl_phdr_info *info, size_t size, void *data)
{
  struct search *search = data;
  (void)size;
  if (!is_c_library(info->dlpi_name)) return 0;
  for (int n = 0; n < info->dlpi_phnum; n++)
    if (info->dlpi_phdr[n].p_type == PT_DYNAMIC)
      search->found = find_symbol(info, (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[n].p_vaddr), search->name);
  return search->found != NULL;
}

static void *search_c_library(const char *name)
{
  struct search search = {.name = name};
  dl_iterate_phdr(search_library, &search);
  return search.found;
}

static void *absent_dlsym(void *handle, const char *name)
{
  (void)handle, (void)name;
  return NULL;
}

static void *absent_dlvsym(void *handle, const char *name, const char *version)
{
  (void)version;
  return c_library_dlsym(handle, name); // musl has no versions
}

static void find_c_library(void)
{
  if (likely(c_library_dlsym != NULL)) return;
  void *versioned = search_c_library("dlvsym"), *plain = search_c_library("dlsym"), *open = search_c_library("dlopen");
  c_library_dlopen = (void *(*)(const char *, int))open;
  c_library_dlvsym = versioned == NULL ? absent_dlvsym : (void *(*)(void *, const char *, const char *))versioned;
  __atomic_store_n(&c_library_dlsym, plain == NULL ? absent_dlsym : (void *(*)(void *, const char *))plain, __ATOMIC_RELEASE);
}

static void *open_library(const char *name, int flags)
{
  find_c_library();
  return c_library_dlopen == NULL ? NULL : c_library_dlopen(name, flags);
}

void *find_in(const char *library, const char *name)
{
  void *handle = open_library(library, RTLD_LAZY);
  return handle == NULL ? NULL : c_library_dlsym(handle, name);
}

#define CALL(name) #name,
static const char *const call_names[CALLS_END] = {
#include "calls.h"
};
#undef CALL
static void *calls[CALLS_END];

void *find_call(enum call_index index)
{
  void *found = __atomic_load_n(&calls[index], __ATOMIC_ACQUIRE);
  if (likely(found != NULL)) return found;
  found = find_in(call_names[index][0] == 'c' ? "libcuda.so.1" : "libnvidia-ml.so.1", call_names[index]);
  __atomic_store_n(&calls[index], found, __ATOMIC_RELEASE);
  return found;
}

static unsigned bucket_of(const void *address)
{
  return (unsigned)(((uintptr_t)address >> 4) * 0x9e3779b97f4a7c15ull >> 55);
}

static struct hook *find_hook(const void *real)
{
  for (unsigned n = bucket_of(real), tries = 0; tries < BUCKETS; tries++, n = (n + 1) % BUCKETS) {
    if (by_real[n] == NULL) return NULL;
    if (by_real[n]->real == real) return by_real[n];
  }
  return NULL;
}

static void fill(void *handle, int from, int to)
{
  for (int n = from; n < to; n++) {
    void *real = c_library_dlsym(handle, hooks[n].name);
    if (real == NULL || real == hooks[n].ours) continue;
    __atomic_store_n(&hooks[n].real, real, __ATOMIC_RELEASE);
    unsigned b = bucket_of(real);
    while (by_real[b] != NULL && by_real[b]->real != real) b = (b + 1) % BUCKETS;
    if (by_real[b] == NULL) by_real[b] = &hooks[n]; // of two names of one function, the first
  }
}

// Only a library that is loaded already, unless `load`: who asks whether there is CUDA must not get an answer by our doing.
static bool know_libraries(bool load)
{
  int flags = RTLD_LAZY | (load ? 0 : RTLD_NOLOAD);
  spin_lock(&lock);
  void *driver = has_driver ? NULL : open_library("libcuda.so.1", flags), *nvml = has_nvml ? NULL : open_library("libnvidia-ml.so.1", flags);
  if (driver != NULL) fill(driver, 0, NVML_FIRST);
  if (nvml != NULL) fill(nvml, NVML_FIRST, HOOKS_END);
  has_driver |= driver != NULL;
  has_nvml |= nvml != NULL;
  spin_unlock(&lock);
  return has_driver;
}

bool find_real(enum hook_index index)
{
  know_libraries(true);
  return hooks[index].real != NULL;
}

static bool is_of_interest(const char *name)
{
  return name != NULL && ((name[0] == 'c' && name[1] == 'u') || (name[0] == 'n' && name[1] == 'v' && name[2] == 'm'));
}

static bool is_exported(const void *address)
{
  for (int n = 0; n < HOOKS_END; n++)
    if (hooks[n].ours == address) return true;
  return false;
}

static void *replace(void *found)
{
  if (found == NULL) return NULL;
  know_libraries(false);
  if (is_exported(found)) return has_driver || has_nvml ? found : NO_SYMBOL;
  struct hook *hook = find_hook(found);
  return hook == NULL ? NULL : hook->ours;
}

__attribute__((visibility("hidden"), used)) void *resolve_dlsym(void *handle, const char *name)
{
  find_c_library();
  return is_of_interest(name) ? replace(c_library_dlsym(handle, name)) : NULL;
}

__attribute__((visibility("hidden"), used)) void *resolve_dlvsym(void *handle, const char *name, const char *version)
{
  find_c_library();
  return is_of_interest(name) ? replace(c_library_dlvsym(handle, name, version)) : NULL;
}

// A driver may answer with an address that it does not export. Then the name decides, if it has one form only.
static void swap(const char *symbol, void **address, uint64_t flags)
{
  struct hook *hook = find_hook(*address);
  char variant[96] = {0};
  if (hook == NULL && strlen(symbol) < sizeof variant - 8) {
    strcpy(variant, symbol);
    if (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) strcat(variant, "_ptsz");
    for (int n = 0; n < NVML_FIRST && hook == NULL; n++)
      if (hooks[n].real == NULL && strcmp(hooks[n].name, variant) == 0) hook = &hooks[n];
    if (hook != NULL) hook->real = *address;
  }
  if (hook != NULL) *address = hook->ours;
}

EXPORT CUresult cuGetProcAddress(const char *symbol, void **address, int version, uint64_t flags)
{
  NEED(cuGetProcAddress, CUDA_ERROR_NOT_FOUND);
  CUresult r = real_cuGetProcAddress()(symbol, address, version, flags);
  if (r == CUDA_SUCCESS && *address != NULL) swap(symbol, address, flags);
  return r;
}

EXPORT CUresult cuGetProcAddress_v2(const char *symbol, void **address, int version, uint64_t flags, int *status)
{
  NEED(cuGetProcAddress_v2, CUDA_ERROR_NOT_FOUND);
  CUresult r = real_cuGetProcAddress_v2()(symbol, address, version, flags, status);
  if (r == CUDA_SUCCESS && *address != NULL) swap(symbol, address, flags);
  return r;
}
