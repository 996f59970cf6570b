/* Prints the texts of tests/unit/text/nasty.h, one a line in hexadecimal, for the golden scripts. `nasty no-byte-names` leaves out <0x0A>.
 * Built by tests/golden/tokens.sh. */
#include "nasty.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    static char text[NASTY_BYTES_MAX];
    for (uint32_t i = 0; i < NASTY_COUNT; i++) {
        size_t n = nasty_text(i, argc > 1 && strcmp(argv[1], "no-byte-names") == 0, text);
        for (size_t k = 0; k < n; k++)
            printf("%02x", (uint8_t)text[k]);
        printf("\n");
    }
    return 0;
}
