/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/silence.h"

#include <string.h>

static void turn_window(struct silence *silence, uint64_t now_ms,
                        uint64_t window_ms)
{
    uint64_t age_ms = now_ms - silence->since_ms;

    if (age_ms < window_ms) {
        return;
    }
    memcpy(silence->before_ms, silence->now_ms, sizeof(silence->before_ms));
    if (age_ms >= 2 * window_ms) {
        memset(silence->before_ms, 0, sizeof(silence->before_ms));
    }
    memset(silence->now_ms, 0, sizeof(silence->now_ms));
    silence->since_ms = now_ms;
}

static void keep(uint64_t longest_ms[2], uint64_t gap_ms)
{
    if (gap_ms > longest_ms[0]) {
        longest_ms[1] = longest_ms[0];
        longest_ms[0] = gap_ms;
    } else if (gap_ms > longest_ms[1]) {
        longest_ms[1] = gap_ms;
    }
}

void silence_note(struct silence *silence, uint64_t gap_ms, uint64_t now_ms,
                  uint64_t timeout_ms)
{
    turn_window(silence, now_ms, timeout_ms * SILENCE_WINDOW_TIMEOUTS);
    if (gap_ms <= timeout_ms * SILENCE_TIMEOUTS_MAX) {
        keep(silence->now_ms, gap_ms);
    }
}

uint64_t silence_timeout_ms(const struct silence *silence, uint64_t timeout_ms)
{
    uint64_t longest_ms[2] = {silence->now_ms[0], silence->now_ms[1]};
    uint64_t max_ms = timeout_ms * SILENCE_TIMEOUTS_MAX;
    uint64_t wanted_ms;

    keep(longest_ms, silence->before_ms[0]);
    keep(longest_ms, silence->before_ms[1]);
    wanted_ms = longest_ms[1] * SILENCE_FACTOR;
    if (wanted_ms <= timeout_ms) {
        return timeout_ms;
    }
    return wanted_ms < max_ms ? wanted_ms : max_ms;
}
