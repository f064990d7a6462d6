package ffi

import "iter"

// warm is how many threads of the host have a goroutine of their own that is kept. A pool that grows because a library does not
// return loses its threads again, and what is kept for one is never given back.
const warm = 16

// aside is where callbacks run that a thread of the host waits for: on another goroutine, which takes that thread over. It costs a
// fraction of a microsecond. What ends its goroutine (runtime.Goexit) ends that one: the thread's own is the host's, and its end
// would be the process's.
type aside struct {
	next func() (bool, bool)
	stop func()
	work func()
}

// asides belong each to the thread of its number.
var asides [warm + 1]*aside

// runAside runs fn and says whether it has returned. thread counts those of the host from 1.
func runAside(thread uint32, fn func()) (returned bool) {
	var a *aside
	kept := thread > 0 && thread <= warm
	if kept {
		a, asides[thread] = asides[thread], nil // until it is free again
	}
	if a == nil {
		a = newAside()
	}
	a.work = fn
	switch returned, _ = a.next(); {
	case returned && kept:
		asides[thread] = a
	case returned:
		a.stop() // else its goroutine waits for more for ever
	}
	return returned
}

func newAside() *aside {
	a := &aside{}
	a.next, a.stop = iter.Pull(func(yield func(bool) bool) {
		defer yield(false) // for good: what is left of it stays
		grow()
		for {
			a.work()
			a.work = nil
			if !yield(true) {
				return
			}
		}
	})
	return a
}

// grow makes room on a new stack while there is nothing on it that has to be moved.
//
//go:noinline
func grow() byte {
	var room [6 << 10]byte
	return room[index()]
}

//go:noinline
func index() int { return 0 }
