// SPDX-License-Identifier: Apache-2.0
// Every command of keyreeve, one row each.
#include "client/spec.h"

#include "client/run.h"

#define O(name) KR_OPT_BIT(name)
#define PAGE (O(LIMIT) | O(OFFSET) | O(ALL))
#define RECEIPT (O(REASON) | O(WAIT) | O(WAIT_MS))
#define LABELS (O(DESCRIPTION) | O(TAG))
#define BUCKET_RULES                                                                               \
    (LABELS | O(KEY_PREFIX) | O(EXPIRY_DAYS) | O(MAX_STALENESS) | O(METADATA_LIMIT) |              \
     O(DELETE_PROTECTION))

#define BY_ID                                                                                      \
    "CONSUMER may be left out: the key's id finds it in the bucket, whoever it belongs to."
#define DESTROYS "Asks first on a terminal; anywhere else it wants --yes."
#define PRINTS_KEY                                                                                 \
    "The value goes to standard output, alone, and everything about it to standard error, so "     \
    "that "                                                                                        \
    "KEY=$(keyreeve ...) works. It is shown this once unless the bucket is retrievable."

const struct spec_group spec_groups[] = {
    {"contexts", "stored logins"},
    {"bucket", "buckets: the sets of keys that validate together"},
    {"consumer", "consumers: those who hold keys"},
    {"key", "API keys"},
    {"manager", "people who may manage a consumer's keys"},
    {"token", "management tokens"},
    {"cluster", "a cluster of nodes"},
    {"node", "the nodes of a cluster"},
    {"vault", "the sealed values of retrievable buckets"},
};
const size_t spec_group_count = sizeof(spec_groups) / sizeof(spec_groups[0]);

