// SPDX-License-Identifier: Apache-2.0
// The boot mark: in which boot of the machine a node wrote commits that did not wait for the disk.
//
// What a process has written outlives it in the kernel; a machine that loses its power takes the
// last of it along. So who finds the mark of another boot may hold less than it has acknowledged.
// It lies beside the index's own files. Control loop only.
#pragma once

#include <stdbool.h>

#include "core/base/fault.h"

// False where there is none: whoever wrote there last has closed its files, or waits for the disk.
bool boot_mark_is_of_another(const char *directory);
must_use enum kr_err boot_mark_write(const char *directory, struct fault *fault); // of this boot
must_use enum kr_err boot_mark_remove(const char *directory, struct fault *fault);
