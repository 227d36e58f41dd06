/* SPDX-License-Identifier: Apache-2.0
 * The version of this build; erl/quorate.app.src has the same. */
#ifndef QUORATE_NODE_VERSION_H
#define QUORATE_NODE_VERSION_H

#define QUORATE_VERSION "0.1.0"

#endif
