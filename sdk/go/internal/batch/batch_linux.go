// Package batch lets the threads of a worker wait for their turn: one that wakes interrupts no gateway thread in the middle of its own
// (docs/decisions/0024).
package batch

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const threads = "/proc/self/task"

// Join puts every thread of this process under SCHED_BATCH, and with them those that they will start. A thread that has another policy
// than the system's usual one keeps it, and where the system refuses, everything works without.
func Join() {
	// One that is started meanwhile may come from a thread that was not asked yet.
	for again := true; again; {
		again = false
		entries, err := os.ReadDir(threads)
		if err != nil {
			return
		}
		for _, entry := range entries {
			if id, err := strconv.Atoi(entry.Name()); err == nil && join(id) {
				again = true
			}
		}
	}
}

// join says whether it has changed anything.
func join(thread int) bool {
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return false
	}
	attr.Policy = unix.SCHED_BATCH
	return unix.SchedSetAttr(thread, attr, 0) == nil
}
