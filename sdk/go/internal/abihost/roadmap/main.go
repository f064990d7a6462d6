//go:build cgo

// A plugin written from what the users' roadmap shows: the constructor chooses the transport, and nothing else is known.
package main

import "github.com/AssetsArt/nylon/sdk/go/sdk"

func main() {
	plugin := sdk.NewNylonPlugin()
	defer plugin.Close()

	plugin.AddPhaseHandler("auth", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			if ctx.Request().Header("Authorization") == "" {
				ctx.Response().SetStatus(401)
				ctx.Response().BodyJSON(map[string]string{"error": "unauthorized"})
				ctx.End()
				return
			}
			ctx.Response().SetHeader("X-Auth-User", "authenticated")
			ctx.Next()
		})
	})

	select {}
}
