// SPDX-License-Identifier: Apache-2.0
// The functions behind the commands; commands_table.c says which is which.
//
// Each prints its result on standard output, or an error with a hint on standard error, and
// returns the process's exit code. A secret value is printed by key_create, key_roll, key_reveal,
// token_create, consumer_create --with-key and consumer_roll --print-key, and by nothing else.
#pragma once

#include "client/spec.h"

spec_run_fn run_login, run_whoami, run_status;
spec_run_fn run_contexts_list, run_contexts_use, run_contexts_remove;
spec_run_fn run_bucket_list, run_bucket_show, run_bucket_create, run_bucket_update,
    run_bucket_delete, run_bucket_revoke;
spec_run_fn run_consumer_list, run_consumer_show, run_consumer_create, run_consumer_update,
    run_consumer_delete, run_consumer_revoke, run_consumer_roll;
spec_run_fn run_key_create, run_key_list, run_key_show, run_key_update, run_key_roll,
    run_key_revoke, run_key_reveal, run_key_verify, run_key_delete;
spec_run_fn run_manager_list, run_manager_add, run_manager_remove;
spec_run_fn run_token_list, run_token_create, run_token_delete;
spec_run_fn run_receipt, run_audit, run_import, run_export;
spec_run_fn run_cluster_init, run_cluster_status, run_promote;
spec_run_fn run_vault_rotate;
spec_run_fn run_node_add, run_node_list, run_node_remove;
spec_run_fn run_completion, run_man, run_help;
