/* SPDX-License-Identifier: Apache-2.0 */
#include "io/coalesce.h"

enum { NS_PER_S = 1000 * 1000 * 1000, PERCENT = 100 };

/* In percent of the rate without waiting. */
enum {
    FIRST_MIN = 50, /* of the first wait of a try, which is a small sample */
    TRY_MIN = 85,
    KEPT_MIN = 50 /* noise shall not end what was found good */
};

static void begin(struct coalesce *coalesce, enum coalesce_mode mode,
                  uint64_t now_ns)
{
    coalesce->mode = mode;
    coalesce->turns = 0;
    coalesce->frames = 0;
    coalesce->since_ns = now_ns;
}

static uint64_t rate_of(const struct coalesce *coalesce, uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns - coalesce->since_ns;

    return coalesce->frames * NS_PER_S / (elapsed_ns == 0 ? 1 : elapsed_ns);
}

void coalesce_init(struct coalesce *coalesce, uint64_t now_ns)
{
    *coalesce = (struct coalesce){.turns_wanted = COALESCE_TURNS_MIN};
    begin(coalesce, COALESCE_OFF, now_ns);
}

static bool turn_off(struct coalesce *coalesce, uint64_t now_ns)
{
    if (coalesce->turns < coalesce->turns_wanted) {
        return false;
    }
    coalesce->rate = rate_of(coalesce, now_ns);
    begin(coalesce,
          coalesce->rate < COALESCE_FRAMES_S_MIN ? COALESCE_OFF
                                                 : COALESCE_TRYING,
          now_ns);
    return coalesce->mode == COALESCE_TRYING;
}

static bool turn_trying(struct coalesce *coalesce, uint64_t now_ns)
{
    uint64_t share = rate_of(coalesce, now_ns) * PERCENT / coalesce->rate;

    if (share < (coalesce->turns < COALESCE_TRY_WAITS ? FIRST_MIN : TRY_MIN)) {
        coalesce->turns_wanted *=
            coalesce->turns_wanted < COALESCE_TURNS_MAX ? 2 : 1;
        begin(coalesce, COALESCE_OFF, now_ns);
        return false;
    }
    if (coalesce->turns == COALESCE_TRY_WAITS) {
        coalesce->turns_wanted = COALESCE_TURNS_MIN;
        coalesce->kept = 0;
        begin(coalesce, COALESCE_ON, now_ns);
    }
    return true;
}

static bool turn_on(struct coalesce *coalesce, uint64_t now_ns)
{
    uint64_t share;

    if (coalesce->turns < COALESCE_TRY_WAITS) {
        return true;
    }
    share = rate_of(coalesce, now_ns) * PERCENT / coalesce->rate;
    coalesce->kept += coalesce->turns;
    begin(coalesce,
          share < KEPT_MIN || coalesce->kept >= COALESCE_KEPT_WAITS
              ? COALESCE_OFF
              : COALESCE_ON,
          now_ns);
    return coalesce->mode == COALESCE_ON;
}

bool coalesce_turn(struct coalesce *coalesce, size_t frames, uint64_t now_ns)
{
    coalesce->turns++;
    coalesce->frames += frames;
    switch (coalesce->mode) {
    case COALESCE_OFF:
        return turn_off(coalesce, now_ns);
    case COALESCE_TRYING:
        return turn_trying(coalesce, now_ns);
    case COALESCE_ON:
        return turn_on(coalesce, now_ns);
    }
    return false;
}
