package natsworker

import (
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// verdict is what to do with an open, as far as the configuration is concerned.
type verdict int

const (
	serve  verdict = iota
	wait           // an Initialize is on its way
	take           // its revision is new
	failed         // there is nothing to serve with
)

const (
	firstDelay = time.Second
	lastDelay  = 30 * time.Second
)

// initState is which configuration the plugin runs with (SPEC 18). It decides only.
type initState struct {
	wanted  bool
	own     bool
	current *wire.Revision
	active  *activeInit
	failed  *failedInit
	// lastError is what the plugin said last when it refused.
	lastError string
}

type activeInit struct {
	revision wire.Revision
	fetcher  *live // who fetches the text; nil once it is here
	again    bool
}

type failedInit struct {
	revision wire.Revision
	config   []byte
	at       time.Time
	delay    time.Duration
}

// orNone: a plugin without configuration counts as one with an empty one, older than every other.
func orNone(revision *wire.Revision) wire.Revision {
	if revision == nil {
		return wire.Revision{}
	}
	return *revision
}

func (s *initState) judge(revision *wire.Revision) verdict {
	if !s.wanted {
		return serve
	}
	if s.own {
		return s.fallback()
	}
	asked := orNone(revision)
	if s.current != nil && asked.Hash == s.current.Hash {
		// Loaded once more as it was: what was loaded in between elsewhere is older.
		s.current = &wire.Revision{Hash: asked.Hash, LoadedMs: max(asked.LoadedMs, s.current.LoadedMs)}
		return serve
	}
	if s.current != nil && asked.LoadedMs <= s.current.LoadedMs {
		return serve
	}
	if s.failed != nil && (asked.Hash == s.failed.revision.Hash || asked.LoadedMs <= s.failed.revision.LoadedMs) {
		return s.fallback()
	}
	if s.active != nil {
		return wait
	}
	return take
}

// fallback is what serves while a newer configuration is refused.
func (s *initState) fallback() verdict {
	switch {
	case s.current != nil:
		return serve
	case s.active != nil:
		return wait
	default:
		return failed
	}
}

func (s *initState) begin(revision *wire.Revision, fetcher *live) {
	s.active = &activeInit{revision: orNone(revision), fetcher: fetcher}
}

// lost: the session ended. True if it was to bring the text: somebody else has to.
func (s *initState) lost(l *live) bool {
	if s.active == nil || s.active.fetcher != l {
		return false
	}
	s.active = nil
	return true
}

func (s *initState) succeeded() {
	if s.active != nil {
		s.current, s.active, s.failed, s.lastError = &s.active.revision, nil, nil, ""
	}
}

// refused: it is tried again after a while, because what it depends on may come back.
func (s *initState) refused(config []byte, why string, now time.Time) {
	if s.active == nil {
		return
	}
	delay := firstDelay
	if s.failed != nil && s.active.again && s.failed.revision.Hash == s.active.revision.Hash {
		delay = min(2*s.failed.delay, lastDelay)
	}
	s.failed = &failedInit{s.active.revision, config, now.Add(delay), delay}
	s.active, s.lastError = nil, why
}

// again gives a refused configuration whose time has come.
func (s *initState) again(now time.Time) ([]byte, bool) {
	if s.failed == nil || s.active != nil || now.Before(s.failed.at) {
		return nil, false
	}
	s.active = &activeInit{revision: s.failed.revision, again: true}
	return s.failed.config, true
}

// serving is the revision for beats.
func (s *initState) serving() *wire.Revision {
	if s.current == nil || s.current.Hash == "" {
		return nil
	}
	return s.current
}

func (s *initState) state() wire.WorkerState {
	switch {
	case s.current == nil && s.active == nil && s.failed != nil:
		return wire.FailedFirst
	case s.current != nil && s.failed != nil:
		return wire.FailedKeepingOld
	case s.active != nil:
		return wire.Initializing
	default: // only an open brings a configuration, so a worker without any is ready for one
		return wire.Ready
	}
}
