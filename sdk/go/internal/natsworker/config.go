package natsworker

import (
	"errors"
	"fmt"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// WantConfig says that the plugin has an Initialize function: from now on no phase runs before it.
func (w *Worker) WantConfig() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.init.wanted && len(w.entries) > 0 {
		w.options.Logger.Warn("nylon worker: Initialize was registered after a handler: requests may have run without it")
	}
	w.init.wanted = true
}

// startOwnConfig: the worker's own configuration needs no open.
func (w *Worker) startOwnConfig() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.init.wanted && w.init.own {
		w.init.begin(nil, nil)
		w.initialize(w.options.Config)
	}
}

// awaitOwnConfig waits for the first Initialize with the worker's own configuration.
func (w *Worker) awaitOwnConfig() error {
	for {
		w.mu.Lock()
		wanted, state, why := w.init.wanted && w.init.own, w.init.state(), w.init.lastError
		w.mu.Unlock()
		switch {
		case wanted && state == wire.FailedFirst:
			return fmt.Errorf("starting the worker: initializing: %s", why)
		case !wanted || state != wire.Initializing:
			return nil
		}
		select {
		case <-w.done:
			return session.ErrShuttingDown
		case <-time.After(tickEvery):
		}
	}
}

// takeConfig: this session's open brings a revision that is new.
func (w *Worker) takeConfig(l *live) {
	revision := l.open.Revision
	switch {
	case revision == nil:
		w.init.begin(nil, nil)
		w.initialize(nil)
	case l.silent && !l.attended: // nobody attends to it (SPEC 9.5); the next one that can ask will
	default:
		w.init.begin(revision, l)
		l.register(func() {
			w.call(l, wire.FetchConfig, w.options.MaxBody, func(text []byte, err error) { w.onConfig(l, text, err) })
		})
	}
}

func (w *Worker) onConfig(l *live, text []byte, err error) {
	var refused *callError
	switch {
	case err == nil:
	case errors.As(err, &refused) && refused.code == wire.FailNotFound:
		text = nil
	case l.over != nil: // judged when it was cancelled
		return
	default:
		w.options.Logger.Error("nylon worker: fetching a configuration", "error", err)
		w.sendError(l, session.Failure{Code: wire.FailInit, Text: err.Error()})
		w.cancel(l, session.ErrClosed) // so that the next one tries
		return
	}
	if w.init.active != nil {
		w.init.active.fetcher = nil
	}
	w.initialize(text)
}

// initialize runs the plugin's function in a goroutine of its own: it may take long, and opens do not wait for it for ever.
func (w *Worker) initialize(text []byte) {
	call := w.options.Initialize()
	go func() {
		err := call(text)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.init.succeeded()
		} else {
			w.options.Logger.Error("nylon worker: initializing the plugin", "error", err)
			w.init.refused(text, shortened(err.Error()), time.Now())
		}
		w.judgeWaiting()
		wake(w.changed)
	}()
}

// retryConfig tries a refused configuration again when its time has come.
func (w *Worker) retryConfig(now time.Time) {
	if text, due := w.init.again(now); due {
		w.initialize(text)
	}
}
