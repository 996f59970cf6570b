/* The quick ways into a panel give the bytes that kernel_panel_put gives, for random blocks, every number of rows and a few widths. */
#include "base/mem.h"
#include "base/rng.h"
#include "device/device_int.h"
#include "test.h"

TEST(quick_ways_are_the_definition)
{
    int quick = 0;
    for (uint32_t type = 0; type < 64; type++) {
        const struct quant_info *q = quant_info(type);
        if (!q || !q->split)
            continue;
        for (size_t blocks = 1; blocks < 12; blocks += 5) {
            const struct kernel_panel at = kernel_panel(q->form, blocks * q->block);
            size_t n_from = KERNEL_PANEL * blocks * q->bytes;
            uint8_t *from = mem_new(n_from), *a = mem_pages(at.bytes), *b = mem_pages(at.bytes);
            for (size_t i = 0; i < n_from; i++)
                from[i] = (uint8_t)rng_u64(type, 4, i, blocks & 15);
            for (size_t n = 1; n <= KERNEL_PANEL; n++) {
                memset(a, 0, at.bytes), memset(b, 0, at.bytes);
                if (!pack_rows(type, a, at, from, n, blocks, q->bytes))
                    break;
                quick++;
                for (size_t r = 0; r < n; r++)
                    for (size_t i = 0; i < blocks; i++) {
                        struct quant_parts p;
                        q->split(&p, from + (r * blocks + i) * q->bytes);
                        kernel_panel_put(b, q->form, at, i, r, &p);
                    }
                for (size_t i = 0; i < at.bytes; i++)
                    CHECK_MSG(a[i] == b[i], "%s, %zu rows of %zu blocks: byte %zu is %u, not %u", q->name, n, blocks, i, a[i], b[i]);
            }
            mem_free(from);
            mem_pages_free(a, at.bytes), mem_pages_free(b, at.bytes);
        }
    }
    CHECK_MSG(quick == 4 * 3 * KERNEL_PANEL, "%d", quick);
}

TEST_MAIN()
