// SPDX-License-Identifier: Apache-2.0
// What can be broken on purpose, at the simulated edge of the product: to show that the check finds
// it. Each row: name, the invariants of CONTRIBUTING.md that it may break, what is done. Of each
// invariant one row at least names it alone, so that no check stands in for another one's.
#pragma once

#define KR_SIM_BREAKS(X)                                                                           \
    X(CACHED_TURN_TIME, "cached-turn-time", "ab",                                                  \
      "answers are judged by the time of the last turn")                                           \
    X(LATE_LEASE, "late-lease", "ab",                                                              \
      "answers are judged by a lease that came behind the look-up")                                \
    X(RELAY_OWN_LEASE, "relay-own-lease", "ab", "a relay grants a whole window of its own")        \
    X(EARLY_LEASE, "early-lease", "ab", "a lease takes effect before its index is applied")        \
    X(SILENT_PASSED_OVER, "silent-passed-over", "a", "receipts pass over nodes that are silent")   \
    X(FORMER_PASSED_OVER, "former-passed-over", "a", "receipts pass over the leader before")       \
    X(FORMER_BOUND_UNASKED, "former-bound-unasked", "a",                                           \
      "receipts go by a bound that was lowered since")                                             \
    X(REPORTS_FORGET, "reports-forget", "a", "a relay's Ack says nothing of who is below it")      \
    X(ENDLESS_VALIDITY, "endless-validity", "b", "a leader takes its validity to be endless")      \
    X(ACK_BEFORE_SYNC, "ack-before-sync", "ce", "a write is acknowledged before it is synced")     \
    X(TRIM_UNFLUSHED, "trim-unflushed", "cg",                                                      \
      "the log is trimmed by what is applied, not by what a power cut leaves")                     \
    X(NO_EPOCH_GUARD, "no-epoch-guard", "c", "an append does not ask for its epoch")               \
    X(NO_ABSENCE_GUARD, "no-absence-guard", "ce",                                                  \
      "an append that nobody answered is given up, and the next one overwrites what is there")     \
    X(GUESSED_APPEND, "guessed-append", "ce", "an append that nobody answered is taken for done")  \
    X(BLIND_TAKE_OVER, "blind-take-over", "abce", "a winner does not read the log's tail")         \
    X(UNASKED_LEADER, "unasked-leader", "abce",                                                    \
      "who led when it stopped leads again without asking who leads now")                          \
    X(OLD_SNAPSHOT, "old-snapshot", "abde", "a snapshot of old rows goes as a new one, unchecked") \
    X(REVIVED_BY_WRITE, "revived-by-write", "d",                                                   \
      "whoever writes a revoked key revives it, everywhere")                                       \
    X(MARKS_UNREAD, "marks-unread", "d", "a consumer's revocation is not asked for its keys")      \
    X(UNDOUBTED_START, "undoubted-start", "d",                                                     \
      "what a power cut has left is taken for all there was")                                      \
    X(CARRIED_LEASE, "carried-lease", "d",                                                         \
      "a process goes on with the lease of the one before it")                                     \
    X(CHAIN_UNCHECKED, "chain-unchecked", "e", "chains are not compared")                          \
    X(DIGESTS_DROPPED, "digests-dropped", "ef", "state digests are not compared")                  \
    X(UNFIT_STANDS, "unfit-stands", "f", "who knows that its state is wrong leads all the same")   \
    X(NO_RESIGNING, "no-resigning", "h", "who cannot lead keeps the leadership")                   \
    X(DIGESTS_ALTERED, "digests-altered", "i", "state digests are altered on their way")           \
    X(NO_RETRY, "no-retry", "g", "a link that was lost is not made again")                         \
    X(SLOW_BLOCKS, "slow-blocks", "h", "a slow child stops its upstream")

enum sim_break {
    KR_SIM_SOUND,
#define X(name, text, letters, what) KR_SIM_##name,
    KR_SIM_BREAKS(X)
#undef X
        KR_SIM_BREAK_COUNT
};
