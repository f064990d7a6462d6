// The auth rule as a Nylon plugin in Go, and an entry that answers by itself: nylon_app.py in Go.
package main

import "github.com/AssetsArt/nylon/sdk/go/sdk"

const token = "Bearer secret"

type registry interface {
	AddPhaseHandler(name string, handler func(*sdk.PhaseHandler))
}

func register(plugin registry) {
	plugin.AddPhaseHandler("auth", auth)
	plugin.AddPhaseHandler("hello", hello)
}

func auth(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		if ctx.Request().Header("Authorization") != token {
			ctx.Response().SetStatus(sdk.StatusUnauthorized)
			ctx.Response().BodyJSON(map[string]string{"error": "unauthorized"})
			ctx.End()
			return
		}
		ctx.Request().SetHeader("X-Auth-User", "alice")
		ctx.Next()
	})
}

func hello(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().BodyText("hello from the plugin!!\n")
		ctx.End()
	})
}
