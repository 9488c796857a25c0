// What share of a device's time the container has at the moment: by what it was given, and by who else wants the device now.
#define _GNU_SOURCE
#include "interposer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAST 200u // hundredths of a percent, so that nobody stands still

// Who goes first may use up to its burst, and has it before others. Among equals each has its own part, and those that may use more share evenly
// what nobody has.
uint32_t plan_share(const struct wish *mine, const struct wish *others, unsigned count)
{
  uint32_t before = 0, equal = mine->compute, bursting = mine->burst > mine->compute ? 1 : 0, rivals = 0;
  for (unsigned n = 0; n < count; n++) {
    const struct wish *o = &others[n];
    if (o->priority > mine->priority) continue;
    rivals++;
    if (o->priority < mine->priority) {
      before += o->burst;
      continue;
    }
    equal += o->compute;
    if (o->burst > o->compute) bursting++;
  }
  if (rivals == 0) return mine->burst * 100;
  uint32_t left = before >= 100 ? 0 : (100 - before) * 100, free = left > equal * 100 ? left - equal * 100 : 0;
  uint32_t share = mine->compute * 100 + (mine->burst > mine->compute ? free / bursting : 0);
  if (share > left) share = left;
  if (share > mine->burst * 100) share = mine->burst * 100;
  return share < LEAST ? LEAST : share;
}

struct directory_entry {
  uint64_t inode, offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

static bool parse_name(const char *name, struct wish *wish)
{
  char *end;
  wish->priority = (uint32_t)strtoul(name, &end, 10);
  if (end == name || *end != '-') return false;
  wish->compute = (uint32_t)strtoul(end + 1, &end, 10);
  if (*end != '-') return false;
  wish->burst = (uint32_t)strtoul(end + 1, &end, 10);
  return *end == '-' && wish->compute <= 100 && wish->burst <= 100;
}

// By reading: who owns the page could make it shorter.
static bool wants(int folder, const char *name, const uint8_t uuid[16], uint64_t now)
{
  struct gpu_demand page;
  int file = (int)syscall(SYS_openat, folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return false;
  long length = syscall(SYS_read, file, &page, sizeof page);
  syscall(SYS_close, file);
  if (length != sizeof page || page.magic != GPU_DEMAND_MAGIC) return false;
  for (int n = 0; n < GPU_DEVICES_MAX; n++)
    if (memcmp(page.devices[n].uuid, uuid, 16) == 0) return page.devices[n].wanted_until_ns > now;
  return false;
}

static uint64_t own_inode(const char *folder)
{
  char path[512];
  struct stat info;
  snprintf(path, sizeof path, "%s/own/demand", folder);
  return syscall(SYS_newfstatat, AT_FDCWD, path, &info, 0) == 0 ? (uint64_t)info.st_ino : 0;
}

unsigned read_peers(unsigned device, uint64_t now, struct wish *wishes, unsigned max)
{
  char folder[400], path[512], uuid[41], text[4096];
  const char *limits = limits_path(), *slash = limits == NULL ? NULL : strrchr(limits, '/');
  unsigned count = 0;
  if (slash == NULL) return 0;
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - limits), limits);
  format_uuid(region->devices[device].uuid, uuid);
  snprintf(path, sizeof path, "%s/devices/%s", folder, uuid);
  int directory = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return 0;
  uint64_t mine = own_inode(folder);
  for (long length; count < max && (length = syscall(SYS_getdents64, directory, text, sizeof text)) > 0;) {
    for (long at = 0; at < length && count < max;) {
      const struct directory_entry *e = (const struct directory_entry *)(text + at);
      at += e->length;
      if (e->inode != mine && parse_name(e->name, &wishes[count]) && wants(directory, e->name, region->devices[device].uuid, now)) count++;
    }
  }
  syscall(SYS_close, directory);
  return count;
}
