/* The guide model, built into the program: make/web.mk names models/guide.gguf in GUIDE_FILE, or an empty file without it. */
#include "cli/cli_int.h"

__asm__(".section .rodata\n"
        ".balign 64\n"
        ".global guide_begin\n"
        "guide_begin: .incbin \"" GUIDE_FILE "\"\n"
        ".global guide_end\n"
        "guide_end: .byte 0\n"
        ".previous\n");
extern const unsigned char guide_begin[], guide_end[];

bool guide_bytes(const void **p, size_t *n)
{
    *p = guide_begin;
    *n = (size_t)(guide_end - guide_begin);
    return *n > 0;
}
