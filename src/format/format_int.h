/* Shared inside format/: limits of what a file may ask for, the lookup index, and ggml's table of tensor types. */
#pragma once
#include "base/map.h"
#include "format/modelfile.h"

enum {
    FORMAT_META_MAX = 65536,    /* metadata keys */
    FORMAT_TENSORS_MAX = 65536, /* tensors */
    FORMAT_KEY_MAX = 1024,      /* bytes of a key */
    FORMAT_NAME_MAX = 255,      /* bytes of a tensor's name */
    FORMAT_ALIGN_MIN = 8,
    FORMAT_ALIGN_MAX = 4096,
    FORMAT_ALIGN_DEFAULT = 32,
    FORMAT_DIM_MAX = 0x7fffffff /* of one dimension */
};

struct modelfile_index {
    struct map meta, tensors; /* name -> position */
};

/* A name from the file for a message: at most 63 bytes, everything but printable ASCII shown as '?'. */
struct shown { char z[64]; };
struct shown shown_of(struct str s);

/* Bytes of a metadata value: 0 for strings, arrays and unknown types. */
size_t meta_type_size(uint32_t type);
