package sdk

import "github.com/AssetsArt/nylon/sdk/go/internal/session"

// PluginTransport is the life of a plugin's transport. What differs between transports during a request is behind the
// contexts.
type PluginTransport interface {
	// AddHandler registers an entry; the same name again replaces it for later requests. A nil handler is an error.
	AddHandler(name string, handler func(*PhaseHandler)) error
	// Initialize registers what takes the plugin's configuration; the last one counts.
	Initialize(fn func(map[string]interface{}))
	// Shutdown registers what runs once, after the last session; the last one counts.
	Shutdown(fn func())
	// Start makes sure that the plugin serves; see the plugins' own.
	Start() error
	// Close ends it: sessions may finish first. It may be called again.
	Close() error
}

// Plugin is what a plugin's code needs of its transport, so that one function can register the handlers of every build.
type Plugin interface {
	// AddPhaseHandler registers an entry; the same name again replaces it for later requests.
	AddPhaseHandler(string, func(*PhaseHandler))
	// Initialize registers what takes the plugin's configuration; the last one counts.
	Initialize(func(map[string]interface{}))
	// Shutdown registers what runs once, after the last session; the last one counts.
	Shutdown(func())
}

// sessionPort is a session's channel to its gateway; every transport has its own, and the contexts use nothing else.
type sessionPort = session.Port
