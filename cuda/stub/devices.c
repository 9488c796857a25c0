#define _GNU_SOURCE
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024ull * 1024)

static bool complain(const char *line, const char *why)
{
  fprintf(stderr, "stub GPU: cannot read \"%s\": %s\n", line, why);
  return false;
}

static void read_numbers(const char *text, uint8_t out[DEVICES_MAX])
{
  for (int i = 0; i < DEVICES_MAX && *text != 0; i++) {
    char *end;
    out[i] = (uint8_t)strtoul(text, &end, 10);
    text = *end == ',' ? end + 1 : "";
  }
}

static bool read_word(struct device *d, const char *line, char *word)
{
  char *value = strchr(word, '=');
  if (value == NULL) return complain(line, "each word after the UUID must be name=value");
  *value++ = 0;
  if (strcmp(word, "memoryMiB") == 0) d->memory = strtoull(value, NULL, 10) * MIB;
  else if (strcmp(word, "contextMiB") == 0) d->context_bytes = strtoull(value, NULL, 10) * MIB;
  else if (strcmp(word, "multiprocessors") == 0) d->multiprocessors = (uint32_t)strtoul(value, NULL, 10);
  else if (strcmp(word, "numa") == 0) d->numa = atoi(value);
  else if (strcmp(word, "pci") == 0) snprintf(d->pci, sizeof d->pci, "%s", value);
  else if (strcmp(word, "nvlinks") == 0) read_numbers(value, d->nvlinks);
  else if (strcmp(word, "levels") == 0) read_numbers(value, d->levels);
  else if (strcmp(word, "model") == 0) {
    snprintf(d->model, sizeof d->model, "%s", value);
    for (char *c = d->model; *c != 0; c++)
      if (*c == '_') *c = ' ';
  } else return complain(line, "there is no such word");
  return true;
}

static bool read_device(struct world *w, char *line)
{
  char copy[512];
  snprintf(copy, sizeof copy, "%s", line);
  if (w->devices_end == DEVICES_MAX) return complain(copy, "there are too many devices");
  unsigned index = w->devices_end;
  struct device *d = &w->devices[index];
  char *rest, *word = strtok_r(line, " \t\r", &rest);
  if (strncmp(word, "GPU-", 4) != 0 || strlen(word) != 40) return complain(copy, "a line must start with a UUID such as GPU-00000000-0000-0000-0000-000000000001");
  strcpy(d->uuid, word);
  strcpy(d->model, "NVIDIA A100-SXM4-40GB");
  snprintf(d->pci, sizeof d->pci, "0000:%02x:00.0", 0x10 + index);
  d->memory = 40960 * MIB;
  d->context_bytes = 64 * MIB;
  d->multiprocessors = 108;
  while ((word = strtok_r(NULL, " \t\r", &rest)) != NULL)
    if (!read_word(d, copy, word)) return false;
  w->devices_end++;
  return true;
}

bool read_devices(struct world *w)
{
  const char *path = getenv("STUB_GPU_DEVICES");
  char line[512] = "GPU-00000000-0000-0000-0000-000000000001";
  if (path == NULL) return read_device(w, line);
  FILE *file = fopen(path, "re");
  if (file == NULL) return complain(path, "STUB_GPU_DEVICES must be a file");
  bool good = true;
  while (good && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (line[0] != 0 && line[0] != '#') good = read_device(w, line);
  }
  fclose(file);
  return good;
}
