package natsworker

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// Drain ends the worker as SPEC 9.10 says, once: no new sessions, finish the old ones, abort the rest, Shutdown, disconnect.
// It returns at once; Done is closed at the end.
func (w *Worker) Drain() { w.drain.Do(func() { go w.end() }) }

func (w *Worker) end() {
	until := time.Now().Add(w.options.DrainTimeout)
	w.options.Logger.Info("nylon worker: draining", "group", w.options.Group, "worker", w.id)
	w.mu.Lock()
	w.life = max(w.life, leaving)
	opens := w.opens
	w.mu.Unlock()
	idle := false
	w.begin.Do(func() { idle = true }) // it never served: nothing to take leave of
	if !idle {
		w.sendBeat(time.Now())
		go w.closeSockets(until)
		w.leaveQueues(opens, until)
	}
	w.mu.Lock()
	w.life = draining
	w.mu.Unlock()
	w.waitFor(until, func() bool { return len(w.live) == 0 && len(w.left) == 0 })
	w.abortAll()
	// Callbacks that were just cancelled may still return.
	w.waitFor(time.Now().Add(time.Second), func() bool { return len(w.live) == 0 && len(w.left) == 0 })
	if err := w.shutDown(); err != nil {
		w.report(err)
	}
	w.flush()
	for _, sub := range w.direct {
		if err := sub.Unsubscribe(); err != nil {
			w.options.Logger.Debug("nylon worker: unsubscribing", "error", err)
		}
	}
	if err := w.conn.FlushTimeout(time.Second); err != nil {
		w.options.Logger.Debug("nylon worker: flushing the last frames", "error", err)
	}
	w.mu.Lock()
	w.over = true
	for _, a := range w.actors {
		a.next <- nil
	}
	w.actors = nil
	w.mu.Unlock()
	if w.ownConn {
		w.conn.Close()
	}
	w.options.Logger.Info("nylon worker: ended", "group", w.options.Group, "worker", w.id)
	close(w.done) // last: who waits for it may end the process
}

// leaveQueues unsubscribes the open subjects only. Drain of a subscription keeps serving what the server had sent before its
// PONG, which is exactly what SPEC 9.10 asks for; Drain of the connection would close the direct subject as well.
func (w *Worker) leaveQueues(opens []*nats.Subscription, until time.Time) {
	for _, sub := range opens {
		if err := sub.Drain(); err != nil {
			w.options.Logger.Warn("nylon worker: leaving a queue", "subject", sub.Subject, "error", err)
		}
	}
	for _, sub := range opens {
		for sub.IsValid() && w.conn.IsConnected() && time.Now().Before(until) {
			time.Sleep(tickEvery)
		}
	}
}

// waitFor waits until done, which is asked with the mutex held.
func (w *Worker) waitFor(until time.Time, done func() bool) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		w.mu.Lock()
		over := done()
		w.mu.Unlock()
		if over {
			return
		}
		select {
		case <-w.changed:
		case <-timer.C:
			return
		}
	}
}

// abortAll ends what did not end by itself. What has not reached user code may go elsewhere; what has, is told so.
func (w *Worker) abortAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.live {
		if !l.firstSent && !l.silent {
			if l.run == nil || l.run.retract() {
				w.giveBack(l, wire.BusyDraining)
				continue
			}
			w.accept(l)
		}
		if !l.silent {
			w.emit(l.gateway, l.reply, &wire.Abort{Head: l.head(), Reason: wire.AbortWorkerShutdown})
		}
		w.cancel(l, session.ErrShuttingDown)
	}
}

func (w *Worker) shutDown() error {
	if w.options.Shutdown == nil {
		return nil
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.options.Shutdown()
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(w.options.ShutdownTimeout):
		return fmt.Errorf("ending the worker: Shutdown did not return within %s", w.options.ShutdownTimeout)
	}
}
