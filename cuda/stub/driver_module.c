// Modules. Of PTX text the entries are known, of other images any name is a function. How long a kernel takes is in its name: `spin` takes the
// nanoseconds of its first parameter for each wave of blocks, `jitter` between half and one and a half of them, all others 1 µs a wave.
#define _GNU_SOURCE
#include "driver.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAVE_NS 1000ull
#define PARAM_BUFFER ((void *)1) // CU_LAUNCH_PARAM_BUFFER_POINTER

static bool is_text(const char *image)
{
  for (int n = 0; n < 8; n++)
    if (!isprint((unsigned char)image[n]) && !isspace((unsigned char)image[n])) return image[n] == 0 && n > 0;
  return true;
}

static bool has_entry(const char *text, const char *name)
{
  size_t length = strlen(name);
  for (const char *at = text; (at = strstr(at, ".entry")) != NULL;) {
    at += strlen(".entry");
    while (isspace((unsigned char)*at)) at++;
    if (strncmp(at, name, length) == 0 && !isalnum((unsigned char)at[length]) && at[length] != '_') return true;
  }
  return false;
}

static CUresult load(CUmodule *module, const void *image)
{
  CUresult r = enter(20000);
  if (r != CUDA_SUCCESS) return r;
  if (image == NULL) return leave(CUDA_ERROR_INVALID_IMAGE);
  CUcontext c = current_context();
  if (c == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  if (!take_memory(c->device, MODULE_BYTES)) return leave(CUDA_ERROR_OUT_OF_MEMORY);
  CUmodule made = calloc(1, sizeof *made);
  made->device = c->device;
  if (is_text(image)) made->text = strdup(image);
  *module = made;
  return leave(CUDA_SUCCESS);
}

static CUresult load_file(CUmodule *module, const char *path)
{
  FILE *file = fopen(path, "re");
  if (file == NULL) return CUDA_ERROR_FILE_NOT_FOUND;
  char *text = NULL;
  size_t size = 0;
  ssize_t length = getdelim(&text, &size, EOF, file);
  fclose(file);
  CUresult r = length <= 0 ? CUDA_ERROR_INVALID_IMAGE : load(module, text);
  free(text);
  return r;
}

static CUresult unload(CUmodule module)
{
  CUresult r = enter(5000);
  if (r != CUDA_SUCCESS) return r;
  if (module == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
  give_memory(module->device, MODULE_BYTES);
  while (module->functions != NULL) {
    CUfunction f = module->functions;
    module->functions = f->next;
    free(f);
  }
  free(module->text);
  free(module);
  return leave(CUDA_SUCCESS);
}

static CUresult find_function(CUfunction *function, CUmodule module, const char *name)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  if (module->text != NULL && !has_entry(module->text, name)) return leave(CUDA_ERROR_NOT_FOUND);
  CUfunction f = module->functions;
  while (f != NULL && strcmp(f->name, name) != 0) f = f->next;
  if (f == NULL) {
    f = calloc(1, sizeof *f);
    *f = (struct CUfunc_st){.next = module->functions, .module = module, .block = {1, 1, 1}};
    snprintf(f->name, sizeof f->name, "%s", name);
    module->functions = f;
  }
  *function = f;
  return leave(CUDA_SUCCESS);
}

CU(cuModuleLoad, CUmodule *module, const char *path) { return load_file(module, path); }
CU(cuModuleLoadData, CUmodule *module, const void *image) { return load(module, image); }
CU(cuModuleLoadFatBinary, CUmodule *module, const void *image) { return load(module, image); }
CU(cuModuleUnload, CUmodule module) { return unload(module); }
CU(cuModuleGetFunction, CUfunction *function, CUmodule module, const char *name) { return find_function(function, module, name); }

CU(cuModuleLoadDataEx, CUmodule *module, const void *image, unsigned int count, int *options, void **values)
{
  (void)count, (void)options, (void)values;
  return load(module, image);
}

CU(cuModuleGetGlobal_v2, CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name)
{
  (void)address, (void)bytes, (void)module, (void)name;
  return CUDA_ERROR_NOT_FOUND;
}

CU(cuModuleGetLoadingMode, int *mode)
{
  *mode = 2; // lazy
  return CUDA_SUCCESS;
}

// A library is a module that belongs to no context; here it is loaded into the current one.
CU(cuLibraryLoadData, CUlibrary *library, const void *code, int *jit, void **jitValues, unsigned int jitCount, int *options, void **values, unsigned int count)
{
  (void)jit, (void)jitValues, (void)jitCount, (void)options, (void)values, (void)count;
  return load((CUmodule *)library, code);
}

CU(cuLibraryLoadFromFile, CUlibrary *library, const char *path, int *jit, void **jitValues, unsigned int jitCount, int *options, void **values, unsigned int count)
{
  (void)jit, (void)jitValues, (void)jitCount, (void)options, (void)values, (void)count;
  return load_file((CUmodule *)library, path);
}

CU(cuLibraryUnload, CUlibrary library) { return unload((CUmodule)library); }
CU(cuLibraryGetKernel, CUkernel *kernel, CUlibrary library, const char *name) { return find_function((CUfunction *)kernel, (CUmodule)library, name); }

CU(cuLibraryGetModule, CUmodule *module, CUlibrary library)
{
  *module = (CUmodule)library;
  return CUDA_SUCCESS;
}

CU(cuKernelGetFunction, CUfunction *function, CUkernel kernel)
{
  *function = (CUfunction)kernel;
  return CUDA_SUCCESS;
}

CU(cuFuncGetAttribute, int *value, int attribute, CUfunction function)
{
  (void)attribute, (void)function;
  *value = 0;
  return CUDA_SUCCESS;
}

CU(cuFuncSetAttribute, CUfunction function, int attribute, int value)
{
  (void)function, (void)attribute, (void)value;
  return CUDA_SUCCESS;
}

CU(cuFuncSetBlockShape, CUfunction function, int x, int y, int z)
{
  memcpy(function->block, (int[]){x, y, z}, sizeof function->block);
  return CUDA_SUCCESS;
}

CU(cuFuncSetSharedSize, CUfunction function, unsigned int bytes)
{
  (void)function, (void)bytes;
  return CUDA_SUCCESS;
}

CU(cuParamSetSize, CUfunction function, unsigned int bytes)
{
  return bytes > sizeof function->params ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CU(cuParamSetv, CUfunction function, int offset, void *pointer, unsigned int bytes)
{
  if (offset < 0 || (size_t)offset + bytes > sizeof function->params) return CUDA_ERROR_INVALID_VALUE;
  memcpy(function->params + offset, pointer, bytes);
  return CUDA_SUCCESS;
}

static uint64_t first_param(const struct CUfunc_st *function, void **params, void **extra)
{
  uint64_t value = 0;
  const void *from = function->params;
  if (params != NULL) from = params[0];
  else if (extra != NULL && extra[0] == PARAM_BUFFER) from = extra[1];
  memcpy(&value, from, sizeof value);
  return value;
}

// Between half and one and a half; the same sequence in each run.
static uint64_t vary(uint64_t ns)
{
  static uint64_t state = 0x9e3779b97f4a7c15ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return ns / 2 + ns * (state >> 40) / (1ull << 24);
}

uint64_t kernel_duration(CUfunction function, uint64_t blocks, void **params, void **extra)
{
  uint64_t multiprocessors = W->devices[function->module->device].multiprocessors;
  uint64_t waves = (blocks + multiprocessors - 1) / multiprocessors;
  if (strncmp(function->name, "spin", 4) == 0) return waves * first_param(function, params, extra);
  if (strncmp(function->name, "jitter", 6) == 0) return vary(waves * first_param(function, params, extra));
  return waves * WAVE_NS;
}
