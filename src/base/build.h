/* SPDX-License-Identifier: BSD-3-Clause */
/* How this library was built: what configure found, and what the absence of
 * each optional part costs. */
#ifndef BUILD_H
#define BUILD_H

struct build_fact { const char *name, *value; };

extern const struct build_fact build_facts[];      /* ended by a fact without a name */

#endif
