// SPDX-License-Identifier: Apache-2.0
// Telling the service manager (systemd's sd_notify(3)); no-ops where there is none.
#pragma once

void notify_ready(const char *status);
void notify_status(const char *status);
void notify_stopping(void);
