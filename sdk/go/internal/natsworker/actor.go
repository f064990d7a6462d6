package natsworker

import (
	"fmt"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// idleActors: so many goroutines wait for the next session, with stacks that have grown already.
const idleActors = 256

// actor is a goroutine that works on one session after the other. A session has at most one, so that its callbacks never
// overlap, and none between its phases.
type actor struct{ next chan *live }

// start gives a session an actor; the mutex is held.
func (w *Worker) start(l *live) {
	if last := len(w.actors) - 1; last >= 0 {
		a := w.actors[last]
		w.actors = w.actors[:last]
		a.next <- l // it waits, and has room for one
		return
	}
	go w.act(&actor{make(chan *live, 1)}, l, nil)
}

// act runs the phases of a session, in order, and then those of other sessions. `last` has just returned.
func (w *Worker) act(a *actor, l *live, last *run) {
	clean := false
	defer func() {
		if !clean { // runtime.Goexit in a callback ends this goroutine, not the session
			go w.act(a, l, last)
		}
	}()
	for l != nil {
		w.mu.Lock()
		if last != nil {
			w.onReturned(last)
		}
		if len(l.queue) > 0 {
			last = l.queue[0]
			l.queue = l.queue[1:]
			w.mu.Unlock()
			if last.claim() {
				l.runPhase(last)
			}
			continue
		}
		l.working, last = false, nil
		waits := len(w.actors) < idleActors && !w.over
		if waits {
			w.actors = append(w.actors, a)
		}
		w.mu.Unlock()
		if !waits {
			break
		}
		l = <-a.next // nil at the worker's end
	}
	clean = true
}

func (l *live) runPhase(r *run) {
	if l.handler == nil {
		handler, failure := l.entry.open(l)
		if failure != nil {
			l.mask.Store(r.Phase.Bit())
			_ = l.Fail(&r.Run, *failure) // a session that is over needs no answer
			return
		}
		l.handler = handler
		l.registered(handler)
		if missing := l.missing(r.Phase); missing != 0 {
			_ = l.Fail(&r.Run, session.Failure{ // a session that is over needs no answer
				Code: wire.FailHandler,
				Text: fmt.Sprintf("with its config, the handler registered other phases (mask %d) than before (mask %d), or another kind of body filter", handler.Mask(), handler.Mask()&^missing),
			})
			return
		}
	}
	if l.mask.Load()&r.Phase.Bit() == 0 {
		_ = l.Finish(&r.Run, wire.Next) // a session that is over needs no answer
		return
	}
	l.handler.Run(&r.Run)
}

// register runs the registration function for a session whose first frame is a FETCH: that frame names the phases. The handler
// itself is made again when its phase runs, because the configuration may be another by then. Nothing is run before a
// registration function has returned, so running it twice changes nothing.
func (l *live) register(then func()) {
	if l.firstSent {
		then()
		return
	}
	go func() {
		handler, failure := l.entry.open(l)
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		if failure == nil { // else every phase is announced
			l.registered(handler)
		}
		if l.over == nil {
			then()
		}
	}()
}

// registered notes what a handler wants of the gateway. For the goroutine that works on the session.
func (l *live) registered(handler session.Handler) {
	l.streams.Store(handler.Streams())
	l.mask.Store(handler.Mask())
}

// missing is the later phases that the handler has registered and the gateway has not been told of, or not in this way. It
// would leave them out.
func (l *live) missing(phase wire.Phase) uint32 {
	if !l.told {
		return 0
	}
	mask, said := l.mask.Load(), l.said
	if bodyMode(l.streams.Load()) != l.mode {
		said &^= wire.ResponseBodyFilter.Bit()
	}
	return (mask &^ said) >> phase << phase
}

// onReturned notes that a callback has returned, whatever became of its phase; the mutex is held.
func (w *Worker) onReturned(r *run) {
	r.returned = time.Now()
	if r.left && !r.inSocket() {
		delete(w.left, r)
		wake(w.changed)
	}
}

// finish ends a phase with its result.
func (w *Worker) finish(r *run, action wire.Action) error {
	l := r.live
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.run != r || l.sending != nil || l.socket != nil {
		return closedBy(l)
	}
	if l.stream != nil { // a phase that ends otherwise has cut it
		w.endStream(l.stream, wire.OutcomeAbort)
		return nil
	}
	handling := time.Since(r.Received) - r.waited()
	l.entry.requests++
	l.entry.handling += handling
	if l.silent {
		w.counts.Results++
		w.afterPhase(l, r.Phase, false)
		return nil
	}
	timing := &wire.Timing{QueueUs: micros(r.waited()), HandlerUs: micros(handling)}
	w.sendResult(l, wire.Result{Ops: r.ops, Action: action, Timing: timing})
	return nil
}

// failed ends a phase, and so its session, as failed.
func (w *Worker) failed(r *run, failure session.Failure) error {
	l := r.live
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := l.stream; s != nil && s.run == r { // the head is out: nothing can be answered but the cut
		l.entry.lastError = shortened(failure.Text)
		w.counts.Errors++
		w.endStream(s, wire.OutcomeAbort)
		return nil
	}
	if s := l.socket; s != nil && s.run == r { // the 101 is out
		l.entry.lastError = shortened(failure.Text)
		w.counts.Errors++
		s.close(session.CloseFailed, "the handler failed")
		return nil
	}
	l.entry.requests++
	l.entry.errors++
	l.entry.lastError = shortened(failure.Text)
	if l.run != r || l.sending != nil {
		return closedBy(l)
	}
	w.counts.Errors++
	w.sendError(l, failure)
	l.run = nil // it is answered: nothing of it is cancelled
	w.cancel(l, session.ErrClosed)
	return nil
}

func closedBy(l *live) error {
	if l.over != nil {
		return l.over
	}
	return session.ErrClosed
}

func micros(d time.Duration) uint32 { return uint32(min(max(d.Microseconds(), 0), 1<<32-1)) }

// shortened keeps a frame small; the full story is in the worker's log.
func shortened(text string) string {
	const most = 1024
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && text[end]&0xc0 == 0x80 {
		end--
	}
	return text[:end]
}
