// SPDX-License-Identifier: Apache-2.0
// The directories around the one in use, and how a finished snapshot takes its place.
//
// <directory>.parts  an import under way: sorted tables and `progress`
// <directory>.next   the database made of them; whole once `ready` is in it
// <directory>.old    the one that it replaces, on its way out
//
// At any moment one whole database is there, under a name that store_switch knows. No store is
// open.
#pragma once

#include "core/base/fault.h"

enum store_place { KR_PLACE_PARTS, KR_PLACE_NEXT, KR_PLACE_OLD };

// A path of `name` in the place (NULL: the place itself); free with mem_free.
char *store_place_path(const char *directory, enum store_place place, const char *name);
// Says that the next directory is whole.
must_use enum kr_err store_switch_mark(const char *directory, struct fault *fault);
// Removes a finished snapshot, so that nothing takes the directory's place.
must_use enum kr_err store_switch_drop(const char *directory, struct fault *fault);
// Puts a finished snapshot in the directory's place, and removes what is left of earlier ones.
must_use enum kr_err store_switch(const char *directory, struct fault *fault);
