package natsworker

import "time"

// ages tells how old an open is, although no two machines agree on the time (SPEC 8.2).
//
// Per gateway thread the smallest (received − sent) stands for a frame that did not wait; what a later frame has above it is
// its age. The smallest may grow again (clocks drift, virtual machines pause) only by a whole quiet window in which this
// worker was neither frozen nor cut off: what arrives in a burst after such a break never sets the measure.
type ages struct {
	measures map[string]*measure
	lastLook time.Time
}

type measure struct {
	smallest, windowSmallest time.Duration
	windowStart              time.Time
}

const (
	ageWindow = 10 * time.Second
	// More gateway threads than this are not remembered at the same time.
	mostMeasures = 4096
	noMeasure    = time.Duration(1<<63 - 1)
)

// started is the zero of this process's monotonic clock.
var started = time.Now()

// age of a frame that gateway thread from sent at sentMs of its own monotonic clock.
func (a *ages) age(from string, sentMs uint64, now time.Time) time.Duration {
	delta := (now.Sub(started).Truncate(time.Millisecond)/time.Millisecond - time.Duration(min(sentMs, 1<<53)))
	m := a.measures[from]
	if m == nil {
		if len(a.measures) >= mostMeasures || a.measures == nil {
			a.forget(now)
		}
		a.measures[from] = &measure{delta, delta, now}
		return 0
	}
	if now.Sub(m.windowStart) >= ageWindow {
		if m.windowSmallest != noMeasure {
			m.smallest = m.windowSmallest
		}
		m.windowSmallest, m.windowStart = delta, now
	}
	m.windowSmallest = min(m.windowSmallest, delta)
	m.smallest = min(m.smallest, delta)
	return (delta - m.smallest) * time.Millisecond
}

func (a *ages) forget(now time.Time) {
	for from, m := range a.measures {
		if now.Sub(m.windowStart) >= 2*ageWindow {
			delete(a.measures, from)
		}
	}
	if a.measures == nil || len(a.measures) >= mostMeasures {
		a.measures = make(map[string]*measure)
	}
}

// look is called often: a long pause between two calls means that this process was frozen.
func (a *ages) look(now time.Time) {
	if !a.lastLook.IsZero() && now.Sub(a.lastLook) > time.Second {
		a.disturbed(now)
	}
	a.lastLook = now
}

// disturbed: the process was frozen or cut off, and what comes now may be old.
func (a *ages) disturbed(now time.Time) {
	for _, m := range a.measures {
		m.windowStart, m.windowSmallest = now, noMeasure
	}
}
