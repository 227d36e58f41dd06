/* SPDX-License-Identifier: Apache-2.0
 * If a star took too little, only the last one has to take more: whatever the
 * ones before it could take instead, it can take too. */
#include "security/pattern.h"

bool pattern_matches(struct bytes pattern, struct bytes name)
{
    size_t p = 0;
    size_t n = 0;
    size_t star = SIZE_MAX; /* behind the last one; SIZE_MAX: none yet */
    size_t taken = 0;       /* the end in `name` of what it stands for */

    while (n < name.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            p++;
            star = p;
            taken = n;
        } else if (p < pattern.size && pattern.data[p] == name.data[n]) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star;
            taken++;
            n = taken;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.size;
}
