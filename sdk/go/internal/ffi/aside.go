package ffi

import "iter"

// aside runs fn on another goroutine and on this thread, and returns when it has returned. It costs a fraction of a microsecond.
// What ends its goroutine (runtime.Goexit) ends that one: this one is the host's, and its end would be the process's.
func aside(fn func()) (returned bool) {
	next, _ := iter.Pull(func(yield func(bool) bool) {
		defer func() {
			if !returned {
				yield(false) // for good: what is left of it stays
			}
		}()
		grow()
		fn()
		returned = true
	})
	next()
	return returned
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
