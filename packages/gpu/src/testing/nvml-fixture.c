/*
 * As much of libnvidia-ml as the plugin calls, for tests of the calls themselves: layouts of structures, order of arguments, lost devices.
 * What it answers is in the file STATE, read at each call, a line each: "count N", "lost I", "mig I", "xid I NUMBER", "gone", "hang": no call returns.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, LOST = 15 };
enum { DEVICES_MAX = 16 };

struct memory { unsigned long long total, free, used; };
struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char text[32]; };
struct rates { unsigned gpu, memory; };
struct process { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; };
struct event { void *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; };

struct state { unsigned count, gone, hang, lost[DEVICES_MAX], mig[DEVICES_MAX], xids, xid_of[DEVICES_MAX], xid[DEVICES_MAX]; };

static char devices[DEVICES_MAX];
static unsigned users, told;

static struct state read_state(void) {
  struct state s;
  char line[64];
  unsigned i, n;
  memset(&s, 0, sizeof s);
  FILE *file = fopen(STATE, "r");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "count %u", &n) == 1 && n <= DEVICES_MAX) s.count = n;
    if (sscanf(line, "lost %u", &i) == 1 && i < DEVICES_MAX) s.lost[i] = 1;
    if (sscanf(line, "mig %u", &i) == 1 && i < DEVICES_MAX) s.mig[i] = 1;
    if (sscanf(line, "xid %u %u", &i, &n) == 2 && s.xids < DEVICES_MAX) { s.xid_of[s.xids] = i; s.xid[s.xids++] = n; }
    if (!strncmp(line, "gone", 4)) s.gone = 1;
    if (!strncmp(line, "hang", 4)) s.hang = 1;
  }
  if (file) fclose(file);
  return s;
}

static int check(uintptr_t device, unsigned *index) {
  struct state s = read_state();
  for (; s.hang; s = read_state()) usleep(1000);
  *index = (unsigned)((char *)device - devices);
  if (!users) return UNINITIALIZED;
  if (*index >= s.count) return INVALID;
  return s.lost[*index] ? LOST : OK;
}

const char *nvmlErrorString(int code) {
  return code == LOST ? "GPU is lost" : code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Another Error";
}
int nvmlInit_v2(void) { return read_state().gone ? DRIVER_NOT_LOADED : (users++, OK); }
int nvmlShutdown(void) { return users ? (users--, OK) : UNINITIALIZED; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { snprintf(text, length, "550.54.15"); return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = read_state().count; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  if (index >= read_state().count) return INVALID;
  *device = &devices[index];
  return OK;
}
int nvmlDeviceGetUUID(uintptr_t device, char *text, unsigned length) {
  unsigned i;
  int code = check(device, &i);
  if (code == OK) snprintf(text, length, "GPU-00000000-0000-0000-0000-%012u", i);
  return code;
}
int nvmlDeviceGetName(uintptr_t device, char *text, unsigned length) {
  unsigned i;
  int code = check(device, &i);
  if (code == OK) snprintf(text, length, "NVIDIA A100-SXM4-40GB");
  return code;
}
/* The kernel's numbers may go the other way. */
int nvmlDeviceGetMinorNumber(uintptr_t device, unsigned *minor) {
  unsigned i;
  int code = check(device, &i);
  *minor = read_state().count - 1 - i;
  return code;
}
int nvmlDeviceGetMemoryInfo(uintptr_t device, struct memory *memory) {
  unsigned i;
  int code = check(device, &i);
  *memory = (struct memory){ 40960ull << 20, 40000ull << 20, 960ull << 20 };
  return code;
}
int nvmlDeviceGetPciInfo_v3(uintptr_t device, struct pci *pci) {
  unsigned i;
  int code = check(device, &i);
  memset(pci, 0, sizeof *pci);
  snprintf(pci->text, sizeof pci->text, "00000000:%02X:00.0", 0xa0 + i);
  return code;
}
int nvmlDeviceGetMigMode(uintptr_t device, unsigned *current, unsigned *pending) {
  unsigned i;
  int code = check(device, &i);
  if (code == OK) *current = *pending = read_state().mig[i];
  return code;
}
int nvmlDeviceGetNumGpuCores(uintptr_t device, unsigned *cores) { (void)device; *cores = 6912; return OK; }
int nvmlDeviceGetCudaComputeCapability(uintptr_t device, int *major, int *minor) { (void)device; *major = 8; *minor = 0; return OK; }
/* Pairs are on one PCIe switch, fours on one NUMA node. */
int nvmlDeviceGetTopologyCommonAncestor(uintptr_t one, uintptr_t other, int *level) {
  unsigned i, j;
  if (check(one, &i) != OK || check(other, &j) != OK) return INVALID;
  *level = i / 2 == j / 2 ? 10 : i / 4 == j / 4 ? 40 : 50;
  return OK;
}
/* The first pair has two NVLinks; link 2 of GPUs 2 and 3 goes to a switch; link 3 is down. */
int nvmlDeviceGetNvLinkState(uintptr_t device, unsigned link, int *active) {
  unsigned i;
  if (check(device, &i) != OK || link > 3) return NOT_SUPPORTED;
  *active = (i < 2 && link < 2) || ((i == 2 || i == 3) && link == 2);
  return OK;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(uintptr_t device, unsigned link, int *type) {
  (void)device;
  *type = link == 2 ? 2 : 0;
  return OK;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(uintptr_t device, unsigned link, struct pci *pci) {
  unsigned i;
  int code = check(device, &i);
  memset(pci, 0, sizeof *pci);
  snprintf(pci->text, sizeof pci->text, "00000000:%02X:00.0", link == 2 ? 0x05 : 0xa0 + (i ^ 1));
  return code;
}
int nvmlDeviceGetUtilizationRates(uintptr_t device, struct rates *rates) {
  unsigned i;
  int code = check(device, &i);
  *rates = (struct rates){ 30 + i, 7 };
  return code;
}
int nvmlDeviceGetComputeRunningProcesses_v3(uintptr_t device, unsigned *count, struct process *list) {
  unsigned i;
  int code = check(device, &i);
  if (*count < 2) return 7;
  *count = 2;
  list[0] = (struct process){ 4100 + i, 900ull << 20, ~0u, ~0u };
  list[1] = (struct process){ 4200 + i, ~0ull, ~0u, ~0u };
  return code;
}
int nvmlDeviceGetSupportedEventTypes(uintptr_t device, unsigned long long *types) { (void)device; *types = 0x1f; return OK; }
int nvmlDeviceRegisterEvents(uintptr_t device, unsigned long long types, uintptr_t set) {
  unsigned i;
  return set == 7 && types == 10 ? check(device, &i) : INVALID;
}
int nvmlEventSetCreate(void **set) { *set = (void *)7; return OK; }
int nvmlEventSetFree(uintptr_t set) { return set == 7 ? OK : INVALID; }
int nvmlEventSetWait_v2(uintptr_t set, struct event *event, unsigned timeout_ms) {
  struct state s = read_state();
  if (set != 7 || timeout_ms != 0) return INVALID;
  if (told >= s.xids) return TIMEOUT;
  memset(event, 0, sizeof *event);
  event->device = s.xid_of[told] < DEVICES_MAX ? &devices[s.xid_of[told]] : NULL;
  event->type = 8;
  event->data = s.xid[told++];
  return OK;
}
