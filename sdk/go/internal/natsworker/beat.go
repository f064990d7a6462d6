package natsworker

import (
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// beat announces the worker every 250 ms, always (SPEC 19.1); the first time when its subscriptions are flushed.
func (w *Worker) beat() {
	defer w.idle.Done()
	timer := time.NewTicker(beatEvery)
	defer timer.Stop()
	wasConnected, reconnects := false, w.conn.Stats().Reconnects
	for {
		connected := w.conn.IsConnected()
		if now := w.conn.Stats().Reconnects; now != reconnects { // perhaps since the last look
			reconnects, wasConnected = now, false
		}
		now := time.Now()
		w.mu.Lock()
		if connected != wasConnected {
			w.ages.disturbed(now)
			w.askAgain()
		}
		w.ages.look(now)
		w.retryConfig(now)
		w.survey(connected, now)
		w.lookForDrops()
		fresh := w.fresh
		w.mu.Unlock()
		if connected && !wasConnected {
			w.options.Logger.Info("nylon worker: connected to nats", "server", w.conn.ConnectedUrlRedacted())
		} else if wasConnected && !connected {
			w.options.Logger.Warn("nylon worker: lost the connection to nats")
		}
		wasConnected = connected
		if connected && fresh {
			if err := w.conn.FlushTimeout(beatEvery); err == nil {
				w.mu.Lock()
				w.fresh, fresh = false, false
				w.mu.Unlock()
			}
		}
		if connected && !fresh {
			w.sendBeat(now)
		}
		wait := timer.C
		if !connected || fresh { // nobody misses a worker that was never heard of
			timer.Reset(tickEvery)
		} else {
			timer.Reset(beatEvery)
		}
		select {
		case <-wait:
		case <-w.done:
			return
		}
	}
}

// lookForDrops: credit keeps the queues of subscriptions from overflowing. If one does, a message of any session may be lost, and
// none goes on with a hole (SPEC 12.7); the mutex is held.
func (w *Worker) lookForDrops() {
	dropped := 0
	for _, sub := range append(w.opens[:len(w.opens):len(w.opens)], w.direct...) {
		if n, err := sub.Dropped(); err == nil { // else it has ended
			dropped += n
		}
	}
	if dropped <= w.dropped {
		return
	}
	w.options.Logger.Error("nylon worker: nats messages were dropped, so every open session is aborted", "messages", dropped-w.dropped, "sessions", len(w.live))
	w.dropped = dropped
	for _, l := range w.live {
		w.counts.Gaps++
		w.breakOff(l, wire.AbortGap)
	}
}

func (w *Worker) sendBeat(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.alone(w.beats, "", w.nextBeat(now))
	wake(w.flushes)
}

func (w *Worker) nextBeat(now time.Time) *wire.Beat {
	running, waiting := w.oldest(now)
	beat := &wire.Beat{
		V: wire.Version, Group: w.options.Group, Worker: w.id, Seq: w.beatSeq, Load: uint32(w.load()),
		Limit: uint32(w.options.MaxSessions), Draining: w.life != serving, OldestRunningMs: millis(running),
		OldestWaitingMs: millis(waiting), Revision: w.init.serving(), State: w.init.state(),
	}
	for _, e := range w.order {
		// What a registration function registers may differ by session, so no phase is announced as missing.
		beat.Entries = append(beat.Entries, wire.BeatEntry{Entry: e.name, Mask: wire.AllPhases, BodyMode: bodyMode(e.streams)})
	}
	w.beatSeq++
	return beat
}

func millis(d time.Duration) uint64 { return uint64(max(d.Milliseconds(), 0)) }

// oldest is the ages of the oldest callback and of the oldest open that waits.
func (w *Worker) oldest(now time.Time) (running, waiting time.Duration) {
	// since: what it has lasted before says nothing
	look := func(r *run, since time.Time) {
		switch {
		case r.stage.Load() == queued:
			waiting = max(waiting, now.Sub(r.Received))
		case r.stage.Load() == taken && r.returned.IsZero():
			running = max(running, min(now.Sub(r.Received)-r.waited(), now.Sub(since)))
		}
	}
	for _, l := range w.live {
		if l.lasts() {
			continue // it may last: its age says nothing
		}
		if l.run != nil {
			look(l.run, l.deadline.Add(-l.span))
		} else if l.open != nil {
			waiting = max(waiting, now.Sub(l.received))
		}
	}
	for r := range w.left {
		look(r, r.Received)
	}
	return running, waiting
}
