/* SPDX-License-Identifier: Apache-2.0
 * The gate for terms from peers. A term may be looked at while it arrives:
 * each step goes on where the last one stopped, so that no step is longer than
 * its caller wants, however large the term is.
 *
 *   etf_validator_init()
 *   etf_validator_step(what is there, size of the whole)   not done: again,
 *   etf_validator_step(what is there, size of the whole)   with more or the
 *   ...                                                    same bytes */
#ifndef QUORATE_ETF_VALIDATE_H
#define QUORATE_ETF_VALIDATE_H

#include "base/attr.h"
#include "base/bytes.h"
#include "etf/limits.h"
#include "etf/spans.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An open container. */
struct etf_frame {
    size_t mark;   /* of a fun: where it says that it ends; of what may be
                      noted: where it begins; else 0 */
    uint32_t left; /* elements not yet seen */
    bool is_list;  /* its last element is the tail */
    bool is_fun;
};

/* No pointers into the bytes: they may move from step to step. */
struct etf_validator {
    struct etf_limits limits;
    struct etf_spans *spans; /* borrowed; where long terms in it are noted;
                                NULL: nowhere */
    size_t size;      /* bytes of the term that were seen; once it is done,
                         the size of the term */
    uint64_t pending; /* elements not yet seen, all frames */
    uint64_t count;   /* elements announced so far */
    uint32_t depth;   /* frames in use */
    struct etf_frame frames[ETF_DEPTH_MAX]; /* need no first value */
};

void etf_validator_init(struct etf_validator *validator,
                        const struct etf_limits *limits);

/* Goes on with a raw term of which the bytes `arrived` are there, from its
 * first one on; in all there will be `size_all`, of which the term may be only
 * the beginning. Looks at `work_max` elements at most. 0 with `*ret_is_done`:
 * false means that the work or the bytes came to an end. The errors are those
 * that etf_validate() has for the whole. */
int etf_validator_step(struct etf_validator *validator, struct bytes arrived,
                       size_t size_all, size_t work_max,
                       bool *ret_is_done) MUST_USE;

#endif
