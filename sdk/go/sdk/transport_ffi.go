package sdk

import (
	"fmt"
	"log/slog"

	"github.com/AssetsArt/nylon/sdk/go/internal/ffi"
	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

// library is this process as a plugin inside a gateway, if one has loaded it.
var library = ffi.NewLibrary()

// ffiTransport is the plugin of a library.
type ffiTransport struct {
	library *ffi.Library
	hooks   hooks
	started chan struct{}
	done    chan struct{}
}

var _ PluginTransport = (*ffiTransport)(nil)

func newFFITransport(library *ffi.Library) *ffiTransport {
	t := &ffiTransport{library: library, started: make(chan struct{}, 1), done: make(chan struct{})}
	library.OnInitialize = func(config []byte) error { return t.hooks.runInitialize(config, slog.Default()) }
	library.OnShutdown = func() {
		t.hooks.runShutdown(slog.Default())
		select {
		case <-t.done:
		default:
			close(t.done)
		}
	}
	return t
}

// AddHandler registers an entry.
func (t *ffiTransport) AddHandler(name string, handler func(*PhaseHandler)) error {
	if handler == nil {
		return fmt.Errorf("adding handler %q: it is nil", name)
	}
	t.library.Add(name, func(port session.Port) (session.Handler, *session.Failure) {
		return openSession(handler, port)
	})
	return nil
}

// Initialize registers what takes the configuration.
func (t *ffiTransport) Initialize(fn func(map[string]interface{})) { t.hooks.setInitialize(fn) }

// Shutdown registers what runs when the gateway ends.
func (t *ffiTransport) Shutdown(fn func()) { t.hooks.setShutdown(fn) }

// Start says that every entry is registered.
func (t *ffiTransport) Start() error {
	select {
	case t.started <- struct{}{}:
	default:
	}
	return nil
}

// Close does nothing: the gateway ends a library.
func (t *ffiTransport) Close() error { return nil }
