package sdk

import (
	"log/slog"

	"github.com/AssetsArt/nylon/sdk/go/internal/bridge"
	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

func init() {
	bridge.Open = func(register any, port session.Port) (session.Handler, *session.Failure) {
		return openSession(register.(func(*PhaseHandler)), port)
	}
	bridge.Initialize = func(fn func(map[string]interface{}), config []byte) error {
		return (&hooks{initialize: fn}).runInitialize(config, slog.Default())
	}
}
