// SPDX-License-Identifier: Apache-2.0
// What an error of the engine or of the state means: to who has submitted, and to the process.
#pragma once

#include <stdbool.h>

#include "core/base/err.h"

// Behind an error of the disk nobody can say whether the bytes will be there after a restart:
// TIMEOUT, the write's fate is not known.
enum kr_err fate_of(enum kr_err err);
bool fate_is_survivable(enum kr_err err); // the process may go on
