/* SPDX-License-Identifier: Apache-2.0
 * The one table of the functions that a member has: what they are called,
 * which request they make, where it is answered, the right that the caller
 * needs, and which arguments they take (docs/protocol.md, section 1). */
#ifndef QUORATE_API_FUNCTIONS_H
#define QUORATE_API_FUNCTIONS_H

#include "base/attr.h"
#include "base/bytes.h"
#include "security/role.h"

#include <stdint.h>

enum { API_ARITY_MAX = 4 };

/* What a call asks for. */
enum api_type {
    API_VERSION,
    API_STATUS, /* of quorate and of quorum_manager */
    API_MEMBERS,
    API_WORKERS,
    API_CREATE_SANDBOX,
    API_STOP_SANDBOX,
    API_SANDBOX,
    API_SANDBOXES,
    API_HAS_QUORUM,
    API_TOKEN,
    API_EXECUTE, /* execute_with_quorum */
    API_DETECT_PARTITION,
    API_PARTITION_REPORT,
    API_EXPECTED_NODES,
    API_SET_EXPECTED_NODES,
    API_SUBSCRIBE,
    API_UNSUBSCRIBE,
    API_REGISTER,
    API_UNREGISTER,
    API_WHEREIS,
    API_LOOKUP,
    API_NAMES,
    API_REPLICATE_STATE,
    API_RECOVER_STATE,
    API_GET_STATE,
    API_DELETE_STATE,
    API_REPLICAS,
    API_SELECT_OPTIMAL_NODE,
    API_SELECT,
    API_ADD_MEMBER,
    API_REMOVE_MEMBER,
    API_TRANSFER_LEADERSHIP,
    API_CONFLICTS,
    API_COPIES,
    API_COPY,
    API_RESTORE_COPY,
    API_DISCARD_COPY,
    API_RESOLVE_DUPLICATES,
    API_KEEP_COPY, /* this and the next: for agents */
    API_RESTORED,
    API_TYPES /* count */
};

/* Where it is answered. */
enum api_route {
    API_LOCAL,  /* here, from memory */
    API_READ,   /* here, at a linearizable point */
    API_LEADER, /* by the leader; others pass it on */
    API_STATE,  /* here, by asking replicas */
};

enum api_argument {
    API_ARG_NONE, /* the end of the list */
    API_ARG_ID,
    API_ARG_SPEC,
    API_ARG_EPOCH,
    API_ARG_STATE,
    API_ARG_NAME,
    API_ARG_PID,
    API_ARG_META,
    API_ARG_RESOURCES,
    API_ARG_OPTIONS,
    API_ARG_NODE,  /* NAME@HOST of a member */
    API_ARG_NODES, /* a list of them, of any kind */
    API_ARG_TOPIC, /* what to be told of: `partition` */
    API_ARG_REFERENCE,
    API_ARG_MFA,   /* {Module, Function, Args} */
    API_ARG_COPY,  /* the number of a conflict copy */
    API_ARG_ABOUT, /* a short term about one */
};

/* Keys of options maps, as bits: which ones a function takes. */
enum api_option {
    API_OPTION_TIMEOUT = 1 << 0,
    API_OPTION_RESOURCES = 1 << 1,
    API_OPTION_RF = 1 << 2,
    API_OPTION_MODE = 1 << 3,
    API_OPTION_DURABILITY = 1 << 4,
    API_OPTION_PROFILE = 1 << 5,
    API_OPTION_PRIORITY = 1 << 6,
    API_OPTION_CHECKPOINT = 1 << 7,
    API_OPTION_CONSISTENCY = 1 << 8,
    API_OPTION_LIMIT = 1 << 9,
    API_OPTION_AFTER = 1 << 10,
    API_OPTION_WORKER = 1 << 11,
    API_OPTION_SEQ = 1 << 12,
    API_OPTION_ADDRESS = 1 << 13,
    API_OPTION_REQUIRED = 1 << 14,
    API_OPTION_NODE = 1 << 15,
    API_OPTION_CONFLICT = 1 << 16,
    API_OPTION_HOW = 1 << 17,
    API_OPTION_RESTARTS = 1 << 18,
};

struct api_function {
    struct bytes module;
    struct bytes function;
    uint32_t arity;
    enum api_type type;
    enum api_route route;
    enum security_right right;
    uint8_t arguments[API_ARITY_MAX]; /* enum api_argument */
    uint32_t options;                 /* enum api_option, or-ed */
};

/* The function, or NULL. It is static. */
const struct api_function *api_lookup(struct bytes module,
                                      struct bytes function, uint32_t arity);

#endif
