// SPDX-License-Identifier: Apache-2.0
// Which of the process's threads the kernel runs first where there are fewer cores than work.
//
// It needs no privilege. What the kernel does not know (a slice of a thread's own: before Linux
// 6.12) or does not allow stays as it was, which makes a node slower under load and changes nothing
// else. Each node's threads are set against each other; autogroups and control groups still divide
// the machine between processes (sched(7)).
#pragma once

enum priority {
    KR_PRIORITY_ANSWERS, // it answers validations: runs as soon as it has something to do
    KR_PRIORITY_ORDERS,  // it puts changes in order: a third of the weight, drives nobody out
    KR_PRIORITY_WORK,    // it prepares or files changes: a tenth of the weight, drives nobody out
    KR_PRIORITY_SPIN     // it spins while it waits for others: whoever wakes runs at once
};

// Of the calling thread, and of those that it starts from now on (but of who spins: these are as if
// nothing had been asked). A thread that is lower already (it was started with nice(1)) is not
// raised.
void priority_take(enum priority priority);
