// SPDX-License-Identifier: Apache-2.0
// What a node does because it leads: makes the cluster where there is none, says in the log that it
// leads, and takes other nodes in as members.
//
// Control loop only.
#pragma once

#include "node/node.h"

struct leading;

struct leading *leading_new(struct node *node); // gives; keeps node
void leading_free(struct leading **leading);    // the replica is closed
// Sees to what a leadership begins with; each turn.
void leading_turn(struct leading *leading);
// Puts the member into the state, unless it stands there like this, was removed, or this node does
// not lead. Of one that stands there the addresses alone may change. Texts are borrowed.
void leading_enlist(struct leading *leading, const struct member *member);
