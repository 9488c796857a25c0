// Virtual memory management: memory lives while a handle or a mapping holds it.
#define _GNU_SOURCE
#include "driver.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct physical {
  size_t bytes;
  CUdevice device;
  unsigned handles, mappings;
  bool is_imported;
};

struct mapping {
  struct mapping *next;
  CUdeviceptr address;
  size_t bytes;
  struct physical *memory;
};

static struct mapping *mappings;

static void drop(struct physical *m)
{
  if (m->handles > 0 || m->mappings > 0) return;
  if (!m->is_imported) give_memory(m->device, m->bytes);
  free(m);
}

CU(cuMemGetAllocationGranularity, size_t *granularity, const CUmemAllocationProp *prop, int option)
{
  (void)prop, (void)option;
  *granularity = VMM_UNIT;
  return CUDA_SUCCESS;
}

CU(cuMemAddressReserve, CUdeviceptr *address, size_t size, size_t alignment, CUdeviceptr wanted, unsigned long long flags)
{
  (void)alignment, (void)wanted, (void)flags;
  if (size == 0 || size % VMM_UNIT != 0) return CUDA_ERROR_INVALID_VALUE;
  void *pages = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *address = (CUdeviceptr)pages;
  return CUDA_SUCCESS;
}

CU(cuMemAddressFree, CUdeviceptr address, size_t size)
{
  return munmap((void *)address, size) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult make(CUmemGenericAllocationHandle *handle, const struct physical *what)
{
  struct physical *m = malloc(sizeof *m);
  *m = *what;
  *handle = (CUmemGenericAllocationHandle)(uintptr_t)m;
  return leave(CUDA_SUCCESS);
}

CU(cuMemCreate, CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop, unsigned long long flags)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  (void)flags;
  if (size == 0 || size % VMM_UNIT != 0) return leave(CUDA_ERROR_INVALID_VALUE);
  if (prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE) return make(handle, &(struct physical){.bytes = size, .handles = 1, .is_imported = true});
  int device = visible_device(prop->location.id);
  if (device < 0) return leave(CUDA_ERROR_INVALID_DEVICE);
  if (!take_memory(device, size)) return leave(CUDA_ERROR_OUT_OF_MEMORY);
  return make(handle, &(struct physical){.bytes = size, .device = device, .handles = 1});
}

CU(cuMemRelease, CUmemGenericAllocationHandle handle)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  struct physical *m = (struct physical *)(uintptr_t)handle;
  if (m == NULL || m->handles == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  m->handles--;
  drop(m);
  return leave(CUDA_SUCCESS);
}

CU(cuMemMap, CUdeviceptr address, size_t size, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  (void)flags;
  struct physical *m = (struct physical *)(uintptr_t)handle;
  if (m == NULL || offset != 0 || size > m->bytes || size == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  for (struct mapping *other = mappings; other != NULL; other = other->next)
    if (address < other->address + other->bytes && other->address < address + size) return leave(CUDA_ERROR_INVALID_VALUE);
  if (mprotect((void *)address, size, PROT_READ | PROT_WRITE) != 0) return leave(CUDA_ERROR_INVALID_VALUE);
  struct mapping *made = malloc(sizeof *made);
  *made = (struct mapping){.next = mappings, .address = address, .bytes = size, .memory = m};
  mappings = made;
  m->mappings++;
  return leave(CUDA_SUCCESS);
}

// All mappings within the range; it may hold several, and splits none.
CU(cuMemUnmap, CUdeviceptr address, size_t size)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  bool any = false;
  for (struct mapping **at = &mappings; *at != NULL;) {
    struct mapping *m = *at;
    if (m->address < address || m->address + m->bytes > address + size) {
      at = &m->next;
      continue;
    }
    *at = m->next;
    m->memory->mappings--;
    drop(m->memory);
    free(m);
    any = true;
  }
  return leave(any ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CU(cuMemSetAccess, CUdeviceptr address, size_t size, const CUmemAccessDesc *access, size_t count)
{
  (void)address, (void)size, (void)access, (void)count;
  return CUDA_SUCCESS;
}

CU(cuMemRetainAllocationHandle, CUmemGenericAllocationHandle *handle, void *address)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  for (struct mapping *m = mappings; m != NULL; m = m->next) {
    if ((CUdeviceptr)address < m->address || (CUdeviceptr)address >= m->address + m->bytes) continue;
    m->memory->handles++;
    *handle = (CUmemGenericAllocationHandle)(uintptr_t)m->memory;
    return leave(CUDA_SUCCESS);
  }
  return leave(CUDA_ERROR_INVALID_VALUE);
}

// A file that says the size: who imports it has no memory of the device for it.
CU(cuMemExportToShareableHandle, void *shareable, CUmemGenericAllocationHandle handle, int type, unsigned long long flags)
{
  (void)flags;
  const struct physical *m = (const struct physical *)(uintptr_t)handle;
  if (m == NULL || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  int file = memfd_create("stub-gpu-memory", MFD_CLOEXEC);
  if (file < 0 || pwrite(file, &m->bytes, sizeof m->bytes, 0) != sizeof m->bytes) return CUDA_ERROR_OPERATING_SYSTEM;
  *(int *)shareable = file;
  return CUDA_SUCCESS;
}

CU(cuMemImportFromShareableHandle, CUmemGenericAllocationHandle *handle, void *shareable, int type)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  size_t bytes = 0;
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || pread((int)(intptr_t)shareable, &bytes, sizeof bytes, 0) != sizeof bytes) return leave(CUDA_ERROR_INVALID_VALUE);
  return make(handle, &(struct physical){.bytes = bytes, .handles = 1, .is_imported = true});
}
