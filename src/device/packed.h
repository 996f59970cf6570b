/* Packed weights kept in a file, so that the next start maps them and is ready at once, and processes share them. A file belongs to one source
 * (the digest of the model's file) and one layout of this build's panels; it holds what the panels hold in memory, byte for byte:
 *
 *   0    "SLPACK\1\n"
 *   8    u64 layout            packed_layout: a fingerprint of how this build packs on this machine
 *   16   u8  source[32]
 *   48   u64 n                 matrices
 *   56   u64 sum               SipHash of bytes 0 to 55 and of the table
 *   64   n times, by ascending id:
 *          u64 id              which matrix of the model
 *          u64 offset, bytes   where its panels lie; offset is a multiple of 64
 *          u64 sum             of one line of 64 bytes in each 64 KiB, and of the last one
 *          u32 type, n_out, n_in, 0
 *   ...  the panels
 *
 * Each layout has a file of its own beside the others, STEM-<16 hex digits of the layout>, so that machines which pack differently may share a
 * folder; one that nobody has opened for PACKED_DAYS goes when another is written.
 *
 * Numbers are little-endian. What is not exactly so is refused, and the caller packs again. A file appears by rename, whole; it is mapped at an
 * address that lets the kernel use large pages (seen with ext4 on Linux 6.18: FilePmdMapped in smaps). */
#pragma once
#include "device/device.h"

struct packed;
struct packed_item { uint64_t id; struct weight *w; };
enum { PACKED_SOURCE = 32, PACKED_ITEMS_MAX = 1 << 20, PACKED_PATH_MAX = 4096, PACKED_DAYS = 30 };

uint64_t packed_layout(struct device *d);
/* The file of a layout. What an earlier build kept at `stem` itself, for the last layout that came by, takes that name when there is none yet, and is
 * looked at as any other. False: the name is too long. */
bool packed_path(char out[PACKED_PATH_MAX], const char *stem, uint64_t layout) MUST_USE;
void packed_forget_old(const char *stem, uint64_t but); /* files of other layouts that nobody has opened for so long */
/* ERR_NOT_FOUND: there is none; ERR_FORMAT: it is damaged, cut or of something else. The weights made of it keep it mapped. */
int  packed_open(struct packed **out, const char *path, uint64_t layout, const uint8_t source[PACKED_SOURCE], struct err *e) MUST_USE;
void packed_close(struct packed *p); /* NULL is fine */
/* Writes the panels of items (n) aside, in pieces that are synced one by one so that others' writes are not held up, and renames. Those that own
 * no panels are left out. stop (may be NULL) is asked between pieces: 1 when it said so; nothing is left then. */
int  packed_save(const char *path, uint64_t layout, const uint8_t source[PACKED_SOURCE], const struct packed_item *items, size_t n,
                 bool (*stop)(void *arg), void *arg, struct err *e) MUST_USE;
/* weight_new, but of kept panels where there are such. kept may be NULL. */
int  packed_weight(struct weight **out, struct device *d, struct packed *kept, uint64_t id, uint32_t type, uint32_t n_out, uint32_t n_in,
                   const void *data, struct err *e) MUST_USE;
