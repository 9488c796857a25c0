// Prints the state of the stub's devices as JSON, without being part of it: `world FILE`.
#include "../stub/world.h"

#include <stdio.h>
#include <sys/mman.h>
#include <fcntl.h>

int main(int argc, char **argv)
{
  int file = argc < 2 ? -1 : open(argv[1], O_RDONLY);
  struct world *w = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *w, PROT_READ, MAP_SHARED, file, 0);
  if (w == MAP_FAILED) {
    fprintf(stderr, "Cannot read the state of the stub: name its file\n");
    return 1;
  }
  printf("{\"now\":%llu,\"devices\":[", (unsigned long long)w->now);
  for (unsigned n = 0; n < w->devices_end; n++) {
    const struct device *d = &w->devices[n];
    uint64_t used = 0;
    for (unsigned i = 0; i < PROCESSES_MAX; i++)
      if (w->processes[i].pid != 0) used += w->processes[i].memory[n];
    printf("%s{\"uuid\":\"%s\",\"used\":%llu,\"peak\":%llu,\"busy\":%llu}", n == 0 ? "" : ",", d->uuid, (unsigned long long)used, (unsigned long long)d->peak, (unsigned long long)d->busy);
  }
  printf("],\"processes\":[");
  const char *comma = "";
  for (unsigned i = 0; i < PROCESSES_MAX; i++) {
    const struct process *p = &w->processes[i];
    if (p->pid == 0) continue;
    printf("%s{\"pid\":%u,\"memory\":[", comma, p->pid);
    for (unsigned n = 0; n < w->devices_end; n++) printf("%s%llu", n == 0 ? "" : ",", (unsigned long long)p->memory[n]);
    printf("],\"busy\":[");
    for (unsigned n = 0; n < w->devices_end; n++) printf("%s%llu", n == 0 ? "" : ",", (unsigned long long)p->busy[n]);
    printf("]}");
    comma = ",";
  }
  printf("]}\n");
  return 0;
}
