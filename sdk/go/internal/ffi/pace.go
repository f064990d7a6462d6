package ffi

import (
	"sync/atomic"
	"time"
)

const (
	// quick is what a goroutine of its own costs, about, on a busy machine: a callback that takes less on average is run on the
	// thread that begins its phase.
	quick = 100 * time.Microsecond
	// slowest is what one run counts for at most. A preempted thread says little about the callback.
	slowest = time.Millisecond
	// memory is how many runs the average remembers, about.
	memory = 64
	// probing is how many runs of a slow callback there are to one that looks whether it is still slow.
	probing = 64
)

// pace is what has been seen of one callback. Concurrent runs may lose a count.
type pace struct {
	seen    atomic.Bool // one run has ended
	waiting atomic.Bool // it has waited for the host, or streamed
	average atomic.Int64
	away    atomic.Int32
}

// here says whether the callback may run on a thread of the host.
func (p *pace) here() bool {
	switch {
	case !p.seen.Load() || p.waiting.Load():
		return false
	case time.Duration(p.average.Load()) < quick:
		return true
	default:
		return p.away.Add(1)%probing == 0
	}
}

// took counts a run on a thread of the host.
func (p *pace) took(run time.Duration) {
	average := time.Duration(p.average.Load())
	if average >= quick && run < quick { // it was a probe
		average /= 2
	}
	p.average.Store(int64(average + (min(run, slowest)-average)/memory))
}

// waits says that the callback waits for the host, or streams: it is not run on a thread of the host any more.
func (p *pace) waits() { p.waiting.Store(true) }
