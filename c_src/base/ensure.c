/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

void ensure_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "level=fatal event=ensure_failed at=%s:%d what=%s\n",
                  file, line, condition);
    abort();
}
