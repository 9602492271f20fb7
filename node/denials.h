// SPDX-License-Identifier: Apache-2.0
// Denials in the audit trail: one row a minute for each token and route, so that whoever is denied
// in a loop does not fill the log; each row says how many before it had none.
//
// Bounded: the pair that was told longest ago makes room. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct denials;

struct denials *denials_new(void); // gives
void denials_free(struct denials **denials);
// A token was denied a route, whose name it keeps. True: this denial has a row, and *left_out is
// how many had none since the last one. now_ms: wall clock.
bool denials_tell(struct denials *denials, const char *token_id, const char *route, int64_t now_ms,
                  uint64_t *left_out);
// The row could not be written: the next denial has one.
void denials_untell(struct denials *denials, const char *token_id, const char *route);
uint64_t denials_left_out(struct denials *denials); // of all, since the start
