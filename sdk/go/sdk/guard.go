package sdk

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// guarded is the one way into user code. A panic, or a runtime.Goexit, is a failure with the id of its story in the log.
func guarded(log *slog.Logger, what string, fn func()) *session.Failure {
	var failure *session.Failure
	guard(log, what, fn, func(f session.Failure) { failure = &f })
	return failure
}

// guard tells fail of a panic. After runtime.Goexit, too, although it does not return then.
func guard(log *slog.Logger, what string, fn func(), fail func(session.Failure)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		cause := recover()
		text := fmt.Sprintf("%s panicked: %v", what, cause)
		if refused, ok := cause.(refusal); ok {
			text = refused.err.Error()
		} else if cause == nil {
			text = what + " ended its goroutine"
		}
		id := logID()
		log.Error("nylon plugin: "+text, "log_id", id, "stack", string(debug.Stack()))
		fail(session.Failure{Code: wire.FailHandler, Text: text, LogID: id})
	}()
	fn()
	returned = true
}

func logID() string {
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "unknown"
	}
	return hex.EncodeToString(id[:])
}
