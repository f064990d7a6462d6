package sdk

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
)

// hooks keeps the two functions of a plugin's life. The last one registered counts.
type hooks struct {
	mu         sync.Mutex
	initialize func(map[string]interface{})
	shutdown   func()
}

func (h *hooks) setInitialize(fn func(map[string]interface{})) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.initialize = fn
}

func (h *hooks) setShutdown(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shutdown = fn
}

// runInitialize calls the function with a configuration; a panic is the plugin's refusal.
func (h *hooks) runInitialize(config []byte, log *slog.Logger) error {
	h.mu.Lock()
	fn := h.initialize
	h.mu.Unlock()
	if fn == nil {
		return nil
	}
	var values map[string]interface{}
	if len(config) > 0 {
		if err := json.Unmarshal(config, &values); err != nil {
			return fmt.Errorf("reading the plugin's config: %w", err)
		}
	}
	if failure := guarded(log, "Initialize", func() { fn(values) }); failure != nil {
		return fmt.Errorf("%s (log id %s)", failure.Text, failure.LogID)
	}
	return nil
}

func (h *hooks) runShutdown(log *slog.Logger) {
	h.mu.Lock()
	fn := h.shutdown
	h.mu.Unlock()
	if fn != nil {
		guarded(log, "Shutdown", fn) // the panic is in the log, and nobody waits for an answer
	}
}

// NewInitializer adapts a function that takes a typed configuration to Initialize. T may be a struct with json tags or a map;
// no configuration gives the zero T, and keys that T has not are ignored. A configuration that does not fit T is logged to
// slog.Default(), and fn gets what could be read.
func NewInitializer[T any](fn func(config T)) func(map[string]interface{}) {
	return func(values map[string]interface{}) {
		config, err := decodeConfig[T](values)
		if err != nil {
			slog.Error("nylon plugin: reading the plugin's config", "error", err)
		}
		fn(config)
	}
}

// NewFallibleInitializer is NewInitializer for a function that may refuse: a configuration that does not fit T, or an error of
// fn, keeps the old configuration serving, or the worker out of work if it was the first (SPEC 18.3). A worker tries it again after
// 1 s, and ever less often, up to 30 s. In a library the refusal is only logged: the ABI has none.
func NewFallibleInitializer[T any](fn func(config T) error) func(map[string]interface{}) {
	return func(values map[string]interface{}) {
		config, err := decodeConfig[T](values)
		if err == nil {
			err = fn(config)
		}
		if err != nil {
			panic(refusal{err})
		}
	}
}

// refusal is an error on its way through a function that has no result.
type refusal struct{ err error }

func decodeConfig[T any](values map[string]interface{}) (T, error) {
	var config T
	if values == nil {
		return config, nil
	}
	text, err := json.Marshal(values)
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	return config, err
}
