package natsworker

import (
	"maps"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// tick looks at the sessions that wait, every 10 ms while there are any.
func (w *Worker) tick() {
	defer w.idle.Done()
	timer := time.NewTicker(tickEvery)
	defer timer.Stop()
	for {
		w.mu.Lock()
		resting := len(w.hot) == 0
		w.mu.Unlock()
		if resting {
			timer.Stop()
			select {
			case <-w.ticks:
			case <-w.done:
				return
			}
			timer.Reset(tickEvery)
		}
		select {
		case now := <-timer.C:
			connected := w.conn.IsConnected()
			w.mu.Lock()
			w.ages.look(now)
			w.lookAtHot(connected, now)
			w.mu.Unlock()
		case <-w.done:
			return
		}
	}
}

func (w *Worker) lookAtHot(connected bool, now time.Time) {
	hot := w.hot
	kept := hot[:0]
	for _, l := range hot {
		if l.over != nil {
			l.hot = false
			continue
		}
		w.lookAt(l, connected, now)
		l.hot = l.busy && l.over == nil && !l.lasts() // a stream is looked at by the beat, as it may last
		if l.hot {
			kept = append(kept, l)
		}
	}
	clear(hot[len(kept):])
	w.hot = kept
}

// survey looks at the sessions between two phases.
func (w *Worker) survey(connected bool, now time.Time) {
	for _, l := range w.live {
		if !l.hot {
			w.lookAt(l, connected, now)
		}
	}
}

// lookAt does what is due because time has passed.
func (w *Worker) lookAt(l *live, connected bool, now time.Time) {
	r := l.run
	unanswered := !l.firstSent && !l.silent
	switch {
	case l.busy && !l.lasts() && !now.Before(l.deadline):
		w.counts.Timeouts++
		w.cancel(l, session.ErrPhaseTimeout)
	case unanswered && l.wait == waitInit && now.Sub(l.received) >= w.options.WaitLimit:
		w.giveBack(l, wire.BusyInitializing)
	case unanswered && r != nil && now.Sub(l.received) >= w.options.WaitLimit && r.retract():
		w.giveBack(l, wire.BusyFull)
	case unanswered && r != nil && r.stage.Load() == taken && now.Sub(l.received)-r.waited() >= acceptAfter && l.mask.Load() != unregistered:
		w.accept(l)
	case !l.silent && now.Sub(l.probed) >= probeAfter:
		if !connected {
			l.probed = now
		} else if w.asks(l, now) {
			head := wire.Head{Session: l.id, Generation: l.generation, Seq: l.nextOut, PhaseSeq: l.phaseSeq}
			w.out.closeAll() // behind what was said before
			w.out.alone(l.reply, w.subject, &wire.Probe{Head: head})
			wake(w.flushes)
		}
	case !l.busy && now.Sub(l.heard) >= idleLimit:
		w.counts.Idle++
		w.breakOff(l, wire.AbortStale)
	}
	if r != nil && l.run == r && !r.warned && !r.returned.IsZero() && l.sending == nil && l.stream == nil && l.socket == nil && now.Sub(r.returned) >= silentAfter {
		r.warned = true
		w.options.Logger.Warn("nylon worker: a callback returned and nothing was called: Next or End has to end its phase",
			"entry", l.entry.name, "phase", r.Phase, "session", l.id)
	}
}

// asks says whether a session that hears nothing asks its gateway itself now: another one may just have asked that thread.
func (w *Worker) asks(l *live, now time.Time) bool {
	l.probed = now
	if now.Sub(w.asked[l.gateway]) < probeAfter && now.Sub(l.asked) < l.patience {
		return false
	}
	if _, known := w.asked[l.gateway]; !known {
		maps.DeleteFunc(w.asked, func(_ string, asked time.Time) bool { return now.Sub(asked) >= probeAgain })
	}
	w.asked[l.gateway] = now
	l.asked, l.patience = now, min(2*l.patience, probeAgain)
	return true
}

// askAgain: what was on its way may be lost, so every session asks for itself.
func (w *Worker) askAgain() {
	for _, l := range w.live {
		l.patience = probeAfter
	}
}
