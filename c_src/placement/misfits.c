/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/misfits.h"

static bool is_within(struct misfit need, struct misfit other)
{
    return need.cpu <= other.cpu && need.memory <= other.memory;
}

bool misfits_have(const struct misfits *misfits, uint32_t cpu, uint32_t memory)
{
    const struct misfit need = {.cpu = cpu, .memory = memory};

    for (size_t i = 0; i < misfits->count; i++) {
        if (is_within(misfits->needs[i], need)) {
            return true;
        }
    }
    return false;
}

bool misfits_add(struct misfits *misfits, uint32_t cpu, uint32_t memory)
{
    const struct misfit need = {.cpu = cpu, .memory = memory};
    size_t kept = 0;

    if (misfits_have(misfits, cpu, memory)) {
        return true;
    }
    for (size_t i = 0; i < misfits->count; i++) {
        if (!is_within(need, misfits->needs[i])) {
            misfits->needs[kept++] = misfits->needs[i];
        }
    }
    misfits->count = kept; /* as before, if it is full */
    if (kept == MISFITS_MAX) {
        return false;
    }
    misfits->needs[misfits->count++] = need;
    return true;
}
