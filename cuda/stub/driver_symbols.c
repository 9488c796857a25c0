#include "driver.h"

#include <stdio.h>
#include <string.h>

extern const struct symbol __start_stub_symbols[], __stop_stub_symbols[];

// Where the version that a program asks for decides which function a name is: from `since` on. Source: cudaTypedefs.h of CUDA 12.
static const struct { const char *name; int since; const char *symbol; } VERSIONS[] = {
  {"cuCtxCreate", 12050, "cuCtxCreate_v4"}, {"cuCtxCreate", 11040, "cuCtxCreate_v3"},
  {"cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags"}, {"cuGraphInstantiate", 11000, "cuGraphInstantiate_v2"}, {"cuGraphInstantiate", 10000, "cuGraphInstantiate"},
  {"cuGraphAddKernelNode", 12000, "cuGraphAddKernelNode_v2"}, {"cuGraphAddKernelNode", 10000, "cuGraphAddKernelNode"},
  {"cuGetProcAddress", 12000, "cuGetProcAddress_v2"}, {"cuGetProcAddress", 11030, "cuGetProcAddress"},
  {"cuStreamBeginCapture", 10010, "cuStreamBeginCapture_v2"}, {"cuDeviceGetUuid", 11040, "cuDeviceGetUuid_v2"},
};

static void *find(const char *name)
{
  for (const struct symbol *s = __start_stub_symbols; s < __stop_stub_symbols; s++)
    if (strcmp(s->name, name) == 0) return s->address;
  return NULL;
}

// The variant for stream 0 of the thread, where there is one.
static void *find_variant(const char *name, uint64_t flags)
{
  char variant[128];
  void *found = NULL;
  if (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) {
    snprintf(variant, sizeof variant, "%s_ptsz", name);
    found = find(variant);
    snprintf(variant, sizeof variant, "%s_ptds", name);
    if (found == NULL) found = find(variant);
  }
  return found == NULL ? find(name) : found;
}

static void *resolve(const char *symbol, int version, uint64_t flags)
{
  char second[128];
  for (size_t n = 0; n < sizeof VERSIONS / sizeof VERSIONS[0]; n++)
    if (strcmp(VERSIONS[n].name, symbol) == 0 && version >= VERSIONS[n].since) return find_variant(VERSIONS[n].symbol, flags);
  snprintf(second, sizeof second, "%s_v2", symbol);
  void *found = version >= 3020 ? find_variant(second, flags) : NULL;
  return found == NULL ? find_variant(symbol, flags) : found;
}

CU(cuGetProcAddress_v2, const char *symbol, void **address, int version, uint64_t flags, int *status)
{
  *address = resolve(symbol, version, flags);
  if (status != NULL) *status = *address == NULL ? CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND : CU_GET_PROC_ADDRESS_SUCCESS;
  return *address == NULL ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

CU(cuGetProcAddress, const char *symbol, void **address, int version, uint64_t flags)
{
  return cuGetProcAddress_v2(symbol, address, version, flags, NULL);
}

// Tables that NVIDIA keeps to its own libraries: there are none.
CU(cuGetExportTable, const void **table, const CUuuid *id)
{
  (void)id;
  *table = NULL;
  return CUDA_ERROR_INVALID_VALUE;
}

static const struct { CUresult error; const char *name, *text; } ERRORS[] = {
  {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
  {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
  {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
  {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
  {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
  {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
  {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
  {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
  {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
  {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
  {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
  {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
  {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
};

CU(cuGetErrorName, CUresult error, const char **name)
{
  for (size_t n = 0; n < sizeof ERRORS / sizeof ERRORS[0]; n++)
    if (ERRORS[n].error == error) return *name = ERRORS[n].name, CUDA_SUCCESS;
  *name = NULL;
  return CUDA_ERROR_INVALID_VALUE;
}

CU(cuGetErrorString, CUresult error, const char **text)
{
  for (size_t n = 0; n < sizeof ERRORS / sizeof ERRORS[0]; n++)
    if (ERRORS[n].error == error) return *text = ERRORS[n].text, CUDA_SUCCESS;
  *text = NULL;
  return CUDA_ERROR_INVALID_VALUE;
}
