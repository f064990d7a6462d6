// Package bridge lets package sdktest open sessions of package sdk without making that a part of the public API.
package bridge

import "github.com/AssetsArt/nylon/sdk/go/internal/session"

// Open runs a registration function, a func(*sdk.PhaseHandler). Set by package sdk.
var Open func(register any, port session.Port) (session.Handler, *session.Failure)

// Initialize runs a plugin's function with a configuration. Set by package sdk.
var Initialize func(fn func(map[string]interface{}), config []byte) error