const struct spec_command spec_commands[] = {
    {NULL, "login", "[URL]", KR_NEED_NOTHING, O(NAME),
     "Store a node's URL and a token for later commands",
     "Asks for the URL and the token (which is not shown), checks both with the node and stores "
     "them in ~/.config/keyreeve/contexts.json, readable by its owner alone. The token can also "
     "come from --token-file, from standard input, or from KEYREEVE_TOKEN. A later login to the "
     "same URL keeps the context's default bucket.",
     "keyreeve login http://127.0.0.1:7400 --token-file data/owner-token", run_login},
    {NULL, "whoami", "", KR_NEED_TOKEN, 0, "Show whose token this is, and what it may do", NULL,
     "keyreeve whoami", run_whoami},
    {NULL, "promote", "", KR_NEED_TOKEN, O(OLD_LEADER_IS_DOWN),
     "Make the standby at --url the leader (engine local)",
     "Without etcd nobody can say whether the old leader is down but you. If it is not, both "
     "accept "
     "writes, and one's are lost: stop it, and keep it from starting again, first. It refuses to "
     "lead once it hears of the new one. Asks on a terminal for the words, anywhere else it wants "
     "--old-leader-is-down.",
     "keyreeve promote --url http://core-2:7400 --old-leader-is-down", run_promote},
    {NULL, "status", "", KR_NEED_URL, 0, "Show whether the node serves, and the cluster's nodes",
     "Exits with 0 when the node is ready, 1 when it runs but does not serve yet, 5 when it cannot "
     "be reached. The nodes are shown to a token that the node takes.",
     "keyreeve status --url http://127.0.0.1:7400", run_status},
    {"contexts", "list", "", KR_NEED_NOTHING, 0, "List the stored logins", NULL,
     "keyreeve contexts list", run_contexts_list},
    {"contexts", "use", "NAME", KR_NEED_NOTHING, 0, "Make a stored login the current one",
     "With --bucket or --account, stores that as the context's default as well.",
     "keyreeve contexts use staging --bucket preview", run_contexts_use},
    {"contexts", "remove", "NAME", KR_NEED_NOTHING, 0, "Forget a stored login",
     "The token itself stays valid: keyreeve token delete ends it.",
     "keyreeve contexts remove staging", run_contexts_remove},

    {"bucket", "list", "", KR_NEED_TOKEN, PAGE, "List the buckets", NULL, "keyreeve bucket list",
     run_bucket_list},
    {"bucket", "show", "NAME", KR_NEED_TOKEN, 0, "Show a bucket", NULL,
     "keyreeve bucket show production", run_bucket_show},
    {"bucket", "create", "NAME", KR_NEED_TOKEN, BUCKET_RULES | O(ENVIRONMENT) | O(RETRIEVABLE),
     "Create a bucket",
     "A name has 3 to 128 of a-z, 0-9, _ and -. The environment, and whether values can be shown "
     "again (--retrievable), cannot be changed later.",
     "keyreeve bucket create partners --environment production --default-expiry-days 365",
     run_bucket_create},
    {"bucket", "update", "NAME", KR_NEED_TOKEN, BUCKET_RULES, "Change a bucket",
     "Only what is given is changed.", "keyreeve bucket update partners --delete-protection on",
     run_bucket_update},
    {"bucket", "delete", "NAME", KR_NEED_TOKEN, O(YES),
     "Delete a bucket with its consumers and keys", DESTROYS, "keyreeve bucket delete partners",
     run_bucket_delete},
    {"bucket", "revoke", "NAME", KR_NEED_TOKEN, RECEIPT | O(YES),
     "Revoke every key of a bucket at once", "One record revokes them all. " DESTROYS,
     "keyreeve bucket revoke partners --reason keyCompromise --wait", run_bucket_revoke},

    {"consumer", "list", "", KR_NEED_BUCKET, PAGE | O(PREFIX) | O(TAG), "List a bucket's consumers",
     "With --tag, only those that carry the tag.",
     "keyreeve consumer list --bucket production --prefix acme", run_consumer_list},
    {"consumer", "show", "CONSUMER", KR_NEED_BUCKET, 0, "Show a consumer", NULL,
     "keyreeve consumer show acme --bucket production", run_consumer_show},
    {"consumer", "create", "NAME", KR_NEED_BUCKET, LABELS | O(METADATA) | O(WITH_KEY),
     "Create a consumer", "A name has 1 to 128 of a-z, 0-9, _ and -, and is not - alone.",
     "keyreeve consumer create acme --metadata '{\"plan\":\"gold\"}' --bucket production",
     run_consumer_create},
    {"consumer", "update", "CONSUMER", KR_NEED_BUCKET, LABELS | O(METADATA), "Change a consumer",
     "Only what is given is changed.",
     "keyreeve consumer update acme --metadata '{\"plan\":\"silver\"}' --bucket production",
     run_consumer_update},
    {"consumer", "delete", "CONSUMER", KR_NEED_BUCKET, O(YES), "Delete a consumer with its keys",
     DESTROYS, "keyreeve consumer delete acme --bucket production", run_consumer_delete},
    {"consumer", "revoke", "CONSUMER", KR_NEED_BUCKET, RECEIPT | O(YES),
     "Revoke every key of a consumer at once", DESTROYS,
     "keyreeve consumer revoke acme --wait --bucket production", run_consumer_revoke},
    {"consumer", "roll", "CONSUMER", KR_NEED_BUCKET, O(EXPIRES) | O(PRINT_KEY),
     "Replace a consumer's keys by one new key",
     "The keys there are stop working at --expires (default: in 7 days; never is refused); a new "
     "one is made. "
     "--print-key prints its value.",
     "keyreeve consumer roll acme --expires 24h --bucket production", run_consumer_roll},

    {"key", "create", "CONSUMER", KR_NEED_BUCKET,
     LABELS | O(METADATA) | O(EXPIRES) | O(NOT_BEFORE) | O(SCOPE) | O(IP_ALLOW) | O(KEY_FILE) |
         O(KEY_SHA256) | O(LAST4),
     "Create a key and print its value",
     PRINTS_KEY " --key-file imports a value that is in use already, --key-sha256 one of which "
                "only the digest is known.",
     "keyreeve key create acme --description \"CI\" --expires 90d --bucket production",
     run_key_create},
    {"key", "list", "CONSUMER", KR_NEED_BUCKET, PAGE | O(STATUS), "List a consumer's keys", NULL,
     "keyreeve key list acme --bucket production", run_key_list},
    {"key", "show", "[CONSUMER] KEY-ID", KR_NEED_BUCKET, 0, "Show a key, without its value", BY_ID,
     "keyreeve key show key_1oUEpDKUQFKy5Fyd1QdRwSxl --bucket production", run_key_show},
    {"key", "update", "[CONSUMER] KEY-ID", KR_NEED_BUCKET, O(DESCRIPTION) | O(EXPIRES) | O(ENABLED),
     "Change a key", "Only what is given is changed. " BY_ID,
     "keyreeve key update acme key_1oUEpDKUQFKy5Fyd1QdRwSxl --enabled false --bucket production",
     run_key_update},
    {"key", "roll", "CONSUMER", KR_NEED_BUCKET, O(EXPIRES),
     "Replace a consumer's keys by one new key and print its value",
     "The keys there are stop working at --expires (default: in 7 days; never is "
     "refused). " PRINTS_KEY,
     "keyreeve key roll acme --expires 24h --bucket production", run_key_roll},
    {"key", "revoke", "[CONSUMER] KEY-ID", KR_NEED_BUCKET, RECEIPT, "Revoke a key",
     "Prints the receipt: with --wait one row for each node, and when it knew. " BY_ID,
     "keyreeve key revoke key_1oUEpDKUQFKy5Fyd1QdRwSxl --reason keyCompromise --wait everywhere "
     "--bucket production",
     run_key_revoke},
    {"key", "reveal", "[CONSUMER] KEY-ID", KR_NEED_BUCKET, 0,
     "Print a key's value (retrievable buckets only; audited)", BY_ID,
     "keyreeve key reveal acme key_1oUEpDKUQFKy5Fyd1QdRwSxl --bucket production", run_key_reveal},
    {"key", "verify", "", KR_NEED_URL,
     O(KEY_FILE) | O(SCOPE) | O(IP) | O(MIN_INDEX) | O(EXPLAIN) | O(BENCH) | O(NODES) | O(CERT) |
         O(CERT_KEY),
     "Ask the node whether a key is good",
     "Reads the key from standard input, or asks for it on a terminal without showing it. Exits "
     "with 6 when the key is not valid, and with 7 when the node cannot tell. With a bucket, from "
     "--bucket, KEYREEVE_BUCKET or the "
     "stored login, the key must be of that bucket. --bench "
     "asks as gateways with libkeyreeve do, 64 "
     "questions in flight, for so many seconds.",
     "keyreeve key verify --scope orders:read < key.txt", run_key_verify},
    {"key", "delete", "[CONSUMER] KEY-ID", KR_NEED_BUCKET, O(YES) | O(WAIT) | O(WAIT_MS),
     "Revoke a key for good; it stays listed as revoked while it is kept", DESTROYS " " BY_ID,
     "keyreeve key delete acme key_1oUEpDKUQFKy5Fyd1QdRwSxl --yes --bucket production",
     run_key_delete},

    {"manager", "list", "CONSUMER", KR_NEED_BUCKET, PAGE, "List a consumer's managers", NULL,
     "keyreeve manager list acme --bucket production", run_manager_list},
    {"manager", "add", "CONSUMER EMAIL", KR_NEED_BUCKET, O(SUB),
     "Let someone manage a consumer's keys", "Without --sub it is an invite.",
     "keyreeve manager add acme ada@example.com --bucket production", run_manager_add},
    {"manager", "remove", "CONSUMER MANAGER-ID", KR_NEED_BUCKET, O(YES), "Remove a manager",
     DESTROYS, "keyreeve manager remove acme eusr_1oUEpDKUQFKy5Fyd1QdRwSxl --bucket production",
     run_manager_remove},

    {"token", "list", "", KR_NEED_TOKEN, PAGE, "List the management tokens", NULL,
     "keyreeve token list", run_token_list},
    {"token", "create", "LABEL", KR_NEED_TOKEN,
     O(ROLE) | O(ALLOW_BUCKET) | O(ENVIRONMENT) | O(EXPIRES),
     "Create a management token and print its value",
     "Roles: owner (all), admin (all but tokens and buckets), developer (read, roll, reveal), "
     "viewer (read). The default is viewer. " PRINTS_KEY,
     "keyreeve token create ci --role developer --expires 90d | install -m 600 /dev/stdin ci.token",
     run_token_create},
    {"token", "delete", "TOKEN-ID", KR_NEED_TOKEN, O(YES), "End a management token", DESTROYS,
     "keyreeve token delete key_1oUEpDKUQFKy5Fyd1QdRwSxl", run_token_delete},

    {"cluster", "init", "[CLUSTER-ID]", KR_NEED_NOTHING, O(OUT),
     "Make a cluster's id, CA and master key",
     "Writes ca.pem, ca-key.pem and master-key into the directory --out, which must be new or "
     "empty; "
     "keyreeve node add makes each node's certificate from it. Whoever has ca-key.pem can add "
     "nodes, "
     "and the master key opens sealed values: keep the directory offline, and a copy of it.\n"
     "With CLUSTER-ID it is for a cluster that there is already: one whose node was started "
     "without "
     "a certificate, or one that changes its CA. No master key is made then: put the cluster's own "
     "there.",
     "keyreeve cluster init --out cluster", run_cluster_init},

    {"cluster", "status", "", KR_NEED_TOKEN, O(WATCH),
     "Show the cluster's nodes, and how fresh each is",
     "The leader's view where there is one, else that of the node at --url. LAG is the age of what "
     "a node knows, LEASE how much longer it may answer by it, RTT the way to its upstream.",
     "keyreeve cluster status --watch", run_cluster_status},

    {"node", "list", "", KR_NEED_TOKEN, 0, "List the nodes of the cluster", NULL,
     "keyreeve node list", run_node_list},
    {"node", "remove", "NAME", KR_NEED_TOKEN, O(YES), "Remove a node from the cluster",
     "Its certificate is refused from then on. " DESTROYS, "keyreeve node remove fra-1",
     run_node_remove},
    {"node", "add", "NAME", KR_NEED_NOTHING, O(DIR) | O(REGION) | O(NODE_ROLE) | O(DAYS) | O(RENEW),
     "Make a node's certificate, or renew it",
     "Writes DIR/NAME/node.pem (certificate, key and CA certificate) and, for a core node, a copy "
     "of "
     "the master key: what that machine needs, and nothing more. Names and regions have 1 to 63 of "
     "a-z, 0-9 and -. With --renew, region and role stay as they are.",
     "keyreeve node add fra-1 --dir cluster --region fra --role core", run_node_add},

    {"vault", "rotate", "", KR_NEED_TOKEN, 0,
     "Seal every kept value again, under the newest master key",
     "First give all core nodes a master key with a new last line (VERSION:64 hex digits, a "
     "VERSION above the others) and restart them one by one. From the first step on new values are "
     "sealed "
     "under it, and those there are follow, some at a time, while the nodes serve. When it is done "
     "the older lines may go. Interrupted, the same command goes on. With --json, one line a step.",
     "keyreeve vault rotate", run_vault_rotate},

    {NULL, "receipt", "INDEX", KR_NEED_TOKEN, 0, "Show a revocation's receipt again",
     "INDEX is the number that the revocation printed. Receipts are kept for 30 days.",
     "keyreeve receipt 4711", run_receipt},
    {NULL, "audit", "", KR_NEED_TOKEN,
     PAGE | O(ACTION) | O(ACTOR) | O(SINCE) | O(UNTIL) | O(SUCCESS), "Show who did what",
     "Newest first. Without --since, the 30 days before --until.",
     "keyreeve audit --action key.create --since 7d", run_audit},
    {NULL, "import", "FILE", KR_NEED_TOKEN,
     O(DRY_RUN) | O(REPORT) | O(STATE) | O(RESTART) | O(CONCURRENCY) | O(BATCH),
     "Import consumers and keys from JSON Lines",
     "One object a line: {\"bucket\"?, \"consumer\" (name or id), \"key\" or \"keyHash\", "
     "\"description\"?, \"expiresOn\"?, \"notBefore\"?, \"enabled\"?, \"scopes\"?, \"ipAllow\"?, "
     "\"tags\"?, \"metadata\"?, \"consumerMetadata\"?, \"consumerTags\"?, "
     "\"consumerDescription\"?}; keyHash is {\"algorithm\":\"sha256\", "
     "\"value\": hex or base64, \"last4\"?}. Rows without a bucket go to --bucket. Consumers that "
     "do not exist are created. A row whose key its consumer has already counts as existing.\n"
     "Every row stands or falls alone: refused ones go to --report with line number and reason, "
     "and the command exits with 1. When it is interrupted or the node goes away, the same "
     "command continues where it stopped. Progress is kept beside FILE, or where --state says, "
     "from "
     "before the first row on. FILE - reads standard input, and then progress is kept only with "
     "--state.\n"
     "--dry-run asks no node. So it cannot tell whether buckets, and consumers that are named by "
     "their ids, exist, whether a value is in use already, what its bucket allows of metadata "
     "below 16384 bytes, and when a key expires that only its bucket's default ends. That two "
     "consumers have the same value is seen among the first 16,777,216.",
     "keyreeve import keys.jsonl --bucket production --report refused.jsonl", run_import},
    {NULL, "export", "[BUCKET...]", KR_NEED_TOKEN, O(OUT),
     "Write buckets, consumers and keys as JSON Lines",
     "One object a line with a \"type\" of bucket, consumer or key. Values of keys are never "
     "exported, nor their digests, only their masked form: so it is no backup, and import takes a "
     "key's line only when its key or keyHash is put in, and what import does not know left out. "
     "Without BUCKET, all buckets. A file of --out takes its place when it is whole; a device or a "
     "pipe is written to as the lines come.",
     "keyreeve export production --out production.jsonl", run_export},

    {NULL, "completion", "bash|zsh|fish", KR_NEED_NOTHING, 0,
     "Print a completion script for a shell", NULL,
     "keyreeve completion bash > /etc/bash_completion.d/keyreeve", run_completion},
    {NULL, "man", "[COMMAND...]", KR_NEED_NOTHING, 0, "Print a manual page (troff)", NULL,
     "keyreeve man key create | man -l -", run_man},
    {NULL, "help", "[COMMAND...]", KR_NEED_NOTHING, 0, "Show help for a command", NULL,
     "keyreeve help key create", run_help},
};
const size_t spec_command_count = sizeof(spec_commands) / sizeof(spec_commands[0]);
