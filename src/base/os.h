/* Files and the process. Writes that must survive go through os_write_file (write aside, sync, rename, sync the folder). */
#pragma once
#include "base/buf.h"
#include "base/str.h"
#include <sys/types.h>

struct os_map {
    const uint8_t *p;
    size_t         n;
};
int  os_map_open(struct os_map *out, const char *path, struct err *e) MUST_USE; /* read-only */
/* The same at an address where the kernel can use large pages, which is asked to. */
int  os_map_large(struct os_map *out, const char *path, struct err *e) MUST_USE;
void os_map_drop(const void *p, size_t n); /* whole pages of these bytes of a map leave the process until they are read again */
void os_map_close(struct os_map *m);
/* From now on a file of os_map_open that shrinks under its readers ends the process with a message that names it, and ERR_IO's exit code. */
void os_map_guard(void);
int  os_read_file(struct buf *out, const char *path, struct err *e) MUST_USE; /* up to out->max */
int  os_write_file(const char *path, const void *p, size_t n, mode_t mode, struct err *e) MUST_USE;
int  os_mkdirs(const char *path, mode_t mode, struct err *e) MUST_USE;
bool os_exists(const char *path);
int  os_copy_file(const char *from, const char *to, mode_t mode, struct err *e) MUST_USE; /* reflink or copy; synced */
int  os_remove_tree(const char *path, struct err *e) MUST_USE; /* a file or a folder with all that is in it; links are not followed */
/* Renames a folder to a name that is free, or that of an empty folder; the parent is synced. */
int  os_rename_folder(const char *from, const char *to, struct err *e) MUST_USE;
/* Takes an exclusive lock on a file that it makes; -1 with ERR_CONFLICT when another process has it. */
int      os_lock_file(int *fd, const char *path, struct err *e) MUST_USE;
uint64_t os_disk_room(const char *path); /* bytes that may still be written where the file at path is or would be; 0: not known */
uint64_t os_rss_bytes(void);
uint64_t os_memory_bytes(void); /* physical, or the least limit of this process's cgroup and those above it */
uint64_t os_cgroup_memory(const char *root); /* that limit; root: before /proc and /sys, "" but in tests; UINT64_MAX: none */
uint64_t os_heap_bytes(void); /* what malloc has given out and not got back */
