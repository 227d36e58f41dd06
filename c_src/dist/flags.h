/* SPDX-License-Identifier: Apache-2.0
 * Capability flags of the distribution protocol (erts: erl_dist_protocol,
 * "Distribution Flags"). */
#ifndef QUORATE_DIST_FLAGS_H
#define QUORATE_DIST_FLAGS_H

#include <stdint.h>

#define DIST_FLAG_PUBLISHED           UINT64_C(0x1)
#define DIST_FLAG_EXTENDED_REFERENCES UINT64_C(0x4)
#define DIST_FLAG_DIST_MONITOR        UINT64_C(0x8)
#define DIST_FLAG_FUN_TAGS            UINT64_C(0x10)
#define DIST_FLAG_DIST_MONITOR_NAME   UINT64_C(0x20)
#define DIST_FLAG_NEW_FUN_TAGS        UINT64_C(0x80)
#define DIST_FLAG_EXTENDED_PIDS_PORTS UINT64_C(0x100)
#define DIST_FLAG_EXPORT_PTR_TAG      UINT64_C(0x200)
#define DIST_FLAG_BIT_BINARIES        UINT64_C(0x400)
#define DIST_FLAG_NEW_FLOATS          UINT64_C(0x800)
#define DIST_FLAG_SMALL_ATOM_TAGS     UINT64_C(0x4000)
#define DIST_FLAG_UTF8_ATOMS          UINT64_C(0x10000)
#define DIST_FLAG_MAP_TAG             UINT64_C(0x20000)
#define DIST_FLAG_BIG_CREATION        UINT64_C(0x40000)
#define DIST_FLAG_SEND_SENDER         UINT64_C(0x80000)
#define DIST_FLAG_EXIT_PAYLOAD        UINT64_C(0x400000)
#define DIST_FLAG_HANDSHAKE_23        UINT64_C(0x1000000)
#define DIST_FLAG_UNLINK_ID           UINT64_C(0x2000000)
#define DIST_FLAG_MANDATORY_25_DIGEST UINT64_C(0x4000000)
#define DIST_FLAG_NAME_ME             (UINT64_C(1) << 33)
#define DIST_FLAG_SPAWN               (UINT64_C(1) << 32)
#define DIST_FLAG_V4_NC               (UINT64_C(1) << 34)
#define DIST_FLAG_ALIAS               (UINT64_C(1) << 35)
#define DIST_FLAG_ALTACT_SIG          (UINT64_C(1) << 37)

/* What every peer of OTP 25 or later has; a peer without is refused. */
#define DIST_FLAGS_MANDATORY                                           \
    (DIST_FLAG_EXTENDED_REFERENCES | DIST_FLAG_FUN_TAGS |              \
     DIST_FLAG_NEW_FUN_TAGS | DIST_FLAG_EXTENDED_PIDS_PORTS |          \
     DIST_FLAG_EXPORT_PTR_TAG | DIST_FLAG_BIT_BINARIES |               \
     DIST_FLAG_NEW_FLOATS | DIST_FLAG_UTF8_ATOMS | DIST_FLAG_MAP_TAG | \
     DIST_FLAG_BIG_CREATION | DIST_FLAG_HANDSHAKE_23)

/* What we offer: 0x2d074f4fbc. */
#define DIST_FLAGS_OFFERED                                                  \
    (DIST_FLAGS_MANDATORY | DIST_FLAG_DIST_MONITOR |                        \
     DIST_FLAG_DIST_MONITOR_NAME | DIST_FLAG_SMALL_ATOM_TAGS |              \
     DIST_FLAG_SEND_SENDER | DIST_FLAG_EXIT_PAYLOAD | DIST_FLAG_UNLINK_ID | \
     DIST_FLAG_MANDATORY_25_DIGEST | DIST_FLAG_SPAWN | DIST_FLAG_V4_NC |    \
     DIST_FLAG_ALIAS | DIST_FLAG_ALTACT_SIG)

#endif
