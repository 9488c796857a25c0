// What this process knows of the driver's handles: a hash table that grows. Its memory is not the program's heap, which may be the program's own.
#define _GNU_SOURCE
#include "interposer.h"

#include <stddef.h>
#include <sys/mman.h>

static struct entry *entries;
static size_t capacity, used; // used: slots that are or were taken

static size_t slot_of(enum kind kind, uint64_t key, size_t size)
{
  return (size_t)((key ^ (uint64_t)kind << 56) * 0x9e3779b97f4a7c15ull >> 20) & (size - 1);
}

static struct entry *place(struct entry *table, size_t size, enum kind kind, uint64_t key)
{
  size_t n = slot_of(kind, key, size);
  while (table[n].kind != KIND_FREE || table[n].key == 1) n = (n + 1) & (size - 1);
  table[n] = (struct entry){.key = key, .kind = (uint8_t)kind};
  return &table[n];
}

static bool grow(void)
{
  size_t live = 0;
  for (size_t n = 0; n < capacity; n++) live += entries[n].kind != KIND_FREE;
  size_t size = 1024;
  while (size < live * 4) size *= 2;
  struct entry *table = mmap(NULL, size * sizeof *table, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (table == MAP_FAILED) return false;
  for (size_t n = 0; n < capacity; n++)
    if (entries[n].kind != KIND_FREE) *place(table, size, entries[n].kind, entries[n].key) = entries[n];
  if (entries != NULL) munmap(entries, capacity * sizeof *entries);
  entries = table;
  capacity = size;
  used = live;
  return true;
}

struct entry *table_find(enum kind kind, uint64_t key)
{
  if (capacity == 0) return NULL;
  for (size_t n = slot_of(kind, key, capacity);; n = (n + 1) & (capacity - 1)) {
    if (entries[n].kind == kind && entries[n].key == key) return &entries[n];
    if (entries[n].kind == KIND_FREE && entries[n].key == 0) return NULL;
  }
}

// Null: this process has no memory left.
struct entry *table_add(enum kind kind, uint64_t key)
{
  if (used * 2 >= capacity && !grow()) return NULL;
  used++;
  return place(entries, capacity, kind, key);
}

void table_remove(struct entry *e)
{
  *e = (struct entry){.key = 1}; // what came after it is still found
}

void table_clear(void)
{
  if (entries != NULL) munmap(entries, capacity * sizeof *entries);
  entries = NULL;
  capacity = used = 0;
}

struct entry *table_next(struct entry *after)
{
  for (size_t n = after == NULL ? 0 : (size_t)(after - entries) + 1; n < capacity; n++)
    if (entries[n].kind != KIND_FREE) return &entries[n];
  return NULL;
}
